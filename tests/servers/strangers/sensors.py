"""Readings over WebSocket by aiohttp: what came within 50 ms is one payload of several lines."""

import asyncio
import json
import os
from contextlib import suppress

from aiohttp import WSMsgType, web

clients: set[web.WebSocketResponse] = set()
waiting: list[str] = []


async def flush() -> None:
    await asyncio.sleep(0.05)
    text, waiting[:] = "\n".join(waiting) + "\n", []
    for each in list(clients):
        with suppress(ConnectionResetError):
            await each.send_str(text)


async def live(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(heartbeat=5)
    await socket.prepare(request)
    clients.add(socket)
    async for message in socket:
        if message.type == WSMsgType.ERROR:
            break
    clients.discard(socket)
    return socket


async def write(request: web.Request) -> web.Response:
    # The line protocol of a time series database.
    for line in (await request.text()).splitlines():
        series, _, fields = line.partition(" ")
        if not waiting:
            asyncio.get_running_loop().create_task(flush())
        name, _, value = fields.partition("=")
        waiting.append(json.dumps({"s": series, "f": {name: value.strip('"')}}))
    return web.Response(status=204)


app = web.Application()
app.add_routes([web.get("/query/live", live), web.post("/write", write)])
web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), print=None)
