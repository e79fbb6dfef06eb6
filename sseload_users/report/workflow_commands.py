"""GitHub Actions' workflow commands: annotations of a run, for standard output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sseload_users.core.formatting import clean
from sseload_users.verdict.reasons import Reason


def annotation_lines(reasons: Sequence[Reason], worse: Sequence[str] = ()) -> Iterator[str]:
    """Yield a line for each rule that is not good, and for what is worse than the baseline.

    GitHub shows them at the top of the workflow's page ("Workflow commands for GitHub Actions",
    "Setting an error message").

    Args:
        reasons: of the verdict.
        worse: what is clearly worse than in the baseline, each a sentence.
    """
    for each in reasons:
        if each.grade != "good":
            level = "error" if each.grade == "issues" else "warning"
            text = " ".join(filter(None, (each.sentence, each.hint)))
            yield _command(level, f"sseload: {each.rule}", text)
    for sentence in worse:
        yield _command("error", "sseload: baseline", sentence)


def _command(level: str, title: str, text: str) -> str:
    # The runner decodes these, as actions/toolkit encodes them.
    message = clean(text).replace("%", "%25")
    name = clean(title).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={name}::{message}"
