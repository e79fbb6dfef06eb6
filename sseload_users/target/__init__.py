"""Targets: how to speak to a kind of server, as data; `docs/targets.md` says how to write it."""

from sseload_users.identities import Identity
from sseload_users.target.profile import DEFAULT, Profile, load, names
from sseload_users.target.publishing import Publishing, Sender
from sseload_users.target.requests import Request, Step, Upkeep
from sseload_users.target.target import Target

__all__ = [
    "DEFAULT",
    "Identity",
    "Profile",
    "Publishing",
    "Request",
    "Sender",
    "Step",
    "Target",
    "Upkeep",
    "load",
    "names",
]
