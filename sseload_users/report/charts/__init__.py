"""Charts as SVG, drawn on the server from the parts of a report, for static and live pages.

Each function takes a part of a report and returns a ``<figure>``: a title, a sentence that
describes it, the picture, and a table of the same figures. Texts keep their size at any width,
as only marks are stretched. Charts over time put neighbouring intervals together where there are
many, and keep the highest and the lowest values.

A page with such figures needs `STYLE`. It follows the system's dark or light theme, unless the
root element has ``data-theme="dark"`` or ``"light"``.
"""

from sseload_users.report.charts.codes import deliveries
from sseload_users.report.charts.groups import channel_spread, groups
from sseload_users.report.charts.latencies import Change, changes, distribution
from sseload_users.report.charts.latency import heat, latency
from sseload_users.report.charts.losses import losses
from sseload_users.report.charts.palette import STYLE
from sseload_users.report.charts.reach import reach
from sseload_users.report.charts.run_time import RunTime
from sseload_users.report.charts.server import vitals
from sseload_users.report.charts.sizes import sizes
from sseload_users.report.charts.timeline import connections, connects, generator, traffic

__all__ = [
    "STYLE",
    "Change",
    "RunTime",
    "changes",
    "channel_spread",
    "connections",
    "connects",
    "deliveries",
    "distribution",
    "generator",
    "groups",
    "heat",
    "latency",
    "losses",
    "reach",
    "sizes",
    "traffic",
    "vitals",
]
