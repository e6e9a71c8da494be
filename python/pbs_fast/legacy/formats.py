"""The old patterns as formats: those of the catalogue if it has them, otherwise `[[format]]` tables.

A pattern is kept as it was, its timestamp and its IPv4 address too, so that it takes no line that it did not take; only
its spelling changes. Imports what evaluated the configuration, its routine read as patterns, and the recognizer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pbs_fast.errors import PbsError
from pbs_fast.formats.custom import own_formats
from pbs_fast.formats.timestamps import BSD, ISO
from pbs_fast.formats.wholeline import LOGTIME
from pbs_fast.legacy.evaluate import Old
from pbs_fast.legacy.joined import several_lines
from pbs_fast.legacy.logtime import has_year, logtime_of, takes_stamp
from pbs_fast.legacy.made import DOCS, Formats, OwnFormat, pattern_text
from pbs_fast.legacy.patterns import Known, Recognizer, modern
from pbs_fast.legacy.report import Report
from pbs_fast.legacy.routine import Tried, UnreadError, joins_lines, tried
from pbs_fast.legacy.spelling import at_end_of_line, captures, named_captures, spelled


@dataclass(frozen=True)
class _Pattern:
    where: str
    text: str
    logout: bool = False
    counts: bool = False
    timestamp: int = 1
    ip: int = 2
    own_code: bool = False
    """Whether the file's own code tries it."""


def site_formats(old: Old, recognizer: Recognizer | None, report: Report) -> Formats:
    """What the patterns of a configuration become; without a recognizer all are kept as they were."""
    for each in (recognizer, None):
        trial = Report()
        try:
            out = _formats(old, each, trial)
        except _EndsLostError:
            # A built-in format without ends took the logins whose logouts are counted: keep both.
            continue
        report.add(trial)
        return out
    raise AssertionError("without a recognizer no ends are lost")


class _EndsLostError(Exception):
    """A logout pattern has lost its logins to a format that tells no ends."""


def _formats(old: Old, recognizer: Recognizer | None, report: Report) -> Formats:
    out = Formats()
    _logtime(old, out, report)
    if "custom_match" in old.subs and not joins_lines(old):
        patterns = _of_routine(old, report)
    elif _joins(old):
        several_lines(old, recognizer, out, report)
        return out
    else:
        patterns = list(_of_variables(old))
        _unused(old, report)
    if patterns is None:
        return out
    out.ended = any(each.logout for each in patterns)
    for number, each in sorted(enumerate(patterns, 1), key=lambda numbered: numbered[1].logout):
        if each.logout and not out.counts:
            out.counts = each.where
        _one(old, replace(each, counts=each.counts and out.ended), f"imported-{number}", recognizer, out, report)
    _logouts_find_logins(out, recognizer, report)
    return out


def _of_routine(old: Old, report: Report) -> list[_Pattern] | None:
    where = f"sub custom_match ({old.where('custom_match')})"
    try:
        found = tried(old)
    except UnreadError as error:
        report.leave(
            where,
            f"no lists of patterns can be read out of its code, which does more than try patterns: {error}",
            DOCS,
        )
        return None
    if not found:
        report.leave(where, "no lists of patterns can be read out of its code: it takes no line", DOCS)
    if ignored := [name for name in ("pat", "out_pat") if name in old.values and not _is_tried(old, name, found)]:
        report.note(f"${' and $'.join(ignored)}: not used by the old program either, custom_match is asked instead")
    return [
        _Pattern(
            f"{each.name if each.name == 'its code' else _list(each.name)} of custom_match, {_line(old, each.name)}",
            each.pattern,
            each.logout,
            each.counts,
            each.timestamp,
            each.ip,
            own_code=True,
        )
        for each in found
    ]


def _list(name: str) -> str:
    """The list of an element, as people know it; another name as it is."""
    return re.sub(r"^\$(\w+)\[\d+\]$", r"@\1", name)


def _line(old: Old, name: str) -> str:
    bare = re.sub(r"^[$@](\w+).*", r"\1", name)
    return old.where(bare) if bare in old.lines else old.where("custom_match")


def _is_tried(old: Old, name: str, found: list[Tried]) -> bool:
    """Whether a routine goes on with what $pat holds, in whatever spelling."""
    text = pattern_text(old.value(name))
    plain = text.replace(LOGTIME, pattern_text(old.value("logtime_pat")))
    return any(plain in each.pattern.replace(LOGTIME, pattern_text(old.value("logtime_pat"))) for each in found)


def _of_variables(old: Old) -> Iterator[_Pattern]:
    """`$pat` and `$out_pat`; the old program's own $pat where the file sets none."""
    logout = pattern_text(old.value("out_pat"))
    yield _Pattern(f"$pat, {old.where('pat')}", pattern_text(old.value("pat")), counts=bool(logout))
    if logout:
        yield _Pattern(f"$out_pat, {old.where('out_pat')}", logout, logout=True)


def _joins(old: Old) -> bool:
    """Whether the patterns for several lines are what the file means.

    The file's last part makes a routine of them. A file without it that sets no other pattern can only have meant them.
    """
    all_three = all(old.value(name) is not None for name in ("PID_pat", "IP_pat", "OK_pat"))
    return all_three and (joins_lines(old) or not {"pat", "out_pat"} & set(old.values))


def _unused(old: Old, report: Report) -> None:
    """The patterns for several lines mean something only when all three are there, and the file's last part."""
    for name in ("PID_pat", "IP_pat", "OK_pat", "FAIL_pat", "END_pat", "OUT_pat"):
        if name in old.values:
            report.note(
                f"${name} ({old.where(name)}): not used by the old program without $PID_pat, $IP_pat and $OK_pat, "
                "and the last part of its sample file"
            )


def _logtime(old: Old, out: Formats, report: Report) -> None:
    text = pattern_text(old.values.get("logtime_pat"))
    if text and not takes_stamp(text):
        _set_logtime(text, f"$logtime_pat ({old.where('logtime_pat')})", out, report)


def _set_logtime(text: str, where: str, out: Formats, report: Report) -> bool:
    """Carry a pattern for timestamps over, as it is or as a strptime format."""
    try:
        out.logtime, out.logtime_was, out.logtime_pattern = logtime_of(text), where, text
    except ValueError as error:
        report.leave(where, f"cannot be carried over: {error}", "write the key logtime yourself (docs/FORMATS.md)")
        return False
    return True


def _one(old: Old, each: _Pattern, name: str, recognizer: Recognizer | None, out: Formats, report: Report) -> None:
    kind = "logout" if each.logout else "login"
    if each.own_code and LOGTIME in each.text:
        # The old program replaced it in $pat and $out_pat only; to perl it is a class of letters.
        why = f"cannot be carried over: it holds {LOGTIME}, which the file's code does not replace, so it took no line"
        report.leave(each.where, f"{why}. The pattern was: {each.text}", DOCS)
        return
    known = recognizer.recognize(modern(each.text), kind) if recognizer is not None else None
    if known is not None and recognizer is not None and _covers(known, each, recognizer, out):
        _known(known, each, out, report)
        return
    try:
        text = _kept(old, each, out, report)
    except ValueError as error:
        report.leave(each.where, f"cannot be carried over: it {error}. The pattern was: {each.text}", DOCS)
        return
    key = "line_logout" if each.logout else "line_login"
    was = f"{each.where}: {each.text}"
    if each.logout or each.counts:
        # Sessions are counted by format, and the old program counted them by address alone: so one format has them all.
        shared = next((own for own in out.own if own.keys["name"] == "imported-sessions"), None)
        if shared is None:
            shared = OwnFormat({"name": "imported-sessions"}, [])
            out.own.append(shared)
        own = OwnFormat({**shared.keys, key: [*shared.keys.get(key, []), text]}, [*shared.was, was])
    else:
        shared = None
        own = OwnFormat({"name": name, key: [text]}, [was])
    trial = own if "line_login" in own.keys else OwnFormat({**own.keys, "line_login": ["^{ip} [LOGTIME]$"]}, [])
    try:
        own_formats([trial], ())
    except PbsError as error:
        said = re.sub(r"^[\w.]*: ", "", str(error))
        said = re.sub(r"^line_\w+ pattern \d+ ", "it ", said)
        report.leave(each.where, f"cannot be carried over: {said}. The pattern was: {each.text}", DOCS)
        if shared is not None and len(shared.keys) == 1:
            out.own.remove(shared)
        return
    if shared is None:
        out.own.append(own)
    else:
        shared.keys, shared.was = own.keys, own.was


def _covers(known: Known, each: _Pattern, recognizer: Recognizer, out: Formats) -> bool:
    """Whether the built-in formats may replace a pattern."""
    if known.foreign:
        return False
    if each.logout:
        # A format that comes in by its ends only would bring its logins.
        return bool(set(known.formats) & set(out.built_in))
    # With `count_sessions` its sessions would count too, and keep their addresses longer than before.
    return each.counts or not out.ended or not recognizer.with_ends(known.formats)


def _kept(old: Old, each: _Pattern, out: Formats, report: Report) -> str:
    """A pattern that takes what the old one took. Raises ValueError for what cannot be spelled here."""
    logtime = pattern_text(old.value("logtime_pat"))
    text = each.text.replace(LOGTIME, logtime)
    text = at_end_of_line(spelled(text))
    found = captures(text)
    if len(found) < max(each.timestamp, each.ip):
        raise ValueError("has no captures for the timestamp and the address")
    timestamp = text[slice(*found[each.timestamp - 1])]
    names = {each.timestamp: "timestamp", each.ip: "ip"}
    if takes_stamp(timestamp):
        return named_captures(text, names)
    # A timestamp that is not read as it is: `logtime` describes it, at the line's start only, and makes it one that is.
    if not re.match(r"\^?$", text[: found[each.timestamp - 1][0]]):
        raise ValueError("has a timestamp of its own that does not begin the line")
    if out.logtime is None and not _set_logtime(timestamp, each.where, out, report):
        raise ValueError("has a timestamp that cannot be read")
    if spelled(out.logtime_pattern) != timestamp:
        raise ValueError("has another timestamp than the patterns before it")
    inner = len(captures(timestamp)) - 1
    begin, end = found[each.timestamp - 1]
    text = text[:begin] + f"(?P<timestamp>{ISO if has_year(timestamp) else BSD})" + text[end:]
    return named_captures(text, {each.ip - (1 + inner if each.ip > each.timestamp else 0): "ip"})


def _known(known: Known, each: _Pattern, out: Formats, report: Report) -> None:
    names = " and ".join(known.formats)
    if not each.logout:
        out.built_in |= dict.fromkeys(known.formats)
    for name, tags in known.tags.items():
        out.tags.setdefault(name, []).extend(tag for tag in tags if tag not in out.tags.get(name, ()))
    if each.logout:
        report.cover(f"{each.where}: is what the built-in format {names} reads")
        return
    beyond = "IPv6 addresses and other timestamps"
    if known.beyond:
        shown = "; ".join(f"'{line}'" for line in known.beyond[:3])
        beyond = f"{len(known.beyond)} of its {known.samples} sample lines, such as {shown}, and {beyond}"
    report.cover(
        f"{each.where}: is what the built-in format {names} reads, which grants beyond the old pattern: {beyond}; "
        "lines that may be forged are refused (docs/FORMATS.md). To keep the pattern as it was: import-config "
        "--keep-patterns"
    )
    if known.refused:
        report.note(
            f"{each.where}: it would also take lines such as '{known.refused[0]}', which are refused on purpose "
            "(docs/MIGRATION.md); where your server writes them: import-config --keep-patterns; try: --check LOG"
        )


def _logouts_find_logins(out: Formats, recognizer: Recognizer | None, report: Report) -> None:
    """A format that has logouts only ends nothing: the built-in formats of its logins have their own ends."""
    for own in list(out.own):
        if "line_logout" not in own.keys or "line_login" in own.keys:
            continue
        out.own.remove(own)
        ended = recognizer.with_ends(out.built_in) if recognizer is not None else ()
        if out.built_in and not ended:
            raise _EndsLostError
        for was in own.was:
            if ended:
                names = " and ".join(ended)
                report.cover(f"{was}: the sessions of the built-in format {names} end by its own patterns instead")
            else:
                report.leave(was, "a logout pattern without a login pattern ends nothing", "leave it out")
                out.counts = ""
