"""A report read back from its file, as far as it takes to compare it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean, shorten
from sseload_users.core.histogram import Histogram
from sseload_users.report import hdr
from sseload_users.verdict.thresholds import Grade

_Count = Annotated[int, Field(ge=0)]
_Ms = Annotated[float, Field(ge=0, allow_inf_nan=False)] | None


class _Part(BaseModel):
    """A part of a report; what it has beyond these fields is of no concern here."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Latency(_Part):
    """A summary of latencies."""

    count: _Count
    min: _Ms
    mean: _Ms
    p50: _Ms
    p99: _Ms
    max: _Ms
    hdr: str | None

    def histogram(self) -> Histogram | None:
        """All its values; None where there are none."""
        return hdr.histogram(self.model_dump())

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if self.count and None in (self.min, self.mean, self.p50, self.p99, self.max, self.hdr):
            raise ValueError("it counts values that it does not have")
        read = self.histogram()
        if (read.total if read else 0) != self.count:
            raise ValueError("its count is not that of its histogram")
        return self


class Run(_Part):
    """The run itself."""

    id: str
    started_at: str
    target: str
    transport: str
    workers: int
    options: Mapping[str, Any]
    complete: bool


class Connections(_Part):
    """How connecting went."""

    attempted: _Count
    succeeded: _Count
    dropped: _Count
    connect_ms: Latency


class Codes(_Part):
    """What became of the codes' requests."""

    scheduled: _Count
    accepted: _Count


class Deliveries(_Part):
    """What became of the owed pairs."""

    owed: _Count
    delivered: _Count


class Errors(_Part):
    """Failed operations."""

    operations: _Count
    failed: _Count


class Generator(_Part):
    """How the machine that tested fared."""

    timestamps: str
    saturated: bool


class Code(_Part):
    """One code."""

    owed: _Count
    delivered: _Count
    first_ms: _Ms
    p50_ms: _Ms
    p95_ms: _Ms
    p99_ms: _Ms
    last_ms: _Ms


class Verdict(_Part):
    """What the run amounts to."""

    grade: Grade


class Report(_Part):
    """What is compared of a report."""

    number: int = Field(alias="schema")
    run: Run
    connections: Connections
    codes: Codes
    deliveries: Deliveries
    errors: Errors
    generator: Generator
    delivery_ms: Latency
    per_code: tuple[Code, ...]
    verdict: Verdict


def read(place: str | Path) -> Report:
    """The report in a file, or in a directory's report.json.

    Raises:
        ConfigError: there is none that can be read.
    """
    path = Path(place)
    try:
        if path.is_dir():
            path /= "report.json"
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"{clean(path)}: cannot be read ({(error.strerror or 'no file').lower()}); "
            "name a report.json or a directory with one."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{clean(path)}: is no JSON ({clean(error)}); name a report.json or a directory "
            "with one."
        ) from error
    return parse(data, str(path))


def parse(data: Any, name: str) -> Report:
    """A report from what was in its file.

    Args:
        data: as `json.loads` returns it.
        name: what it is called in the error.

    Raises:
        ConfigError: it is none.
    """
    try:
        return Report.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        said = shorten(clean(first["msg"]).removeprefix("Value error, "), 90)
        said = said[:1].lower() + said[1:]
        raise ConfigError(
            f"{clean(name)}: is no report of sseload ({clean(where)}: {said}); name a "
            "report.json that --delivery-report wrote."
        ) from error
