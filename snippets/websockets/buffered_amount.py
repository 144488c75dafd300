"""send() in a page never waits; bufferedAmount tells what has not left the browser yet.

Needs: pip install websockets, pip install playwright, chromium
"""

import asyncio
import shutil
import subprocess
import sys

from playwright.async_api import Browser, Error, Playwright, async_playwright
from websockets.asyncio.server import ServerConnection, serve

SEND = """
url => new Promise((done) => {
  window.socket = new WebSocket(url);
  socket.onopen = () => {
    const megabyte = new Uint8Array(1_000_000);
    for (let count = 0; count < 16; count++) socket.send(megabyte);
    done(socket.bufferedAmount);
  };
})
"""
UNTIL_SENT = """
() => new Promise((done) => {
  const look = () => socket.bufferedAmount === 0 ? done(0) : setTimeout(look, 10);
  look();
})
"""
CLOSE = """
() => new Promise((done) => {
  socket.onclose = () => done();
  socket.close();
})
"""


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
    """Let a page send 16 MB to a server that does not read, and then does."""
    reading = asyncio.Event()
    got = asyncio.Event()

    async def handler(connection: ServerConnection) -> None:
        await reading.wait()
        for _ in range(16):
            await connection.recv()
        got.set()
        await connection.wait_closed()

    serving = serve(handler, "127.0.0.1", 0, compression=None, max_queue=1)
    async with asyncio.timeout(100), serving as server, async_playwright() as tool:
        browser = await launch(tool)
        page = await browser.new_page()
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        waiting = await page.evaluate(SEND, url)
        print("page: send() has returned 16 times; bufferedAmount is", waiting)
        waiting = await page.evaluate("socket.bufferedAmount")
        print("page: the server reads nothing; above 4000000:", waiting > 4_000_000)
        reading.set()
        waiting = await page.evaluate(UNTIL_SENT)
        print("page: the server reads; bufferedAmount falls to", waiting)
        await got.wait()
        print("server: has got all")
        await page.evaluate(CLOSE)
        await browser.close()


DRIVER = [sys.executable, "-m", "playwright", "--version"]
starts = subprocess.run(DRIVER, capture_output=True, check=False).returncode == 0
if starts and shutil.which("chromium"):
    asyncio.run(main())
else:
    print("This program needs chromium, and libatomic1 for Playwright's driver.")
