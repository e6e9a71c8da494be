"""The old patterns as formats: those of the catalogue if it has them, otherwise `[[format]]` tables.

Each pattern becomes one format; a `custom_match` that joins several becomes several.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pbs_fast.errors import FormatError
from pbs_fast.formats.placeholders import expand
from pbs_fast.formats.wholeline import LOGTIME, named
from pbs_fast.formats.wholelint import advise
from pbs_fast.legacy.evaluate import Old
from pbs_fast.legacy.patterns import Known, Recognizer, modern

#: Stamps that are read anyway: a `$logtime_pat` that takes one of them needs no counterpart.
_READ_ANYWAY = ("Mar  4 07:12:09", "2026-03-04T07:12:09", "2026-03-04T07:12:09.123456+01:00", "Mar  4 2026 07:12:09")
#: The tag in a pattern that the three-line form begins with.
_TAG = re.compile(r"(?P<tag>[A-Za-z][A-Za-z0-9_./-]*)\\\[\(")
#: Names of lists of logout patterns: @logout_pats, @OUT_pats, but not @vendor_pats.
_OUT = re.compile(r"(?:[\W_]|log|sign)(?:out|off|end|close)", re.IGNORECASE)


@dataclass
class OwnFormat:
    """One `[[format]]`."""

    keys: dict[str, Any]
    was: list[str]


@dataclass
class Formats:
    """What came of all patterns."""

    own: list[OwnFormat] = field(default_factory=list)
    tags: dict[str, list[str]] = field(default_factory=dict)
    """Format of the catalogue -> tags to add."""
    logtime: str | None = None
    known: bool = False
    """Whether the catalogue has any of the patterns."""
    counts: str = ""
    """What switched the counting of connections on."""
    notes: list[str] = field(default_factory=list)


def site_formats(old: Old, recognizer: Recognizer) -> Formats:
    """What the patterns of a configuration become."""
    out = Formats()
    logtime = old.values.get("logtime_pat")
    if logtime is not None and not any(_takes(str(logtime), stamp) for stamp in _READ_ANYWAY):
        out.logtime = str(logtime)
    if "PID_pat" in old.values:
        _joined(old, recognizer, out)
    for number, (where, pattern, kind) in enumerate(_patterns(old), 1):
        if kind == "logout" and not out.counts:
            out.counts = where
        _one(pattern, kind, where, f"imported-{number}", recognizer, out)
    if "custom_match" in old.values and not any("custom_match" in where for where, _, _ in _patterns(old)):
        out.notes.append(
            f"sub custom_match ({old.where('custom_match')}): no lists of patterns can be read out of its code; write "
            "what it takes as [[format]] tables (docs/FORMATS.md)"
        )
    return out


def _patterns(old: Old) -> Iterator[tuple[str, str, str]]:
    """(where it stood, the pattern, login or logout)."""
    custom = old.values.get("custom_match")
    if custom is not None:
        # The old daemon asked the routine instead of its patterns.
        for name, value in custom.items():
            kind = "logout" if _OUT.search(name) else "login"
            for each in value if isinstance(value, list) else [value]:
                text = each.get("regexp") if isinstance(each, dict) else each
                if isinstance(text, str) and re.search(r"\(|\\", text):
                    yield f"{name} of custom_match, {old.where(name[1:])}", text, kind
        return
    for name, kind in (("pat", "login"), ("out_pat", "logout")):
        value = old.values.get(name)
        if isinstance(value, dict):
            value = value.get("regexp")
        if value:
            yield f"${name}, {old.where(name)}", str(value), kind


def _one(pattern: str, kind: str, where: str, name: str, recognizer: Recognizer, out: Formats) -> None:
    text = modern(pattern)
    known = recognizer.recognize(text, kind)
    if known is not None:
        _known(known, kind, where, out)
        return
    try:
        found = [advice.text for advice in advise(named(expand(text))) if advice.fatal]
    except FormatError as error:
        found = [str(error)]
    if found:
        out.notes.append(f"{where}: cannot be carried over: it {found[0]}. The pattern was: {pattern}")
        return
    key = "line_login" if kind == "login" else "line_logout"
    own = next((each for each in out.own if key not in each.keys and "session" not in each.keys), None)
    if kind == "logout" and own is not None:
        own.keys[key] = [text]
        own.was.append(f"{where}: {pattern}")
    elif kind == "logout":
        out.notes.append(
            f"{where}: a logout pattern without a login pattern beside it ends nothing; left out: {pattern}"
        )
    else:
        out.own.append(OwnFormat({"name": name, key: [text]}, [f"{where}: {pattern}"]))


def _known(known: Known, kind: str, where: str, out: Formats) -> None:
    names = " and ".join(known.formats)
    out.known = True
    out.notes.append(f"{where}: is what the built-in format {names} reads; nothing is needed")
    for name, tags in known.tags.items():
        out.tags.setdefault(name, []).extend(tag for tag in tags if tag not in out.tags.get(name, ()))
    if known.refused and kind == "login":
        out.notes.append(
            f"{where}: it would also take lines such as '{known.refused[0]}', which are refused on purpose "
            "(docs/MIGRATION.md); try a log: import-config --check LOG"
        )


def _joined(old: Old, recognizer: Recognizer, out: Formats) -> None:
    """`$PID_pat` and its companions: several lines of one process."""
    texts = {name: str(old.values.get(name) or "") for name in ("PID_pat", "IP_pat", "OK_pat", "FAIL_pat", "OUT_pat")}
    where = f"$PID_pat and its companions, {old.where('PID_pat')}"
    tag = _TAG.search(texts["PID_pat"])
    if tag is None:
        out.notes.append(
            f"{where}: says no program's name, so its lines cannot be told; write it as [[format]]: {texts}"
        )
        return
    if names := recognizer.sessions_of(tag["tag"]):
        out.known = True
        out.notes.append(f"{where}: is what the built-in format {' and '.join(names)} reads; nothing is needed")
    else:
        steps = {
            key: [_message(texts[name], texts["PID_pat"])]
            for key, name in (("address", "IP_pat"), ("success", "OK_pat"), ("failure", "FAIL_pat"), ("end", "OUT_pat"))
            if texts[name]
        }
        out.own.append(
            OwnFormat(
                {"name": f"imported-{tag['tag'].lower()}", "program": [tag["tag"]], "success": [], "session": steps},
                [f"${name} ({old.where(name)}): {text}" for name, text in texts.items() if text],
            )
        )
    if texts["OUT_pat"]:
        out.counts = f"$OUT_pat, {old.where('OUT_pat')}"


def _message(pattern: str, prefix: str) -> str:
    """What of a pattern stands for the message: without the beginning that all share, anchors and captures."""
    text = modern(pattern.removeprefix(prefix).removesuffix("$"))
    text = re.sub(r"^\^?(?:\[LOGTIME\])?.*?\\\]:? ", "", text) if LOGTIME in text else text
    text = re.sub(r"\((?!\?)([^()]*)\)", r"(?:\1)", text)
    return text if pattern.endswith("$") else f"{text}{{rest}}"


def _takes(pattern: str, stamp: str) -> bool:
    try:
        return re.match(pattern, stamp) is not None
    except re.error:
        return False
