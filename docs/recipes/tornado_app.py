"""A Tornado application that sends codes to the members of a room over WebSocket.

Run it by `python tornado_app.py 8000`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import defaultdict

from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

rooms: defaultdict[str, set[CodesSocket]] = defaultdict(set)


class CodesSocket(WebSocketHandler):
    """Lets a client with the right token join a room."""

    async def prepare(self) -> None:
        """Refuse a client before its handshake."""
        if self.get_query_argument("token", "") != "let-me-in":
            raise HTTPError(403)

    async def open(self, room: str) -> None:
        """Join the room."""
        self.room = room
        if room == "closed":
            await self.write_message({"type": "error", "reason": "this room is closed"})
            self.close(4003)
            return
        rooms[room].add(self)
        await self.write_message({"type": "joined", "room": room})

    def on_message(self, message: str | bytes) -> None:
        """Ignore what clients send."""

    def on_close(self) -> None:
        """Leave the room."""
        rooms[self.room].discard(self)


class MessagesHandler(RequestHandler):
    """Sends codes to the members of a room."""

    async def post(self, room: str) -> None:
        """Send a code."""
        text = json.dumps({"type": "message", **json.loads(self.request.body)})
        for each in list(rooms[room]):
            with contextlib.suppress(WebSocketClosedError):
                # Not awaited: a slow client must not keep the others waiting.
                each.write_message(text)
        self.set_status(202)
        self.finish({"sent": True})


async def main(port: int) -> None:
    """Serve until the process ends."""
    routes = [(r"/ws/(\w+)", CodesSocket), (r"/rooms/(\w+)/messages", MessagesHandler)]
    # Pings find clients that are gone.
    Application(routes, websocket_ping_interval=20).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
