"""An intranet: a JSON login, a session cookie, a token against forged requests, and a WebSocket."""

import json
import os
import secrets

from aiohttp import WSMsgType, web

sessions: dict[str, str] = {}
clients: set[web.WebSocketResponse] = set()


def forged(request: web.Request) -> bool:
    token = sessions.get(request.cookies.get("sid", ""))
    return token is None or request.headers.get("X-CSRF-Token") != token


async def log_in(request: web.Request) -> web.Response:
    body = await request.json()
    if body["password"] != "tr0ub4dor":
        return web.json_response({"error": "wrong password"}, status=401)
    sid, token = secrets.token_hex(12), secrets.token_hex(12)
    sessions[sid] = token
    answer = web.json_response({"user": {"name": body["login"]}, "csrfToken": token})
    answer.set_cookie("sid", sid, httponly=True)
    return answer


async def wire(request: web.Request) -> web.StreamResponse:
    if request.cookies.get("sid") not in sessions:
        return web.Response(status=401)
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    clients.add(socket)
    await socket.send_str(json.dumps({"kind": "presence", "online": len(clients)}))
    async for message in socket:
        if message.type == WSMsgType.ERROR:
            break
    clients.discard(socket)
    return socket


async def post(request: web.Request) -> web.Response:
    if forged(request):
        return web.json_response({"error": "CSRF"}, status=403)
    body = await request.json()
    post = {"kind": "post", "post": {"title": body["title"], "body": body["body"], "tags": []}}
    for each in list(clients):
        await each.send_str(json.dumps(post))
    return web.json_response({"id": 1}, status=201)


app = web.Application()
app.add_routes([
    web.post("/api/session", log_in), web.get("/api/wire", wire), web.post("/api/posts", post),
])  # fmt: skip
web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), print=None)
