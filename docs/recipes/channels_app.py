"""A Django Channels application that sends codes to a group over WebSocket.

Run it by `python channels_app.py 8000`; in a project, its parts are in settings, routing,
consumers and views.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from urllib.parse import parse_qs

import django
import uvicorn
from django.conf import settings

settings.configure(
    DEBUG=False,
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only-for-this-example",
    INSTALLED_APPS=["channels"],
    MIDDLEWARE=[],
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels.layers.InMemoryChannelLayer",
            # A layer drops messages without an error if more wait for a consumer; the default
            # is 100. The same holds for channels_redis.
            "CONFIG": {"capacity": 1000},
        }
    },
)
django.setup()

from channels.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402


class CodesConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """Lets a client with the right token join a group."""

    async def connect(self) -> None:
        """Join the group, or close: before accept(), that answers with HTTP 403."""
        query = parse_qs(self.scope["query_string"].decode())
        if query.get("token") != ["let-me-in"]:
            await self.close()
            return
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.accept()
        if self.room == "closed":
            await self.send_json({"type": "error", "reason": "this room is closed"})
            await self.close(4003)
            return
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.send_json({"type": "joined", "room": self.room})

    async def disconnect(self, code: int) -> None:
        """Leave the group."""
        del code
        if hasattr(self, "room"):
            await self.channel_layer.group_discard(self.room, self.channel_name)

    async def code_message(self, event: dict[str, Any]) -> None:
        """Send a client what was sent to its group."""
        await self.send_json({"type": "message", **event["data"]})


@csrf_exempt  # type: ignore[misc]
async def publish(request: HttpRequest, room: str) -> JsonResponse:
    """Send a code to a group."""
    data = json.loads(request.body)
    await get_channel_layer().group_send(room, {"type": "code.message", "data": data})
    return JsonResponse({"sent": True}, status=202)


urlpatterns = [path("rooms/<slug:room>/messages", publish)]
application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter([path("ws/<slug:room>", CodesConsumer.as_asgi())]),
    }
)

if __name__ == "__main__":
    uvicorn.run(application, port=int(sys.argv[1]), log_level="warning", lifespan="off")
