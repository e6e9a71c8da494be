"""An evaluated Perl configuration as equivalent TOML, each key with its old setting, and notes for the rest.

Functions are recognised by the names that the old daemon gave them. A setting without a counterpart becomes a note with
its line and what to do.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pbs_fast.config.show import toml_value
from pbs_fast.legacy.evaluate import Old
from pbs_fast.legacy.formats import Formats, site_formats
from pbs_fast.legacy.patterns import Recognizer
from pbs_fast.util.text import printable

OLD_DBFILE = "/etc/postfix/pop-before-smtp"

#: Function that opened the store -> the table's type. NDBM and DB_File are both Berkeley DB to the MTA that read them.
_TABLES = {
    "tie_DB": "hash",
    "tie_BerkeleyDB": "hash",
    "tie_NDBM": "hash",
    "tie_CDB": "cdb",
    "tie_tcprules": "tcprules",
    "tie_courier": "courier",
    "tie_sendmail": "sendmail",
}
#: Functions that only go with the store, and say nothing that its type does not say.
_GO_WITH = {
    "flock_func": {"flock_DB", "flock_courier", "flock_sendmail", "fcntl_sendmail"},
    "sync_func": {"sync_DB", "sync_BerkeleyDB", "sync_tcprules", "sync_courier", "sync_sendmail", "sync_CDB"},
    "add_func": {"add_DB", "add_tcprules"},
    "del_func": {"del_DB", "del_tcprules"},
    "tail_init_func": {"tail_init", "init_FileTail"},
    "tail_getline_func": {"tail_getline", "getline_FileTail", "getline_stdin"},
    "log_func": {"syslog"},
    "mynet_func": {"mynet_postfix", "mynet_tcprules", "mynet_courier", "mynet_sendmail"},
    "tie_func": set(_TABLES),
}
_SWITCHES = ("write", "debug", "reprocess")


@dataclass
class Conversion:
    """What came out."""

    lines: list[str] = field(default_factory=list)
    """Of the TOML file."""
    notes: list[str] = field(default_factory=list)
    """What the administrator should know or do."""

    @property
    def toml(self) -> str:
        return "\n".join(self.lines) + "\n"


def convert(old: Old, recognizer: Recognizer) -> Conversion:
    """The configuration that means the same as `old`."""
    out = Conversion()
    out.lines += [
        f"# Made from {_plain(old.path)} by pbs-fast import-config. Behind # was: what stood there.",
        "# All formats of the catalogue are on; what is in force is shown by: pbs-fast config",
        "",
    ]
    settings = [*_log(old, out), *_table(old, out), *_settings(old, out), *_networks(old, out), *_own_log(old)]
    formats = site_formats(old, recognizer)
    if formats.logtime is not None:
        settings.append(("logtime", formats.logtime, f"$logtime_pat ({old.where('logtime_pat')})"))
    if formats.counts:
        settings.append(("count_sessions", True, f"a logout pattern was set ({formats.counts})"))
    if _acts_itself(old) and formats.own and not formats.known:
        settings.append(
            ("catalogue", False, "only the patterns below: what is done with an address is code of its own")
        )
    out.lines += [f"{key} = {toml_value(value)}  # was: {_plain(was)}" for key, value, was in settings]
    out.notes += formats.notes
    out.lines += _format_lines(formats)
    out.notes += list(_unknown_functions(old))
    return out


Setting = tuple[str, Any, str]


def _log(old: Old, out: Conversion) -> Iterator[Setting]:
    tail = old.values.get("file_tail", {})
    name = tail.get("name") if isinstance(tail, dict) else None
    if _function(old, "tail_getline_func") == "getline_stdin":
        yield "watchlog", "-", f"$tail_getline_func = \\&getline_stdin ({old.where('tail_getline_func')})"
    elif name:
        yield "watchlog", name, f"$file_tail{{'name'}} = '{name}' ({_where_in_hash(old, 'name')})"
    if isinstance(tail, dict) and tail.get("tail") not in (None, "-1"):
        out.notes.append(
            f"$file_tail{{'tail'}} = {tail['tail']} ({_where_in_hash(old, 'tail')}): not needed, a start reads the log "
            "back as far as the grace time reaches, rotated files included"
        )


def _where_in_hash(old: Old, key: str) -> str:
    return old.where(f"file_tail.{key}" if f"file_tail.{key}" in old.lines else "file_tail")


def _table(old: Old, out: Conversion) -> Iterator[Setting]:
    tie = _function(old, "tie_func") or "tie_DB"
    kind = _TABLES.get(tie)
    path = old.values.get("dbfile")
    if kind is None:
        return
    where = f"$dbfile ({old.where('dbfile')}), $tie_func = \\&{tie}"
    options = []
    if kind == "sendmail":
        path = path or "/etc/mail/popauth"
        if _function(old, "flock_func") == "fcntl_sendmail":
            options.append("lock=fcntl")
        if _truth(old.values.get("signal_sendmail")):
            options.append("signal=/run/sendmail/mta/sendmail.pid")
            out.notes.append(
                f"$signal_sendmail ({old.where('signal_sendmail')}): the option signal= of the table; check its pid "
                "file. Today's Sendmails see changes without it (docs/MTA-SENDMAIL.md)"
            )
    elif kind == "courier":
        path = path or "/etc/courier/smtpaccess"
        out.notes.append("courier: no restart of esmtpd is needed any more (docs/MTA-COURIER.md)")
    elif kind == "tcprules":
        program = str(old.values.get("TCPRULES") or "").split()
        if program and program[0] != "tcprules":
            options.append(f"program={program[0]}")
        out.notes.append("tcprules: our rules are compiled beside your own ones; see docs/MTA-QMAIL.md, rules=")
    path = str(path or OLD_DBFILE)
    if tie == "tie_NDBM":
        out.notes.append(
            f"$tie_func = \\&tie_NDBM ({old.where('tie_func')}): NDBM is not written any more; hash: is the nearest. "
            f"Where the MTA says dbm:{path}, let it say hash:{path}"
        )
    path = path.removesuffix({"cdb": ".cdb", "hash": ".db"}.get(kind, "\0"))
    text = f"{kind}:{path}" + ("?" + "&".join(options) if options else "")
    yield "dbfile", text, where
    # With Berkeley DB's own module, and for rebuilt files, the old daemon took no lock; ours goes by the table.
    if kind == "hash" and tie == "tie_DB" and "flock" in old.values:
        yield "flock", _truth(old.values["flock"]), f"$flock = {old.values['flock']} ({old.where('flock')})"
    value = old.values.get("dbvalue")
    if value is not None and not (kind == "courier" and value == "allow,RELAYCLIENT"):
        yield "value", str(value), f"$dbvalue = '{value}' ({old.where('dbvalue')})"


def _settings(old: Old, out: Conversion) -> Iterator[Setting]:
    if "grace" in old.values:
        seconds = str(old.values["grace"])
        if re.fullmatch(r"[0-9]+", seconds) and int(seconds) > 0:
            yield "grace", int(seconds), f"$grace = {seconds} ({old.where('grace')})"
        else:
            out.notes.append(
                f"$grace = {seconds} ({old.where('grace')}): no whole number of seconds; 1800 s are in force"
            )
    for name in _SWITCHES:
        if name in old.values:
            yield name, _truth(old.values[name]), f"${name} = {old.values[name]} ({old.where(name)})"


def _networks(old: Old, out: Conversion) -> Iterator[Setting]:
    function = _function(old, "mynet_func")
    listed = old.values.get("mynets")
    if listed:
        words = [word for text in listed if text for word in re.split(r"[\s,]+", str(text)) if word]
        maps = [word for word in words if re.match(r"[a-z]+:", word) and not word.startswith("::")]
        if maps:
            out.notes.append(
                f"@mynets ({old.where('mynets')}): maps are not networks and were ignored: {' '.join(maps)}"
            )
        kept = [word for word in words if word not in maps]
        yield "mynetworks", kept, f"@mynets ({old.where('mynets')})"
    elif function == "mynet_postfix":
        yield "mynetworks", ["postfix"], f"$mynet_func = \\&mynet_postfix ({old.where('mynet_func')})"
    elif function in ("mynet_tcprules", "mynet_courier", "mynet_sendmail"):
        yield "mynetworks", ["127.0.0.0/8"], f"$mynet_func = \\&{function} ({old.where('mynet_func')})"
        out.notes.append(f"mynetworks: {function} named the loopback network; add those that may relay anyway")


def _own_log(old: Old) -> Iterator[Setting]:
    if _function(old, "log_func") == "syslog":
        yield "logto", "syslog", f"$log_func = \\&syslog ({old.where('log_func')})"
    elif old.values.get("logto"):
        yield "logto", str(old.values["logto"]), f"$logto = '{old.values['logto']}' ({old.where('logto')})"


def _format_lines(formats: Formats) -> Iterator[str]:
    for name, tags in formats.tags.items():
        yield from ("", f"[formats.{name}]", f"program = {toml_value(list(tags))}")
    for own in formats.own:
        yield from ("", *(f"# was: {_plain(line)}" for line in own.was), "[[format]]")
        yield from (f"{key} = {toml_value(value)}" for key, value in own.keys.items() if not isinstance(value, dict))
        for key, table in own.keys.items():
            if isinstance(table, dict):
                yield from ("", f"[format.{key}]", *(f"{name} = {toml_value(value)}" for name, value in table.items()))


def _unknown_functions(old: Old) -> Iterator[str]:
    for name, known in _GO_WITH.items():
        function = _function(old, name)
        if function is not None and function not in known:
            way = (
                "write it as a program, and dbfile = exec:..., which runs it with add or del and the address "
                "(docs/BLOCKING.md)"
                if name in ("add_func", "del_func")
                else "look for what replaces it in docs/MIGRATION.md"
            )
            yield f"${name} = \\&{function} ({old.where(name)}): code of your own has no counterpart; {way}"


def _acts_itself(old: Old) -> bool:
    """Whether an address goes elsewhere than into a table: into a firewall, of those who failed to log in."""
    return _function(old, "add_func") not in (None, *_GO_WITH["add_func"])


def _function(old: Old, name: str) -> str | None:
    value = old.values.get(name)
    return str(value["function"]) if isinstance(value, dict) and "function" in value else None


def _truth(value: object) -> bool:
    """As Perl sees it."""
    return value not in (None, "", "0")


def _plain(text: str) -> str:
    """Text in a comment of one line."""
    return printable(os.path.normpath(text) if text.startswith("/") else text)
