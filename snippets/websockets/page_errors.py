"""What a page learns when its WebSocket fails: one code, 1006, for nearly everything.

The reason stands in the browser's console, where people see it and scripts do not.

Needs: pip install websockets, pip install playwright, chromium
"""

import asyncio
import shutil
import socket
import subprocess
import sys

from playwright.async_api import Browser, Error, Playwright, async_playwright
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

DIAL = """
url => new Promise((done) => {
  const seen = [];
  const socket = new WebSocket(url);
  socket.onopen = () => seen.push("open");
  socket.onerror = () => seen.push("error");
  socket.onclose = (event) => {
    seen.push(`close ${event.code} ${event.reason || "no reason"}`);
    done([...seen, event.wasClean ? "clean" : "not clean"].join(", "));
  };
})
"""


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes: a TCP server that knows nothing of WebSocket."""
    writer.write(await reader.read(1000))
    await reader.read()
    writer.close()


def answer(connection: ServerConnection, request: Request) -> Response | None:
    """Refuse some handshakes."""
    return connection.respond(403, "no\n") if request.path == "/refuse" else None


async def handler(connection: ServerConnection) -> None:
    """End the connection in the way that its path names."""
    path = connection.request.path if connection.request else ""
    if path == "/abort":
        connection.transport.abort()
    elif path == "/4001":
        await connection.close(4001, "this name is taken")


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
    """Let a page dial all of them."""
    nobody = socket.socket()
    nobody.bind(("127.0.0.1", 0))  # and no listen()
    tcp = await asyncio.start_server(echo, "127.0.0.1", 0)
    serving = serve(handler, "127.0.0.1", 0, process_request=answer)
    async with asyncio.timeout(100), tcp, serving as server, async_playwright() as tool:
        browser = await launch(tool)
        page = await browser.new_page()
        console: asyncio.Queue[str] = asyncio.Queue()
        page.on("console", lambda message: console.put_nowait(message.text))
        raw, port = (each.sockets[0].getsockname()[1] for each in (tcp, server))
        for what, url in (
            ("a server that closes", f"ws://127.0.0.1:{port}/"),
            ("a code of its own", f"ws://127.0.0.1:{port}/4001"),
            ("no close frame", f"ws://127.0.0.1:{port}/abort"),
            ("status 403", f"ws://127.0.0.1:{port}/refuse"),
            ("a plain TCP server", f"ws://127.0.0.1:{raw}/"),
            ("nobody", f"ws://127.0.0.1:{nobody.getsockname()[1]}/"),
        ):
            seen = await page.evaluate(DIAL, url)
            print(f"{what}: {seen}")
            if "error" in seen:
                print("   ", (await console.get()).replace("failed: ", "failed:\n    "))
        await browser.close()
    nobody.close()


DRIVER = [sys.executable, "-m", "playwright", "--version"]
starts = subprocess.run(DRIVER, capture_output=True, check=False).returncode == 0
if starts and shutil.which("chromium"):
    asyncio.run(main())
else:
    print("This program needs chromium, and libatomic1 for Playwright's driver.")
