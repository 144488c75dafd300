"""Two pages in a real browser talk, lose their server, and come back by themselves.

Needs: pip install websockets, pip install playwright, chromium
Needs: chat_server.py, chat.html
Varies: Again in {seconds} s
"""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

from chat_server import ChatServer, Page
from playwright.async_api import Browser, Error, Playwright, async_playwright
from playwright.async_api import Page as Tab

# What the page says first: with a short pause it says more before anybody looks.
WATCH = """
() => {
  const state = document.getElementById("state");
  window.firstWords = new Promise((done) => {
    const look = () => state.textContent.includes("Closed") && done(state.textContent);
    new MutationObserver(look).observe(state, { childList: true });
  });
}
"""


async def join(tab: Tab, url: str, name: str) -> None:
    """Open the page and choose a name."""
    await tab.goto(url)
    await tab.get_by_label("Your name").fill(name)
    await tab.get_by_role("button", name="Join").click()
    await tab.get_by_text("In the room").wait_for()


async def launch(tool: Playwright) -> Browser:
    """Start a browser; what it said itself is in the message if it does not."""
    try:
        return await tool.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox"],
            timeout=60_000,  # milliseconds
        )
    except Error as error:
        sys.exit(f"chromium did not start: {error}")


async def main() -> None:
    """Let ann and ben join, speak, and survive a restart."""
    page = Page(Path(__file__).with_name("chat.html"))
    chat = ChatServer(page, told=lambda _: None)
    server = await chat.serve("127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(100), async_playwright() as tool:
        browser = await launch(tool)
        ann, ben = await browser.new_page(), await browser.new_page()
        await join(ann, f"http://127.0.0.1:{port}/", "ann")
        await join(ben, f"http://127.0.0.1:{port}/", "ben")
        await ann.get_by_text("ben has joined").wait_for()
        print("ann sees:", await ann.locator("#state").text_content())

        await ann.get_by_label("Your message").fill("<b>hello</b>")
        await ann.get_by_role("button", name="Say").click()
        await ben.get_by_text("hello").wait_for()
        print("ben sees:", await ben.locator("#said").inner_text())

        await ben.evaluate(WATCH)
        await chat.stop(server)
        print("ben sees:", await ben.evaluate("firstWords"))

        chat = ChatServer(page, told=lambda _: None)
        server = await chat.serve("127.0.0.1", port)
        for tab in (ann, ben):
            await tab.get_by_text("In the room: ann, ben").wait_for()
        print("both are back in the room")
        await chat.stop(server)
        await browser.close()


DRIVER = [sys.executable, "-m", "playwright", "--version"]
starts = subprocess.run(DRIVER, capture_output=True, check=False).returncode == 0
if starts and shutil.which("chromium"):
    asyncio.run(main())
else:
    print("This program needs chromium, and libatomic1 for Playwright's driver.")
