"""Record a page as Chromium's network panel does, over the DevTools protocol, as a HAR."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Error, Page

from tests.support.browser import PATIENCE_MS


class HarRecorder:
    """Records what a page requests, with its WebSocket messages; from its construction on.

    Args:
        page: the page to record.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._entries: dict[str, dict[str, Any]] = {}
        self._redirects: dict[str, list[dict[str, Any]]] = {}
        # Headers as they were on the wire, with cookies. They come before or after the events
        # that they belong to, in the order of a request's redirects.
        self._sent: dict[str, list[Any]] = {}
        self._received: dict[str, list[Any]] = {}
        # The difference between the monotonic clock of events and Unix time, in seconds.
        self._offset = 0.0
        for event, handler in (
            ("requestWillBeSent", self._on_request),
            ("requestWillBeSentExtraInfo", self._on_request_headers),
            ("responseReceived", self._on_response),
            ("responseReceivedExtraInfo", self._on_response_headers),
            ("loadingFinished", self._on_finished),
            ("webSocketCreated", self._on_socket),
            ("webSocketWillSendHandshakeRequest", self._on_handshake),
            ("webSocketHandshakeResponseReceived", self._on_response),
            ("webSocketFrameSent", lambda event: self._on_frame("send", event)),
            ("webSocketFrameReceived", lambda event: self._on_frame("receive", event)),
        ):
            self._session.on(f"Network.{event}", handler)
        self._session.send("Network.enable")

    def wait_for(self, text: str) -> None:
        """Wait until a message that came by a WebSocket contains a text."""
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not any(text in frame["data"] for frame in self._came()):
            assert time.monotonic() < deadline, f"no message contains {text!r}"
            self._page.wait_for_timeout(20)

    def _came(self) -> list[dict[str, Any]]:
        found = self._entries.values()
        frames = [frame for each in found for frame in each.get("_webSocketMessages", ())]
        return [frame for frame in frames if frame["type"] == "receive"]

    def write(self, place: Path) -> None:
        """Write the recording."""
        entries = []
        for identity, last in self._entries.items():
            chain = [*self._redirects.get(identity, ()), last]
            for part, known in (("request", self._sent), ("response", self._received)):
                for entry, headers in zip(chain, known.get(identity, ()), strict=False):
                    entry[part]["headers"] = headers
            entries += chain
        log = {
            "version": "1.2",
            "creator": {"name": "WebInspector", "version": "537.36"},
            "pages": [],
            "entries": sorted(entries, key=lambda each: str(each["startedDateTime"])),
        }
        place.write_text(json.dumps({"log": log}), encoding="utf-8")

    def _on_request(self, event: Mapping[str, Any]) -> None:
        identity = event["requestId"]
        self._offset = event["wallTime"] - event["timestamp"]
        if "redirectResponse" in event:
            moved = self._entries.pop(identity)
            _respond(moved, event["redirectResponse"])
            self._redirects.setdefault(identity, []).append(moved)
        request = event["request"]
        made = self._entry(identity, request["method"], request["url"], event["wallTime"])
        made["request"]["headers"] = _headers(request["headers"])
        if "postData" in request:
            kind = {name.lower(): value for name, value in request["headers"].items()}
            made["request"]["postData"] = {
                "mimeType": kind.get("content-type", ""), "text": request["postData"],
            }  # fmt: skip

    def _on_request_headers(self, event: Mapping[str, Any]) -> None:
        self._sent.setdefault(event["requestId"], []).append(_headers(event["headers"]))

    def _on_response(self, event: Mapping[str, Any]) -> None:
        _respond(self._entries[event["requestId"]], event["response"])

    def _on_response_headers(self, event: Mapping[str, Any]) -> None:
        self._received.setdefault(event["requestId"], []).append(_headers(event["headers"]))

    def _on_finished(self, event: Mapping[str, Any]) -> None:
        made = self._entries.get(event["requestId"])
        # A page that was left has no body any more.
        with contextlib.suppress(Error):
            body = self._session.send("Network.getResponseBody", {"requestId": event["requestId"]})
            if made is not None:
                made["response"]["content"]["text"] = body["body"]
                if body["base64Encoded"]:
                    made["response"]["content"]["encoding"] = "base64"

    def _on_socket(self, event: Mapping[str, Any]) -> None:
        made = self._entry(event["requestId"], "GET", event["url"], 0.0)
        made |= {"_resourceType": "websocket", "_webSocketMessages": []}

    def _on_handshake(self, event: Mapping[str, Any]) -> None:
        made = self._entries[event["requestId"]]
        made["startedDateTime"] = _iso(event["wallTime"])
        made["request"]["headers"] = _headers(event["request"]["headers"])
        self._offset = event["wallTime"] - event["timestamp"]

    def _on_frame(self, kind: str, event: Mapping[str, Any]) -> None:
        response = event["response"]
        self._entries[event["requestId"]]["_webSocketMessages"].append(
            {
                "type": kind,
                "time": event["timestamp"] + self._offset,
                "opcode": response["opcode"],
                "data": response["payloadData"],
            }
        )

    def _entry(self, identity: str, method: str, url: str, at_s: float) -> dict[str, Any]:
        made: dict[str, Any] = {
            "startedDateTime": _iso(at_s),
            "request": {"method": method, "url": url, "headers": []},
            "response": {"status": 0, "headers": [], "content": {"size": 0, "mimeType": ""}},
        }
        self._entries[identity] = made
        return made


def _respond(entry: dict[str, Any], response: Mapping[str, Any]) -> None:
    made = entry["response"]
    made["status"] = response["status"]
    made["content"]["mimeType"] = response.get("mimeType", "x-unknown")
    made["headers"] = _headers(response["headers"])


def _headers(headers: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"name": name, "value": line}
        for name, value in headers.items()
        for line in value.split("\n")
    ]


def _iso(at_s: float) -> str:
    return (
        datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
