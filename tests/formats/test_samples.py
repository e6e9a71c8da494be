"""Every sample in every envelope by both backends; every attack with its rule, and without it.

The tests are the product of what the format files and `samples.ENVELOPES` hold: a new format or envelope needs no test
of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pbs_fast.events import Event
from pbs_fast.formats import Format
from pbs_fast.formats.lint import fits_tag
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.formats.samples import ENVELOPES, OFFSET, Envelope, Sample, fits, lines, load_samples, tag_of, weakened
from pbs_fast.matching import SYSLOG, Matcher
from pbs_fast.matching.backends import Backend

CATALOGUE = load_catalogue()
SAMPLES = load_samples()
ATTACKS = [sample for sample in SAMPLES if sample.kind == "attack"]
ZONE = ((-(2**62), OFFSET),)
#: 2026-03-04 06:12:09 UTC; a day of one figure, so that padding is tried.
TIMESTAMP = 1_772_604_729
_MATCHERS: dict[str, Matcher] = {}


@pytest.fixture
def matcher(core: Backend) -> Matcher:
    """The catalogue, compiled once a backend."""
    if core.name not in _MATCHERS:
        _MATCHERS[core.name] = core.Matcher(CATALOGUE, ZONE)
    return _MATCHERS[core.name]


def events(core: Backend, matcher: Matcher, log: bytes, layout: str = SYSLOG) -> list[Event]:
    """Logins and logouts of a log."""
    stream = core.Stream(matcher, source="sample", gap=0, fold=False)
    found = stream.events(matcher.scan(log, layout=layout, reference=TIMESTAMP + 60))
    assert sum(value for name, value in stream.counters.items() if name not in ("lines", "logout_no_address")) == (
        log.count(b"\n")
    )
    return [event for event in found if event.kind != "missed"]


def layout_of(sample: Sample) -> str:
    return sample.format if sample.own else SYSLOG


def envelopes(sample: Sample) -> list[Envelope]:
    return [envelope for envelope in ENVELOPES.values() if fits(sample, envelope)]


def expected(sample: Sample, envelope: Envelope, log: bytes) -> Sequence[Event]:
    if sample.event is None or (sample.joined and not envelope.pid):
        return []
    return [
        Event(
            offset=log.rstrip(b"\n").rfind(b"\n") + 1,
            kind=sample.event,
            ip=sample.ip,
            timestamp=TIMESTAMP,
            format=sample.format,
            user=sample.user,
            host=envelope.host,
            session=sample.session,
            tls=sample.tls,
            loop=sample.loop,
            reason=None,
        )
    ]


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_sample_gives_what_it_says_in_every_envelope(core: Backend, matcher: Matcher, sample: Sample) -> None:
    tried = envelopes(sample)
    assert len(tried) >= (4 if sample.own else 22)
    assert not sample.joined or sum(envelope.pid for envelope in tried) >= 15
    for envelope in tried:
        log = lines(sample, envelope, TIMESTAMP)
        found = events(core, matcher, log, layout_of(sample))
        assert (envelope.name, found[-1:]) == (envelope.name, expected(sample, envelope, log))
        # A session of several lines ends with a logout only after its login.
        before = ["login"] if found and sample.joined and sample.kind == "logout" else []
        assert (envelope.name, [event.kind for event in found[:-1]]) == (envelope.name, before)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_without_its_rule_the_attack_grants_the_fake_address(core: Backend, attack: Sample) -> None:
    weak = weakened(attack)
    tag = tag_of(weak) if attack.without == "program" else None
    # Formats without the line's tag are not asked about it; all of them made a matcher of 30 ms for each attack.
    others = [fmt for fmt in CATALOGUE if fmt.name != weak.name and fits_tag(fmt, tag or attack.program)]
    if attack.without == "cut":  # a rule of the tag: the least `cut` of its formats counts
        others = [replace(fmt, cut=0) for fmt in others]
    matcher = core.Matcher([weak, *others], ZONE)
    for envelope in envelopes(attack):
        if attack.joined and not envelope.pid:
            continue
        found = events(core, matcher, lines(attack, envelope, TIMESTAMP, tag), layout_of(attack))
        granted = {event.ip for event in found if event.kind == "login"}
        assert attack.fake in granted, (envelope.name, found)


def test_an_attack_names_a_fake_address_that_is_not_the_true_one() -> None:
    assert ATTACKS
    for attack in ATTACKS:
        assert attack.fake is not None
        assert attack.fake != attack.ip


@pytest.mark.parametrize("fmt", CATALOGUE, ids=lambda fmt: fmt.name)
def test_a_whole_sample_in_the_middle_of_another_line_is_nothing(core: Backend, matcher: Matcher, fmt: Format) -> None:
    """What a stranger gets into a line of his own (a subject, a host name, a file name) is no message."""
    for sample in (sample for sample in SAMPLES if sample.format == fmt.name and sample.event is not None):
        for before in ("x ", "status=sent (", "warning: ", "imap-login: ID sent: name="):
            log = "".join(
                f"Mar  4 07:12:09 mx {tag}[5120]: {before}{message}\n"
                for message in sample.messages
                for tag in ("postfix/smtp", *fmt.program, *fmt.tls_program)
            ).encode()
            assert events(core, matcher, log) == []


@pytest.mark.parametrize("envelope", [e for e in ENVELOPES.values() if not e.own], ids=lambda e: e.name)
def test_syslog_lines_are_sniffed_as_syslog(matcher: Matcher, envelope: Envelope) -> None:
    for sample in SAMPLES:
        if fits(sample, envelope):
            assert matcher.sniff(lines(sample, envelope, TIMESTAMP)) == SYSLOG, sample


def test_own_logs_are_sniffed_as_their_servers(matcher: Matcher) -> None:
    own = [sample for sample in SAMPLES if sample.own]
    assert own
    for sample in own:
        for envelope in envelopes(sample):
            assert matcher.sniff(lines(sample, envelope, TIMESTAMP)) == sample.format


def test_formats_differ_on_every_sample(core: Backend) -> None:
    """No line is taken by two formats, though imapd and pop3d are tags of three."""
    tags = {fmt.name: (*fmt.program, *fmt.tls_program) for fmt in CATALOGUE}
    shared = 0
    for fmt in CATALOGUE:
        alone = core.Matcher([fmt], ZONE)
        for sample in SAMPLES:
            if sample.own or sample.format == fmt.name:
                continue
            for tag in tags[sample.format]:
                shared += tag in tags[fmt.name]
                assert events(core, alone, lines(sample, ENVELOPES["rfc3164"], TIMESTAMP, tag.replace("*", "x"))) == []
    assert shared > 100


@pytest.mark.parametrize(
    ("line", "layout"),
    [
        (b"Mar 04 07:12:09 master: Info: Dovecot v2.3.19.1 (9b53102964) starting up for imap, pop3\n", "dovecot"),
        (b"Mar 04 07:12:09 imap(otto)<812><q2LxUo8Kx1rGM2Ra>: Info: Disconnected: Logged out in=1 out=2\n", "dovecot"),
        (b"2026-03-04 07:12:09 auth-worker(812): Warning: sql(otto): slow\n", "dovecot"),
        (b"dovecot: Mar 04 07:12:09 Info: Dovecot v1.2.9 starting up\n", "dovecot"),
        (b"dovecot: Mar 04 07:12:09 Error: IMAP(otto): mkdir failed\n", "dovecot"),
        (b"Mar  4 07:12:09 auth: pam_unix(dovecot:auth): authentication failure\n", SYSLOG),
        (b"Mar  4 07:12:09 dovecot: imap-login: Info: Login: user=<x>, rip=192.0.2.6\n", SYSLOG),
        (b"Mar  4 07:12:09 log kernel: imap-login: Info: x\n", SYSLOG),
        (b"Mar  4 07:12:09 toyd: imap-login: Info: x\n", SYSLOG),
        (b"imap-login: Info: Login: user=<x>, rip=192.0.2.6\n", None),
    ],
)
def test_only_dovecots_own_processes_make_a_source_its_own_log(
    matcher: Matcher, line: bytes, layout: str | None
) -> None:
    assert matcher.sniff(line) == layout
