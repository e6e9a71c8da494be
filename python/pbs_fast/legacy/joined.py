"""The old patterns for logins that take several lines of one process, as the steps of a `[format.session]`.

The old program joined them by the process id alone: $PID_pat says which lines count, $IP_pat names the address, $OK_pat
is the success. $FAIL_pat ($END_pat up to 1.35) forgets the address; where neither was set, any other line of the
process does. $OUT_pat is the end of a session that counts. Imports the patterns' spelling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from pbs_fast.errors import PbsError
from pbs_fast.formats.custom import own_formats
from pbs_fast.formats.placeholders import expand
from pbs_fast.formats.wholeline import LOGTIME
from pbs_fast.legacy.evaluate import Old
from pbs_fast.legacy.examples import UnclearError, examples
from pbs_fast.legacy.made import DOCS, Formats, OwnFormat, pattern_text
from pbs_fast.legacy.patterns import Recognizer
from pbs_fast.legacy.report import Report
from pbs_fast.legacy.routine import joins_lines
from pbs_fast.legacy.spelling import at_end_of_line, captures, named_captures, spelled

#: `^TIMESTAMP HOST TAG[PID]: `, which is all that a $PID_pat may say, or the tag alone would not be it.
_PREFIX = re.compile(
    r"\^(?:\[LOGTIME\]|\((?:\\.|[^()\\])*\)) ?(?:\\S\+|\\S\*|\[\^ \]\+|\.\*\??) "
    r"(?P<tag>(?:[\w/-]|\\[./-])+|\(\?:(?:[\w/|-]|\\[./-])+\))"
    r"\\\[\((?:\\d\+|\[0-9\]\+|\\d\*)\)\\\]: ?"
)
#: An IPv4 address as the old patterns spelled it.
_IPV4 = re.compile(r"\(\?P<ip>(?:\\d\+|\\d\{1,3\}|\[0-9\]\+)(?:\\\.(?:\\d\+|\\d\{1,3\}|\[0-9\]\+)){3}\)")
#: What the file's last part makes of a $FAIL_pat that is not set.
_ANY = "."


class Joined(NamedTuple):
    """What became of the patterns."""

    tags: tuple[str, ...]
    steps: dict[str, list[str]]
    without_end: str
    """Why the end of sessions is left out; empty where it is not, or there was none."""


def joined(texts: dict[str, str], logtime: str, *, replaced: bool = False) -> Joined:
    """The steps; `texts` by the variables' names, `replaced` where the file has put the timestamp in place.

    Raises ValueError for code that cannot be written as steps.
    """
    # The file's last part has put $logtime_pat in place.
    if replaced and any(LOGTIME in text for text in texts.values()):
        raise ValueError(f"it holds {LOGTIME}, which the file's own last part does not replace, so it took no line")
    plain = {name: text.replace(LOGTIME, logtime) for name, text in texts.items()}
    prefix = plain["PID_pat"]
    head = _PREFIX.fullmatch(prefix)
    if head is None:
        raise ValueError("$PID_pat is not a timestamp, any host, a program's name and its process id")
    named = re.sub(r"\\(.)", r"\1", head["tag"])
    tags = tuple(named.removeprefix("(?:").removesuffix(")").split("|"))
    failure = plain["FAIL_pat"] or plain["END_pat"]
    if failure == _ANY:
        failure = ""
    steps = {
        "address": [_message("IP_pat", plain["IP_pat"], prefix, address=True)],
        "success": [_message("OK_pat", plain["OK_pat"], prefix)],
    }
    end = _message("OUT_pat", plain["OUT_pat"], prefix) if plain["OUT_pat"] else ""
    if not failure:
        steps["failure"] = ["{rest}"]
        without = "without $FAIL_pat any line forgets the address, and here that would go for an end too" if end else ""
        return Joined(tags, steps, without)
    refused = _message("FAIL_pat", failure, prefix)
    if not end:
        return Joined(tags, {**steps, "failure": [refused]}, "")
    meet = _meet(refused, end)
    if meet == "all":
        # An end forgets the address too.
        return Joined(tags, {**steps, "end": [refused]}, "")
    if meet:
        return Joined(tags, {**steps, "failure": [refused]}, "lines that it takes are taken by $FAIL_pat as well")
    return Joined(tags, {**steps, "failure": [refused], "end": [end]}, "")


def _message(name: str, pattern: str, prefix: str, *, address: bool = False) -> str:
    """What of a pattern is for the message: without the beginning that all have, without captures."""
    if not pattern.startswith(prefix):
        raise ValueError(f"${name} does not begin with $PID_pat")
    text = pattern.removeprefix(prefix)
    if text.startswith("?") or "|" in _outside(text):
        raise ValueError(f"${name} has alternatives for the whole line")
    text = spelled(text)
    if "|" in _outside(text):  # the group around the whole was taken away
        text = f"(?:{text})"
    text = at_end_of_line(text)
    at_end = re.search(r"\(\?:(\\[sDW]|\[[^\]]*\])\|\$\)$", text)
    if at_end:
        text = f"{text[: at_end.start()]}(?:{at_end[1]}{{rest}})?"
    anchored = bool(at_end) or (text.endswith("$") and not text.endswith("\\$"))
    text = text[:-1] if anchored and not at_end else text
    if address and not captures(text):
        raise ValueError(f"${name} has no capture for the address")
    text = named_captures(text, {1: "ip"} if address else {})
    text = _IPV4.sub("{ipv4}", text)
    return text if anchored else f"{text}{{rest}}"


def _outside(text: str) -> str:
    """A pattern without what is in its groups and classes."""
    text = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "", text)
    while (inner := re.sub(r"\([^()]*\)", "", text)) != text:
        text = inner
    return text


def _meet(failure: str, end: str) -> str:
    """Whether the two take the same lines: `all`, `some`, or none."""
    if failure == end:
        return "all"
    one, other = expand(failure), expand(end)
    try:
        ends, failures = list(examples(other, {})), list(examples(one, {}))
        meet = any(re.fullmatch(one, line) for line in ends) or any(re.fullmatch(other, line) for line in failures)
    except (UnclearError, re.error):
        return "some"
    return "some" if meet else ""


def several_lines(old: Old, recognizer: Recognizer | None, out: Formats, report: Report) -> None:
    """`$PID_pat` and its companions: several lines of one process."""
    where = f"$PID_pat and its companions, {old.where('PID_pat')}"
    texts = {
        name: pattern_text(old.value(name))
        for name in ("PID_pat", "IP_pat", "OK_pat", "FAIL_pat", "END_pat", "OUT_pat")
    }
    tail = joins_lines(old)
    if not tail:
        report.note(
            f"{where}: the last part of the sample file, which joins them, is not there, so the old program asked its "
            "default $pat instead; taken as if it were there, which grants beyond the old file"
        )
    if "pat" in old.values or "out_pat" in old.values:
        report.note("$pat, $out_pat: not used by the old program either, $PID_pat and its companions are asked instead")
    try:
        found = joined(texts, pattern_text(old.value("logtime_pat")), replaced=tail)
    except ValueError as error:
        report.leave(where, f"cannot be carried over: {error}. It was: {_shown(texts)}", DOCS)
        return
    names, missing = recognizer.sessions_of(found.tags, found.steps) if recognizer is not None else ((), [])
    if names:
        out.built_in |= dict.fromkeys(names)
        beyond = "IPv6 addresses and other timestamps"
        if missing:
            beyond = f"logins such as '{missing[0]}', {beyond}"
        report.cover(
            f"{where}: is what the built-in format {' and '.join(names)} reads, which grants beyond the old patterns: "
            f"{beyond}. To keep the patterns as they were: import-config --keep-patterns"
        )
    else:
        own = OwnFormat(
            {
                "name": f"imported-{found.tags[0].lower()}",
                "program": list(found.tags),
                "success": [],
                "session": found.steps,
            },
            [f"${name} ({old.where(name)}): {text}" for name, text in texts.items() if text],
        )
        try:
            own_formats([own], ())
        except PbsError as error:
            report.leave(where, f"cannot be carried over: {error}. It was: {_shown(texts)}", DOCS)
            return
        out.own.append(own)
        report.note(
            f"{where}: a format of your own reads the messages of {' and '.join(found.tags)}, which grants beyond the "
            "old patterns: lines with other timestamps, and without a host"
        )
        if found.without_end:
            report.leave(
                f"$OUT_pat ({old.where('OUT_pat')})", found.without_end, "the address stays for the grace time"
            )
    if texts["OUT_pat"] and not found.without_end:
        out.counts = f"$OUT_pat, {old.where('OUT_pat')}"


def _shown(texts: Mapping[str, str]) -> str:
    return ", ".join(f"${name} = {text}" for name, text in texts.items() if text)
