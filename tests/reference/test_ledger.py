"""Everything that learners are told has its claim, and every wrong belief its place."""

from __future__ import annotations

import re

from handbook import claims
from handbook.pages import BRIEF, ROLE, where_shown
from handbook.snippet import ROOT

PAGES = ROOT / "docs/reference/claims"


TOLD = 196  # ids in told.txt: one that is lost there is lost from no other list


def test_everything_told_has_its_claim() -> None:
    told = claims.told()
    twice = {identifier for identifier in told if told.count(identifier) > 1}
    unproved = set(told) - claims.collect().keys()
    named = ", ".join(sorted(twice | unproved)) or "none of those that are there"
    assert not twice, f"{claims.TOLD} lists twice: {named}; delete one of the lines"
    assert not unproved, (
        f"{claims.TOLD} names what no test claims: {named}; write the tests, or delete "
        "the lines"
    )
    assert len(told) == TOLD, (
        f"{claims.TOLD} has {len(told)} ids, and had {TOLD}: git diff {claims.TOLD} "
        "shows which; if that is meant, set TOLD in tests/reference/test_ledger.py to "
        f"{len(told)}"
    )


def test_a_tree_without_the_list_promises_nothing() -> None:
    assert claims.told(ROOT / "docs") == []


def test_every_part_that_puts_something_right_is_on_the_page() -> None:
    made = claims.collect().values()
    wrong = {claim.part for claim in made if claim.often_said is not None}
    text = "".join(path.read_text() for path in PAGES.glob("not-so*.md"))
    listed = re.findall(r"^```\{not-so\} (\S+)$", text, re.MULTILINE)
    assert sorted(listed) == sorted(wrong)


def test_a_claim_leads_to_a_chapter_and_not_to_a_page_that_repeats_it() -> None:
    shown = where_shown(ROOT)
    brief = [ROOT / f"docs/{name}.md" for name in BRIEF]
    repeated = {claim for page in brief for claim in ROLE.findall(page.read_text())}
    assert "close-ends-the-connection" in repeated
    for claim in repeated:
        names = {page.docname for page in shown[claim]}
        assert names, claim
        assert not names & {*BRIEF}, claim
