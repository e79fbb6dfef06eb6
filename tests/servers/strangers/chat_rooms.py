"""A chat on FastAPI: a WebSocket for each room, and a REST endpoint that posts to it."""

import asyncio
import os
import time
import uuid
from collections import defaultdict

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic import BaseModel

app = FastAPI()
rooms: dict[str, set[WebSocket]] = defaultdict(set)


class Message(BaseModel):
    author: str
    text: str
    reply_to: str | None = None


@app.websocket("/ws/rooms/{room}")
async def join(socket: WebSocket, room: str) -> None:
    await socket.accept()
    await socket.send_json(
        {"type": "welcome", "room": room, "session": uuid.uuid4().hex, "members": len(rooms[room])}
    )
    await asyncio.gather(
        *(member.send_json({"type": "presence", "event": "joined"}) for member in rooms[room])
    )
    rooms[room].add(socket)
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        rooms[room].discard(socket)


@app.post("/api/rooms/{room}/messages", status_code=201)
async def post(room: str, message: Message) -> dict[str, str]:
    identity = uuid.uuid4().hex
    event = {
        "type": "message",
        "room": room,
        "message": {"id": identity, "sent_at": time.time(), **message.model_dump()},
    }
    await asyncio.gather(*(member.send_json(event) for member in list(rooms[room])))
    return {"id": identity}


uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
