"""Notifications as MessagePack over WebSocket."""

import os
from typing import Any

import msgpack
import uvicorn
from fastapi import Body, FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()
clients: set[WebSocket] = set()
number = 0


@app.websocket("/notifications")
async def listen(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_bytes(msgpack.packb({"op": "hello", "interval": 30_000}))
    clients.add(socket)
    try:
        while True:
            await socket.receive_bytes()
    except WebSocketDisconnect:
        clients.discard(socket)


@app.post("/notify")
async def notify(title: str = Body(), body: str = Body()) -> dict[str, Any]:
    global number  # noqa: PLW0603
    number += 1
    packed = msgpack.packb({"op": "notify", "d": [{"id": number, "title": title, "body": body}]})
    for client in list(clients):
        await client.send_bytes(packed)
    return {"id": number}


uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
