"""A server's own header behind a syslog header: read under the server's own tag, and under no other.

Every line of a server's own log, in every syslog envelope, on both backends; what poses as such a line grants nothing.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from formats.test_samples import CATALOGUE, SAMPLES, TIMESTAMP, ZONE, events, expected
from pbs_fast.formats.samples import ENVELOPES, Sample, lines, tag_of
from pbs_fast.matching import Matcher
from pbs_fast.matching.backends import Backend

NESTED = {fmt.name: fmt for fmt in CATALOGUE if fmt.own_in_syslog}
OWN = [sample for sample in SAMPLES if sample.own and sample.format in NESTED]
SYSLOG = [envelope for envelope in ENVELOPES.values() if not envelope.own]
HEADERS = ("Mar 04 23:00:00 ", "Mar  4 2019 23:00:00 ", "2019-03-04 23:00:00.5 ", "2019-03-04T23:00:00+11:00  ")
LOGIN = "imap-login: Info: Login: user=<x>, method=PLAIN, rip=192.0.2.6, lip=192.0.2.10, mpid=1, TLS"
_MATCHERS: dict[str, Matcher] = {}


@pytest.fixture
def matcher(core: Backend) -> Matcher:
    if core.name not in _MATCHERS:
        _MATCHERS[core.name] = core.Matcher(CATALOGUE, ZONE)
    return _MATCHERS[core.name]


@pytest.mark.parametrize("sample", OWN, ids=str)
def test_an_own_line_is_a_message_of_its_servers_tag(core: Backend, matcher: Matcher, sample: Sample) -> None:
    tag = tag_of(NESTED[sample.format])
    for envelope in SYSLOG:
        for header in HEADERS:
            behind = sample_with(sample, tag, [f"{header}{message}" for message in sample.messages])
            log = lines(behind, envelope, TIMESTAMP)
            found = events(core, matcher, log)
            assert (envelope.name, header, found[-1:]) == (envelope.name, header, expected(behind, envelope, log))
    assert len(SYSLOG) > 20


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("tag", ["postfix/smtpd", "imap-login", "qpopper", "imapd", "dovecotx", "x/dovecot"])
def test_it_is_no_message_of_another_tag(core: Backend, matcher: Matcher, header: str, tag: str) -> None:
    for text in (f"{header}{LOGIN}", f"{header}mx dovecot: {LOGIN}", f"{header}dovecot: {LOGIN}"):
        assert granted(core, matcher, tag, text) == []


@pytest.mark.parametrize("header", HEADERS)
def test_a_whole_header_of_the_same_server_counts_and_no_other(core: Backend, matcher: Matcher, header: str) -> None:
    message = LOGIN.replace("Info: ", "")
    for sender in ("mx dovecot: ", "6f4d dovecot[12]: ", "dovecot: "):
        assert granted(core, matcher, "dovecot", f"{header}{sender}{message}") == ["192.0.2.6"]
    for sender in ("mx postfix/smtpd[1]: ", "mx imapd: ", "mx dovecotx: ", "mx dovecot", "imap(mx dovecot): "):
        assert granted(core, matcher, "dovecot", f"{header}{sender}{message}") == []


@pytest.mark.parametrize(
    "text",
    [
        "x Mar 04 23:00:00 {}",
        "imap-login: ID sent: Mar 04 23:00:00 {}",
        "Mar 04 23:00:00 x {}",
        "Mar 04 23:00:00{}",
        "Mar 04 23:00 {}",
        "Mar 04 23:00:00 Mar 04 23:00:00 {}",
    ],
)
def test_what_is_no_second_header(core: Backend, matcher: Matcher, text: str) -> None:
    assert granted(core, matcher, "dovecot", text.format(LOGIN)) == []


def test_without_a_level_it_is_no_line_of_its_own_log(core: Backend, matcher: Matcher) -> None:
    assert granted(core, matcher, "dovecot", "Mar 04 23:00:00 " + LOGIN.replace("Info: ", "")) == []


def test_a_format_says_whether_its_own_lines_come_so(core: Backend, matcher: Matcher) -> None:
    """A user name may begin a message of qpopper's, so nothing behind a timestamp in one counts."""
    tags = {fmt.name: fmt.program[0] for fmt in CATALOGUE if fmt.program and fmt.name not in NESTED}
    others = [sample for sample in SAMPLES if sample.own and sample.format in tags and sample.event]
    assert others
    for sample in others:
        for message in sample.messages:
            tag = tags[sample.format]
            assert granted(core, matcher, tag, f"Mar 04 23:00:00 {message}") == []


@pytest.mark.parametrize("length", [480, 700, 4_091, 16_300, 17_000])
def test_the_record_after_a_cut_one_is_no_login(core: Backend, matcher: Matcher, length: int) -> None:
    """With a header in each part, as Dovecot's log process and systemd write it."""
    part = f"Mar 04 23:00:00 imap-login: Info: ID sent: {'z' * (length - 26)}"
    log = f"Mar  4 07:12:09 mx dovecot[1]: {part}\nMar  4 07:12:09 mx dovecot[1]: Mar 04 23:00:00 {LOGIN}\n".encode()
    assert events(core, matcher, log) == []


def granted(core: Backend, matcher: Matcher, tag: str, message: str) -> list[str | None]:
    log = f"Mar  4 07:12:09 mx {tag}[1]: {message}\n".encode()
    return [event.ip for event in events(core, matcher, log) if event.kind == "login"]


def sample_with(sample: Sample, tag: str, messages: list[str]) -> Sample:
    return replace(sample, own=False, prefix="", program=tag, messages=tuple(messages))
