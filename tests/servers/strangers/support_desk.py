"""A support desk on FastAPI: a subprotocol, a greeting, and messages that are JSON lists."""

import asyncio
import os
from typing import Any

import uvicorn
from fastapi import FastAPI, Header, HTTPException, WebSocket, WebSocketDisconnect

app = FastAPI()
agents: dict[WebSocket, str] = {}


@app.websocket("/desk/socket")
async def desk(socket: WebSocket) -> None:
    if "desk.v2" not in socket.scope["subprotocols"]:
        await socket.close(4406)
        return
    await socket.accept(subprotocol="desk.v2")
    await socket.send_json(["hello", {"heartbeat": 30}])
    try:
        while True:
            name, arguments = await socket.receive_json()
            if name == "watch":
                agents[socket] = arguments["queue"]
                await socket.send_json(["watching", arguments])
    except WebSocketDisconnect:
        agents.pop(socket, None)


@app.patch("/desk/queues/{queue}/tickets/{ticket}")
async def update(
    queue: str, ticket: int, change: dict[str, Any], x_workspace: str = Header(default="")
) -> dict[str, Any]:
    if x_workspace != "w-17":
        raise HTTPException(400, "which workspace?")
    message = ["ticket.changed", {"ticket": ticket, "by": 7, "change": change}, {"v": 3}]
    watching = [each for each, of in agents.items() if of == queue]
    await asyncio.gather(*(each.send_json(message) for each in watching))
    return {"ok": True, "ticket": ticket}


uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
