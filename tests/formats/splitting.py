"""Writers that cut a record in parts, played: where each cuts, and what a stranger makes of it who knows that.

A stranger's text stands in a record that is no login (a refused name, an IMAP ID). They fill it so that a cut falls
right before a whole login, or anywhere. `tries` makes the log that comes of it; nobody logged in there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from formats.injecting import MATCHERS, REFERENCE
from pbs_fast.formats.samples import ENVELOPES, Envelope, Sample, fits, lines, load_samples
from pbs_fast.matching import SYSLOG
from pbs_fast.matching.backends import Backend

TRUE = "203.0.113.5"
#: Dovecot's processes, two of them services of a site's own.
DOVECOTS = ("imap-login: ", "pop3-login: ", "imap-login2: ", "pop3-login-int: ")


@dataclass(frozen=True)
class Splitter:
    """One writer, or what stands behind it on the way to the file."""

    name: str
    bounds: tuple[int, ...]
    """Bytes of a part that are text; those of one try are one of these."""
    source: str
    formats: tuple[str, ...] = ()
    """Those whose records it cuts; all, where there are none."""
    repeats: tuple[str, ...] = ("",)
    """What it puts before each part, in syslog."""
    end: str = ""
    """What the server writes behind the stranger's text."""
    loses: bool = False
    """Only the first part arrives."""
    mixes: tuple[int, ...] = ()
    """How many records of other processes may come between two parts."""


SPLITTERS = (
    # The text of a block is PIPE_BUF less line feed, three bytes of head and the pid.
    Splitter(
        "Dovecot's log pipe",
        tuple(pipe - 4 - digits for pipe in (512, 4096, 5120) for digits in (1, 3, 5, 7)),
        "PIPE_BUF of 512 (BSD, macOS), 4,096 (Linux), 5,120 (Solaris); `internal_send_split`, src/lib/failures.c",
        ("dovecot",),
        DOVECOTS,
        f": user=<>, rip={TRUE}, lip=192.0.2.1, session=<q2LxUo8Kx1rGM2Ra>",
        mixes=(0, 0, 1, 3),
    ),
    # The last part is then as short as the login that it is.
    Splitter(
        "the same pipe, full, and a `login_log_format` without elements at its end",
        tuple(pipe - 4 - digits for pipe in (512, 4096, 5120) for digits in (1, 3, 5, 7)),
        "the same",
        ("dovecot",),
        DOVECOTS,
        mixes=(1, 2, 3, 10, 40),
    ),
    Splitter(
        "the same pipe and a syslog daemon that keeps 1 KiB",
        (1024 - 90, 1024 - 29),
        "1 KiB of a datagram; inetutils-syslogd, socklog",
        ("dovecot",),
        DOVECOTS,
        mixes=(1, 2, 3, 10),
    ),
    Splitter(
        "courierlogger",
        (505, 511),
        "512 bytes with level and end; liblog/logger.c",
        ("courier-imap", "courier-pop3", "courier-tcpd"),
        end=f", ip=[{TRUE}], port=[40122]",
    ),
    Splitter(
        "logger of util-linux",
        (1024, 1024 - 220, 1024 - 29),
        "1,024 bytes of text (`--size`), measured at 2.38.1 and 2.41.5",
    ),
    Splitter("s6-log -l", (1000 - 40, 8192 - 40), "`-l`, no limit without it; src/daemontools-extras/s6-log.c"),
    Splitter("rsyslog", (8096, 8192), "`maxMessageSize` 8k; `iMaxLine`, runtime/glbl.c"),
    Splitter("syslog-ng, journald's stdout", (48 * 1024, 64 * 1024 - 60), "`log-msg-size` 64 KiB, `LineMax=` 48 KiB"),
    Splitter(
        "BusyBox syslogd",
        tuple(255 - 16 - pri - tag for pri in (4, 5) for tag in (7, 18, 34)),
        "255 bytes of a datagram; the rest is lost",
        ("courier-imap", "courier-pop3", "courier-tcpd", "mailutils", "up-imapproxy", "vm-pop3d"),
        loses=True,
    ),
)
SAMPLES = tuple(sample for sample in load_samples() if sample.kind == "login")
_OTHERS = (
    "auth: passwd-file(otto,203.0.113.5): unknown user",
    f"imap-login: Disconnected: Connection closed (no auth attempts in 0 secs): user=<>, rip={TRUE}, lip=192.0.2.1",
    f"pop3-login: Disconnected: Connection closed (no auth attempts in 0 secs): user=<>, rip={TRUE}, lip=192.0.2.1",
    "anvil: Warning: x",
)


def samples(splitter: Splitter) -> list[Sample]:
    """The logins that a stranger forges at it: of each format, with all their messages."""
    return [sample for sample in SAMPLES if not splitter.formats or sample.format in splitter.formats]


def envelopes(sample: Sample) -> list[Envelope]:
    return [envelope for envelope in ENVELOPES.values() if fits(sample, envelope)]


def attack(splitter: Splitter, sample: Sample, envelope: Envelope, random: Random) -> bytes:
    """The log of one try."""
    bound, level = random.choice(splitter.bounds), "Info: " if sample.own else ""
    repeated = random.choice(splitter.repeats)
    repeated += level if repeated else ""
    forged = [_forged(message, repeated) for message in sample.messages]
    if random.random() < 0.4 or splitter.loses:
        forged = [_filled(message, sample.user, bound) for message in forged]
    text = "".join(message.ljust(bound, random.choice("y ")) for message in forged[:-1]) + forged[-1]
    head = "ID sent: k=" if repeated else "LOGIN FAILED, user="
    # Mostly the cut falls right before the login, else anywhere near it.
    slip = 0 if random.random() < 0.7 else random.randrange(-len(text), 20)
    room = (0 if splitter.loses else bound * random.randrange(1, 3)) - len(head) + slip
    text = (head + "z" * room if room > 0 else "") + text
    if random.random() < 0.5:
        text += "w" * random.randrange(bound)
    # Dovecot ends each line of a login process with its elements (login_log_format), others may lose theirs.
    text += splitter.end if splitter.repeats != ("",) or random.random() < 0.9 else ""
    parts = [repeated + text[at : at + bound] for at in range(0, len(text), bound)]
    records = []
    for part in parts[:1] if splitter.loses else parts:
        records.append(part)
        if splitter.mixes and not sample.own:
            records += random.choices(_OTHERS, k=random.choice(splitter.mixes))
    return lines(replace(sample, messages=tuple(records)), envelope, REFERENCE - 60)


def _forged(message: str, repeated: str) -> str:
    """A login's message without what the writer puts before it."""
    for prefix in ("imap-login: Info: ", "pop3-login: Info: ", "imap-login: ", "pop3-login: "):
        if repeated and message.startswith(prefix):
            return message.removeprefix(prefix)
    return message


def _filled(message: str, user: str | None, bound: int) -> str:
    """The same, of the length of a part: a longer name."""
    return message.replace(user, user + "y" * (bound - len(message.encode())), 1) if user else message


def logins(core: Backend, log: bytes, sample: Sample) -> int:
    """How many logins come out; the log is scanned whole and line by line, with the same outcome."""
    matcher = MATCHERS[core.name]
    layout = sample.format if sample.own else SYSLOG
    found = []
    for pieces in ([log], log.splitlines(keepends=True)):
        stream = core.Stream(matcher, source="splitting", gap=0, fold=False)
        scans = [matcher.scan(piece, layout=layout, reference=REFERENCE) for piece in pieces]
        found.append([event.ip for scan in scans for event in stream.events(scan) if event.kind == "login"])
    assert found[0] == found[1], (core.name, log)
    return len(found[0])


def tries(splitter: Splitter, number: int, seed: int) -> Iterator[tuple[Sample, Envelope, bytes]]:
    """`number` tries at each sample in each envelope."""
    random = Random(seed)
    for sample in samples(splitter):
        for envelope in envelopes(sample):
            for _ in range(number):
                yield sample, envelope, attack(splitter, sample, envelope, random)
