"""A board for members: a login form with a CSRF token, a session cookie, and a WebSocket."""

import os
import secrets

import uvicorn
from fastapi import Cookie, FastAPI, Form, HTTPException, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel

app = FastAPI()
forms: dict[str, str] = {}
sessions: dict[str, str] = {}
members: set[WebSocket] = set()


class Post(BaseModel):
    topic: str
    content: str


@app.get("/login")
async def form() -> HTMLResponse:
    visit, csrf = secrets.token_hex(16), secrets.token_hex(16)
    forms[visit] = csrf
    answer = HTMLResponse(f"""<html><body><form method="post" action="/login">
<input type="hidden" name="csrf_token" value="{csrf}">
<input name="username"><input name="password" type="password"><button>Log in</button>
</form></body></html>""")
    answer.set_cookie("visit", visit, httponly=True)
    return answer


@app.post("/login")
async def login(
    csrf_token: str = Form(),
    username: str = Form(),
    password: str = Form(),
    visit: str = Cookie(default=""),
) -> RedirectResponse:
    if forms.pop(visit, None) != csrf_token:
        raise HTTPException(403, "CSRF token missing or incorrect")
    if password != "correct horse":
        raise HTTPException(401, "wrong password")
    session = secrets.token_hex(16)
    sessions[session] = username
    answer = RedirectResponse("/board", 302)
    answer.set_cookie("session", session, httponly=True, samesite="lax")
    return answer


@app.get("/board")
async def board(session: str = Cookie(default="")) -> HTMLResponse:
    if session not in sessions:
        raise HTTPException(401)
    return HTMLResponse(f"""<html><body>Hello {sessions[session]}<ul id="posts"></ul><script>
const socket = new WebSocket('ws://' + location.host + '/live');
socket.onopen = () => socket.send(JSON.stringify({{follow: 'general'}}));
socket.onmessage = (event) => document.getElementById('posts').append(event.data);
function post(content) {{
  return fetch('/api/posts', {{method: 'POST', headers: {{'Content-Type': 'application/json'}},
    body: JSON.stringify({{topic: 'general', content}})}});
}}
</script></body></html>""")


@app.websocket("/live")
async def live(socket: WebSocket) -> None:
    if socket.cookies.get("session") not in sessions:
        await socket.close(4401)
        return
    await socket.accept()
    try:
        while True:
            request = await socket.receive_json()
            members.add(socket)
            await socket.send_json({"following": request["follow"]})
    except WebSocketDisconnect:
        members.discard(socket)


@app.post("/api/posts")
async def post(post: Post, session: str = Cookie(default="")) -> dict[str, bool]:
    if session not in sessions:
        raise HTTPException(401, "log in first")
    for member in list(members):
        await member.send_json({"post": {"by": sessions[session], **post.model_dump()}})
    return {"ok": True}


uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
