"""What may be asked on the control sockets, version 1: requests, events, errors, limits (docs/CONTROL.md).

`replies` has what comes back, `wire` makes lines of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Generic, Literal, TypeVar, get_args

from pbs_fast.control import replies, why_reply
from pbs_fast.util.addresses import canonical, parse_network

VERSION = 1
#: Longest request in bytes, its line feed included.
LONGEST_REQUEST = 64 << 10
#: Rows, or refusals, in one reply.
PAGE = 1_000
#: Longest manual grant or denial, in seconds: as the configuration's `grace`. What should last belongs in
#: mynetworks or deny.toml.
LONGEST_MANUAL = 30 * 86_400
#: Longest user name and reason, in characters.
LONGEST_USER = 256
LONGEST_NODE = 63
LONGEST_REASON = 500

Code = Literal["bad_request", "unknown", "denied", "not_ready", "refused", "busy", "internal"]
"""`unknown`: no such manual grant, denial or table; `refused`: a guard speaks against it, `guard` names it."""

EVENTS = (
    "granted",
    "renewed",
    "expired",
    "removed",
    "revoked",
    "refused",
    "limit",
    "cap",
    "drift",
    "table_fails",
    "table_back",
    "log_gone",
    "log_back",
    "log_rotated",
    "hub_down",
    "hub_up",
    "node_silent",
    "node_back",
    "ready",
    "reloaded",
    "warning",
)
#: Reserved for what this version lacks: nothing sends them.
UNUSED: frozenset[str] = frozenset()
#: What is in order: `watch --alarms` leaves it out.
IN_ORDER = frozenset({"granted", "renewed", "expired", "removed", "refused", "ready", "reloaded", "log_rotated"})
IN_ORDER |= {"hub_up", "node_back"}

R_co = TypeVar("R_co", covariant=True)


class RequestError(Exception):
    """A request that gets an error for its reply. `str(error)` is the text for the user."""

    def __init__(self, code: Code, text: str, *, id: int | None = None, guard: str | None = None) -> None:
        super().__init__(text)
        self.code: Code = code
        self.id = id
        self.guard = guard


class Request(Generic[R_co]):
    """A request whose reply's `ok` is an R."""

    do: ClassVar[str]
    changes: ClassVar[bool] = False
    """Needs the socket `control`; all others are answered on `status` too."""


@dataclass(frozen=True, slots=True)
class Ping(Request[replies.Ping]):
    """Is the daemon there, and does its loop turn?"""

    do: ClassVar[str] = "ping"


@dataclass(frozen=True, slots=True)
class Status(Request[replies.Status]):
    """How everything is."""

    do: ClassVar[str] = "status"


@dataclass(frozen=True, slots=True)
class Metrics(Request[replies.Metrics]):
    """The numbers for Prometheus."""

    do: ClassVar[str] = "metrics"


@dataclass(frozen=True, slots=True)
class Why(Request[why_reply.Why]):
    """May this address relay, or the addresses of this user, and why (not)? Exactly one of the two is set."""

    do: ClassVar[str] = "why"
    ip: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class List(Request[replies.Rows]):
    """All rows, in pages: a stream of replies, the last with `more` false."""

    do: ClassVar[str] = "list"
    table: str | None = None
    """Only tells whether the daemon writes this table (TYPE:PATH); its rows are those of all."""


@dataclass(frozen=True, slots=True)
class Refusals(Request[replies.Refusals]):
    """The remembered refusals, the newest first, in pages as `List`; of one address or one user, or all."""

    do: ClassVar[str] = "refusals"
    ip: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Watch(Request[replies.Watching]):
    """Events as they happen, until the connection ends."""

    do: ClassVar[str] = "watch"
    kinds: tuple[str, ...] = ()
    """Of EVENTS; empty: all."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a change is about. Exactly one is set."""

    ip: str | None = None
    network: str | None = None
    """ADDRESS/PREFIX without host bits."""
    user: str | None = None
    node: str | None = None
    """Another node, whose grants do not count."""

    @property
    def what(self) -> str:
        """The one that is set."""
        return self.ip or self.network or self.user or self.node or ""

    @property
    def kind(self) -> replies.Whom:
        """Which one is set."""
        if self.ip is not None:
            return "ip"
        if self.network is not None:
            return "network"
        return "user" if self.node is None else "node"


@dataclass(frozen=True, slots=True)
class Revoke(Target, Request[replies.Revoked]):
    """Remove the rows of an address, a network, a user or another node, and deny it for a time, on all nodes."""

    do: ClassVar[str] = "revoke"
    changes: ClassVar[bool] = True
    for_s: int | None = field(default=None, metadata={"key": "for"})
    """Seconds of the denial; None: one grace, so that an older login does not bring the row back; of a node
    LONGEST_MANUAL."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Grant(Request[replies.Granted]):
    """Let an address relay for some seconds, unless a guard refuses it."""

    do: ClassVar[str] = "grant"
    changes: ClassVar[bool] = True
    ip: str
    for_s: int = field(metadata={"key": "for"})
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Undo(Target, Request[replies.Undone]):
    """End a manual denial or a manual grant before its time. What it had removed does not come back."""

    do: ClassVar[str] = "undo"
    changes: ClassVar[bool] = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Forget(Request[replies.Forgotten]):
    """Do not wait for another node any more, until it is heard again."""

    do: ClassVar[str] = "forget"
    changes: ClassVar[bool] = True
    node: str


@dataclass(frozen=True, slots=True)
class Reload(Request[replies.Reloaded]):
    """What SIGHUP does, with its result."""

    do: ClassVar[str] = "reload"
    changes: ClassVar[bool] = True


AnyRequest = Ping | Status | Metrics | Why | List | Refusals | Watch | Revoke | Grant | Undo | Forget | Reload
REQUESTS: Mapping[str, type[AnyRequest]] = MappingProxyType({each.do: each for each in get_args(AnyRequest)})


def target_of(text: str) -> Target:
    """What an administrator names: an address, a network, else a user. Raises ValueError for what looks like a network
    and is none, in words that follow the text."""
    if (ip := canonical(text)) is not None:
        return Target(ip=ip)
    if canonical(text.partition("/")[0]) is not None:
        network = parse_network(text)
        return Target(ip=str(network)) if network.prefix == network.width else Target(network=str(network))
    return Target(user=text)
