"""The rules about an observation: whether anything was seen, and what nobody got."""

from __future__ import annotations

from collections.abc import Iterator

from sseload_users.core.figures import ObservationFigures
from sseload_users.core.formatting import count, number
from sseload_users.verdict.reasons import Reason, make_reason


def judge_observation(observed: ObservationFigures) -> Iterator[Reason]:
    """Yield the reasons about the messages that others sent."""
    seen = count(observed.seen, "message")
    yield make_reason(
        "codes_seen",
        "good" if observed.seen else "issues",
        f"{seen} {'was' if observed.seen == 1 else 'were'} seen during the observation."
        if observed.seen
        else "No message was seen during the observation.",
        measured=number(observed.seen),
        hint="Observe for longer (--duration), or look at code.id, code.event and code.fields in "
        "the target profile; what they do not match counts as foreign.",
    )
    if observed.skipped:
        yield make_reason(
            "holes",
            "warning",
            f"{count(observed.skipped, 'message')} had a number far from all others, and did not "
            "count.",
            measured=number(observed.skipped),
            hint="Leave sequence = true out of the target profile: the ids are not in a row.",
        )
    elif observed.holes is not None:
        holes = count(observed.holes, "number")
        yield make_reason(
            "holes",
            "issues" if observed.holes else "good",
            f"{holes} between the lowest and the highest never came to any connection."
            if observed.holes
            else "No number between the lowest and the highest is missing.",
            measured=number(observed.holes),
            hint="Look at what the server should have sent to nobody, or leave sequence = true out "
            "of the target profile if others get the messages with these numbers.",
        )
