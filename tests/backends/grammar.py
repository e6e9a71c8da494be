"""Logs: envelopes x messages x mutations, made so that most logs carry events.

Lines are made by a plain generator from a seed that hypothesis draws, so the shares are those written here (hypothesis'
own choices lean to the ends of a list and repeat themselves); a failing log shrinks from its end. Few hosts, tags,
users, addresses and sessions, so that records meet: cut ones and continuations, logouts and logins, rows and rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from hypothesis import strategies as st

from backends.inline import AUTUMN, FORMATS, REFERENCE, SPRING, UTC, ZONE
from backends.running import DEFAULT, Setting

_DATES = ("03-04",) * 5 + ("03-29", "10-25", "10-25", "02-29", "12-31", "01-01", "02-30")
_MONTHS = {"01": "Jan", "02": "Feb", "03": "Mar", "10": "Oct", "12": "Dec"}
_ODD_TIMES = ("23:59:60", "24:00:00", "02:60:00", "02:59:60", "02:00:00.1234567890", "02:00:00.", "2:00:00")
_ZONES = ("",) * 4 + ("Z", "Z", "+01:00", "+01:00", "-0330", "+24:00", "+01")
_YEARS = ("2026",) * 8 + ("2024", "1970", "1969", "0000", "9999")
_HOSTS = ("mx",) * 20 + (
    "10.0.0.1", "2001:db8::5", "12", "(none)", "-", "T", "Zz", "<x>", "[y]z", "[y]", "a.b", "h\xe9", "x:", "<a.b>",
)  # fmt: skip
_TAGS = (
    "alphad", "imapd", "imapd-ssl", "betad", "x/alphas", "y/beta", "gamma", "9gammas", "alphas", "other",
    "postfix/smtpd", "gammas", "T/beta", "-/alphas", "imapd/", "/beta", "9gammas/beta", "-",
)  # fmt: skip
_GOOD_IPS = ("192.0.2.7",) * 4 + ("192.0.2.8", "2001:DB8::1", "2001:db8:0:0::1", "::ffff:192.0.2.7", "::1.2.3.4", "::")
_ODD_IPS = ("1.2.3", "1:2:3:4:5:6:7:8", "1:0:0:2::", "0::0:0", "01.2.3.4", "1::2::3", "")
_USERS = ("lena",) * 5 + ("otto", "", "a@b.c", "x" * 45, "u\xff", "\xed\xa0\x80", "a b", "\0", "LOGIN, user=x")
_SESSIONS = ("s1", "s1", "s2", "s3", "", "\xe2\x82")
_STEPS = (
    "from {ip}", "from {ip}", "from {ip}, to 192.0.2.7, TLS", "hello {user}", "hello {user} <{session}>",
    "hello, {user}", "hello, {user}, TLS", "no {user}", "gone", "gone".ljust(59, "x"), "gone".ljust(60, "x"),
    "from {ip}x", "hello  ", "out <{session}>", "out {ip}", "out", "up", "died", "died 12", "died  <{session}>",
    "error of {user}",
)  # fmt: skip
#: What one session writes, in order.
_FLOWS = (
    (0, 3, 8), (0, 4, 4, 8), (2, 5, 3, 8), (0, 6, 13), (0, 7, 3), (0, 3, 0, 8), (0, 0, 4, 8, 3), (3, 0, 8),
    (0, 3, 16, 8), (0, 4, 17, 3), (18, 0, 4, 18), (4, 19, 13), (0, 3, 20), (20, 16, 9, 16),
    (0, 3, 9, 8), (0, 3, 10, 8), (11, 3), (0, 3, 7, 8), (4, 13), (0, 4, 14, 13), (0, 12, 3, 15),
)  # fmt: skip
_STEP_TAGS = ("deltad",) * 6 + ("imapd", "imapd", "x/deltas", "imapd-ssl")
_PIDS = ("12",) * 3 + ("13", "012", "9" * 30, "1x", "")
_KINDS = ("alpha",) * 4 + (
    "beta",
    "gamma",
    "gamma",
    "gamma",
    "mpid",
    "up",
    "died",
    "out",
    "bye",
    "alpha-out",
    "long",
    "failed",
    "failed",
    "part",
    "split",
    "vast",
)
_HEADS = ("plain",) * 10 + (
    "pid", "pid", "hostless", "metalog", "metalog-colon", "fac", "angles", "pri", "solaris",
    "5424", "5424-sd", "5424-bom", "5424-dash",
    "forwarded", "forwarded", "forwarded-fac", "hostless-forwarded",
)  # fmt: skip
#: Those that have a pid of one's choice.
_HEADS_OF_STEPS = ("pid",) * 12 + ("5424", "fac", "forwarded", "plain")
_BYTES = [bytes([b]) for b in b'\0\t\r\n  ::[]<>,.-/=\\"0919aTZ\x7f\x80\xbf\xc3\xed\xff']
_NOISE = (
    b"", b"\r", b" ", b"\0" * 9, b"x" * 99, b"\xff" * 20,
    b"Mar  4 01:00:00 mx postfix/qmgr[1]: removed", b"<22>1 - - - - - -",
)  # fmt: skip


def _timestamp(random: Random) -> str:
    """Mostly one that is possible, often in the hour or at the border where reading it is hard."""
    date = random.choice(_DATES)
    hour, minute = random.choice((0, 1, 1, 2, 2, 2, 3, 23)), random.choice((0, 4, 5, 30, 59))
    time = f"{hour:02}:{minute:02}:{random.choice((0, 1, 59)):02}"
    time += random.choice(("", "", "", ".5", ",123456789"))
    if random.random() < 0.1:
        time = random.choice(_ODD_TIMES)
    month, day = date.split("-")
    kind = random.choice(("bsd", "bsd", "bsd", "bsd", "year", "iso", "iso", "space", "odd"))
    if kind in ("iso", "space"):
        return f"{random.choice(_YEARS)}-{date}{'T' if kind == 'iso' else ' '}{time}{random.choice(_ZONES)}"
    padded = {"odd": str(int(day)), "year": day + " 2026"}.get(kind, f"{int(day):2}")
    return f"{_MONTHS[month]} {padded} {time}"


def _message(random: Random) -> tuple[str, str]:
    """(tag, message): mostly one that fits the other."""
    ip = random.choice(_GOOD_IPS if random.random() < 0.85 else _ODD_IPS)
    user, session = random.choice(_USERS), random.choice(_SESSIONS)
    end = f", session=<{session}>" if session != "s3" else ""
    tls = ", TLS" if random.random() < 0.3 else ""
    tag, message = {
        "alpha": ("alphad", f"LOGIN, user={user}, ip=[{ip}]"),
        "beta": ("imapd", f"Login user={user} host=[{ip}]"),
        "gamma": ("gamma", f"in: Login: user=<{user}>, rip={ip}, lip=192.0.2.8{tls}{end}"),
        "mpid": ("gamma", f"in: Login: user=<{user}>, rip={ip}, lip=::1{end}, pid={random.choice(_PIDS[:5])}"),
        "up": ("gamma", "in: up"),
        "died": ("gamma", f"in: died {random.choice(_PIDS)}"),
        "out": ("gamma", f"in({user})<{session}>: Logged out of it"),
        "bye": ("gamma", f"in: bye {ip} <{session}>" if ip else f"in: bye <{session}>"),
        "alpha-out": ("imapd", f"LOGOUT, user={user}, ip=[{ip}], x"),
        "long": ("alphad", f"LOGIN, user={'x' * 40}{user}, ip=[{ip}]"),
        "failed": ("alphad", "LOGIN FAILED, user=".ljust(58 + random.randrange(5), "x")),
        "part": ("gamma", random.choice(("in: ", "in: ", "to: ")).ljust(98 + random.randrange(4), "x")),
        "split": (
            random.choice(("betad", "gamma", "deltad")),
            "in: "[random.randrange(2) * 4 :].ljust(698 + random.randrange(4), "x"),
        ),
        "vast": (random.choice(("alphad", "gamma", "imapd")), "in: ".ljust(16_350 + random.randrange(40), "]")),
    }[random.choice(_KINDS)]
    return (random.choice(_TAGS) if random.random() < 0.2 else tag), message


def _syslog_head(random: Random, timestamp: str, tag: str) -> str:
    head, host, pid = random.choice(_HEADS), random.choice(_HOSTS), random.choice(_PIDS)
    return _head(head, timestamp, host, tag, pid, random.choice(_HOSTS))


def _head(head: str, timestamp: str, host: str, tag: str, pid: str, other: str) -> str:
    iso = timestamp.replace(" ", "T")
    return {
        "plain": f"{timestamp} {host} {tag}: ",
        "pid": f"{timestamp} {host} {tag}[{pid}]: ",
        "hostless": f"{timestamp} {tag}: ",
        "metalog": f"{timestamp} [{tag}] ",
        "metalog-colon": f"{timestamp} [{tag}]: ",
        "fac": f"{timestamp} {host} mail.info {tag}[{pid}]: ",
        "forwarded": f"{timestamp} {other} Message forwarded from {host}: {tag}[{pid}]: ",
        "forwarded-fac": f"{timestamp} {other} mail.info Message forwarded from {host}: {tag}: ",
        "hostless-forwarded": f"{timestamp} Message forwarded from {host}: {tag}: ",
        "angles": f"{timestamp} <mail.info> {host} {tag}[1]: ",
        "pri": f"<22>{timestamp} {host}  {tag}[1]: ",
        "solaris": f"{timestamp} {host} {tag}: [ID 12 mail.info] ",
        "5424": f"<22>1 {iso} {host} {tag} {pid or '-'} - - ",
        "5424-sd": f'<022>1 {iso} {host} {tag} - x [a b="\\"]\\]"][c]  ',
        "5424-bom": f"<22>1 {iso} {host} {tag} 12 - - \xef\xbb\xbf",
        "5424-dash": f'<1>1 - {host} {tag} - - [a b="\\"\\]"]  ',
    }[head]


def make_line(random: Random, layout: str) -> bytes:
    """One line without its end, mutated or not."""
    timestamp = _timestamp(random)
    tag, message = _message(random)
    if layout == "syslog":
        head = _syslog_head(random, timestamp, tag)
    else:
        head = random.choice(("", "", "gamma: ", "gamma[", "other ")) + timestamp + random.choice((" ", " ", "  "))
    if random.random() < 0.08:
        # A second header: that of an own log, or a whole one.
        inner = _timestamp(random)
        message = (f"{inner} " if random.random() < 0.5 else _syslog_head(random, inner, tag)) + message
    if random.random() < 0.06:
        message = _repeated(random, message)
    # Latin-1 texts stand for raw bytes.
    text = (head + message).encode("latin-1")
    return mutate(random, text) if random.random() < 0.15 else text


def _repeated(random: Random, message: str) -> str:
    form = random.choice(("[ {}]", "[ {}]", "[ {}]", "[{}]", "[  {}]", "[ {}", "{}]", "[ {}] ", "[ []]"))
    return f"message repeated {random.choice(('2', '2', '10', 'x', ''))} times: {form.format(message)}"


def _step_line(random: Random, step: str, timestamp: str, *of_session: str) -> str:
    if random.random() < 0.1:
        timestamp = _timestamp(random)
    ip = random.choice(_GOOD_IPS if random.random() < 0.9 else _ODD_IPS)
    message = step.format(ip=ip, user=random.choice(_USERS[:6]), session=random.choice(_SESSIONS))
    if random.random() < 0.05:
        message = _repeated(random, message)
    head, *rest = of_session
    return _head(head, timestamp, *rest) + message


def _flow(random: Random) -> list[bytes]:
    """The lines of one session, in order; few hosts, tags and pids, so that sessions meet."""
    of_session = (
        random.choice(_HEADS_OF_STEPS),
        random.choice(_HOSTS[:22]),
        random.choice(_STEP_TAGS),
        random.choice(_PIDS),
        "relay",
    )
    timestamp = _timestamp(random)
    return [_step_line(random, _STEPS[i], timestamp, *of_session).encode("latin-1") for i in random.choice(_FLOWS)]


def mutate(random: Random, text: bytes) -> bytes:
    """The text with one to three bytes or pieces changed, put in, left out or doubled."""
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(text) + 1)
        byte = random.choice(_BYTES) if random.random() < 0.7 else random.randbytes(1)
        text = random.choice(
            (
                text[:at] + byte + text[at + 1 :],
                text[:at] + byte + text[at:],
                text[:at] + text[at + random.randrange(1, 10) :],
                text[:at] + text[max(0, at - random.randrange(1, 30)) :],
            )
        )
    return text


_seeds = st.integers(0, 2**64 - 1).map(Random)


def lines(layout: str = "syslog") -> st.SearchStrategy[bytes]:
    """One line without its end."""
    return _seeds.map(lambda random: make_line(random, layout))


def mutated(text: bytes) -> st.SearchStrategy[bytes]:
    """The text with a few bytes changed."""
    return _seeds.map(lambda random: mutate(random, text))


def _ended(random: Random, layout: str) -> list[tuple[int, bytes]]:
    """One line, or those of a session, each with how many lines later it stands, and its end."""
    if layout == "syslog" and random.random() < 0.15:
        lines_of_one, later = [], 0
        for line in _flow(random):
            lines_of_one.append((later, mutate(random, line) if random.random() < 0.03 else line))
            later += random.choice((0, 0, 1, 2))
    else:
        lines_of_one = [(0, random.choice(_NOISE) if random.random() < 0.15 else make_line(random, layout))]
    return [(at, line + random.choice((b"\n",) * 8 + (b"\r\n", b"\r\r\n"))) for at, line in lines_of_one]


def logs(layout: str = "syslog", most: int = 20) -> st.SearchStrategy[bytes]:
    """Lines with their ends; the last may have none."""

    def log(random: Random, length: int, is_open: bool) -> bytes:
        placed = [
            (i + later, line) for i in range(length) for later, line in _ended(Random(random.getrandbits(64)), layout)
        ]
        data = b"".join(line for _, line in sorted(placed, key=lambda one: one[0]))
        return data[:-1] if is_open else data

    return st.builds(log, _seeds, st.integers(4, most), st.sampled_from((False, False, True)))


@st.composite
def settings_of(draw: st.DrawFn, layouts: Sequence[str] = ("syslog",)) -> Setting:
    """All that decides what comes out of a log."""
    random = draw(_seeds)
    references = (
        REFERENCE,
        REFERENCE,
        AUTUMN,
        AUTUMN - 1800,
        AUTUMN + 1,
        SPRING,
        1767225600,
        1709164800,
        4102444800,
        0,
    )
    return replace(
        DEFAULT,
        formats=random.choice((FORMATS, FORMATS, FORMATS, FORMATS[::-1], FORMATS[2:])),
        zone=random.choice((ZONE, ZONE, UTC)),
        layout=random.choice(tuple(layouts)),
        reference=random.choice(references),
        live=random.random() < 0.5,
        fold=random.random() < 0.8,
        gap=random.choice((None, 0, 1, 60, 1800, 86400)),
    )
