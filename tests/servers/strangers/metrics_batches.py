"""Log lines over WebSocket: what came within 40 ms goes out as one list."""

import asyncio
import json
import os

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

viewers: set[WebSocket] = set()
pending: list[dict[str, object]] = []
flushing: set[asyncio.Task[None]] = set()
number = 0


async def flush() -> None:
    await asyncio.sleep(0.04)
    lines = list(pending)
    pending.clear()
    for viewer in list(viewers):
        await viewer.send_text(json.dumps({"op": "lines", "n": len(lines), "lines": lines}))


async def tail(socket: WebSocket) -> None:
    await socket.accept()
    viewers.add(socket)
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        viewers.discard(socket)


async def log(request: Request) -> Response:
    global number  # noqa: PLW0603
    number += 1
    line = (await request.body()).decode()
    pending.append({"n": number, "level": "info", "line": f"app[1]: {line}"})
    if len(pending) == 1:
        task = asyncio.create_task(flush())
        flushing.add(task)
        task.add_done_callback(flushing.discard)
    return Response(status_code=204)


app = Starlette(routes=[WebSocketRoute("/tail", tail), Route("/log", log, methods=["POST"])])
uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
