"""The chat without a browser: a program joins, speaks, and hears itself.

Needs: pip install websockets
"""

import argparse
import asyncio
import json
import secrets
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException


async def take_part(url: str, text: str) -> None:
    """Say one thing, and show what is heard until it comes back."""
    async with asyncio.timeout(10), connect(url) as chat:
        me = {"name": "a program", "key": secrets.token_hex()}
        await chat.send(json.dumps(me))
        async for message in chat:
            news = json.loads(message)
            print(*news.values(), sep=": ")
            if news["kind"] == "welcome":
                await chat.send(json.dumps({"text": text}))
            elif news["kind"] == "said" and news["name"] == me["name"]:
                break


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Say one thing in a chat.")
    parser.add_argument("url", help="such as ws://127.0.0.1:7777/live")
    parser.add_argument("text")
    options = parser.parse_args()
    try:
        asyncio.run(take_part(options.url, options.text))
    except (OSError, ValueError, WebSocketException) as error:
        sys.exit(f"{parser.prog}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # as the shell has it: 128 and the number of SIGINT
