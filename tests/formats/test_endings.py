"""Samples of what ends sessions without a logout, and of processes that logins name: each envelope, both backends."""

from __future__ import annotations

import pytest

from formats.test_samples import CATALOGUE, SAMPLES, TIMESTAMP, ZONE, envelopes, layout_of
from pbs_fast.events import Batch
from pbs_fast.formats.ends import session_ends
from pbs_fast.formats.samples import ENVELOPES, Envelope, Sample, lines
from pbs_fast.matching import Matcher
from pbs_fast.matching.backends import Backend

ENDINGS = [sample for sample in SAMPLES if sample.ending is not None]
NAMED = [sample for sample in SAMPLES if sample.pid is not None]
_MATCHERS: dict[str, Matcher] = {}


@pytest.fixture
def matcher(core: Backend) -> Matcher:
    """The catalogue, compiled once a backend."""
    if core.name not in _MATCHERS:
        _MATCHERS[core.name] = core.Matcher(CATALOGUE, ZONE)
    return _MATCHERS[core.name]


def rows(core: Backend, matcher: Matcher, sample: Sample, envelope: Envelope) -> Batch:
    stream = core.Stream(matcher, source="sample", gap=0, fold=False)
    stream.add(matcher.scan(lines(sample, envelope, TIMESTAMP), layout=layout_of(sample), reference=TIMESTAMP + 60))
    return stream.take()


def process(sample: Sample, envelope: Envelope) -> str:
    pid = sample.pid or ("5120" if envelope.pid else None)
    return sample.program + (f"[{pid}]" if pid else "")


@pytest.mark.parametrize("sample", ENDINGS, ids=str)
def test_an_ending_is_one_row_in_every_envelope(core: Backend, matcher: Matcher, sample: Sample) -> None:
    for envelope in envelopes(sample):
        batch = rows(core, matcher, sample, envelope)
        said = batch.kind, batch.format, batch.ip, batch.last, batch.host, batch.user_last, batch.session
        assert (envelope.name, said) == (
            envelope.name,
            ([sample.kind], [sample.format], [""], [TIMESTAMP], [envelope.host], [sample.user], [sample.session]),
        )
        if envelope.name != "rfc5424-syslog-ng":
            assert (envelope.name, batch.process) == (envelope.name, [process(sample, envelope)])


@pytest.mark.parametrize("sample", NAMED, ids=str)
def test_the_process_that_a_line_names_is_the_rows(core: Backend, matcher: Matcher, sample: Sample) -> None:
    for envelope in envelopes(sample):
        assert rows(core, matcher, sample, envelope).process[-1] == process(sample, envelope)


def test_whoever_kills_by_pid_knows_it_from_the_login(core: Backend, matcher: Matcher) -> None:
    """A format whose `killed` names a pid has logins that name it."""
    killing = {sample.format for sample in ENDINGS if sample.kind == "killed" and sample.pid}
    assert killing == {"dovecot", "nginx", "tpop3d"}
    for name in killing:
        logins = [sample for sample in SAMPLES if sample.format == name and sample.kind == "login" and not sample.own]
        plain = [rows(core, matcher, sample, ENVELOPES["rfc3164"]).process for sample in logins]
        assert any(processes != [f"{tag}[5120]"] for processes in plain for tag in ("dovecot", "nginx", "tpop3d"))


def test_only_formats_whose_sessions_are_counted_have_endings() -> None:
    ends = session_ends(CATALOGUE)
    with_endings = {fmt.name for fmt in CATALOGUE if fmt.restart or fmt.killed or fmt.aborted}
    assert with_endings == {"dovecot", "nginx", "perdition", "tpop3d"}
    assert with_endings <= ends.keys()
