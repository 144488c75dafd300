"""A page of another origin opens a WebSocket to the bank: a real browser at work.

Needs: Linux, chromium, hijack.html, pip install websockets
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

PAGE = Path(__file__).with_name("hijack.html")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE *.localhost",
)
SETTINGS = {
    "profile": {"cookie_controls_mode": 0},  # take third-party cookies
    "net": {"network_prediction_options": 2},  # dial when there is a request, not ahead
}
COOKIES = (
    "none-cookie=1; SameSite=None; Secure; HttpOnly",
    "lax-cookie=1; SameSite=Lax; HttpOnly",
    "strict-cookie=1; SameSite=Strict; HttpOnly",
    "plain-cookie=1; HttpOnly",
)
VISITS = (  # where the browser goes after the login, and what the bank's server does
    ("http://evil.localhost:{port}/?open", "any origin may come"),
    ("http://blog.bank.localhost:{port}/?open", "any origin may come"),
    ("http://blog.bank.localhost:{port}/?checked", "the Origin is checked"),
)


class Bank:
    """The bank, the blog and the evil page: three hosts on one port."""

    def __init__(self) -> None:
        """Begin with the first visit."""
        self.port, self.visits = 0, list(VISITS)
        self.came, self.over = asyncio.Event(), asyncio.Event()

    def answer(self, asked: ServerConnection, request: Request) -> Response | None:
        """Answer HTTP; None lets the handshake of a WebSocket go on."""
        path = urlsplit(request.path)
        self.came.set()
        if "Upgrade" in request.headers:
            return self.check(asked, request) if path.query == "checked" else None
        if path.path == "/told":
            host = request.headers["Host"].partition(":")[0]
            print(f"a page of {host}; {self.visits.pop(0)[1]}")
            for way, result in parse_qsl(path.query):
                print(f"  {way}: {result}")
        if path.path in {"/login", "/told"} and self.visits:
            response = asked.respond(HTTPStatus.FOUND, "")
            response.headers["Location"] = self.visits[0][0].format(port=self.port)
            for cookie in COOKIES:
                if path.path == "/login":
                    response.headers["Set-Cookie"] = cookie
            return response
        if not self.visits:
            self.over.set()
            return asked.respond(HTTPStatus.NO_CONTENT, "")
        response = asked.respond(HTTPStatus.OK, PAGE.read_text())
        response.headers.clear()
        response.headers["Content-Type"] = "text/html"
        return response

    def check(self, asked: ServerConnection, request: Request) -> Response | None:
        """Let in the bank's own pages alone; `origins=` of serve() does the same."""
        if request.headers.get("Origin") == f"http://bank.localhost:{self.port}":
            return None
        return asked.respond(HTTPStatus.FORBIDDEN, "a foreign page\n")

    async def tell(self, websocket: ServerConnection) -> None:
        """Take whoever has a cookie for its owner: that is the mistake."""
        assert websocket.request is not None
        sent = websocket.request.headers.get("Cookie", "")
        names = [pair.partition("=")[0] for pair in sent.split("; ")]
        await websocket.send(f"your balance is 100, by {' '.join(names)}")


@contextmanager
def browser(chromium: str, url: str) -> Iterator[Path]:
    """Show a page in a Chromium that takes third-party cookies, as windows do.

    Private windows refuse them, and so do headless ones. What it says of itself is in
    the file that is yielded.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = Path(folder, "Default", "Preferences")
        settings.parent.mkdir()
        settings.write_text(json.dumps(SETTINGS))
        command = [chromium, *FLAGS, f"--user-data-dir={folder}", url]
        said = Path(folder, "stderr")
        with (
            said.open("w") as file,
            subprocess.Popen(
                command,
                env=os.environ | {"TMPDIR": folder},
                stderr=file,
                start_new_session=True,
            ) as process,
        ):
            try:
                yield said
            finally:
                os.killpg(process.pid, signal.SIGKILL)  # it has many processes


async def main() -> None:
    """Let the browser log in at the bank, and then wander to other pages."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("This program needs chromium.")
        return
    bank = Bank()
    serving = serve(bank.tell, "127.0.0.1", 0, process_request=bank.answer)
    async with asyncio.timeout(100), serving as server:
        bank.port = server.sockets[0].getsockname()[1]
        url = f"http://bank.localhost:{bank.port}/login"
        with browser(chromium, url) as said:
            try:
                async with asyncio.timeout(60):
                    await bank.came.wait()
            except TimeoutError:
                sys.exit(f"chromium did not start: {said.read_text()}")
            await bank.over.wait()


asyncio.run(main())
