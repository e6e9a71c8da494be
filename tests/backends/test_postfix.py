"""What Postfix's lines say (docs/MATCHING.md, 9): both backends the same, whatever the lines."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.inline import FORMATS, ZONE
from pbs_fast.matching.backends import Backend, load_backend
from pbs_fast.matching.postfix import CLIENT, FILTERED, GREETING, NAMED, SENT, SESSION, PostfixLine
from pbs_fast.sources.lines import MAX_LINE

REFERENCE = 1_763_800_000
BOTH = {name: load_backend(name).Matcher(FORMATS, ZONE) for name in ("rust", "python")}

HEADS = [
    "Nov 22 08:00:00 hub postfix/smtpd[7]: ",
    "Nov 22 08:00:00 hub postfix/smtp[8]: ",
    "Nov 22 08:00:01 hub postfix/submission/smtpd[7]: ",
    "2025-11-22T08:00:02+00:00 hub out/smtp[8]: ",
    "<22>1 2025-11-22T08:00:03Z hub postfix 26768 - - ",
    '<22>1 2025-11-22T08:00:03Z hub postfix/smtpd 26768 - [a@1 b="c d"] ',
    "<22>1 2025-11-22T08:00:03Z hub postfix x - - ",
    "<22>1 2025-11-22T08:00:03Z hub postfix",
    "Nov 22 08:00:00 hub postfix/lmtp[8]: ",
    "Nov 32 08:00:00 hub postfix/smtpd[7]: ",
    "hub postfix/smtpd[7]: ",
    "postfix/smtpd[7]: ",
    "Nov 22 08:00:00 hub sshd[7]: ",
    "x: Nov 22 08:00:00 hub postfix/smtpd[7]: ",
]
IDS = ["ABC123: ", "NOQUEUE: ", "[ID 197553 mail.info] ABC123: ", "", "A-B: ", "a ABC123: ", ": ", "x" * 70 + ": "]
TEXTS = [
    "client=unknown[84.0.7.1]",
    "client=unknown[84.0.7.1]:4711",
    "client=unknown[unknown]",
    "client=x[fe80::1%eth0], sasl_method=PLAIN, sasl_username=a, b@example.org, sasl_sender=x",
    "client=localhost[127.0.0.1], orig_queue_id=DEF456, orig_client=unknown[84.0.7.1]",
    "to=<A@far.example>, relay=mx[198.51.100.1]:25, delay=1, status=sent (250 ok: queued as 12AB)",
    "to=<a@far.example>, orig_to=<b>, relay=none, delay=1, status=deferred",
    "to=<a@far.example>, relay=127.0.0.1[127.0.0.1]:10024, status=sent (250 2.0.0 Ok: queued as DEF456)",
    "to=<a>, relay=hub[private/lmtp], status=sent",
    "disconnect from x[84.0.7.1] ehlo=2 starttls=1 mail=1 rcpt=1 quit=1 commands=5",
    "disconnect from x[84.0.7.1] ehlo=1 auth=1 mail=1",
    "reject: RCPT from x[84.0.7.1]: 554 5.7.1; from=<a> to=<b> proto=ESMTP helo=<scanner>",
    "info: DATA from x[84.0.7.1]: pbs-fast: login=a@example.org (2 more) since=08:00; from=<a> to=<b> helo=<pc>",
    "info: DATA from x[84.0.7.1]: pbs-fast: login= (0 more); from=<a> to=<b> proto=SMTP helo=<pc>",
]
#: What a text may be cut into, and what may come between.
CRUMBS = [
    ">, ", ", ", ": ", " ", "[", "]", "]:25,", ">", "<", "relay=", "orig_to=<", "none,", "[::1]:25,",
    " mail=", " auth=", " helo=<",
    ", sasl_username=", ", orig_client=", ", orig_queue_id=", "queued as ", " more)", "since=",
    "\r", "é", "\0",
]  # fmt: skip


def _head(text: str) -> str:
    """What Postfix has in front of it."""
    return HEADS[text.startswith("to=")] + ("" if text.startswith("disconnect") else IDS[0])


@st.composite
def logs(draw: st.DrawFn) -> bytes:
    lines = []
    for _ in range(draw(st.integers(0, 6))):
        text = draw(st.sampled_from(TEXTS))
        for _ in range(draw(st.sampled_from((0, 0, 1, 2)))):
            a, b = sorted(draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
            text = text[:a] + draw(st.sampled_from(["", *CRUMBS])) + text[draw(st.sampled_from((a, a, b))) :]
        fitting = draw(st.booleans())
        head = _head(text) if fitting else draw(st.sampled_from(HEADS)) + draw(st.sampled_from(IDS))
        line = (head + text).encode()
        lines.append(line.replace("é".encode(), b"\xff") if draw(st.booleans()) else line)
    return b"".join(line + draw(st.sampled_from((b"\n", b"\r\n"))) for line in lines)


def said(name: str, data: bytes, wanted: Callable[[str], bool], start: int, stop: int) -> list[PostfixLine]:
    lines = load_backend(name).PostfixLines(BOTH[name])
    return lines.lines(data, start=start, stop=stop, layout="syslog", reference=REFERENCE).said(wanted)


@given(logs(), st.integers(0, 9), st.integers(0, 9), st.booleans())
def test_backends_are_equal(share: Callable[[object], None], data: bytes, before: int, after: int, every: bool) -> None:
    start, stop = min(before, len(data)), max(min(before, len(data)), len(data) - after)
    found = said("rust", data, lambda ip: every or ip == "84.0.7.1", start, stop)
    assert found == said("python", data, lambda ip: every or ip == "84.0.7.1", start, stop)
    share(found)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (0, (CLIENT, b"hub ABC123", "84.0.7.1", None, None, "", False)),
        (1, (CLIENT, b"hub ABC123", "84.0.7.1", None, None, "", False)),
        (2, None),
        (3, (CLIENT, b"hub ABC123", "fe80::1%eth0", "a, b@example.org", None, "", False)),
        (4, (CLIENT, b"hub ABC123", "84.0.7.1", None, b"hub DEF456", "", True)),
        (5, (SENT, b"hub ABC123", "", None, b"a@far.example", "", False)),
        (6, (SENT, b"hub ABC123", "", None, b"a@far.example", "", False)),
        (7, (FILTERED, b"hub ABC123", "", None, b"hub DEF456", "", False)),
        (8, None),
        (9, (SESSION, b"", "84.0.7.1", None, None, "", True)),
        (10, None),
        (11, (GREETING, b"", "84.0.7.1", None, None, "scanner", False)),
        (12, (NAMED, b"hub ABC123", "84.0.7.1", "a@example.org", None, "pc", True)),
        (13, None),
    ],
)
def test_each_kind(core: Backend, line: int, expected: tuple[object, ...] | None) -> None:
    data = f"{_head(TEXTS[line])}{TEXTS[line]}\n".encode()
    found = said(core.name, data, lambda _: True, 0, len(data))
    assert [row[1:] for row in found] == ([] if expected is None else [expected])


def test_only_wanted_clients_are_given(core: Backend) -> None:
    lines = [HEADS[0] + IDS[0] + TEXTS[text] for text in (0, 3, 4, 11, 12)] + [HEADS[0] + TEXTS[9]]
    data = "\n".join([*lines, HEADS[1] + IDS[0] + TEXTS[5]]).encode()
    kinds = [row[1] for row in said(core.name, data, lambda _: False, 0, len(data))]
    assert kinds == [CLIENT, CLIENT, SENT]
    kinds = [row[1] for row in said(core.name, data, lambda ip: ip == "84.0.7.1", 0, len(data))]
    assert kinds == [CLIENT, CLIENT, CLIENT, GREETING, NAMED, SESSION, SENT]


def test_seconds_are_those_of_the_client_before(core: Backend) -> None:
    at = [f"Nov 22 08:00:0{second} hub postfix/smtp" for second in range(6)]
    lines = [
        f"{at[1]}[8]: {IDS[0]}{TEXTS[5]}",
        f"{at[2]}[8]: {IDS[0]}{TEXTS[5]}",
        f"{at[3]}d[7]: {IDS[0]}{TEXTS[0]}",
        f"{at[4]}[8]: {IDS[0]}{TEXTS[5]}",
    ]
    data = "\n".join(lines).encode()
    seconds = [row[0] for row in said(core.name, data, lambda _: True, 0, len(data))]
    assert [second - seconds[0] for second in seconds] == [0, 0, 2, 2]


def test_long_lines_layouts_and_bounds(core: Backend) -> None:
    line = (HEADS[0] + IDS[0] + TEXTS[0]).encode()
    exact = line + b"x" * (MAX_LINE - len(line))
    assert len(said(core.name, exact + b"\r\n", lambda _: True, 0, MAX_LINE + 2)) == 1
    assert not said(core.name, exact + b"x\n", lambda _: True, 0, MAX_LINE + 2)
    for start, stop in ((-1, 0), (1, 0), (0, 5)):
        with pytest.raises(ValueError, match="not within the data"):
            said(core.name, b": ab", lambda _: True, start, stop)
    with pytest.raises(ValueError, match="layout"):
        core.PostfixLines(BOTH[core.name]).lines(b"", start=0, stop=0, layout="none", reference=0)
