"""Target profiles: the protocol of a kind of server, as data; see `docs/targets.md`."""

from sseload_users.targets.emitting import Emitting
from sseload_users.targets.identities import Identity
from sseload_users.targets.profile import DEFAULT, Profile, load, names
from sseload_users.targets.publishing import Publishing, Sender
from sseload_users.targets.requests import BeforeStep, UpkeepAction
from sseload_users.targets.target import Target

__all__ = [
    "DEFAULT",
    "BeforeStep",
    "Emitting",
    "Identity",
    "Profile",
    "Publishing",
    "Sender",
    "Target",
    "UpkeepAction",
    "load",
    "names",
]
