"""What a change does to the pages is shown: all of it, and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from handbook import changes
from handbook.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = """<!doctype html><html><head><title>x</title>
<link href="_static/site.css?v={hash}"></head><body><nav>{around}</nav>
<article role="main"><h1>A title<a class="headerlink" href="#a">#</a></h1>
<p>The <em>first</em>
   line. {sentence}</p><script>var x = "{hash}"</script><!-- {hash} -->
<pre><span>print</span>(1)
  <span>{code}</span></pre>
<figure><svg><path d="{path}"></path><text>SYN</text></svg>
<img src="picture.png?{hash}"></figure>
<table><tr><td>a</td><td>b</td></tr></table>
</article></body></html>"""
PLAIN = {"hash": "1", "around": "", "sentence": "Same.", "code": "2", "path": "M0 0"}


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., Path]:
    """Write a site of two pages and say where it is."""

    def make(name: str, *, picture: bytes = b"1", **words: str) -> Path:
        folder = tmp_path / name
        (folder / "part").mkdir(parents=True)
        (folder / "_static").mkdir()
        (folder / "_static" / "site.css").write_text("p {}")
        (folder / "index.html").write_text(PAGE.format(**PLAIN))
        (folder / "search.html").write_text(PAGE.format(**PLAIN | words))
        (folder / "part" / "page.html").write_text(PAGE.format(**PLAIN | words))
        (folder / "part" / "picture.png").write_bytes(picture)
        return folder

    return make


def test_an_article_is_read_as_lines() -> None:
    lines = changes.seen(PAGE.format(**PLAIN), Path("nowhere"))
    assert lines[:4] == (
        "A title",
        "The first line. Same.",
        "print(1)",
        "  2",
    )
    assert lines[4].startswith("[picture ")
    assert lines[5:] == ("[in the picture] SYN", "[picture picture.png]", "a b")


def test_what_no_reader_sees_is_no_change(site: Callable[..., Path]) -> None:
    before, after = site("before"), site("after", hash="2", around="another menu")
    assert changes.compare(before, after) == []
    assert changes.summary([]) == "No page reads otherwise than before.\n"


@pytest.mark.parametrize(
    ("words", "added"),
    [
        ({"sentence": "Other."}, "The first line. Other."),
        ({"code": "3"}, "  3"),
        ({"path": "M1 1"}, "[picture "),
        ({"picture": b"2"}, "[picture picture.png "),
    ],
)
def test_a_sentence_an_output_and_a_picture_are_changes(
    site: Callable[..., Path], words: dict[str, str], added: str
) -> None:
    found = changes.compare(site("before"), site("after", **words))
    assert [(change.page, change.kind) for change in found] == [
        ("part/page.html", "changed")
    ]
    assert found[0].counts == (1, 1)
    new = set(found[0].after) - set(found[0].before)
    assert [line.startswith(added) for line in new] == [True]


def test_the_answer_is_written_as_pages(
    site: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = (
        site("before"),
        site("after", sentence="<Other>.".replace("<", "&lt;")),
    )
    (before / "gone.html").write_text("<article><p>Gone.</p></article>")
    (after / "new.html").write_text("<article><p>New.</p></article>")
    out = tmp_path / "out"
    assert changes.main(["--sites", str(before), str(after), "--out", str(out)]) == 1
    said = capsys.readouterr().out
    assert "3 pages read otherwise than before." in said
    assert "| `gone.html` | gone | 1 | 0 |" in said
    assert "| `new.html` | new | 0 | 1 |" in said
    assert "| `part/page.html` | changed | 1 | 1 |" in said
    index = (out / "index.html").read_text()
    for page in ("gone.html", "new.html", "part/page.html"):
        assert f'href="difference/{page}"' in index
        assert (out / "difference" / page).is_file()
    difference = (out / "difference/part/page.html").read_text()
    assert "The first line. <del>Same.</del>" in difference
    assert "The first line. <ins>&lt;Other&gt;.</ins>" in difference
    assert 'href="../../pages/part/page.html"' in difference
    assert (out / "pages/part/page.html").is_file()
    assert (out / "pages/_static/site.css").is_file()
    assert not (out / "pages/index.html").exists()
    assert (out / "summary.md").read_text() in said


def ids(*names: str) -> str:
    return (
        "<article>" + "".join(f'<p id="{name}">x</p>' for name in names) + "</article>"
    )


def test_an_address_that_is_gone_is_told_with_its_mend(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for folder in (before, after):
        (folder / "tests").mkdir(parents=True)
    kept = ids(
        "who-calls", "closed-with-1006", "snippet-a-b", "a-b-12", "id3", "tl-a-b"
    )
    (before / "page.html").write_text(kept)
    (after / "page.html").write_text(ids("snippet-a-b", "a-b-13", "who-calls-it"))
    (before / "away.html").write_text(kept)
    (before / "moved.html").write_text(kept)
    (after / "moved.html").write_text('<meta http-equiv="refresh" content="0; url=x">')
    (before / "tests/test_a.html").write_text(kept)
    lost = changes.gone(before, after)
    assert [(each.page, each.anchor) for each in lost] == [
        ("away.html", ""),
        ("page.html", "closed-with-1006"),
        ("page.html", "who-calls"),
    ]
    said = changes.summary([], lost)
    assert "3 addresses lead nowhere now:" in said
    assert "page.html#who-calls: this address is gone" in said
    assert "To mend it: put '(who-calls)=' on a line of its own above" in said
    assert "in a line of docs/redirects.txt: away.md part/new-name.md" in said
    assert changes.gone(before, before) == []


def git(root: Path, *words: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words],
        cwd=root,
        check=True,
        capture_output=True,
    )


def test_a_commit_and_the_files_as_they_are_are_built_and_compared(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(repository, "init", "-q")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "base")
    page = repository / "docs/sockets/a-conversation.md"
    page.write_text(page.read_text().replace("Either side.", "Either end."))
    # A result of the tests is no change of the pages.
    (repository / "build").mkdir()
    (repository / "build/claims.json").write_text("{}")
    assert changes.main(["--base", "HEAD"], repository) == 0
    said = capsys.readouterr().out
    assert "1 page reads otherwise than before." in said
    assert "| `sockets/a-conversation.html` | changed | 1 | 1 |" in said
    out = repository / "build/changes/difference/sockets/a-conversation.html"
    assert "Either <del>side.</del>" in out.read_text()
    done = subprocess.run(
        ["git", "worktree", "list"],
        cwd=repository,
        check=True,
        capture_output=True,
        text=True,
    )
    assert len(done.stdout.splitlines()) == 1
    # The base is built once: what stands in its site now is what is compared with.
    (site,) = (repository / "build/changes-base").iterdir()
    old = site / "sockets/a-conversation.html"
    old.write_text(old.read_text().replace("Either side.", "Either way."))
    assert changes.main(["--base", "HEAD"], repository) == 0
    assert "Either <del>way.</del>" in out.read_text()


def test_a_base_and_a_site_that_are_none_are_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(Problem) as refused:
        changes.main(["--base", "nowhere"], tmp_path)
    assert "make changes BASE=origin/main" in str(refused.value)
    with pytest.raises(Problem, match="no built site"):
        changes.main(["--sites", str(tmp_path), str(tmp_path)], tmp_path)
