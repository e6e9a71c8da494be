"""Custom formats, from the `[[format]]` tables of a site's configuration.

The catalogue's rules apply as far as safety needs them: a pattern that no engine can run, or that can grant nothing, is
an error with its line; a risky one works and causes a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from pbs_fast.errors import FormatError
from pbs_fast.formats import Format, lint
from pbs_fast.formats.bounded import is_proved, two_ways
from pbs_fast.formats.loader import build, extend
from pbs_fast.formats.samples import ENDINGS, sample_of
from pbs_fast.formats.structure import PatternError
from pbs_fast.formats.wholelint import advise

#: Rules of the lint whose breach no format survives.
_FATAL = frozenset({"ascii", "construct", "pattern", "groups", "tag", "success", "sample"})
_SLOWER = "; it runs in a slower engine, in time that is bounded by the line's length"
#: The tables of each kind of pattern, as named in errors.
_PLACES = {key: (key, "") for key in ("login", "logout", *ENDINGS, "sample")} | {
    f"session {step}": (step, "session") for step in ("address", "success", "failure", "end")
}


class Table(Protocol):
    """One `[[format]]`."""

    @property
    def keys(self) -> Mapping[str, Any]: ...
    def where(self, key: str = "", within: str = "") -> str:
        """`FILE:LINE` of a key."""


@dataclass(frozen=True)
class Own:
    """What came of some tables."""

    formats: tuple[Format, ...]
    warnings: tuple[str, ...]
    slow: tuple[str, ...]
    """Names of the formats that are searched in whole lines, or whose patterns are not one-pass."""


def in_force(catalogue: Sequence[Format], tags: Mapping[str, Sequence[str]], tables: Sequence[Table]) -> Own:
    """The formats of a configuration: the site's own first, then the catalogue with the tags that the site adds.

    Raises FormatError.
    """
    own = own_formats(tables, catalogue)
    return replace(own, formats=(*own.formats, *extend(catalogue, tags)))


def own_formats(tables: Sequence[Table], catalogue: Sequence[Format]) -> Own:
    """The formats of a site. Raises FormatError for the first fault that cannot be lived with."""
    formats: list[Format] = []
    warnings: list[str] = []
    slow: list[str] = []
    taken = {each.name for each in catalogue}
    for table in tables:
        found = build(_complete(table), table.where)
        if found.name in taken:
            raise FormatError(
                f"{table.where('name')}: there is a format '{found.name}' already; give this one another name, or add "
                f"tags to that one in [formats.{found.name}]"
            )
        taken.add(found.name)
        said: list[str] = []
        for fatal, text in _check(found, table):
            if fatal:
                raise FormatError(text)
            said.append(text)
        warnings += said
        if found.line_login or any("can read a text in two ways" in text for text in said):
            slow.append(found.name)
        formats.append(found)
    return Own(tuple(formats), tuple(warnings), tuple(slow))


def _complete(table: Table) -> dict[str, Any]:
    keys = dict(table.keys)
    name = keys.get("name")
    if isinstance(name, str):
        keys.setdefault("title", name)
    keys.setdefault("versions", "")
    if not keys.get("line_login"):
        keys.setdefault("success", [])
    return keys


def _check(fmt: Format, table: Table) -> Iterator[tuple[bool, str]]:
    """(whether it is fatal, the whole line) for each finding."""
    samples = [
        sample_of(raw, number, fmt, Path(table.where("sample"))) for number, raw in enumerate(_samples(table), 1)
    ]
    for finding in lint.check(replace(fmt, line_login=(), line_logout=()), samples, two_ways):
        if finding.rule == "samples" or "takes no sample" in finding.text:
            continue  # how complete the samples are is a site's own business
        kind = "sample" if finding.rule == "sample" else finding.text.partition(" pattern ")[0]
        place = table.where(*_PLACES.get(kind, ("", "")))
        fatal = finding.rule in _FATAL or (finding.rule == "address" and "is not {" not in finding.text)
        yield fatal, f"{place}: {finding.text}{_SLOWER if finding.rule == 'one-pass' else ''}"
    if fmt.own_probe is not None:
        try:
            is_proved(fmt.own_probe)
        except PatternError as error:
            yield True, f"{table.where('probe', 'own_log')}: probe {error}"
    for key, patterns in (("line_login", fmt.line_login), ("line_logout", fmt.line_logout)):
        for number, pattern in enumerate(patterns, 1):
            for fatal, text in advise(pattern):
                yield fatal, f"{table.where(key)}: {key} pattern {number} {text}"
            if key == "line_login" and "(?P<ip>" not in pattern:
                yield True, f"{table.where(key)}: {key} pattern {number} has no address; write {{ip}} in its place"


def _samples(table: Table) -> list[Any]:
    found = table.keys.get("sample", [])
    return found if isinstance(found, list) else []
