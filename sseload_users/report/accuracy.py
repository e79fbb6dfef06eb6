"""State how accurate the figures of a report are, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from sseload_users.core.figures import CodeFigures, GeneratorFigures
from sseload_users.core.formatting import count, ms, of
from sseload_users.report.model import Report, RunInfo

_RESOLUTION = (
    "Latencies are counted in microseconds, to three significant digits: percentiles are "
    "within 0.1 %, those of single seconds and of the lag within 1 %. Counts are exact."
)


def accuracy(report: Report) -> Iterator[tuple[str, str]]:
    """Yield what can be wrong with the figures, and by how much.

    Args:
        report: of the run.

    Yields:
        The subject, and a sentence or two.
    """
    generator, codes, run = report.generator, report.codes, report.run
    yield "Timestamps", _timestamps(generator.timestamps)
    if generator.lag_ms.count:
        yield "Generator lag", _lag(generator)
    if generator.lag_ms.count or generator.stamp_error_ms.count:
        yield "Timestamp error", _timestamp_error(generator)
    if generator.stall_ms.count:
        stall = generator.stall_ms
        late = f"p99 {ms(stall.p99)} ms, max {ms(stall.max)} ms"
        yield "Generator stalls", f"Its event loops resumed later than asked for: {late}."
    yield "Clocks", _clocks(generator.clock_error_ms)
    yield "Resolution", _RESOLUTION
    yield "Load of the generator", _load(generator)
    slip = codes.schedule_slip_ms
    if slip.count:
        late = f"p50 {ms(slip.p50)} ms, max {ms(slip.max)} ms"
        yield "Schedule", f"Codes were sent later than scheduled: {late}."
    yield "Completeness", _completeness(run, codes)


def _timestamps(by: str) -> str:
    if by == "kernel":
        return (
            "The kernel timestamped each arrival, so latencies do not include the load generator's "
            "own delay, except for messages that were read together."
        )
    return (
        "Arrivals were timestamped after they were read, so latencies include the load "
        "generator's own delay."
    )


def _lag(generator: GeneratorFigures) -> str:
    lag = generator.lag_ms
    figures = f"p50 {ms(lag.p50)} ms, p99 {ms(lag.p99)} ms, max {ms(lag.max)} ms"
    if generator.timestamps == "kernel":
        return f"From the kernel's timestamp to the read: {figures}."
    return f"Measured as {figures}."


def _timestamp_error(generator: GeneratorFigures) -> str:
    error = generator.stamp_error_ms
    if not error.count:
        return "None: each message had a timestamp of its own."
    reads = count(error.count, "read")
    found = (
        f"{reads} found more than one message, or also the end of the stream. All of these have "
        "the newest message's timestamp, so the earlier ones"
        if generator.timestamps == "kernel"
        else f"Messages of {reads}"
    )
    sentence = (
        f"{found} may have arrived sooner, by {ms(error.p99)} ms (p99) and {ms(error.max)} ms "
        "(max)."
    )
    if many := generator.imprecise:
        sentence += (
            f" The latencies of {count(many, 'delivery', 'deliveries')} may be too long by more "
            "than 100 ms."
        )
    if many := generator.in_doubt:
        sentence += (
            f" So it is uncertain whether {count(many, 'delivery', 'deliveries')} met the "
            "delivery timeout; they count as delivered."
        )
    return sentence


def _clocks(error_ms: float | None) -> str:
    if error_ms is None:
        return (
            "The difference between the machines' clocks is unknown: a latency between two "
            "machines can be wrong by that difference."
        )
    if error_ms == 0:
        return "All times were taken by one clock."
    return (
        f"The clocks agreed within {ms(error_ms)} ms: a latency between two machines can be "
        "wrong by that much."
    )


def _load(generator: GeneratorFigures) -> str:
    cpu = generator.cpu_percent_max
    used = "CPU unknown" if cpu is None else f"CPU up to {cpu:.0f} % of a core in one process"
    if (waited := generator.waited_percent_max) is not None:
        used += f"; one waited for a core up to {waited:.0f} % of a second"
    if generator.saturated:
        return f"{used}. It was saturated: the load may have been lighter than planned."
    return f"{used}. It kept up with its load."


def _completeness(run: RunInfo, codes: CodeFigures) -> str:
    if run.complete:
        processes = count(run.workers, "process", "processes")
        return f"The run went to its end, and includes the account of {processes}."
    return (
        "The run is incomplete: the figures cover what was accounted for "
        f"({of(codes.sent, codes.scheduled)} codes were sent)."
    )
