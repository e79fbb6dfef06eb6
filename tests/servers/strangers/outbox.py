"""Domain events over WebSocket by tornado: JSON in a text in JSON in a text."""

import asyncio
import json
import os
import uuid

import tornado.web
from tornado.websocket import WebSocketHandler

consumers: set["Events"] = set()


class Events(WebSocketHandler):
    def open(self) -> None:
        self.write_message(
            json.dumps({"Type": "SubscriptionConfirmation", "Id": str(uuid.uuid4())})
        )
        consumers.add(self)

    def on_message(self, _: str | bytes) -> None:
        pass

    def on_close(self) -> None:
        consumers.discard(self)


class Comments(tornado.web.RequestHandler):
    def post(self, article: str) -> None:
        comment = json.loads(self.request.body)["comment"]
        inner = json.dumps({"article": article, "comment": {"markdown": comment["markdown"]}})
        event = json.dumps({"eventType": "CommentAdded", "version": 2, "payload": inner})
        envelope = json.dumps(
            {"Type": "Notification", "MessageId": str(uuid.uuid4()), "Message": event}
        )
        for each in list(consumers):
            each.write_message(envelope)
        self.set_status(201)
        self.set_header("Location", f"/articles/{article}/comments/1")


async def main() -> None:
    tornado.web.Application([("/outbox", Events), (r"/articles/(\d+)/comments", Comments)]).listen(
        int(os.environ["PORT"]), "127.0.0.1"
    )
    await asyncio.Event().wait()


asyncio.run(main())
