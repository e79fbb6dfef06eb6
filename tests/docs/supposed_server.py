"""The servers that the documents suppose, on one port.

- docs/own-server.md and README.md: a chat, `/ws` and `POST /api/messages`.
- docs/targets.md: topics, `/v1/live` and `POST /v1/topics/codes/messages`. As in the page, the text
  comes as `message`, not as `text`.
- docs/observing.md: trades, `/live`, which come by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from itertools import count

from aiohttp import WSMsgType, web


class _Server:
    def __init__(self) -> None:
        self.application = web.Application()
        self.application.add_routes(
            [
                web.get("/ws", self._chat),
                web.post("/api/messages", self._send),
                web.get("/v1/live", self._subscribe),
                web.post("/v1/topics/codes/messages", self._publish),
                web.get("/live", self._watch),
            ]
        )
        self.application.cleanup_ctx.append(self._trade)
        self._clients: dict[str, set[web.WebSocketResponse]] = {}

    async def _chat(self, request: web.Request) -> web.WebSocketResponse:
        return await self._listen(request, "chat", None)

    async def _send(self, request: web.Request) -> web.Response:
        text = (await request.json())["text"]
        await self._broadcast("chat", {"type": "message", "text": text})
        return web.json_response({"ok": True})

    async def _subscribe(self, request: web.Request) -> web.WebSocketResponse:
        return await self._listen(request, "codes", {"op": "subscribed", "topic": "codes"})

    async def _publish(self, request: web.Request) -> web.Response:
        payload = json.dumps({"message": (await request.json())["text"]})
        await self._broadcast("codes", {"op": "message", "payload": payload})
        return web.json_response({"queued": True}, status=202)

    async def _watch(self, request: web.Request) -> web.WebSocketResponse:
        return await self._listen(request, "trades", None)

    async def _trade(self, _: web.Application) -> AsyncIterator[None]:
        async def trade() -> None:
            for number in count(1):
                await self._broadcast("trades", {"type": "trade", "data": {"trade_id": number}})
                await asyncio.sleep(0.05)

        task = asyncio.create_task(trade())
        yield
        task.cancel()

    async def _listen(
        self, request: web.Request, topic: str, confirmation: object
    ) -> web.WebSocketResponse:
        client = web.WebSocketResponse()
        await client.prepare(request)
        if confirmation is None:
            self._clients.setdefault(topic, set()).add(client)
        async for message in client:
            if message.type is WSMsgType.TEXT and confirmation is not None:
                self._clients.setdefault(topic, set()).add(client)
                await client.send_json(confirmation)
        self._clients[topic].discard(client)
        return client

    async def _broadcast(self, topic: str, message: object) -> None:
        for client in [*self._clients.get(topic, ())]:
            with contextlib.suppress(ConnectionError):
                await client.send_json(message)


@contextlib.contextmanager
def supposed_server() -> Iterator[str]:
    """Run the servers in a thread; return their URL."""
    started = threading.Event()
    ports: list[int] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        runner = web.AppRunner(_Server().application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ports.extend(port for _, port in runner.addresses)
        started.set()
        await stopping.wait()
        await runner.cleanup()

    stopping = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(10)
        loop.close()
