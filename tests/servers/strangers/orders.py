"""Orders by server-sent events: a JWT from a login, a stream that is opened by POST."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

import uvicorn
from fastapi import Body, FastAPI, Header, HTTPException
from fastapi.responses import StreamingResponse

app = FastAPI()
KEY = os.urandom(32)
readers: dict[asyncio.Queue[str], list[str]] = {}
count = 0


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(text: str) -> str:
    return encode(hmac.new(KEY, text.encode(), hashlib.sha256).digest())


def check(authorization: str) -> None:
    text, _, signature = authorization.removeprefix("Bearer ").rpartition(".")
    if not hmac.compare_digest(signature, sign(text)):
        raise HTTPException(401, "invalid token")


@app.post("/auth/token")
async def token(email: str = Body(), password: str = Body()) -> dict[str, Any]:
    if password != "hunter22":
        raise HTTPException(401, "wrong password")
    head = encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    claims = encode(json.dumps({"sub": email, "exp": time.time() + 3600}).encode())
    return {
        "data": {"access_token": f"{head}.{claims}.{sign(f'{head}.{claims}')}", "expires_in": 3600}
    }


@app.post("/orders/stream")
async def stream(
    shops: Annotated[list[str], Body(embed=True)], authorization: str = Header(default="")
) -> StreamingResponse:
    check(authorization)
    queue: asyncio.Queue[str] = asyncio.Queue()

    async def events() -> AsyncIterator[str]:
        readers[queue] = shops
        try:
            yield 'retry: 1500\nevent: ready\ndata: {"ok":true}\n\n'
            while True:
                yield await queue.get()
        finally:
            del readers[queue]

    return StreamingResponse(events(), media_type="text/event-stream")


@app.post("/orders")
async def order(
    shop: Annotated[str, Body()],
    items: Annotated[list[dict[str, Any]], Body()],
    authorization: str = Header(default=""),
) -> dict[str, int]:
    global count  # noqa: PLW0603
    check(authorization)
    count += 1
    data = json.dumps({"order": {"number": count, "shop": shop, "items": items}})
    for queue, shops in readers.items():
        if shop in shops:
            queue.put_nowait(f"id: {count}\nevent: order\ndata: {data}\n\n")
    return {"number": count}


uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
