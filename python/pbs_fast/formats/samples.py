"""Samples of the format files as data, and the lines they become in every envelope that docs/MATCHING.md knows.

For tests, for the lint and for testing patterns; a start never loads this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

from pbs_fast.errors import FormatError
from pbs_fast.events import Kind
from pbs_fast.formats import Format
from pbs_fast.formats.loader import BOOLEAN, DATA, TEXT, TEXTS, build, check_keys, in_file, parse, read

#: Kinds of what ends sessions without a logout: no event, but a row of its own (docs/MATCHING.md, 4 and 6).
ENDINGS = ("restart", "killed", "aborted")
KINDS = ("login", "logout", *ENDINGS, "failure", "attack")
_KEYS = {
    "kind": TEXT,
    "message": (TEXT, TEXTS),
    "program": TEXT,
    "own": BOOLEAN,
    "prefix": TEXT,
    "ip": TEXT,
    "user": TEXT,
    "session": TEXT,
    "pid": TEXT,
    "tls": BOOLEAN,
    "loop": BOOLEAN,
    "fake": TEXT,
    "rule": TEXT,
    "without": None,
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a format file; what its keys mean is in docs/FORMAT-FILES.md."""

    format: str
    number: int
    """Its place in the file, from 1."""
    kind: Literal["login", "logout", "restart", "killed", "aborted", "failure", "attack"]
    messages: tuple[str, ...]
    """Messages of consecutive records; what must come out comes from the last that makes an event."""
    program: str
    own: bool
    prefix: str
    ip: str | None
    user: str | None
    session: str | None
    pid: str | None
    tls: bool | None
    loop: bool
    fake: str | None
    rule: str | None
    without: str | tuple[tuple[str, str], ...] | None
    joined: bool
    """Whether what comes out may hang on the records' process id: several records of a format with session steps."""

    @property
    def event(self) -> Kind | None:
        """`login`, `logout`, or None when nothing may come out. An attack that names its true address is a login."""
        if self.kind == "attack":
            return "login" if self.ip is not None else None
        return self.kind if self.kind in ("login", "logout") else None

    @property
    def ending(self) -> Kind | None:
        """What ends sessions by this sample, or None."""
        return self.kind if self.kind in ("restart", "killed", "aborted") else None

    def __str__(self) -> str:
        return f"{self.format}-{self.number}-{self.kind}"


def load_samples(directory: Path = DATA) -> tuple[Sample, ...]:
    """The samples of all format files, by format, in the files' order. Raises FormatError."""
    return tuple(sample for file in sorted(directory.glob("*.toml")) for sample in samples_of(file))


def samples_of(file: Path) -> tuple[Sample, ...]:
    """The samples of one format file. Raises FormatError for the first that is not acceptable."""
    table = parse(read(file), file)
    fmt = build(table, in_file(file))
    return tuple(sample_of(raw, number, fmt, file) for number, raw in enumerate(table.get("sample", ()), 1))


def weakened(sample: Sample, directory: Path = DATA) -> Format:
    """The sample's format without the one rule that stops its fake address. Raises FormatError when none is removed.

    When the rule is that the tag is another program's (`without = "program"`), the format is unchanged: what is
    weakened then is the line, which must carry `tag_of` the format.
    """
    file = directory / f"{sample.format}.toml"
    table = dict(parse(read(file), file))
    if sample.without == "cut":
        if not table.pop("cut", 0):
            raise FormatError(f"{file}: sample {sample.number}: without = 'cut', but the format has no cut")
        table.pop("cut_rest", None)
        table.pop("cut_prefix", None)
        table.pop("cut_whole", None)
    elif isinstance(sample.without, tuple):
        session = table["session"] = dict(table["session"]) if "session" in table else {}
        held = [(table, "login"), (table, "logout"), *((session, key) for key in session)]
        held = [(where, key) for where, key in held if key in where]
        for old, new in sample.without:
            # What never grants cannot be the rule that stops a grant.
            if not any(old in pattern for where, key in held if key != "logout" for pattern in where[key]):
                raise FormatError(f"{file}: sample {sample.number}: without: no login pattern holds {old!r}")
            for where, key in held:
                where[key] = [pattern.replace(old, new) for pattern in where[key]]
        if not session:
            del table["session"]
    elif sample.without != "program":
        raise FormatError(f"{file}: sample {sample.number}: an attack needs `without`")
    return build(table, in_file(file))


def tag_of(fmt: Format) -> str:
    """A tag that fits the format: its first, with a site's prefix where it has the form `*/NAME`."""
    return (*fmt.program, *fmt.tls_program, "")[0].replace("*", "site")


def sample_of(raw: Mapping[str, Any], number: int, fmt: Format, file: Path) -> Sample:
    """A sample from its table, the `number`-th of a format. Raises FormatError."""
    where = Path(f"{file}: sample {number}")
    check_keys(raw, _KEYS, ("kind", "message"), in_file(where))
    if raw["kind"] not in KINDS:
        raise FormatError(f"{where}: kind is '{raw['kind']}'; it must be one of {', '.join(KINDS)}")
    if raw["kind"] == "attack":
        check_keys(raw, _KEYS, ("fake", "rule", "without"), in_file(where))
    own = raw.get("own", False)
    if own and fmt.own_probe is None:
        raise FormatError(f"{where}: own = true, but the format has no [own_log]")
    if raw.get("prefix", "") not in ("", *fmt.own_prefix):
        raise FormatError(f"{where}: prefix is not one of own_log.prefix")
    messages = (raw["message"],) if isinstance(raw["message"], str) else tuple(raw["message"])
    return Sample(
        format=fmt.name,
        number=number,
        kind=raw["kind"],
        messages=messages,
        program="" if own else raw.get("program", tag_of(fmt)),
        own=own,
        prefix=raw.get("prefix", ""),
        ip=raw.get("ip"),
        user=raw.get("user"),
        session=raw.get("session"),
        pid=raw.get("pid"),
        tls=raw.get("tls"),
        loop=raw.get("loop", False),
        fake=raw.get("fake"),
        rule=raw.get("rule"),
        without=_without(raw.get("without"), where),
        joined=len(messages) > 1 and bool(fmt.session_address),
    )


def _without(value: object, where: Path) -> str | tuple[tuple[str, str], ...] | None:
    if value is None or value in ("cut", "program"):
        return value
    if isinstance(value, list) and value and all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        return tuple((str(old), str(new)) for old, new in value)
    raise FormatError(f"{where}: without must be a list of [from, to], or 'cut', or 'program'")


#: The zone of the timestamps that name none, in seconds east of UTC; the rendered ones that name one say +01:00.
OFFSET = 3600


@dataclass(frozen=True, slots=True)
class Envelope:
    """One layout of the text before a message."""

    name: str
    render: Callable[[datetime, str, str], str]
    """From the local time, the tag and the message to the line."""
    host: str = "mx"
    own: bool = False
    """True for the layouts of a server's own log, where the tag is the text before the timestamp."""
    cuts_tag: bool = False
    """True if the writer keeps only the part of a tag before its first `/`."""
    pid: bool = True
    """False where lines name no process, so that no session of several lines is joined."""


def _bsd(time: datetime) -> str:
    return f"{time:%b} {time.day:2} {time:%H:%M:%S}"


def _iso(time: datetime, digits: int, zone: str) -> str:
    fraction = f".{time.microsecond:06}"[: digits + 1] if digits else ""
    return f"{time:%Y-%m-%dT%H:%M:%S}{fraction}{zone}"


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC)


_LAYOUTS = (
    Envelope("rfc3164", lambda t, tag, m: f"{_bsd(t)} mx {tag}[5120]: {m}"),
    Envelope("rfc3164-no-pid", lambda t, tag, m: f"{_bsd(t)} mx {tag}: {m}", pid=False),
    Envelope("rfc3164-zero-padded", lambda t, tag, m: f"{t:%b %d %H:%M:%S} mx {tag}: {m}", pid=False),
    Envelope("rfc3164-year", lambda t, tag, m: f"{t:%b} {t.day:2} {t.year} {t:%H:%M:%S} mx {tag}[5120]: {m}"),
    Envelope("raw-pri", lambda t, tag, m: f"<22>{_bsd(t)} mx {tag}[5120]: {m}"),
    Envelope("host-none", lambda t, tag, m: f"{_bsd(t)} (none) {tag}[5120]: {m}", host="(none)"),
    Envelope("host-ipv6", lambda t, tag, m: f"{_bsd(t)} 2001:db8::5 {tag}[5120]: {m}", host="2001:db8::5"),
    Envelope("rfc3339", lambda t, tag, m: f"{_iso(t, 6, '+01:00')} mx {tag}[5120]: {m}"),
    Envelope("rfc3339-utc", lambda t, tag, m: f"{_iso(_utc(t), 3, 'Z')} mx {tag}: {m}", pid=False),
    Envelope("rfc3339-no-zone", lambda t, tag, m: f"{_iso(t, 0, '')} mx {tag}[5120]: {m}"),
    Envelope(
        "rfc5424-rsyslog", lambda t, tag, m: f"<22>1 {_iso(t, 6, '+01:00')} mx {tag} 5120 - -  {m}", cuts_tag=True
    ),
    Envelope(
        "rfc5424-no-pid",
        lambda t, tag, m: f"<22>1 {_iso(_utc(t), 0, 'Z')} mx {tag} - - - {m}",
        cuts_tag=True,
        pid=False,
    ),
    Envelope(
        "rfc5424-syslog-ng",
        lambda t, tag, m: f'<22>1 {_iso(t, 0, "+01:00")} mx {tag} 5120 - [meta sequenceId="5" x="a\\]b"] {m}',
        cuts_tag=True,
    ),
    Envelope(
        "rfc5424-byte-order-mark",
        lambda t, tag, m: f"<22>1 {_iso(t, 3, '+01:00')} mx {tag} 5120 ID47 - \ufeff{m}",
        cuts_tag=True,
    ),
    Envelope("date-time", lambda t, tag, m: f"{t:%Y-%m-%d %H:%M:%S} mx {tag}[5120]: {m}"),
    Envelope("date-time-facility", lambda t, tag, m: f"{t:%Y-%m-%d %H:%M:%S} mx mail.info {tag}[5120]: {m}"),
    Envelope("freebsd-v", lambda t, tag, m: f"{_bsd(t)} <mail.info> mx {tag}[5120]: {m}"),
    Envelope("busybox", lambda t, tag, m: f"{_bsd(t)} mx mail.info {tag}[5120]: {m}"),
    Envelope("busybox-S", lambda t, tag, m: f"{_bsd(t)} {tag}[5120]: {m}", host=""),
    Envelope("solaris", lambda t, tag, m: f"{_bsd(t)} mx {tag}[5120]: [ID 197553 mail.info] {m}"),
    Envelope("metalog", lambda t, tag, m: f"{_bsd(t)} [{tag}] {m}", host="", pid=False),
    Envelope("metalog, colon", lambda t, tag, m: f"{_bsd(t)} [{tag}]: {m}", host="", pid=False),
    Envelope("journal-short-precise", lambda t, tag, m: f"{_bsd(t)}.{t:%f} mx {tag}[5120]: {m}"),
    Envelope("journal-short-iso", lambda t, tag, m: f"{_iso(t, 0, '+0100')} mx {tag}[5120]: {m}"),
    Envelope("journal-short-iso-precise", lambda t, tag, m: f"{_iso(t, 6, '+0100')} mx {tag}[5120]: {m}"),
    Envelope("forwarded", lambda t, tag, m: f"{_bsd(t)} hub Message forwarded from mx: {tag}[5120]: {m}"),
    Envelope(
        "forwarded-facility", lambda t, tag, m: f"{_bsd(t)} hub mail.info Message forwarded from mx: {tag}[5120]: {m}"
    ),
    Envelope("repeated", lambda t, tag, m: f"{_bsd(t)} mx {tag}[5120]: message repeated 2 times: [ {m}]"),
    Envelope(
        "repeated-rfc3339", lambda t, tag, m: f"{_iso(t, 6, '+01:00')} mx {tag}[5120]: message repeated 12 times: [{m}]"
    ),
    Envelope("own-log", lambda t, tag, m: f"{tag}{t:%b %d %H:%M:%S} {m}", host="", own=True, pid=False),
    Envelope("own-log-year", lambda t, tag, m: f"{tag}{t:%b %d %Y %H:%M:%S} {m}", host="", own=True, pid=False),
    Envelope("own-log-fraction", lambda t, tag, m: f"{tag}{_bsd(t)}.{t:%f} {m}", host="", own=True, pid=False),
    Envelope("own-log-iso", lambda t, tag, m: f"{tag}{t:%Y-%m-%d %H:%M:%S} {m}", host="", own=True, pid=False),
)

#: Every layout by name. `rfc3164` is also that of inetutils, of syslog-ng's default and of `journalctl -o short`.
ENVELOPES: Mapping[str, Envelope] = {envelope.name: envelope for envelope in _LAYOUTS}


def fits(sample: Sample, envelope: Envelope) -> bool:
    """Whether a server's line of this kind can have this envelope with its whole tag."""
    return sample.own == envelope.own and not (envelope.cuts_tag and "/" in sample.program)


def lines(sample: Sample, envelope: Envelope, timestamp: int, tag: str | None = None) -> bytes:
    """The sample's records as lines, each with its newline; `timestamp` is the UTC second of all of them."""
    time = datetime.fromtimestamp(timestamp, timezone(timedelta(seconds=OFFSET))).replace(microsecond=123456)
    if tag is None:
        tag = sample.prefix if sample.own else sample.program
    return join(envelope.render(time, tag, message) for message in sample.messages)


def join(texts: Iterable[str]) -> bytes:
    """Lines of a log from their texts."""
    return b"".join(text.encode() + b"\n" for text in texts)
