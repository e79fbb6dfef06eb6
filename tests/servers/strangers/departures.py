"""Departures by server-sent events: a token in the page's head, JSON over several data lines."""

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

tokens: set[str] = set()
boards: list[tuple[str, asyncio.Queue[str]]] = []


async def page(_: Request) -> Response:
    token = secrets.token_urlsafe(12)
    tokens.add(token)
    return HTMLResponse(
        f'<!doctype html><html><head><meta name="board-ticket" content="{token}"></head>'
        "<body><script src=/board.js></script></body></html>"
    )


async def stream(request: Request) -> Response:
    if request.query_params.get("ticket") not in tokens:
        return PlainTextResponse("ticket expired", 403)
    queue: asyncio.Queue[str] = asyncio.Queue()
    board = (request.path_params["station"], queue)
    boards.append(board)

    async def events() -> AsyncIterator[str]:
        yield "retry: 2000\n: welcome\n\n"
        try:
            while True:
                try:
                    yield await asyncio.wait_for(queue.get(), 0.6)
                except TimeoutError:
                    yield ": keep-alive\n\n"
        finally:
            boards.remove(board)

    return StreamingResponse(events(), media_type="text/event-stream")


async def announce(request: Request) -> Response:
    body: dict[str, Any] = await request.json()
    station = request.path_params["station"]
    text = json.dumps(
        {"station": station, "remarks": [{"lang": "en", "text": body["remark"]}]}, indent=1
    )
    lines = "".join(f"data: {line}\n" for line in text.splitlines())
    for of, queue in boards:
        if of == station:
            queue.put_nowait(f"id: {secrets.randbelow(10**6)}\nevent: remark\n{lines}\n")
    return Response(status_code=204)


app = Starlette(routes=[
    Route("/board", page),
    Route("/board/{station}/events", stream),
    Route("/board/{station}/remarks", announce, methods=["POST"]),
])  # fmt: skip
uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
