"""What of all that went wrong is the load generator's own doing."""

from __future__ import annotations

from collections.abc import Iterator

from sseload_users.core.causes import CauseKind, classify, is_local
from sseload_users.core.figures import GeneratorFigures
from sseload_users.core.formatting import count, ms, of
from sseload_users.verdict.saturation import stood_still
from sseload_users.verdict.symptoms import Finding, Symptoms

#: Longest wait for a core that says nothing, in percent of a second.
_WAITED_PERCENT = 20.0
#: Share of the failed connects that are the generator's own which is worth a finding.
_NOTABLE = 0.05

_LIMITS = {
    CauseKind.OPEN_FILES: (
        "it reached its limit of open files",
        "Raise the limit of open files (ulimit -n).",
    ),
    CauseKind.LOCAL_PORTS: (
        "it had no free local ports left",
        "Give it more addresses (--source-addresses) or more machines.",
    ),
    CauseKind.SOURCE_ADDRESS: (
        "it could not use a source address",
        "See --source-addresses.",
    ),
    CauseKind.PROXY: ("its proxy failed", "See the proxy."),
    CauseKind.PROXY_GATEWAY: ("its proxy failed", "See the proxy."),
    CauseKind.PROXY_PASSWORD: ("its proxy refused it", "See --proxy."),
    CauseKind.LISTENER_ERROR: ("the locustfile raised an exception", "See the log."),
}


def generator(symptoms: Symptoms) -> Finding | None:
    """Find that the generator was at its own limit, and which."""
    figures, causes = symptoms.account.generator, symptoms.account.errors.causes
    own = [each for each in causes if is_local(each.operation, each.cause)]
    failed, local = sum(each.count for each in causes), sum(each.count for each in own)
    limited = local > 0 and local >= _NOTABLE * failed
    if not figures.saturated and not limited:
        return None
    said, hints, evidence = [], [], dict[str, float | str]()
    if limited:
        main = max(own, key=lambda each: each.count)
        what, hint = _LIMITS.get(
            classify(main.operation, main.cause) or CauseKind.RUN_ENDED,
            (f"it failed by itself ({main.cause})", ""),
        )
        said.append(f"{what} in {of(local, failed)} failures")
        hints.append(hint)
        evidence["own_failures"] = local
    if figures.saturated:
        said += _busy(figures)
        hints.append(_advice(figures))
        if figures.cpu_percent_max is not None:
            evidence["cpu_percent"] = round(figures.cpu_percent_max, 1)
        if stood_still(figures.stalled_ms):
            evidence["stalled_ms"] = round(figures.stalled_ms or 0.0, 1)
        if figures.in_doubt:
            evidence["in_doubt"] = figures.in_doubt
    effect = (
        "Latencies and losses may be its own"
        if figures.saturated
        else "These failures say nothing of the server"
    )
    return Finding(
        "generator",
        f"The load generator was at its own limit: {'; '.join(said)}. {effect}.",
        1.0 if figures.saturated else local / failed,
        evidence,
        " ".join(filter(None, hints)),
    )


def _busy(figures: GeneratorFigures) -> Iterator[str]:
    """Yield what kept it from reading and sending in time."""
    if stood_still(figures.stalled_ms):
        yield f"a process stood still for {ms(figures.stalled_ms)} ms"
    waited = figures.waited_percent_max or 0.0
    if waited >= _WAITED_PERCENT:
        yield f"it waited for a core for up to {waited:.0f} % of a second"
    if figures.cpu_percent_max is not None:
        yield f"a process used up to {figures.cpu_percent_max:.0f} % of a core"
    if figures.in_doubt:
        late = count(figures.in_doubt, "delivery", "deliveries")
        yield f"{late} may have been late, for it read too rarely to tell"


def _advice(figures: GeneratorFigures) -> str:
    if stood_still(figures.stalled_ms):
        return (
            "Look for what suspended the process (another program, swapping, a paused container "
            "or virtual machine), and repeat the run."
        )
    return "Use more processes (--processes), more machines, or fewer connections or codes."
