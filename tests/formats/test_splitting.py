"""Every format in every envelope at every writer that cuts records: a stranger who fills them grants nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from formats.injecting import CORES, MATCHERS
from formats.splitting import SPLITTERS, Splitter, logins, tries
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching.backends import Core

ATTACKS = sorted((Path(__file__).parent / "attacks").glob("*.log"))
Reporter = Callable[[object], None]


@pytest.mark.parametrize("splitter", SPLITTERS, ids=lambda splitter: splitter.name)
def test_no_part_of_a_record_grants(splitter: Splitter) -> None:
    granted = [
        (core.name, sample, envelope.name, log)
        for sample, envelope, log in tries(splitter, 2, 7)
        for core in CORES
        if logins(core, log, sample)
    ]
    assert granted == []


@pytest.mark.parametrize("splitter", SPLITTERS, ids=lambda splitter: splitter.name)
def test_the_tries_are_worth_it(splitter: Splitter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without bounds, and where the rule of any writer is not reached, a good share of them grants."""
    rust = CORES[0]
    bare = rust.Matcher([replace(fmt, cut=0, cut_prefix=()) for fmt in load_catalogue()], ((-(2**62), 0),))
    if max(splitter.bounds) >= 700:
        pytest.skip("the rule of any writer is in the matcher itself; it was broken there once to see this fail")
    monkeypatch.setitem(MATCHERS, rust.name, bare)
    made = [bool(logins(rust, log, sample)) for sample, _, log in tries(splitter, 1, 7)]
    assert sum(made) > len(made) / 10


@pytest.mark.parametrize("file", ATTACKS, ids=lambda file: file.stem)
def test_what_a_real_server_wrote_after_an_attack_grants_nothing(core: Core, file: Path) -> None:
    """Dovecot 2.3.19 with `imap_id_log = *`, after one IMAP ID of 8 KB by a client without an account."""
    matcher, data = core.Matcher(load_catalogue(), ((-(2**62), 0),)), file.read_bytes()
    layout = matcher.sniff(data)
    assert layout is not None
    events = core.Stream(matcher, source="", gap=0, fold=False).events(
        matcher.scan(data, layout=layout, reference=1_796_000_000)
    )
    assert [event.reason for event in events] == ["cut-record"]
