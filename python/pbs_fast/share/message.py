"""What nodes write to each other: messages encoded, signed, verified and bounded. Pure.

A message is JSON (`m`) and the first 16 bytes of HMAC-SHA256 over stream name, NUL, `m` (`s`); so a message of one
stream is worth nothing in another one. `decode` returns a Refusal for whatever bytes are not such a message, and leaves
out single rows that exceed a bound; it never raises.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import Any, Literal, NamedTuple

from pbs_fast.ledger.manual import key_of
from pbs_fast.util.addresses import parse_canonical, parse_network

VERSION = 1
#: Most rows, or revocations, of a message, and its longest form in bytes.
MOST_ROWS = 200
MOST_BYTES = 32_768
#: Longest texts of a row in bytes of UTF-8.
LONGEST_USER = 256
LONGEST_HOST = 255
LONGEST_FORMAT = 64
#: Longest name of a run, in bytes.
LONGEST_RUN = 64
#: Longest name of a node, and longest reason of a revocation, in bytes.
LONGEST_NODE = 255
LONGEST_WHY = 500
_SIGNATURE = 16
#: Most bytes of a message's list: its head needs the others.
MOST_LIST = MOST_BYTES - 255
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ID = re.compile(r"[0-9]{1,20}(?:-[0-9]{1,20})?")  # two numbers of 64 bits
#: Integers above that are no time, number or count.
_MOST = 1 << 53

#: Why a whole message is refused; `malformed` includes another version.
Refusal = Literal["signature", "malformed", "too_long"]
What = Literal["ip", "network", "user", "node"]
Fields = tuple[str, int, str | None, str, str, int]
"""Those of a Row."""
Native = Callable[[bytes, int, int, int, int, int], tuple[str, int, int, tuple[Fields, ...]] | None]
"""`_core.shared_rows`: run, number, time and rows of a message whose form is exactly that of a Writer and whose texts
are printable ASCII, given MOST_ROWS and the longest run, user, format and host; None for all others. Many times as fast
as reading JSON, and no second set of rules: what it takes means the same to `decode`."""


class Row(NamedTuple):
    """One grant as it travels."""

    ip: str
    """Canonical text."""
    left: int
    """Milliseconds until it ends, at the message's time."""
    user: str | None
    format: str
    host: str
    age: int
    """Milliseconds since the login, at the message's time."""


class Revoke(NamedTuple):
    """One revocation as it travels: it covers all logins up to `until`, on every node."""

    kind: What
    what: str
    until: float
    """Seconds on the hub's clock, to the millisecond; that of the undoing for an undone revocation."""
    number: int
    """Of its maker's revocations of the same subject the one with the highest number counts."""
    by: str
    why: str


class Beat(NamedTuple):
    """A sign of life each 10 s."""

    rows: int
    """Own live rows."""
    version: str
    grace: int
    seen: dict[str, int]
    """The highest number of each node's revocations that this node has in force (`rv`)."""
    up: int
    """Seconds since its start."""


class Message(NamedTuple):
    """A verified message of a node."""

    run: str
    """Which run of the node's daemon wrote it (`b`)."""
    number: int
    """1 more than the run's message before it on this stream (`q`)."""
    time: int
    """Milliseconds on the hub's clock as the sender knows it (`t`)."""
    rows: tuple[Row, ...] = ()
    revokes: tuple[Revoke, ...] = ()
    beat: Beat | None = None
    refused: int = 0
    """Rows and revocations that exceed a bound, and are left out."""


class Entry(NamedTuple):
    """The two fields of a stream's entry."""

    m: bytes
    s: bytes


def stream_of(site: str, node: str) -> str:
    """The key of a node's stream."""
    return f"pbs-fast:{{{site}}}:n:{node}"


def nodes_of(site: str) -> str:
    """The key of the set of all nodes' names, which nobody trusts."""
    return f"pbs-fast:{{{site}}}:nodes"


def is_node_name(name: str) -> bool:
    """Whether a node can be called so."""
    return _NAME.fullmatch(name) is not None


def is_id(text: str) -> bool:
    """Whether it is an entry's id: `number_of` does not fail."""
    return _ID.fullmatch(text) is not None


def number_of(id_: str) -> tuple[int, int]:
    """The two numbers of an entry's id, `ms-sequence`: ids are ordered by them. Raises ValueError."""
    if not is_id(id_):
        raise ValueError(id_)
    ms, _, sequence = id_.partition("-")
    return int(ms), int(sequence or 0)


def subject_of(kind: What, what: str) -> tuple[str, str]:
    """What tells revocations apart; users case-folded."""
    return (kind, what) if kind == "node" else key_of(kind, what)


def sign(secret: bytes, stream: str, m: bytes) -> bytes:
    """The signature of a message of a stream."""
    return hmac.digest(secret, stream.encode() + b"\0" + m, "sha256")[:_SIGNATURE]


class Writer:
    """Makes the messages of one run on one stream; `number` counts them."""

    def __init__(self, stream: str, run: str, secret: bytes) -> None:
        self._stream, self._run, self._secret = stream, run, secret
        self.number = 0

    def rows(self, time: int, rows: Sequence[Fields]) -> Iterator[Entry]:
        """As many messages as the rows need; each row must satisfy `acceptable`."""
        return self._lists(time, "rows", rows)

    def lists(self, time: int, lists: Iterable[bytes]) -> Iterator[Entry]:
        """The same for rows that are JSON already, a list for each message (`own_rows.NativeRows`)."""
        for each in lists:
            yield self._entry(time, "rows", b'"r":' + each)

    def revokes(self, time: int, node: str, revokes: Iterable[Revoke]) -> Iterator[Entry]:
        """As many messages as the revocations need; each must satisfy `acceptable_revoke`."""
        return self._lists(time, "revoke", [_revoke_record(node, each) for each in revokes])

    def beat(self, time: int, beat: Beat) -> Entry:
        """A sign of life. What `seen` has too much for one message is left out."""
        seen: Mapping[str, int] = beat.seen
        size = 0
        kept = {}
        for node, number in seen.items():
            size += len(node.encode()) + 24
            if size > MOST_BYTES // 2:
                break
            kept[node] = number
        body = {"rows": beat.rows, "ver": beat.version, "grace": beat.grace, "rv": kept, "up": beat.up}
        return self._entry(time, "beat", _dumps(body)[1:-1].encode())

    def _lists(self, time: int, kind: str, records: Sequence[object]) -> Iterator[Entry]:
        at = 0
        while some := records[at : at + MOST_ROWS]:
            text = _dumps(some)
            if _size(text) > MOST_LIST:
                some = some[: _fitting(some)]
                text = _dumps(some)
            yield self._entry(time, kind, f'"r":{text}'.encode())
            at += len(some)

    def _entry(self, time: int, kind: str, body: bytes) -> Entry:
        self.number += 1
        head = f'{{"v":{VERSION},"b":{_dumps(self._run)},"q":{self.number},"t":{time},"k":"{kind}",'
        m = b"%b%b}" % (head.encode(), body)
        return Entry(m, sign(self._secret, self._stream, m))


def fits(value: object, longest: int) -> bool:
    """Whether it is printable text of at most so many bytes."""
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        return False
    return value.isascii() or len(value.encode()) <= longest


def acceptable(row: Fields) -> bool:
    """Whether every node would take this row: its texts are printable and within their bounds."""
    return _row([*row]) is not None


def acceptable_revoke(node: str, revoke: Revoke) -> bool:
    """Whether every node would take this revocation from `node`."""
    return _revoke(node, json.loads(_dumps(_revoke_record(node, revoke)))) is not None


_row_of: Callable[[Fields], Row] = partial(tuple.__new__, Row)


def decode(
    node: str, stream: str, m: bytes, s: bytes, secrets: Sequence[bytes], native: Native | None = None
) -> Message | Refusal:
    """The message of an entry of a node's stream, or why it is refused. Any of the secrets may have signed it.

    With `native` the result is the same, sooner.
    """
    if len(m) > MOST_BYTES:
        return "too_long"
    for secret in secrets:
        if hmac.compare_digest(sign(secret, stream, m), s):
            break
    else:
        return "signature"
    if native is not None:
        found = native(m, MOST_ROWS, LONGEST_RUN, LONGEST_USER, LONGEST_FORMAT, LONGEST_HOST)
        if found is not None:
            return Message(*found[:3], tuple(map(_row_of, found[3])))
    try:
        record = json.loads(m)
    except (ValueError, RecursionError):
        return "malformed"
    if not isinstance(record, dict) or record.get("v") != VERSION:
        return "malformed"
    fields: list[Any] = [record.get(key) for key in "bqtk"]
    run, number, time, kind = fields
    if not (fits(run, LONGEST_RUN) and _whole(number) and _whole(time) and isinstance(kind, str)):
        return "malformed"
    head = run, number, time
    if kind == "beat":
        beat = _beat(record)
        return "malformed" if beat is None else Message(*head, beat=beat)
    if kind not in ("rows", "revoke"):
        return Message(*head)  # of a later version, which may add kinds
    entries = record.get("r")
    if not isinstance(entries, list):
        return "malformed"
    if len(entries) > MOST_ROWS:
        return "too_long"
    if kind == "rows":
        rows = tuple(row for entry in entries if (row := _row(entry)) is not None)
        return Message(*head, rows=rows, refused=len(entries) - len(rows))
    revokes = tuple(each for entry in entries if (each := _revoke(node, entry)) is not None)
    return Message(*head, revokes=revokes, refused=len(entries) - len(revokes))


_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _fitting(records: Sequence[object]) -> int:
    """How many of these, one at least, a message can hold."""
    sizes = accumulate((_size(_dumps(each)) + 1 for each in records), initial=1)
    return max(1, sum(size <= MOST_LIST for size in sizes) - 1)


def _revoke_record(node: str, each: Revoke) -> dict[str, object]:
    return {each.kind: each.what, "until": each.until, "id": f"{node}-{each.number}", "by": each.by, "why": each.why}


def _whole(value: object) -> bool:
    return type(value) is int and 0 <= value < _MOST


def _second(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < _MOST  # type: ignore[operator]


def _row(entry: Any) -> Row | None:
    if type(entry) is not list or len(entry) != 6:
        return None
    ip, left, user, format_, host, age = entry
    if not (_whole(left) and _whole(age)) or not isinstance(ip, str) or parse_canonical(ip) is None:
        return None
    if not (user is None or fits(user, LONGEST_USER)) or not (
        fits(format_, LONGEST_FORMAT) and fits(host, LONGEST_HOST)
    ):
        return None
    return Row(ip, left, user, format_, host, age)


def _revoke(node: str, entry: Any) -> Revoke | None:
    if not isinstance(entry, dict):
        return None
    kinds: list[What] = [kind for kind in ("ip", "network", "user", "node") if kind in entry]
    if len(kinds) != 1:
        return None
    kind = kinds[0]
    fields: list[Any] = [entry.get(key) for key in (kind, "until", "id", "by", "why")]
    what, until, name, by, why = fields
    if not (fits(what, LONGEST_USER) and what and _second(until) and isinstance(name, str)):
        return None
    maker, _, number = name.rpartition("-")
    if maker != node or not (number.isascii() and number.isdigit() and len(number) <= 15):
        return None
    if not (fits(by, LONGEST_USER) and fits(why, LONGEST_WHY)):
        return None
    if kind == "ip" and parse_canonical(what) is None:
        return None
    if kind == "network":
        try:
            parse_network(what)
        except ValueError:
            return None
    return Revoke(kind, what, float(until), int(number), by, why)


def _beat(record: dict[str, Any]) -> Beat | None:
    fields: list[Any] = [record.get(key) for key in ("rows", "ver", "grace", "rv", "up")]
    rows, version, grace, seen, up = fields
    if not (_whole(rows) and fits(version, 64) and _whole(grace) and _whole(up) and isinstance(seen, dict)):
        return None
    if not all(fits(node, LONGEST_NODE) and _whole(number) for node, number in seen.items()):
        return None
    return Beat(rows, version, grace, seen, up)
