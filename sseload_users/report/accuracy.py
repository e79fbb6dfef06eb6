"""How far the figures of a report can be trusted, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from sseload_users.core.figures import CodeFigures, GeneratorFigures
from sseload_users.core.formatting import count, ms, of
from sseload_users.report.model import Report, RunInfo

_RESOLUTION = (
    "Latencies are counted in microseconds, to three significant digits: a percentile is wrong "
    "by 0.1 % at most, one of a single second or of the lag by 1 %. Counts are exact."
)


def accuracy(report: Report) -> Iterator[tuple[str, str]]:
    """What can be wrong with the figures, and by how much.

    Args:
        report: of schema 1.

    Yields:
        What it is about, and a sentence or two.
    """
    generator, codes, run = report.generator, report.codes, report.run
    yield "Timestamps", _timestamps(generator.timestamps)
    if generator.lag_ms.count:
        yield "Generator lag", _lag(generator)
    if generator.lag_ms.count or generator.stamp_error_ms.count:
        yield "Doubt of arrivals", _doubt(generator)
    if generator.stall_ms.count:
        stall = generator.stall_ms
        late = f"p99 {ms(stall.p99)} ms, at most {ms(stall.max)} ms"
        yield "Generator stalls", f"Its event loops went on later than asked for: {late}."
    yield "Clocks", _clocks(generator.clock_error_ms)
    yield "Resolution", _RESOLUTION
    yield "Load of the generator", _load(generator)
    slip = codes.schedule_slip_ms
    if slip.count:
        late = f"{ms(slip.p50)} ms after their time in the median, {ms(slip.max)} ms at most"
        yield "Schedule", f"Codes were sent {late}."
    yield "Completeness", _completeness(run, codes)


def _timestamps(by: str) -> str:
    if by == "kernel":
        return (
            "The kernel stamped each arrival when it came, so the delay of the machine that "
            "tested is in no latency, but for that of messages that were read together."
        )
    return (
        "Arrivals were stamped after they were read, so the latencies contain the delay of the "
        "machine that tested."
    )


def _lag(generator: GeneratorFigures) -> str:
    lag = generator.lag_ms
    said = f"p50 {ms(lag.p50)} ms, p99 {ms(lag.p99)} ms, at most {ms(lag.max)} ms"
    if generator.timestamps == "kernel":
        return f"From the kernel's stamp to the read: {said}."
    return f"Measured as {said}."


def _doubt(generator: GeneratorFigures) -> str:
    error = generator.stamp_error_ms
    if not error.count:
        return "None: each message had a timestamp of its own."
    said = (
        f"{count(error.count, 'read')} found more than one message, or the end of the stream "
        "as well: all have the newest one's timestamp, so that the others"
        if generator.timestamps == "kernel"
        else f"What {count(error.count, 'read')} found"
    )
    said += f" may have come sooner, by {ms(error.p99)} ms (p99) and by {ms(error.max)} ms at most."
    if many := generator.in_doubt:
        said += (
            f" This leaves open whether {count(many, 'delivery', 'deliveries')} kept to the "
            "delivery timeout; they count as delivered."
        )
    return said


def _clocks(error_ms: float | None) -> str:
    if error_ms is None:
        return (
            "How far the clocks of the machines were apart is not known: a latency between two "
            "of them can be wrong by as much."
        )
    if error_ms == 0:
        return "All times were taken by one clock."
    return (
        f"The clocks agreed within {ms(error_ms)} ms: a latency between two machines can be "
        "wrong by as much."
    )


def _load(generator: GeneratorFigures) -> str:
    cpu = generator.cpu_percent_max
    used = "CPU not known" if cpu is None else f"CPU up to {cpu:.0f} % of a core in one process"
    if (waited := generator.waited_percent_max) is not None:
        used += f"; one waited for a core up to {waited:.0f} % of a second"
    if generator.saturated:
        return f"{used}. It was saturated: the load may have been lighter than planned."
    return f"{used}. It kept up with the load that it was asked to make."


def _completeness(run: RunInfo, codes: CodeFigures) -> str:
    if run.complete:
        held = count(run.workers, "process", "processes")
        return f"The run went to its end, and the account of {held} is in here."
    return (
        "The run is incomplete: the figures cover what was accounted for "
        f"({of(codes.sent, codes.scheduled)} codes were sent)."
    )
