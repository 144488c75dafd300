"""A browser is started as often as it takes, and says why if it does not start."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from handbook import chromium, needs
from handbook.problem import Problem

error = pytest.importorskip("playwright.sync_api").Error


class Playwright:
    """One whose browser starts at a later try."""

    def __init__(self, failures: int) -> None:
        self.chromium = SimpleNamespace(launch=self.launch)
        self.failures, self.tries = failures, 0

    def launch(self, **_: Any) -> str:
        self.tries += 1
        if self.tries <= self.failures:
            raise error(f"try {self.tries}: cannot make a profile")
        return "a browser"


def test_the_launch_alone_is_repeated() -> None:
    playwright: Any = Playwright(chromium.TRIES - 1)
    started: Any = chromium._launched(playwright, "/bin/chromium")
    assert started == "a browser"
    assert playwright.tries == chromium.TRIES


def test_a_browser_that_never_starts_is_told_with_its_last_words() -> None:
    playwright: Any = Playwright(chromium.TRIES)
    with pytest.raises(Problem) as told:
        chromium._launched(playwright, "/bin/chromium")
    assert str(told.value) == (
        "/bin/chromium: the browser did not start in 3 tries: "
        "try 3: cannot make a profile\n"
        "  To mend it: run it by hand: "
        "/bin/chromium --headless --no-sandbox --dump-dom about:blank"
    )


def test_a_driver_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chromium, "program", lambda: "/bin/chromium")
    monkeypatch.setattr(needs, "drives_browsers", lambda: False)
    with (
        pytest.raises(
            Problem, match="the driver of the browser does not start"
        ) as told,
        chromium.launched(),
    ):
        pytest.fail("no browser")
    assert "apt install libatomic1" in str(told.value)
