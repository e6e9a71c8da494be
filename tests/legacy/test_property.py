"""What the old regular expression takes, the imported configuration takes with the same address.

Where it does not, the import has said so: the one difference wanted is that something is refused on purpose
(docs/FORMATS.md). Another address than the old program's is never what comes out.
"""

from __future__ import annotations

import functools
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legacy.counterparts import PATTERNS
from legacy.imported import Imported, imported
from legacy.lines import lines
from support.examples import examples

#: The three-pattern forms are lines that only together are a login; test_counterparts.py has them.
WHOLE = [name for name, case in PATTERNS.items() if "PID_pat" not in case.perl]


@functools.cache
def _site(name: str) -> Imported:
    with tempfile.TemporaryDirectory() as place:
        return imported(PATTERNS[name].perl + "\n1;\n", Path(place))


def _old(pattern: str, line: str) -> str | None:
    match = re.search(pattern, line)
    return match[match.re.groups] if match else None


@pytest.mark.parametrize("name", WHOLE)
def test_what_the_old_pattern_takes_is_taken(name: str, share: Callable[[object], None]) -> None:
    site = _site(name)
    pattern = site.pattern("pat")
    told = "refused on purpose" in site.notes

    @examples(30)
    @given(lines(pattern, odd=False))
    def check(drawn: tuple[str, str]) -> None:
        line, ip = drawn
        assert _old(pattern, line) == ip, "the drawn line is one that the old pattern takes"
        found = [event[:2] for event in site.events(line)]
        assert found == [("login", ip)] or (found == [] and told), line
        share(found)

    check()


@pytest.mark.parametrize("name", WHOLE)
def test_odd_text_never_makes_another_address(name: str) -> None:
    site = _site(name)
    pattern = site.pattern("pat")
    seen = 0

    @examples(30)
    @given(lines(pattern, odd=True), st.sampled_from(["", " nmsgs=1/2", ", lip=192.0.2.1", " (more)"]))
    def check(drawn: tuple[str, str], rest: str) -> None:
        nonlocal seen
        line, ip = drawn
        found = [event[:2] for event in site.events(line + rest)]
        assert found in ([], [("login", ip)]), line + rest
        seen += bool(found)

    check()
