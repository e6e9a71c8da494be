"""Every sample in every envelope inside what container runtimes write around a line: the same events come out.

The wrapper's stamp counts, because it has a zone; the inner one is dropped. Left out are texts in front of an own log's
stamp: the servers that wrote them are older than containers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from formats.test_samples import CATALOGUE, SAMPLES, STAMP, ZONE, envelopes, expected
from pbs_fast.formats.samples import Sample, lines
from pbs_fast.matching import Matcher
from pbs_fast.matching.backends import Core
from pbs_fast.matching.reader import Reader

#: The inner stamps say another hour, so that it shows which one was read.
INNER = STAMP - 5 * 3600
_TIME = f"{datetime.fromtimestamp(STAMP, UTC):%Y-%m-%dT%H:%M:%S}.123456789Z"
WRAPPERS: dict[str, Callable[[str], str]] = {
    "docker": lambda line: json.dumps({"log": f"{line}\n", "stream": "stdout", "time": _TIME}),
    "cri": lambda line: f"{_TIME} stderr F {line}",
}
_MATCHERS: dict[str, Matcher] = {}


def _matcher(core: Core) -> Matcher:
    if core.name not in _MATCHERS:
        _MATCHERS[core.name] = core.Matcher(CATALOGUE, ZONE)
    return _MATCHERS[core.name]


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if not sample.prefix], ids=str)
def test_sample_gives_what_it_says_in_a_containers_log(core: Core, wrapper: str, sample: Sample) -> None:
    for envelope in envelopes(sample):
        log = lines(sample, envelope, INNER).decode().splitlines()
        wrapped = "".join(WRAPPERS[wrapper](line) + "\n" for line in log).encode()
        reader = Reader(core, _matcher(core), source="sample", gap=0, live=False, fold=False)
        found = reader.events(wrapped, 0, len(wrapped), offset=0, reference=STAMP + 60)
        events = [event for event in found if event.kind != "missed"]
        assert (envelope.name, events[-1:]) == (envelope.name, expected(sample, envelope, wrapped))
