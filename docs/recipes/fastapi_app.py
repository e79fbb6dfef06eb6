"""A FastAPI application that sends codes to the members of a room over WebSocket.

Run it by `python fastapi_app.py 8000`, or by `uvicorn fastapi_app:app`.
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect, WebSocketException
from pydantic import BaseModel

app = FastAPI()
rooms: defaultdict[str, set[WebSocket]] = defaultdict(set)


class Message(BaseModel):
    """What is posted to a room."""

    code: str
    padding: str = ""


@app.websocket("/ws/{room}")
async def listen(socket: WebSocket, room: str, token: str = "") -> None:
    """Let a client with the right token join a room."""
    if token != "let-me-in":
        # Before accept(), this answers the handshake with HTTP 403.
        raise WebSocketException(code=1008)
    await socket.accept()
    if room == "closed":
        await socket.send_json({"type": "error", "reason": "this room is closed"})
        await socket.close(1008)
        return
    rooms[room].add(socket)
    await socket.send_json({"type": "joined", "room": room})
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        rooms[room].discard(socket)


@app.post("/rooms/{room}/messages", status_code=202)
async def publish(room: str, message: Message) -> dict[str, int]:
    """Send a code to the members of a room."""
    members = list(rooms[room])
    data = {"type": "message", **message.model_dump()}
    # A member who has gone away must not keep the others waiting.
    await asyncio.gather(*(each.send_json(data) for each in members), return_exceptions=True)
    return {"members": len(members)}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
