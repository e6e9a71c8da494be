"""The Python backend's sieve keeps back no line that the exact parser gives a known tag, and nothing takes long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.inline import FORMATS, IP
from backends.running import BOTH, DEFAULT, run
from pbs_fast.formats import Format
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching.backends import Backend
from pbs_fast.matching.python import envelope
from pbs_fast.matching.python import prefilter as sieve
from pbs_fast.matching.python.tags import Routes
from support.examples import examples
from support.timing import growth

Reporter = Callable[[object], None]

#: Tags that look like other parts of a line.
ODD = Format(
    "odd", "", "", ("99", "T", "-x", "mail.info", "2026", "alphad", "*/NAME"), ("a.b", "*/x.y"), (), (f"x {IP}",), ()
)
#: Tags beside those of Postfix, which the sieve turns away before all others, and among them.
POSTFIX = Format("postfix", "", "", ("postfix/smtpd", "postfix"), ("*/imap",), (), (f"x {IP}",), ())
BESIDE = Format("beside", "", "", ("*/smtps", "*/imap", "*/9imap"), ("smtpd", "postfix/"), (), (f"x {IP}",), ())
_STAMPS = (
    "Mar  4 07:12:09",
    "Mar 4 2026 07:12:09.5",
    "2026-03-04T07:12:09",
    "2026-03-04 07:12:09,1+01:00",
    "-",
    "Mar 41 99:99:99",
)
_PRIS = ("",) * 4 + ("<22>", "<1>1 ", "<1>1 ", "<022>1 ", "<1>")
_TOKENS = (
    "mx", "mx<", "<mx", "<<", "m>x", "12", "1.2.3.4", "T", "TZ9", "-", "--1", "Z:", "12:30", "[a]", "[a", "a]",
    "[12]", "a.b", "mail.info",
    "<a.b>", "<mail.info>", "x:", "2026", "07:12:09", "Mar", "4", "\xff", "\0", "a/b", "/", "//",
    "Message forwarded from mx:", "Message forwarded from x", "<x>", "postfix", "postfix/x", "[postfix]",
)  # fmt: skip
_TAGS = (
    "alphad", "99", "T", "-x", "mail.info", "a.b", "2026", "x/NAME", "/NAME", "9/NAME", "T/x.y", "-/-/NAME",
    "a.b/NAME", "imapd",
    "postfix/smtpd", "postfix/smtps", "postfix/imap", "postfix/x/imap", "postfix/smtp/imap", "postfix/9imap",
    "postfix/", "postfix", "smtpd", "postfix/x[1/imap", "postfix/x[1]:/imap",
    "gamma", "9gammas", "x/beta", "T/beta", "dovecot", "cyrus/imap", "imaps", "pop3d-ssl", "x",
)  # fmt: skip


def head(random: Random) -> bytes:
    """Something like what stands before a message, put together from tokens that are hard to tell apart."""
    tag = random.choice(_TAGS)
    before = [random.choice(_TOKENS) for _ in range(random.choice((0, 1, 1, 1, 2, 3)))]
    end = random.choice((":", ":", "[1]:", "[12345]:", " 12 - -", " - - [a]", "]:", ""))
    blank = [random.choice((" ", " ", " ", "  ")) for _ in range(len(before) + 1)]
    body = "".join(a + b for a, b in zip(blank, [*before, tag], strict=True))
    if random.random() < 0.1:
        body = body.replace(tag, f"[{tag}]")
        end = ""
    last = random.choice((" ", " ", " ", "", "  "))
    return f"{random.choice(_PRIS)}{random.choice(_STAMPS)}{body}{end}{last}".encode("latin-1")


@pytest.mark.system
@pytest.mark.parametrize(
    "formats",
    [FORMATS, FORMATS[:2], (ODD,), (POSTFIX,), (BESIDE,), load_catalogue()],
    ids=["9gammas", "plain", "odd", "postfix", "beside", "all"],
)
@given(st.integers(0, 2**64 - 1), st.sampled_from((b"\n", b"\r\n")))
@examples(300)
def test_the_sieve_keeps_nothing_back(share: Reporter, formats: tuple[Format, ...], seed: int, end: bytes) -> None:
    routes = Routes(formats)
    known = sieve.syslog(*routes.tags())
    random, found = Random(seed), 0
    for _ in range(40):
        line = head(random) + random.choice((b"", b"x", b"alphad: x", b"postfix x", b"postfix/x[1]: x"))
        m = envelope.LINE.match(line)
        tag = None if m is None else envelope.envelope_of(m).tag
        if tag is not None and routes.by_tag[tag] is not None:
            found += 1
            found_line = known.match(b"\n" + line + end)
            assert found_line is not None, line
            assert found_line.end() == len(line + end), line
    share(found)


@pytest.mark.parametrize("formats", [FORMATS, FORMATS[:2], load_catalogue()], ids=["9gammas", "plain", "all"])
def test_no_line_takes_long(formats: tuple[Format, ...]) -> None:
    """The longest lines, made of whatever could be read in more than one way, cost their length."""
    heads = [
        "", "Mar  4 07:12:09 ", "2026-03-04T07:12:09", "<1>1 - ", "<1>", "Mar  4 07:12:09 mx alphad: ",
        "Mar  4 07:12:09 mx ",
        "<1>1 - h alphad - - ", '<1>1 - h alphad - - [x y="', "Mar  4 07:12:09 mx dovecot: imap-login: Login: user=<u>",
        "Mar  4 07:12:09 mx imapd: LOGIN, user=", "Mar  4 07:12:09 mx imaps: login: ",
        "Mar  4 07:12:09 mx ipop3d: Login user=",
        "Mar  4 07:12:09 mx dovecot: imap(u)<1><", "Mar  4 07:12:09 mx dovecot: imap-login: proxy(",
    ]  # fmt: skip
    fillers = [
        "1", " ", "1 ", "T", "-", ":", "/", "a/", "<", "< ", "[", "[]", '"', "\\", "\\\\", "a.", "a", ", a=b",
        ", rip=", ", rip=1",
        ", ip=[", ", ip=[1]", "[1] ", "alphad: ", ", session=<a", ", session=<", "> ", "(", ")", "Login: ",
        "imap-login: ",
    ]  # fmt: skip

    def prepare(core: Backend, length: int) -> Callable[[], object]:
        lines = [(h + f * length)[:length] for h in heads for f in fillers]
        log = "\n".join([*lines, ""]).encode()

        def scan() -> None:
            counters = run(core, log, replace(DEFAULT, formats=formats)).counters
            assert counters["lines"] == len(lines)
            assert counters["too_long"] == 0

        return scan

    for core in BOTH:
        assert growth(partial(prepare, core), 1_024, 16) < 32, core
