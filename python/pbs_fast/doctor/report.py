"""Findings for people and programs: aligned text of 80 columns, JSON, the exit status. Pure."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from pbs_fast.health.finding import Finding, Level
from pbs_fast.util.text import printable

#: The version of what `--json` prints; within one, keys are only ever added.
VERSION: Final = 1
WIDTH: Final = 80
_LEVELS: Final[Sequence[Level]] = ("ok", "note", "warn", "fail", "skip")
_WORDS: Final[dict[Level, tuple[str, str]]] = {
    "ok": ("ok", "ok"),
    "note": ("note", "notes"),
    "warn": ("warning", "warnings"),
    "fail": ("failure", "failures"),
    "skip": ("skipped", "skipped"),
}
#: Exit statuses.
WARNED, FAILED = 3, 1


def status(findings: Iterable[Finding]) -> int:
    """1 with a failure, else 3 with a warning, else 0."""
    levels = {each.level for each in findings}
    return FAILED if "fail" in levels else WARNED if "warn" in levels else 0


def as_text(findings: Sequence[Finding]) -> str:
    """One block a finding, and a last line that counts them."""
    column = max([len("postfix.policy"), *(len(each.code) for each in findings)]) + 2
    margin = " " * (6 + column)
    lines: list[str] = []
    for each in findings:
        level = "FAIL" if each.level == "fail" else each.level
        head = f"{level:<6}{each.code:<{column}}"
        lines += _wrapped(each.evidence, head, margin)
        if each.advice:
            lines += _wrapped(each.advice, margin, margin)
    return "\n".join([*lines, counts(findings)]) + "\n"


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        printable(text),
        WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def counts(findings: Iterable[Finding]) -> str:
    """`12 ok, 1 note, 1 warning, 2 failures`."""
    number = Counter(each.level for each in findings)
    return ", ".join(f"{number[level]} {_WORDS[level][number[level] != 1]}" for level in _LEVELS if number[level])


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings, how many there are of each level, and the exit status."""
    number = Counter(each.level for each in findings)
    return {
        "v": VERSION,
        "findings": [
            {"code": each.code, "level": each.level, "evidence": each.evidence, "advice": each.advice or None}
            for each in findings
        ],
        "counts": {level: number[level] for level in _LEVELS},
        "status": status(findings),
    }
