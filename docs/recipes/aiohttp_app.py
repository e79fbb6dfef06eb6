"""An aiohttp application that sends codes to the readers of a room as server-sent events.

Each event has an ID, and a reader who returns with `Last-Event-ID` gets what it missed. Run it by
`python aiohttp_app.py 8000`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict, deque

from aiohttp import web

#: How many events of a room are kept for readers who return.
HISTORY = 1000


class Room:
    """A room: its readers, and its newest events."""

    def __init__(self) -> None:
        self.readers: set[asyncio.Queue[bytes]] = set()
        self.events: deque[tuple[int, bytes]] = deque(maxlen=HISTORY)
        self.last = 0

    def publish(self, data: dict[str, str]) -> None:
        """Send an event to all readers."""
        self.last += 1
        event = f"id: {self.last}\nevent: message\ndata: {json.dumps(data)}\n\n".encode()
        self.events.append((self.last, event))
        for each in self.readers:
            each.put_nowait(event)


rooms: defaultdict[str, Room] = defaultdict(Room)
routes = web.RouteTableDef()


@routes.get("/rooms/{room}/events")
async def listen(request: web.Request) -> web.StreamResponse:
    """Stream a room's events to a reader with the right token."""
    if request.headers.get("Authorization") != "Bearer let-me-in":
        raise web.HTTPUnauthorized(text="invalid token")
    name = request.match_info["room"]
    if name == "closed":
        raise web.HTTPForbidden(text="this room is closed")
    room, queue = rooms[name], asyncio.Queue[bytes]()
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    # From here to the registration, nothing waits, so that no event is lost or comes twice.
    since = request.headers.get("Last-Event-ID", "")
    missed = [event for id_, event in room.events if since.isdecimal() and id_ > int(since)]
    room.readers.add(queue)
    # The ID is that of the newest event, for readers who leave before the next one.
    hello = f"id: {room.last}\nevent: joined\ndata: {{}}\n\n".encode()
    try:
        await response.write(b"".join([*missed, hello]))
        while True:
            await response.write(await queue.get())
    except ConnectionError:
        return response
    finally:
        room.readers.discard(queue)


@routes.post("/rooms/{room}/messages")
async def publish(request: web.Request) -> web.Response:
    """Send a code to a room's readers."""
    rooms[request.match_info["room"]].publish(await request.json())
    return web.json_response({"sent": True}, status=202)


if __name__ == "__main__":
    app = web.Application()
    app.add_routes(routes)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
