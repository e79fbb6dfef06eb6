"""A collector of OpenTelemetry data, by OTLP over HTTP, which keeps what it gets."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue


@dataclass
class Collected:
    """What has come.

    Attributes:
        metrics: the requests with metrics, in order.
        spans: the names of spans.
        logs: the texts of log records.
        errors: what could not be decoded.
    """

    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list)
    spans: list[str] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def take(self, path: str, body: bytes) -> None:
        """Keep the body of a request."""
        if path == "/v1/metrics":
            self.metrics.append(ExportMetricsServiceRequest.FromString(body))
        elif path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    self.spans.extend(each.name for each in scope.spans)
        elif path == "/v1/logs":
            for logged in ExportLogsServiceRequest.FromString(body).resource_logs:
                for logs in logged.scope_logs:
                    self.logs.extend(each.body.string_value for each in logs.log_records)
        else:
            raise ValueError(f"unknown path {path}")

    def durations(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the latest durations of requests, by name and kind of error.

        They are cumulative for each process, which its start time tells apart from the others.
        """
        latest: dict[tuple[str, str, int], Any] = {}
        for point in self._points("locust.client.duration", "histogram"):
            known = attributes(point.attributes)
            key = known["name"], known.get("error.type", ""), point.start_time_unix_nano
            latest[key] = point
        summed: dict[tuple[str, str], dict[str, Any]] = {}
        for (name, error, _), point in latest.items():
            found = summed.setdefault((name, error), {"count": 0, "sum": 0.0, "processes": 0})
            found["count"] += point.count
            found["sum"] += point.sum
            found["processes"] += 1
        return summed

    def users(self) -> Counter[str]:
        """Return the most users of each class that were running."""
        most: Counter[str] = Counter()
        for point in self._points("locust.users.count", "gauge"):
            name = attributes(point.attributes)["user_class"]
            most[name] = max(most[name], int(point.as_int))
        return most

    def services(self) -> set[str]:
        """Return the names of the services."""
        return {
            attributes(resource.resource.attributes)["service.name"]
            for request in self.metrics
            for resource in request.resource_metrics
        }

    def _points(self, name: str, kind: str) -> Iterator[Any]:
        for request in self.metrics:
            for resource in request.resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        if metric.name == name:
                            yield from getattr(metric, kind).data_points


def attributes(pairs: Any) -> dict[str, str]:
    """Return attributes whose values are texts."""
    known: list[KeyValue] = list(pairs)
    return {each.key: each.value.string_value for each in known}


@contextlib.contextmanager
def collector() -> Iterator[tuple[str, Collected]]:
    """Run a collector; return its URL and what it has collected."""
    collected = Collected()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            try:
                collected.take(self.path, body)
            except Exception as error:  # noqa: BLE001 - the test looks at them
                collected.errors.append(repr(error))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", collected
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
