"""What injection tests share: strangers' texts, and what comes out of a log that holds them.

A log is scanned whole and line by line, with equal outcome: where pieces are cut must not matter. Knows no server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from hypothesis import strategies as st

from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching import SYSLOG
from pbs_fast.matching.backends import Backend, load_backend

TRUE, FAKE = "203.0.113.5", "192.0.2.6"
ZONE = ((-(2**62), 0),)
REFERENCE = 1_772_604_800
CORES = tuple(load_backend(name) for name in ("rust", "python"))
MATCHERS = {core.name: core.Matcher(load_catalogue(), ZONE) for core in CORES}

Real = Callable[[object], None]


def granted(core: Backend, tag: str, messages: Iterable[str], layout: str = SYSLOG) -> set[str | None]:
    """Addresses of the logins in consecutive records; in a server's own layout the tag stands before the timestamp."""
    head = "{tag}Mar  4 06:12:09 " if layout != SYSLOG else "Mar  4 06:12:09 mx {tag}: "
    log = [f"{head.format(tag=tag)}{message}\n".encode() for message in messages]
    whole = _logins(core, [b"".join(log)], layout)
    assert whole == _logins(core, log, layout), (core.name, log)
    return set(whole)


def _logins(core: Backend, pieces: Iterable[bytes], layout: str) -> list[str | None]:
    matcher = MATCHERS[core.name]
    stream = core.Stream(matcher, source="injection", gap=0, fold=False)
    scans = [matcher.scan(piece, layout=layout, reference=REFERENCE) for piece in pieces]
    return [event.ip for scan in scans for event in stream.events(scan) if event.kind == "login"]


def judge(tag: str, messages: Iterable[str], share: Real, layout: str = SYSLOG) -> None:
    """A login happened: its address, or nothing."""
    records = list(messages)
    for core in CORES:
        ips = granted(core, tag, records, layout)
        assert ips <= {TRUE}, (core.name, records)
        share(ips)


def judge_refused(tag: str, messages: Iterable[str], share: Real, *texts: str, layout: str = SYSLOG) -> None:
    """No login happened. An example is real when a stranger's text is more than a name."""
    records = list(messages)
    for core in CORES:
        assert granted(core, tag, records, layout) == set(), (core.name, records)
    share(any(re.search(r"\W", text) for text in texts))


def hostile(*pieces: str, plain: str = "otto", plainly: int = 3) -> st.SearchStrategy[str]:
    """In `plainly` of `plainly` + 1 a plain name; else pieces of lines, bytes that bound them, anything printable."""
    part = st.sampled_from((*pieces, *pieces, FAKE, " ", ", ", ">", "<", "[", "]", ")", "(", ": ", "=", "x"))
    printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=4)
    wild = st.lists(part | printable, max_size=9).map("".join)
    return st.sampled_from([True] * plainly + [False]).flatmap(lambda is_plain: st.just(plain) if is_plain else wild)
