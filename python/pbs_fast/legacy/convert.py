"""An evaluated Perl configuration as TOML that means the same, each key with what it was, and a report of the rest.

Everything in the file ends as carried over (the TOML says from where), covered by a built-in format, or left out, with
a comment at its place. Imports the parts that read the file, and the writer of TOML values.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pbs_fast.config.keys import KEYS
from pbs_fast.config.kinds import RefusedError
from pbs_fast.config.show import toml_value
from pbs_fast.legacy import settings, store
from pbs_fast.legacy.evaluate import Old
from pbs_fast.legacy.formats import site_formats
from pbs_fast.legacy.made import Formats
from pbs_fast.legacy.patterns import Recognizer
from pbs_fast.legacy.place import MADE_FROM
from pbs_fast.legacy.report import Report
from pbs_fast.legacy.settings import Setting
from pbs_fast.util.text import printable

#: Subs of the old program that it called by their names: a file's own of such a name changed what it decided.
_BY_NAME = ("cleanup_nets", "findNetblock", "str2time", "sig_handler", "mydie", "tail_open", "set_output_log")
#: Subs that it called by reference: a file's own of such a name was called only where a variable refers to it.
_BY_REFERENCE = re.compile(r"(?:tie|flock|sync|add|del)_DB|mynet_postfix|tail_init|tail_getline|log_to_stdout")
#: Subs of the old sample's sections.
_SECTIONS = re.compile(r"(?:tie|flock|sync|add|del|mynet|fcntl|init|getline)_\w+")


@dataclass
class Conversion:
    """What came out."""

    lines: list[str] = field(default_factory=list)
    """Of the TOML file."""
    report: Report = field(default_factory=Report)

    @property
    def toml(self) -> str:
        return "\n".join(self.lines) + "\n"

    @property
    def notes(self) -> list[str]:
        """What the administrator should know or do."""
        return self.report.notes

    @property
    def left_out(self) -> list[str]:
        """What decides about grants, table, log or networks and is not in the TOML."""
        return self.report.left_out


def convert(old: Old, recognizer: Recognizer | None) -> Conversion:
    """The configuration that means the same as `old`; without a recognizer all patterns are kept as they were."""
    out = Conversion()
    report = out.report
    out.lines += [
        f"{MADE_FROM.format(_plain(str(Path(old.path).absolute())))} Behind # was: what was there.",
        "# What is in force is shown by: pbs-fast config",
        "",
    ]
    for part in (settings.log, store.table, settings.switches, settings.networks, settings.own_log):
        _write(out, part(old, report))
    formats = site_formats(old, recognizer, report)
    _write(out, _about_formats(old, formats))
    out.lines += _format_lines(formats)
    _subs(old, report)
    out.lines += ["", *_comments(report)] if report.comments else []
    return out


def _write(out: Conversion, found: Iterable[Setting]) -> None:
    lines = []
    for key, value, was in found:
        kind = KEYS[key].kind
        try:
            kind.read(value)
        except RefusedError:
            out.report.leave(_plain(was), f"{key} must be {kind.allowed}", f"write the key {key} yourself")
            continue
        lines.append(f"{key} = {toml_value(value)}  # was: {_plain(was)}")
    out.lines += [*_comments(out.report), *lines]


def _comments(report: Report) -> list[str]:
    return [f"# {_plain(line)}" for line in report.take_comments()]


def _about_formats(old: Old, formats: Formats) -> Iterator[Setting]:
    if formats.logtime is not None:
        yield Setting("logtime", formats.logtime, formats.logtime_was)
    if formats.counts:
        yield Setting("count_sessions", True, f"a logout pattern was set ({formats.counts})")
    if formats.built_in:
        names = list(formats.built_in)
        yield Setting("catalogue", names, "only what the old patterns read; true reads every server of the catalogue")
    elif formats.own:
        own = "only the patterns below"
        if store.acts_itself(old):
            own += ": what is done with an address is code of its own"
        yield Setting("catalogue", False, own)
    else:
        yield Setting("catalogue", [], "no pattern was carried over, so nothing is granted until you write one")


def _format_lines(formats: Formats) -> Iterator[str]:
    for name, tags in formats.tags.items():
        yield from ("", f"[formats.{name}]", f"program = {toml_value(list(tags))}")
    if formats.own:
        yield from (
            "",
            "# As they were, so IPv4 and the old timestamps only: write {ip} for the address's group to take IPv6 too,",
            "# and [LOGTIME] for the timestamp's to take RFC 3339 too (docs/FORMATS.md).",
        )
    for own in formats.own:
        yield from ("", *(f"# was: {_plain(line)}" for line in own.was), "[[format]]")
        yield from (f"{key} = {toml_value(value)}" for key, value in own.keys.items() if not isinstance(value, dict))
        for key, table in own.keys.items():
            if isinstance(table, dict):
                yield from ("", f"[format.{key}]", *(f"{name} = {toml_value(value)}" for name, value in table.items()))


def _subs(old: Old, report: Report) -> None:
    """Subs that no other part has looked at."""
    values = [value for value in (*old.values.values(), *old.defaults.values()) if isinstance(value, dict)]
    referred = {value["function"] for value in values if value.get("own")}
    for name in old.subs:
        where = f"sub {name} ({old.where(name)})"
        if name in referred or name in ("custom_match", "BEGIN"):
            continue
        if name in _BY_NAME:
            report.leave(where, "replaces a part of the old program, which has no counterpart", "see docs/MIGRATION.md")
        elif _BY_REFERENCE.fullmatch(name):
            report.leave(
                where,
                f"code of your own has no counterpart, and perl called the old program's own {name} as long as no "
                "variable refers to this one",
                "see docs/MIGRATION.md, or take it out",
            )
        elif not _SECTIONS.fullmatch(name):
            report.note(f"{where}: code of your own; not needed where only the file itself called it")


def _plain(text: str) -> str:
    """Text in a comment of one line."""
    return printable(os.path.normpath(text) if text.startswith("/") else text)
