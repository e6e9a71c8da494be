"""A self-test of Python's `re`: what this backend's patterns are made of must mean here what it means elsewhere.

CPython 3.11.0 to 3.11.4, which Debian 12 has, match possessive repetitions wrongly (gh-106052, gh-100061), and nobody
notices: lines are lost, others grant that must not. So no pattern of ours holds one (tests/no_possessive.py), atomic
groups take their place, and an engine that gets these wrong is refused by name. Costs 1 ms, once a process.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from typing import Final

from pbs_fast.errors import CoreError

CASES: Final[tuple[tuple[bytes, bytes, tuple[bytes | None, ...] | None], ...]] = (
    # Pattern, text, and the groups of the match of the whole text; None for no match.
    # An atomic group gives nothing back, whatever is in it.
    (rb"(?>[^ ]+)x", b"dovecotx", None),
    (rb"(?>(?:ab?c)*)b", b"abcab", None),
    (rb"(?>a|ab)c", b"abc", None),
    (rb"(?>a|)ab", b"ab", None),
    # Inside it is tried again, and what a failed try took is forgotten.
    (rb"(?>(?:ab?c)*)a", b"abcaca", ()),
    (rb"(?>(?P<h>(?>[^ ]+))(?<!:) |)([a-z]+):", b"dovecot:", (None, b"dovecot")),
    (rb"(?>(?P<h>(?>[^ ]+))(?<!:) |)([a-z]+):", b"mx1 dovecot:", (b"mx1", b"dovecot")),
    (rb"(?>(?P<h>(?>[^ ]+))(?<!:) |)([a-z]+):", b"mx1: dovecot:", None),
    (rb"(?>(?!\[(?>[^]]+)\] )((?>[^ ]+))(?> +)|)(?:(a)|(?(1)(?!)|\[(b)\]))", b"[b]", (None, None, b"b")),
    (rb"(?>(?!\[(?>[^]]+)\] )((?>[^ ]+))(?> +)|)(?:(a)|(?(1)(?!)|\[(b)\]))", b"mx [b]", None),
    # One in another, repeated: structured data of RFC 5424.
    (rb"(?>(?:\[(?>(?:(?>[^\"\]]+)|\"(?>(?:[^\"\\\]]|\\.)*)\")*)\])+) (.*)", rb'[a b="\]"][c] x', (b"x",)),
    (rb"(?>(?:\[(?>(?:(?>[^\"\]]+)|\"(?>(?:[^\"\\\]]|\\.)*)\")*)\])+) (.*)", rb'[a b="]"] x', None),
    # A group that never takes part, behind alternatives and greedy repetitions.
    (rb"(?:(a+) |b)(?:[^ ]+ )?(x*)(?:|((?!)))", b"bc xx", (None, b"xx", None)),
    (rb"((J)|[0-9])(?>[.,][0-9]{1,9}|)(?(2)|(?>(Z|[+-][0-9])|))", b"7.123+0", (b"7", None, b"+0")),
    (rb"((J)|[0-9])(?>[.,][0-9]{1,9}|)(?(2)|(?>(Z|[+-][0-9])|))", b"J.1Z", None),
)


def check(compile_: Callable[[bytes], re.Pattern[bytes]] = re.compile) -> None:
    """Raises CoreError where an engine (by default Python's `re`) does not match as these patterns mean."""
    for pattern, text, expected in CASES:
        try:
            match = compile_(pattern).fullmatch(text)
        except (re.error, SystemError, RecursionError) as error:
            raise _refused(f"{pattern!r}: {' '.join(str(error).split())}") from error
        found = None if match is None else match.groups()
        if found != expected:
            raise _refused(f"{pattern!r} on {text!r} gives {found!r}, not {expected!r}")


def _refused(what: str) -> CoreError:
    name = f"{platform.python_implementation()} {platform.python_version()}"
    return CoreError(
        f"the regular expressions of {name} are faulty, so its Python backend would misread logs ({what});"
        " install the native backend (a wheel made for this machine) or run pbs-fast with another Python"
    )
