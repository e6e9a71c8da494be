"""Python's `re`, on which one backend stands: what is asked of it, and that an engine with faults is noticed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import no_possessive
from pbs_fast.errors import CoreError
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching import backends as choose
from pbs_fast.matching import load_backend
from pbs_fast.matching.python import engine_check as engine
from pbs_fast.matching.python import envelope


class Engine:
    """`re` with a fault: patterns rewritten before, or groups after."""

    def __init__(self, before: tuple[bytes, bytes] = (b"", b""), *, groups: bool = True) -> None:
        self._before, self._groups = before, groups

    def __call__(self, pattern: bytes) -> Any:
        old, new = self._before
        self._regex = re.compile(pattern.replace(old, new) if old else pattern)
        return self

    def fullmatch(self, text: bytes) -> Any:
        match = self._regex.fullmatch(text)
        return match if self._groups or match is None else Without(match)


class Without:
    """A match whose first group is lost."""

    def __init__(self, match: re.Match[bytes]) -> None:
        self._match = match

    def groups(self) -> tuple[Any, ...]:
        return (None, *self._match.groups()[1:])


def test_this_python_is_sound() -> None:
    engine.check()


@pytest.mark.parametrize(
    "faulty",
    [
        pytest.param(Engine((b"(?>", b"(?:")), id="gives back what an atomic group took"),
        pytest.param(Engine((b"|)", b")")), id="does not know an empty alternative"),
        pytest.param(Engine((b"(?<!:)", b"")), id="does not look behind"),
        pytest.param(Engine((b"(?(1)(?!)|", b"(?:")), id="forgets a condition"),
        pytest.param(Engine((b"(?:ab?c)*", b"(?:abc)*")), id="does not try again inside an atomic group"),
        pytest.param(Engine(groups=False), id="loses a group"),
        pytest.param(Engine((b"(?>", b"(?<>")), id="has no atomic groups"),
    ],
)
def test_a_faulty_engine_is_refused_by_name(faulty: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.11.99")
    with pytest.raises(CoreError) as refused:
        engine.check(faulty)
    message = str(refused.value)
    assert "CPython 3.11.99" in message
    assert "native backend" in message
    assert "\n" not in message


FAULTY = """
import re, sys
sound = re.compile
def compile(pattern, flags=0):
    return sound(pattern.replace(b"(?>", b"(?:") if isinstance(pattern, bytes) else pattern, flags)
re.compile = compile
from pbs_fast.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize(("core", "status"), [("python", 1), ("rust", 0)])
def test_the_backend_does_not_load_on_a_faulty_engine(core: str, status: int, tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_text("Nov 22 10:00:00 mx dovecot: imap-login: Login: user=<a>, method=PLAIN, rip=192.0.2.1\n")
    command = [sys.executable, "-c", FAULTY, "match", f"--core={core}", str(log)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert ("the regular expressions of " in done.stderr) == (core == "python")
    assert done.stderr.count("\n") == status


@pytest.mark.parametrize(
    ("pattern", "possessive"),
    [
        (rb"a++", True),
        (rb"(?:(?P<h>[^ ]++)(?<!:) )?+([a-z]+):", True),
        (r"x(?!(?:y|z{1,3}+))", True),
        (r"(a)(?(1)b*+|c)", True),
        (rb"(?>a+)[*+?]+\++", False),
        (rb"\*+", False),
    ],
)
def test_what_is_possessive_is_told(pattern: str | bytes, possessive: bool) -> None:
    assert no_possessive.is_possessive(pattern) is possessive
    if possessive:
        with pytest.raises(no_possessive.PossessiveError):
            re.compile(pattern)
    else:
        re.compile(pattern)


def test_every_pattern_is_looked_at() -> None:
    re.purge()
    load_backend("python").Matcher(load_catalogue(), [(-(10**12), 0)])
    assert envelope.LINE.pattern in no_possessive.SEEN
    seen = [pattern for pattern in no_possessive.SEEN if isinstance(pattern, bytes)]
    assert any(b"Message forwarded" in pattern and b"ovecot" in pattern for pattern in seen)  # the sieve
    assert len(seen) > 200


def test_no_source_writes_one() -> None:
    """What no test brings about is seen here, wherever a piece of a pattern can be read alone."""
    package = Path(choose.__file__).parent.parent
    read = 0
    for source in package.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str | bytes)
                and node.value[:1] not in ("\n", b"")
            ):
                try:
                    found = no_possessive.is_possessive(node.value)
                except (re.error, OverflowError):
                    continue
                read += 1
                assert not found, f"{source}:{node.lineno}: {node.value!r}"
    assert read > 5_000
