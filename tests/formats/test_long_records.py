"""Honest long records: an ordinary logout, a refused name of 300 bytes. Neither hides the next client's login.

The other half, records that are cut, is in `test_splitting.py`: from `cut_rest` on a record may have a rest.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from formats.injecting import CORES, MATCHERS, REFERENCE
from pbs_fast.formats import Format
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.formats.samples import ENVELOPES, Sample, fits, lines, load_samples
from pbs_fast.matching import SYSLOG
from pbs_fast.matching.backends import Backend

CATALOGUE = {fmt.name: fmt for fmt in load_catalogue()}
#: Formats whose records lose their end earlier than a rest of them may follow.
LENIENT = [name for name, fmt in CATALOGUE.items() if fmt.cut and fmt.cut_rest > fmt.cut]
SAMPLES = [sample for sample in load_samples() if sample.format in LENIENT and not sample.own and not sample.joined]
ENVELOPE = ENVELOPES["rfc3164"]
#: The start of what a server says of a refused name.
REFUSED = {
    "courier-imap": "LOGIN FAILED, user=",
    "courier-pop3": "LOGIN FAILED, user=",
    "courier-tcpd": "LOGIN FAILED, user=",
    "mailutils": "user `",
    "perdition": 'Auth: 203.0.113.9:50222->192.0.2.5:110 authorisation_id=NONE authentication_id="',
    "up-imapproxy": "LOGIN: '",
    "vm-pop3d": "User '",
}


def kinds(core: Backend, log: bytes, fmt: Format | None = None) -> list[tuple[str, str | None, str | None]]:
    """Kind, address and reason of each event; scanned whole and line by line with the same outcome."""
    matcher = MATCHERS[core.name] if fmt is None else core.Matcher([fmt], ((-(2**62), 0),))
    found = []
    for pieces in ([log], log.splitlines(keepends=True)):
        stream = core.Stream(matcher, source="long", gap=0, fold=False)
        scans = [matcher.scan(piece, layout=SYSLOG, reference=REFERENCE) for piece in pieces]
        events = [event for scan in scans for event in stream.events(scan)]
        found.append([(event.kind, event.ip, event.reason) for event in events])
    assert found[0] == found[1], (core.name, log)
    return found[0]


def log_of(sample: Sample, *messages: str) -> bytes:
    assert fits(sample, ENVELOPE)
    return lines(replace(sample, messages=messages), ENVELOPE, REFERENCE - 60)


def logins(name: str) -> list[Sample]:
    found = [sample for sample in SAMPLES if sample.kind == "login" and sample.format == name]
    return [sample for sample in found if len(sample.messages) == 1]


def padded(sample: Sample, length: int) -> str:
    """The sample's message with a longer name, so that it has this length."""
    message, user = sample.messages[-1], sample.user
    assert user is not None
    assert user in message
    return message.replace(user, user + "x" * (length - len(message)), 1)


def test_every_lenient_format_is_here() -> None:
    assert set(LENIENT) == set(REFUSED)


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
@pytest.mark.parametrize("name", LENIENT)
def test_a_long_refusal_hides_no_login(core: Backend, name: str) -> None:
    rest = CATALOGUE[name].cut_rest
    for sample in logins(name):
        for length, is_hidden in ((rest - 1, False), (rest, True)):
            log = log_of(sample, REFUSED[name].ljust(length, "x"), sample.messages[-1])
            expected = ("missed", None, "continuation") if is_hidden else ("login", sample.ip, None)
            assert kinds(core, log) == [expected], (sample, length)


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
@pytest.mark.parametrize("name", LENIENT)
def test_a_login_that_may_have_lost_its_end_grants_nothing(core: Backend, name: str) -> None:
    cut = CATALOGUE[name].cut
    for sample in logins(name):
        for length in (cut, cut + 50):
            log = log_of(sample, padded(sample, length), sample.messages[-1])
            assert kinds(core, log) == [("missed", None, "cut-record"), ("login", sample.ip, None)], (sample, length)


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_a_long_logout_is_one_and_hides_no_login(core: Backend) -> None:
    tried = 0
    for sample in (each for each in SAMPLES if each.kind == "logout" and each.ip and each.user in each.messages[-1]):
        fmt = CATALOGUE[sample.format]
        following = next(each for each in logins(fmt.name) if each.program == sample.program or not each.tls)
        following = replace(following, program=sample.program)
        for length in (fmt.cut, fmt.cut_rest - 1, fmt.cut_rest):
            message = padded(sample, length)
            found = kinds(core, log_of(following, message, following.messages[-1]))
            whole = [("logout", sample.ip, None), ("login", following.ip, None)]
            split = [("missed", None, "cut-record"), ("missed", None, "continuation")]
            assert found == (whole if length < fmt.cut_rest else split), (sample, length)
            tried += 1
            # A logout that continues a cut record is none: its address may be anybody's.
            found = kinds(core, log_of(following, REFUSED[fmt.name].ljust(fmt.cut_rest, "x"), message))
            assert found == [("missed", None, "continuation" if length < fmt.cut_rest else "cut-record")], (
                sample,
                length,
            )
    assert tried >= 15


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_without_a_bound_of_its_own_a_rest_may_follow_at_once(core: Backend) -> None:
    strict = replace(CATALOGUE["courier-imap"], cut_rest=0)
    (sample, *_) = logins("courier-imap")
    log = log_of(sample, REFUSED["courier-imap"].ljust(strict.cut, "x"), sample.messages[-1])
    assert kinds(core, log, strict) == [("missed", None, "continuation")]
