"""A guestbook whose forms are multipart: a login with a token of its page, and entries."""

import os
import secrets
from typing import Annotated

import uvicorn
from fastapi import Cookie, FastAPI, Form, HTTPException, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse

app = FastAPI()
tokens: set[str] = set()
guests: set[str] = set()
readers: set[WebSocket] = set()

SCRIPT = """
const socket = new WebSocket(`ws://${location.host}/entries`);
socket.onopen = () => { document.body.append('connected'); };
socket.onmessage = (event) => { document.body.append(JSON.parse(event.data).entry); };
async function write(text, file) {
  const form = new FormData();
  form.append('tag', 'new');
  form.append('tag', 'summer');
  form.append('entry', text);
  if (file) form.append('picture', new Blob(['x']), 'x.png');
  await fetch('/entries', {method: 'POST', body: form});
}
"""


def check(request: Request) -> None:
    if not request.headers.get("content-type", "").startswith("multipart/form-data;"):
        raise HTTPException(415, "send a multipart form")


@app.get("/")
async def page() -> HTMLResponse:
    token = secrets.token_hex(16)
    tokens.add(token)
    return HTMLResponse(f"""<html><body>
<form method="post" action="/enter" enctype="multipart/form-data">
<input type="hidden" name="csrf_token" value="{token}">
<input name="guest"><input name="password" type="password"><button>Enter</button>
</form></body></html>""")


@app.get("/enter")
async def again() -> HTMLResponse:
    return await page()


@app.post("/enter")
async def enter(
    request: Request, csrf_token: str = Form(), guest: str = Form(), password: str = Form()
) -> HTMLResponse:
    check(request)
    if csrf_token not in tokens:
        raise HTTPException(403, "CSRF token missing or incorrect")
    tokens.discard(csrf_token)
    if password != "correct & horse":
        raise HTTPException(401, "wrong password")
    session = secrets.token_hex(16)
    guests.add(session)
    answer = HTMLResponse(
        f"<html><body><p>Hello, {guest}</p><script>{SCRIPT}</script></body></html>"
    )
    answer.set_cookie("guest", session, httponly=True)
    return answer


@app.post("/entries")
async def write(
    request: Request,
    entry: Annotated[str, Form()],
    tag: Annotated[list[str], Form()],
    guest: str = Cookie(default=""),
) -> dict[str, str]:
    check(request)
    if guest not in guests:
        raise HTTPException(401, "who are you?")
    if tag != ["new", "summer"]:
        raise HTTPException(422, f"tags: {tag}")
    for reader in [*readers]:
        await reader.send_json({"entry": entry, "tags": tag})
    return {"written": entry}


@app.websocket("/entries")
async def read(socket: WebSocket, guest: str = Cookie(default="")) -> None:
    if guest not in guests:
        await socket.close(4401)
        return
    await socket.accept()
    readers.add(socket)
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        readers.discard(socket)


uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
