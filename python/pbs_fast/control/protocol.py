"""The wire of the control sockets, version 1: requests, errors, encoding (docs/CONTROL.md). Pure: no socket, no clock.

One JSON object a line, UTF-8. A request names what to do and nothing that is not known here; `replies` has what comes
back. Invariant: `decode_request(encode_request(n, request))` is `(n, request)`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args

from pbs_fast.control import replies, why_reply
from pbs_fast.util.addresses import canonical, parse_network
from pbs_fast.util.text import printable

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
_ENVELOPE = ("v", "id", "do")


def encode_request(number: int, request: Request[Any]) -> bytes:
    """The line of a request; keys that are not set are left out."""
    values = {key: getattr(request, name) for key, name in _keys(type(request)).items()}
    set_ = {key: value for key, value in values.items() if value not in (None, "", ())}
    return line({"v": VERSION, "id": number, "do": request.do, **set_})


def decode_request(data: bytes) -> tuple[int, AnyRequest]:
    """The id and the request of a line. Raises RequestError (`bad_request`), with the id where it can be read."""
    try:
        record = json.loads(data.decode())
    except (ValueError, RecursionError):
        raise RequestError("bad_request", "not a JSON object in UTF-8") from None
    if not isinstance(record, dict):
        raise RequestError("bad_request", "not a JSON object")
    number = record.get("id")
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 1 << 53:
        raise RequestError("bad_request", '"id" must be a whole number from 0 to 2^53-1')
    try:
        return number, _request(record)
    except RequestError as error:
        error.id = number
        raise


def line(record: Mapping[str, object]) -> bytes:
    """A record as one line. Lone surrogates (bytes of a log that are not UTF-8) are escaped, which JSON allows."""
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"


def ok(number: int, value: object) -> bytes:
    """The line of a reply."""
    return line({"v": VERSION, "id": number, "ok": value})


def error(number: int | None, fault: RequestError) -> bytes:
    """The line of an error; the id is null where the request's cannot be read."""
    about: dict[str, object] = {"code": fault.code, "text": str(fault)}
    if fault.guard is not None:
        about["guard"] = fault.guard
    return line({"v": VERSION, "id": number, "error": about})


def target_of(text: str) -> Target:
    """What an administrator names: an address, a network, else a user. Raises ValueError for what looks like a network
    and is none, in words that follow the text."""
    if (ip := canonical(text)) is not None:
        return Target(ip=ip)
    if canonical(text.partition("/")[0]) is not None:
        network = parse_network(text)
        return Target(ip=str(network)) if network.prefix == network.width else Target(network=str(network))
    return Target(user=text)


def _request(record: dict[str, Any]) -> AnyRequest:
    if record.get("v") != VERSION:
        raise RequestError("bad_request", f'"v" must be {VERSION}, the version of the protocol that this daemon speaks')
    do = record.get("do")
    if not isinstance(do, str) or do not in REQUESTS:
        raise RequestError("bad_request", f'"do": {_unknown(do, REQUESTS)}')
    form = REQUESTS[do]
    keys = _keys(form)
    for key in record:
        if key not in keys and key not in _ENVELOPE:
            raise RequestError("bad_request", f'"{do}": {_unknown(key, [*_ENVELOPE, *keys])}')
    values = {keys[key]: _CHECKS[key](key, value) for key, value in record.items() if key in keys}
    _check_who(form, values)
    try:
        return form(**values)
    except TypeError:
        missing = [key for key, name in keys.items() if name not in values and key != "reason"]
        raise RequestError("bad_request", f'"{do}" needs {" and ".join(missing)}') from None


def _check_who(form: type[AnyRequest], values: Mapping[str, object]) -> None:
    """Raise RequestError unless a request names the one whom it is about."""
    most = [name for name in ("ip", "network", "user", "node") if name in form.__dataclass_fields__]
    named = [name for name in most if name in values]
    if len(named) > 1 or (not named and len(most) > 1 and form is not Refusals):
        raise RequestError("bad_request", f'"{form.do}" needs exactly one of {", ".join(most)}')


def _keys(form: type[Any]) -> dict[str, str]:
    """Key on the wire -> field."""
    return {each.metadata.get("key", each.name): each.name for each in fields(form)}


def _unknown(word: object, names: Iterable[str]) -> str:
    shown = printable(word) if isinstance(word, str) and len(word) <= 60 else "this"
    names = list(names)
    near = get_close_matches(word[:60], names, n=1, cutoff=0.4) if isinstance(word, str) else []
    known = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"
    return f"{shown} is not known here; {known}"


def _refuse(key: str, needs: str) -> RequestError:
    return RequestError("bad_request", f'"{key}" must be {needs}')


def _ip(key: str, value: object) -> str:
    found = canonical(value) if isinstance(value, str) else None
    if found is None:
        raise _refuse(key, "an IP address")
    return found


def _network(key: str, value: object) -> str:
    try:
        network = parse_network(value if isinstance(value, str) else "")
    except ValueError:
        raise _refuse(key, "a network such as 192.0.2.0/24, without bits set after its prefix") from None
    return str(network) if network.prefix != network.width else f"{network}/{network.width}"


def _text(longest: int, empty: bool = False) -> Any:
    def check(key: str, value: object) -> str:
        if not isinstance(value, str) or not (empty or value) or len(value) > longest:
            raise _refuse(key, f"a text of at most {longest} characters")
        try:
            value.encode()
        except UnicodeEncodeError:  # a lone surrogate, which our files do not take
            raise _refuse(key, "a text in UTF-8") from None
        return value

    return check


def _seconds(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LONGEST_MANUAL:
        raise _refuse(key, f"whole seconds from 1 to {LONGEST_MANUAL}")
    return value


def _kinds(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _refuse(key, "a list of kinds of events")
    for kind in value:
        if kind not in EVENTS:
            raise RequestError("bad_request", f'"{key}": {_unknown(kind, EVENTS)}')
    return tuple(value)


_CHECKS: Mapping[str, Any] = MappingProxyType(
    {
        "ip": _ip,
        "network": _network,
        "user": _text(LONGEST_USER),
        "node": _text(LONGEST_NODE),
        "table": _text(4096),
        "reason": _text(LONGEST_REASON, empty=True),
        "for": _seconds,
        "kinds": _kinds,
    }
)
