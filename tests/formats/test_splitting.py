"""Every format in every envelope at every writer that cuts records: a stranger who fills them grants nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from formats.injecting import CORES, MATCHERS, REFERENCE, TRUE, ZONE
from formats.splitting import SPLITTERS, Splitter, logins, tries
from pbs_fast.formats import Format
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching import SYSLOG
from pbs_fast.matching.backends import Backend
from pbs_fast.matching.python.cuts import Cuts

ATTACKS = sorted((Path(__file__).parent / "attacks").glob("*.log"))
#: The backend whose rule can be taken away.
PYTHON = next(core for core in CORES if core.name == "python")
#: Writers whose parts always have records of others between them.
MIXING = [splitter for splitter in SPLITTERS if splitter.mixes and 0 not in splitter.mixes]


@pytest.mark.system
@pytest.mark.parametrize("splitter", SPLITTERS, ids=lambda splitter: splitter.name)
def test_no_part_of_a_record_grants(splitter: Splitter) -> None:
    granted = [
        (core.name, sample, envelope.name, log)
        for sample, envelope, log in tries(splitter, 2, 7)
        for core in CORES
        if logins(core, log, sample)
    ]
    assert granted == []


def granting(core: Backend, splitter: Splitter) -> float:
    """The share of tries that grant."""
    made = [bool(logins(core, log, sample)) for sample, _, log in tries(splitter, 1, 7)]
    return sum(made) / len(made)


@pytest.mark.system
@pytest.mark.parametrize("splitter", SPLITTERS, ids=lambda splitter: splitter.name)
def test_the_tries_are_worth_it(splitter: Splitter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the rule a good share of them grants, so each of them is a forged login that it stops."""
    monkeypatch.setattr(Cuts, "take", lambda *_, **__: None)
    assert granting(PYTHON, splitter) > 0.1


@pytest.mark.system
@pytest.mark.parametrize("splitter", MIXING, ids=lambda splitter: splitter.name)
def test_each_half_of_the_rule_is_needed(splitter: Splitter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole parts without their minute grant between other processes' records, on both backends."""
    formats = [replace(fmt, cut_whole=()) for fmt in load_catalogue()]
    for core in CORES:
        monkeypatch.setitem(MATCHERS, core.name, core.Matcher(formats, ZONE))
        assert granting(core, splitter) > 0.1


@pytest.mark.parametrize("between", [0, 1, 2, 7, 300, 5_000])
@pytest.mark.parametrize("seconds", [0, 59])
@pytest.mark.parametrize("length", [495, 529, 700, 4_091, 16_300])
def test_a_part_counts_for_a_minute_whatever_comes_between(
    core: Backend, between: int, seconds: int, length: int
) -> None:
    """A whole part, the stranger's further connections, the rest of the first record: a whole login."""
    part = f"imap-login: ID sent: k={'z' * (length - 23)}"
    other = f"imap-login: Disconnected: Connection closed: user=<>, rip={TRUE}, lip=192.0.2.1"
    forged = "imap-login: Login: user=<x>, method=PLAIN, rip=192.0.2.66, lip=192.0.2.1, session=<abc>"
    assert len(part) == length

    def found(wait: int) -> list[str]:
        at = [*(f"06:12:{second:02}" for second in (0, 0)), f"06:{12 + wait // 60}:{wait % 60:02}"]
        log = [f"Mar  4 {at[0]} mx dovecot: {part}", *[f"Mar  4 {at[1]} mx dovecot: {other}"] * between]
        log.append(f"Mar  4 {at[2]} mx dovecot: {forged}")
        matcher = MATCHERS[core.name]
        stream = core.Stream(matcher, source="parts", gap=0, fold=False)
        scan = matcher.scan("\n".join(log).encode() + b"\n", layout=SYSLOG, reference=REFERENCE)
        return [str(event.reason or event.ip) for event in stream.events(scan)]

    assert found(seconds) == ["continuation"]
    # A minute later it is believed, but never as the record right after the part.
    assert found(61) == (["192.0.2.66"] if between else ["continuation"])


@pytest.mark.parametrize("file", ATTACKS, ids=lambda file: file.stem)
def test_what_a_real_server_wrote_after_an_attack_grants_nothing(core: Backend, file: Path) -> None:
    """Dovecot 2.3.19 with `imap_id_log = *`, after one IMAP ID of 8 KB by a client without an account."""
    matcher, data = core.Matcher(load_catalogue(), ((-(2**62), 0),)), file.read_bytes()
    layout = matcher.sniff(data)
    assert layout is not None
    events = core.Stream(matcher, source="", gap=0, fold=False).events(
        matcher.scan(data, layout=layout, reference=1_796_000_000)
    )
    assert [event.reason for event in events] == ["cut-record"]


@pytest.mark.parametrize("between", [1, 2, 7])
def test_a_name_that_mailutils_splits_logs_nobody_in(core: Backend, between: int) -> None:
    """Its second half is a success, and the address line of that process is true: the stranger's own address."""
    log = ["connect from 203.0.113.5 (203.0.113.5)", f"user `{'z' * 8000}"]
    log += ["session ended for no user x"] * between
    log += ["POP3 login: user `quirin', source system"]
    data = "".join(f"Mar  4 06:12:09 mx gnu-pop3d[77]: {message}\n" for message in log).encode()

    def found(formats: list[Format]) -> list[str]:
        matcher = core.Matcher(formats, ZONE)
        stream = core.Stream(matcher, source="parts", gap=0, fold=False)
        scan = matcher.scan(data, layout=SYSLOG, reference=REFERENCE)
        return [str(event.reason or event.ip) for event in stream.events(scan)]

    assert found([*load_catalogue()]) == ["continuation"]
    assert found([replace(fmt, cut_whole=()) for fmt in load_catalogue()]) == ["203.0.113.5"]
