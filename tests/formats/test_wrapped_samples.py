"""Every sample in every envelope inside what container runtimes write around a line: the same events come out.

The wrapper's timestamp counts, because it has a zone; the inner one is dropped. Left out are texts in front of an own
log's timestamp: the servers that wrote them are older than containers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from formats.test_samples import CATALOGUE, SAMPLES, TIMESTAMP, ZONE, envelopes, expected
from pbs_fast.formats.samples import lines
from pbs_fast.matching import Matcher
from pbs_fast.matching.backends import Backend
from pbs_fast.matching.reader import Reader

#: The inner timestamps say another hour, so that it shows which one was read.
INNER = TIMESTAMP - 5 * 3600
_TIME = f"{datetime.fromtimestamp(TIMESTAMP, UTC):%Y-%m-%dT%H:%M:%S}.123456789Z"
WRAPPERS: dict[str, Callable[[str], str]] = {
    "docker": lambda line: json.dumps({"log": f"{line}\n", "stream": "stdout", "time": _TIME}),
    "cri": lambda line: f"{_TIME} stderr F {line}",
}
BEFORE = {name: f"{wrap('x')}\n".encode() for name, wrap in WRAPPERS.items()}
_MATCHERS: dict[str, Matcher] = {}


def _matcher(core: Backend) -> Matcher:
    if core.name not in _MATCHERS:
        _MATCHERS[core.name] = core.Matcher(CATALOGUE, ZONE)
    return _MATCHERS[core.name]


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", [fmt.name for fmt in CATALOGUE])
def test_samples_give_what_they_say_in_a_containers_log(core: Backend, wrapper: str, name: str) -> None:
    samples = [sample for sample in SAMPLES if sample.format == name and not sample.prefix]
    assert samples
    turn = list(WRAPPERS).index(wrapper)
    for number, sample in enumerate(samples, turn):
        # A wrapper knows nothing of what it holds: of a sample each takes every other envelope, of the next the others.
        for envelope in envelopes(sample)[number % len(WRAPPERS) :: len(WRAPPERS)]:
            log = lines(sample, envelope, INNER).decode().splitlines()
            wrapped = "".join(WRAPPERS[wrapper](line) + "\n" for line in log).encode()
            reader = Reader(core, _matcher(core), source="sample", gap=0, live=False, fold=False)
            # The first entry that is seen may be the end of a line.
            reader.prime(BEFORE[wrapper], 0, reference=TIMESTAMP)
            reader.begin_file()
            found = reader.events(wrapped, 0, len(wrapped), offset=0, reference=TIMESTAMP + 60)
            events = [event for event in found if event.kind != "missed"]
            assert (str(sample), envelope.name, events[-1:]) == (
                str(sample),
                envelope.name,
                expected(sample, envelope, wrapped),
            )
