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

from twins.inline import AUTUMN, FORMATS, REFERENCE, SPRING, UTC, ZONE
from twins.running import DEFAULT, Setting

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
_KINDS = ("alpha",) * 4 + ("beta", "gamma", "gamma", "gamma", "out", "bye", "alpha-out", "long", "failed", "failed")
_HEADS = ("plain",) * 10 + (
    "pid", "pid", "hostless", "metalog", "fac", "angles", "pri", "solaris", "5424", "5424-sd", "5424-bom", "5424-dash",
)  # fmt: skip
_BYTES = [bytes([b]) for b in b'\0\t\r\n  ::[]<>,.-/=\\"0919aTZ\x7f\x80\xbf\xc3\xed\xff']
_NOISE = (
    b"", b"\r", b" ", b"\0" * 9, b"x" * 99, b"\xff" * 20,
    b"Mar  4 01:00:00 mx postfix/qmgr[1]: removed", b"<22>1 - - - - - -",
)  # fmt: skip


def _stamp(random: Random) -> str:
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
        "out": ("gamma", f"in({user})<{session}>: Logged out of it"),
        "bye": ("gamma", f"in: bye {ip} <{session}>" if ip else f"in: bye <{session}>"),
        "alpha-out": ("imapd", f"LOGOUT, user={user}, ip=[{ip}], x"),
        "long": ("alphad", f"LOGIN, user={'x' * 40}{user}, ip=[{ip}]"),
        "failed": ("alphad", "LOGIN FAILED, user=".ljust(58 + random.randrange(5), "x")),
    }[random.choice(_KINDS)]
    return (random.choice(_TAGS) if random.random() < 0.2 else tag), message


def _syslog_head(random: Random, stamp: str, tag: str) -> str:
    host, iso = random.choice(_HOSTS), stamp.replace(" ", "T")
    return {
        "plain": f"{stamp} {host} {tag}: ",
        "pid": f"{stamp} {host} {tag}[12]: ",
        "hostless": f"{stamp} {tag}: ",
        "metalog": f"{stamp} [{tag}] ",
        "fac": f"{stamp} {host} mail.info {tag}[1]: ",
        "angles": f"{stamp} <mail.info> {host} {tag}[1]: ",
        "pri": f"<22>{stamp} {host}  {tag}[1]: ",
        "solaris": f"{stamp} {host} {tag}: [ID 12 mail.info] ",
        "5424": f"<22>1 {iso} {host} {tag} 12 - - ",
        "5424-sd": f'<022>1 {iso} {host} {tag} - x [a b="\\"]\\]"][c]  ',
        "5424-bom": f"<22>1 {iso} {host} {tag} 12 - - \xef\xbb\xbf",
        "5424-dash": f'<1>1 - {host} {tag} - - [a b="\\"\\]"]  ',
    }[random.choice(_HEADS)]


def make_line(random: Random, layout: str) -> bytes:
    """One line without its end, mutated or not."""
    stamp = _stamp(random)
    tag, message = _message(random)
    if layout == "syslog":
        head = _syslog_head(random, stamp, tag)
    else:
        head = random.choice(("", "", "gamma: ", "gamma[", "other ")) + stamp + random.choice((" ", " ", "  "))
    # Latin-1 texts stand for raw bytes.
    text = (head + message).encode("latin-1")
    return mutate(random, text) if random.random() < 0.15 else text


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


def _ended(random: Random, layout: str) -> bytes:
    line = random.choice(_NOISE) if random.random() < 0.15 else make_line(random, layout)
    return line + random.choice((b"\n",) * 8 + (b"\r\n", b"\r\r\n"))


def logs(layout: str = "syslog", most: int = 20) -> st.SearchStrategy[bytes]:
    """Lines with their ends; the last may have none."""

    def log(random: Random, length: int, is_open: bool) -> bytes:
        data = b"".join(_ended(Random(random.getrandbits(64)), layout) for _ in range(length))
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
        gap=random.choice((0, 1, 60, 1800, 86400)),
    )
