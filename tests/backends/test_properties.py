"""Both backends give the same, whatever the log; and what they give does not depend on cuts or threads."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import compress, pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from backends import models
from backends.grammar import lines, logs, mutated, settings_of
from backends.inline import AUTUMN, FORMATS, REFERENCE, ZONE
from backends.running import BOTH, DEFAULT, Outcome, Setting, line_starts, matcher, resolve_order, run
from pbs_fast.formats import samples
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching.backends import Backend, load_backend
from support.examples import examples

Reporter = Callable[[object], None]
CATALOGUE = load_catalogue()

many = examples(600)


def has_events(outcome: Outcome) -> bool:
    return any(event.kind != "missed" for event in outcome.events)


def same(data: bytes, setting: Setting, cuts: list[int] | None = None) -> Outcome:
    rust, python = (run(name, data, setting, cuts or ()) for name in BOTH)
    assert rust.events == python.events
    assert rust.batches == python.batches
    assert rust.counters == python.counters
    return rust


@many
@given(st.data(), settings_of(("syslog", "syslog", "gamma")))
def test_twins_are_equal(share: Reporter, data: st.DataObject, setting: Setting) -> None:
    log = data.draw(logs(setting.layout))
    starts = line_starts(log)
    cuts = data.draw(st.lists(st.sampled_from(starts), max_size=4)) if starts else []
    share(has_events(same(log, setting, cuts)))


@many
@given(st.data(), settings_of(("syslog", "syslog", "gamma")))
def test_cuts_change_nothing(share: Reporter, core: Backend, data: st.DataObject, setting: Setting) -> None:
    log = data.draw(logs(setting.layout))
    starts = line_starts(log)
    cuts = data.draw(st.one_of(st.just(starts), st.lists(st.sampled_from(starts)))) if starts else []
    whole, pieces = run(core, log, setting), run(core, log, setting, cuts)
    assert pieces.events == whole.events
    assert pieces.counters == whole.counters
    share(cuts and has_events(whole))

    def rows(outcome: Outcome) -> list[tuple[str, str, int, int]]:
        of_all = [row for b in outcome.batches for row in zip(b["ip"], b["kind"], b["first"], b["last"], strict=True)]
        return [row for row in of_all if row[0]]

    kinds = ["login"] if setting.fold else ["login", "logout"]
    events = [
        (e.ip, e.kind, e.timestamp, e.timestamp)
        for e in whole.events
        if e.ip and e.timestamp is not None and e.kind in kinds
    ]
    wanted = models.grants(events, setting.gap, setting.reference)
    assert models.grants(rows(whole), setting.gap, setting.reference) == wanted
    assert models.grants(rows(pieces), setting.gap, setting.reference) == wanted
    for outcome in (whole, pieces):
        assert sum(sum(compress(b["n"], b["ip"])) for b in outcome.batches) == len(events)


@given(st.data(), settings_of())
def test_rows_are_those_of_the_model(share: Reporter, core: Backend, data: st.DataObject, setting: Setting) -> None:
    # The same lines again, so that rows have more than one event.
    log = data.draw(logs(most=10)) + b"\n"
    log += log
    starts = line_starts(log)
    cuts = sorted(set(data.draw(st.lists(st.sampled_from(starts), max_size=3)))) if starts else []
    outcome = run(core, log, setting, cuts)
    bounds = [0, *cuts, len(log) + 1]
    pieces = [[e for e in outcome.events if a <= e.offset < b] for a, b in pairwise(bounds)]
    left_out = {"source", "process"}
    found = [
        [
            row
            for row in (dict(zip(batch, row, strict=True)) for row in zip(*batch.values(), strict=True))
            # A logout whose address is not known; an event does not tell whether it has a pid.
            if setting.fold or row["ip"]
        ]
        for batch in ({name: column for name, column in b.items() if name not in left_out} for b in outcome.batches)
    ]
    assert not setting.fold or {text for b in outcome.batches for text in b["process"]} <= {""}
    assert not setting.fold or {kind for b in outcome.batches for kind in b["kind"]} <= {"login"}
    assert found == models.fold(pieces, setting.gap, setting.reference, folds=setting.fold)
    share(any(row["n"] > 1 for rows in found for row in rows) or not setting.fold)


@given(logs(most=40), settings_of(), st.randoms(use_true_random=False))
def test_threads_change_nothing(
    share: Reporter, core: Backend, log: bytes, setting: Setting, shuffle: random.Random
) -> None:
    m = load_backend(core.name).Matcher(setting.formats, setting.zone)
    bounds = [0, *line_starts(log), len(log)]
    pieces = list(enumerate(pairwise(bounds)))
    shuffle.shuffle(pieces)

    def scan(piece: tuple[int, tuple[int, int]]) -> tuple[int, object]:
        number, (a, b) = piece
        return number, m.scan(log, start=a, stop=b, offset=a, layout=setting.layout, reference=setting.reference)

    with ThreadPoolExecutor(4) as pool:
        scans = [scan for _, scan in sorted(pool.map(scan, pieces), key=lambda found: found[0])]
    outcome = resolve_order(core.Stream, m, scans, setting)
    in_turn = run(core, log, setting, bounds[1:-1])
    assert (outcome.events, outcome.batches, outcome.counters) == (in_turn.events, in_turn.batches, in_turn.counters)
    share(has_events(outcome))


SAMPLES = samples.load_samples()
RENDERED = [
    (sample.format if envelope.own else "syslog", samples.lines(sample, envelope, REFERENCE))
    for sample in SAMPLES
    for envelope in samples.ENVELOPES.values()
    if samples.fits(sample, envelope)
]


def test_every_sample_in_every_envelope() -> None:
    """The catalogue's own tests say what must come out; here, that both backends say the same, one by one and
    together."""
    assert len(RENDERED) > 1_000
    for layout in sorted({layout for layout, _ in RENDERED}):
        setting = replace(DEFAULT, formats=CATALOGUE, layout=layout)
        mine = [text for other, text in RENDERED if other == layout]
        log = b"".join(mine)
        outcome = same(log, setting)
        assert outcome.counters["login"] > len(mine) // 5
        same(log, setting, line_starts(log)[::7])


@many
@given(st.data())
def test_mutated_samples(share: Reporter, data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from(("syslog", "syslog", "dovecot")))
    mine = st.sampled_from([text for other, text in RENDERED if other == layout])
    parts = []
    for _ in range(data.draw(st.integers(2, 8))):
        text = data.draw(mine)
        match data.draw(st.sampled_from(("as it is", "edit", "splice", "inside"))):
            case "edit":
                text = data.draw(mutated(text))
            case "splice":
                other = data.draw(mine)
                text = text[: data.draw(st.integers(0, len(text)))] + other[data.draw(st.integers(0, len(other))) :]
            case "inside":
                at = data.draw(st.integers(0, len(text)))
                text = text[:at] + data.draw(mine).rstrip(b"\n") + text[at:]
        parts.append(text)
    share(has_events(same(b"".join(parts), replace(DEFAULT, formats=CATALOGUE, layout=layout))))


@given(st.binary(max_size=300), st.lists(lines(), min_size=1, max_size=3), st.sampled_from(("syslog", "gamma")))
@example(b"\xed\xa0\x80\xed\xbf\xbf\xf4\x90\x80\x80\xc0\xaf\0\r\n\r\r\n", [], "syslog")
def test_any_bytes(share: Reporter, noise: bytes, between: list[bytes], layout: str) -> None:
    log = b"\n".join([noise, *between, noise[::-1], *between, noise])
    share(has_events(same(log, replace(DEFAULT, layout=layout), line_starts(log)[::2])) or layout != "syslog")


@given(
    lines(),
    st.lists(lines(), min_size=3, max_size=3),
    st.integers(-3, 3),
    st.sampled_from((b"\n", b"\r\n", b"")),
    st.binary(min_size=1, max_size=2),
)
def test_lines_about_the_limit(
    share: Reporter, line: bytes, others: list[bytes], over: int, end: bytes, filler: bytes
) -> None:
    """Lines of 16 KiB, and of 1 MiB, between others."""
    room = max(0, 16_384 + over - len(line))
    head, blank, rest = line.rpartition(b"user=")
    long = head + blank + (filler * room)[:room] + rest
    between = b"\n".join([*others, b"\0" * (1 << 20), *others])
    log = b"\n".join([line, long, long + end + line, between, filler * (1 << 19), long]) + end
    # A line of that length is a cut record, and what follows it a continuation.
    share(same(log, DEFAULT).events)


@given(st.data(), st.sampled_from(("syslog", "gamma")), st.sampled_from((REFERENCE, AUTUMN, 0)))
def test_stamp(share: Reporter, data: st.DataObject, layout: str, reference: int) -> None:
    line = data.draw(lines(layout))
    rust, python = (matcher(name, FORMATS, ZONE).timestamp(line, layout=layout, reference=reference) for name in BOTH)
    assert rust == python
    share(rust is not None)


@given(logs() | logs("gamma"), st.binary(max_size=20))
def test_sniff(share: Reporter, log: bytes, noise: bytes) -> None:
    for data in (log, noise + log, log[5:]):
        rust, python = (matcher(name, FORMATS, ZONE).sniff(data) for name in BOTH)
        assert rust == python
        rust, python = (matcher(name, CATALOGUE, ZONE).sniff(data) for name in BOTH)
        assert rust == python
    share(matcher("rust", FORMATS, ZONE).sniff(log))
