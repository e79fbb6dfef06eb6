"""Charts as SVG, drawn on the server from the parts of a report, for pages old and live.

Each function takes a part of a report (schema 1) and returns a ``<figure>``: a title, a
sentence that says what one sees, the picture, and a table of the same figures behind it.
Texts keep their size however wide the picture is, as only marks are stretched. What is
drawn is bounded: at most 300 points for each series, the highest and lowest among them.

A page that holds such figures needs `STYLE`. It follows the reader's system between dark
and light, unless the root element says ``data-theme="dark"`` or ``"light"``.
"""

from sseload_users.report.charts.codes import deliveries, reach
from sseload_users.report.charts.latencies import Change, changes, distribution
from sseload_users.report.charts.palette import STYLE
from sseload_users.report.charts.server import vitals
from sseload_users.report.charts.timeline import connections, generator, latency, traffic

__all__ = [
    "STYLE",
    "Change",
    "changes",
    "connections",
    "deliveries",
    "distribution",
    "generator",
    "latency",
    "reach",
    "traffic",
    "vitals",
]
