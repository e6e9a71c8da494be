"""Every sample in every layout by both backends, and what strangers may try in each: nothing of it grants.

The tests are the product of the format files and `layouts.LAYOUTS`: a new format or layout needs no test of its own.
"""

from __future__ import annotations

from datetime import datetime
from random import Random

import pytest

from formats.layouts import LAYOUTS, ZONE, Layout
from formats.test_samples import CATALOGUE, SAMPLES, TIMESTAMP, expected
from formats.test_samples import ZONE as LOCAL
from pbs_fast.events import Event
from pbs_fast.formats.samples import Envelope, Sample
from pbs_fast.matching import Matcher
from pbs_fast.matching.backends import Backend, load_backend
from pbs_fast.matching.reader import Reader
from pbs_fast.matching.rewrite.streams import Streams

TIME = datetime.fromtimestamp(TIMESTAMP, ZONE)
#: The text's own timestamp is of another hour, so that it shows which one was read.
INNER = TIME.replace(hour=3)
FAKE = "192.0.2.6"
FORGED = (
    f"imap-login: Login: user=<x>, method=PLAIN, rip={FAKE}, lip=192.0.2.10, mpid=1, TLS, session=<q2LxUo8Kx1rGM2Ra>"
)
OWN = FORGED.replace("Login:", "Info: Login:", 1)
#: A whole line of each kind that some layout reads.
FORGERIES = (
    f"Mar  4 07:12:09 mx dovecot: {FORGED}",
    f"<22>Mar  4 07:12:09 mx dovecot[1]: {FORGED}",
    f"2026-03-04T06:12:09Z mx dovecot: {FORGED}",
    f"<22>1 2026-03-04T06:12:09Z mx dovecot 1 - - {FORGED}",
    f"Mar 04 07:12:09 {OWN}",
    OWN,
    f"mx dovecot: {FORGED}",
    f"dovecot: {FORGED}",
    f"mail.info: Mar  4 07:12:09 dovecot: {FORGED}",
    f"Mar  4 07:12:09 mx dovecot: Mar 04 07:12:09 {OWN}",
)
OUTPUTS = [layout for layout in LAYOUTS if not layout.of_lines]
_MATCHERS: dict[str, Matcher] = {}
LAYOUT = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)


def _reader(core: Backend) -> Reader:
    if core.name not in _MATCHERS:
        _MATCHERS[core.name] = core.Matcher(CATALOGUE, LOCAL)
    return Reader(core, _MATCHERS[core.name], source="sample", gap=0, live=False, fold=False)


def _events(core: Backend, data: bytes) -> list[Event]:
    """Of a log whole and line by line, which must be the same."""
    found = []
    for pieces in ([data], data.splitlines(keepends=True)):
        reader, offset, events = _reader(core), 0, []
        for piece in pieces:
            events += reader.events(piece, 0, len(piece), offset=offset, reference=TIMESTAMP + 60)
            offset += len(piece)
        found.append(events)
    assert found[0] == found[1], data
    return [event for event in found[0] if event.kind != "missed"]


def _head(layout: Layout, time: datetime = INNER) -> str:
    """What a text begins with, before the tag."""
    return "mx " if layout.of_lines else f"{time:%b} {time.day:2} {time:%H:%M:%S} mx "


def _text(layout: Layout, tag: str, message: str) -> str:
    return f"{_head(layout)}{tag}[5120]: {message}"


def _first(layout: Layout) -> str:
    """A line that shows the layout."""
    return layout.render(TIME, _text(layout, "cron", "x")) + "\n"


def _samples(layout: Layout) -> list[Sample]:
    nested = {fmt.name for fmt in CATALOGUE if fmt.own_in_syslog}
    return [
        sample
        for sample in SAMPLES
        if (not sample.own or (sample.format in nested and not layout.of_lines and not sample.prefix))
    ]


@pytest.mark.system
@LAYOUT
def test_every_sample_gives_what_it_says(core: Backend, layout: Layout) -> None:
    granted = 0
    for sample in _samples(layout):
        log = _first(layout)
        for message in sample.messages:
            text = f"{INNER:%b %d %H:%M:%S} {message}" if sample.own else _text(layout, sample.program, message)
            log += layout.render(TIME, text) + "\n"
        envelope = Envelope(
            layout.name, lambda *_: "", "" if sample.own else "mx" if layout.host is None else layout.host
        )
        want = list(expected(sample, envelope, log.encode()))
        if not layout.dated:
            want = [event._replace(timestamp=int(INNER.timestamp())) for event in want]
        assert (sample, _events(core, log.encode())[-1:]) == (sample, want)
        granted += sample.event == "login"
    assert granted > 80


@LAYOUT
def test_another_programs_text_is_no_login(core: Backend, layout: Layout) -> None:
    """A name that holds a whole line, of any layout, wherever in a message."""
    log = _first(layout)
    for forged in (*FORGERIES, *(layout.render(TIME, text) for text in FORGERIES)):
        for before in ("", "x", "NOQUEUE: reject: RCPT from unknown: ", "imap(", "\t"):
            for tag in ("postfix/smtpd", "dovecot-lda", "mx"):
                if layout.of_lines or before:
                    log += layout.render(TIME, _text(layout, tag, before + forged)) + "\n"
        for other in layout.others:
            log += f"{other}{forged}\n"
    assert _events(core, log.encode()) == []


@pytest.mark.parametrize("layout", OUTPUTS, ids=lambda layout: layout.name)
def test_a_name_in_a_servers_own_log_is_no_sender(core: Backend, layout: Layout) -> None:
    log = _first(layout)
    for forged in FORGERIES:
        for head in ("imap(x {}): Info: x", "imap(x({}): Info: x", "lmtp(x {}", "imap-login: Info: x {}", "auth: x {}"):
            log += layout.render(TIME, f"{INNER:%b %d %H:%M:%S} {head.format(forged)}") + "\n"
            log += layout.render(TIME, head.format(forged)) + "\n"
    assert _events(core, log.encode()) == []


def _cut(layout: Layout, random: Random) -> str:
    """A stranger's record that somebody on the way cuts, so that the next entry starts as they like."""
    bound = random.choice((700, 1000 - 40, 1024 - 90, 4_091, 8_192 - 40))
    text = _text(layout, random.choice(("dovecot", "postfix/smtpd")), "imap-login: ID sent: k=")
    text = text.ljust(bound, "z")
    forged = random.choice(FORGERIES) if not layout.of_lines else _text(layout, "dovecot", FORGED)
    more = random.choice(("", "z" * random.randrange(bound)))
    rest = forged + more
    log = layout.render(TIME, text) + "\n"
    if random.random() < 0.3:
        # A part in between, of full length.
        log += layout.render(TIME, forged.ljust(bound, "z")) + "\n"
    return log + layout.render(TIME, rest) + "\n"


def _tries(layout: Layout) -> list[bytes]:
    random = Random(7)
    return [(_first(layout) + _cut(layout, random)).encode() for _ in range(40)]


@pytest.mark.parametrize("layout", OUTPUTS, ids=lambda layout: layout.name)
def test_no_part_of_a_record_grants(core: Backend, layout: Layout) -> None:
    for log in _tries(layout):
        assert _events(core, log) == [], log


@pytest.mark.parametrize("layout", OUTPUTS, ids=lambda layout: layout.name)
def test_the_parts_are_worth_it(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the rule, a good share of them grants."""
    monkeypatch.setattr(Streams, "is_whole", lambda *_, **__: True)
    granting = [log for log in _tries(layout) if _events(load_backend("python"), log)]
    assert len(granting) > 1
