"""Notices by server-sent events: the page has a token that its script opens the stream with."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator

import uvicorn
from fastapi import FastAPI, Form, HTTPException
from fastapi.responses import HTMLResponse, StreamingResponse

app = FastAPI()
tokens: set[str] = set()
readers: set[asyncio.Queue[str]] = set()
count = 0


@app.get("/")
async def page() -> HTMLResponse:
    token = secrets.token_urlsafe(18)
    tokens.add(token)
    return HTMLResponse(f"""<!DOCTYPE html>
<html><head><title>Notices</title><meta name="stream-token" content="{token}"></head>
<body><h1>Notices</h1><ul id="list"></ul>
<form method="post" action="/announce">
<input name="title"><input name="text"><button>Go</button></form>
<script>
const token = document.querySelector('meta[name="stream-token"]').content;
const source = new EventSource('/stream?token=' + token);
source.addEventListener('notice', (event) => {{
  document.getElementById('list').append(JSON.parse(event.data).text);
}});
</script></body></html>""")


@app.get("/stream")
async def stream(token: str) -> StreamingResponse:
    if token not in tokens:
        raise HTTPException(403, "unknown token")
    tokens.discard(token)
    queue: asyncio.Queue[str] = asyncio.Queue()

    async def events() -> AsyncIterator[str]:
        readers.add(queue)
        try:
            yield "retry: 3000\n\n"
            while True:
                try:
                    yield await asyncio.wait_for(queue.get(), 0.5)
                except TimeoutError:
                    yield ": keep-alive\n\n"
        finally:
            readers.discard(queue)

    return StreamingResponse(events(), media_type="text/event-stream")


@app.post("/announce")
async def announce(title: str = Form(), text: str = Form()) -> dict[str, int]:
    global count  # noqa: PLW0603
    count += 1
    data = f'{{"title": "{title}", "text": "{text}"}}'
    for queue in readers:
        queue.put_nowait(f"id: {count}\nevent: notice\ndata: {data}\n\n")
    return {"number": count}


uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
