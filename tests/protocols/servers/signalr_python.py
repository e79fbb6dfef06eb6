"""A SignalR hub on aiosignalr, which has what is posted to /api/ingest broadcast.

Clients join a group by the method Join. A code goes to the group that it names, or else to all.
"""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiosignalr.server import Hub, ServerOptions, SignalRServer
from aiosignalr.server.transports import WebSocketServerTransport

from tests.protocols.servers.common import count, started


class Codes(Hub):  # type: ignore[misc] # it has no types here
    """The hub."""

    async def Join(self, group: str) -> None:  # noqa: N802 - the name that clients call
        """Let a client join a group."""
        await self.groups.add(group)


def counted() -> None:
    """Count the codes in all that is sent."""
    send = WebSocketServerTransport.send

    async def count_and_send(transport: WebSocketServerTransport, data: bytes) -> None:
        await send(transport, data)
        count(data.decode())

    WebSocketServerTransport.send = count_and_send


async def serve() -> None:
    """Serve until standard input ends."""
    server = SignalRServer(Codes, options=ServerOptions(allow_stateful_reconnects=True))

    async def ingest(request: web.Request) -> web.Response:
        """Broadcast a code."""
        said = await request.json()
        group, message = said.get("channel"), {"code": said["code"]}
        if group:
            await server.lifetime.send_group(group, "newCode", (message,))
        else:
            await server.lifetime.send_all("newCode", (message,))
        return web.json_response({"status": "success"})

    application = server.create_application()
    application.router.add_post("/api/ingest", ingest)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    started(runner.addresses[0][1])
    await asyncio.Event().wait()


if __name__ == "__main__":
    counted()
    asyncio.run(serve())
