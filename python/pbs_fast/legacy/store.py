"""The old program's table and what wrote it, as the key `dbfile`: its type, its exact file, its options.

Functions are known by the names that the old daemon and its sample file gave them; their code is looked at for the file
that it opens, and for what the sample's did not do. Imports what evaluated the configuration, and the tables' specs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pbs_fast.config.keys import KEYS
from pbs_fast.config.kinds import RefusedError
from pbs_fast.errors import UsageError
from pbs_fast.legacy import place
from pbs_fast.legacy.evaluate import Old
from pbs_fast.legacy.report import Report
from pbs_fast.legacy.settings import Setting, does_nothing, function, truth
from pbs_fast.tables.registry import parse

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
#: What the old program or its sample appended to $dbfile; nothing for files that one of its functions wrote whole.
_APPENDED = {"hash": ".db", "sendmail": ".db", "courier": ".dat", "cdb": "", "tcprules": ""}
#: Functions that only go with the store, and say nothing that its type does not say.
_GO_WITH = {
    "flock_func": {"flock_DB", "flock_courier", "flock_sendmail", "fcntl_sendmail"},
    "sync_func": {"sync_DB", "sync_BerkeleyDB", "sync_tcprules", "sync_courier", "sync_sendmail", "sync_CDB"},
    "add_func": {"add_DB", "add_tcprules"},
    "del_func": {"del_DB", "del_tcprules"},
    "tie_func": set(_TABLES),
}
#: What none of the sample's functions does, apart from those that may.
_ACTS = re.compile(
    r"\b(system|exec|unlink|rename|readpipe|require|eval|kill|symlink|link|chmod|chown|fork|socket|print|delete|tie|untie|dbmopen|insert)\b"
)
_MAY = {
    "sync_sendmail": {"kill"},
    "sync_courier": {"system"},
    "sync_tcprules": {"print"},
    "sync_CDB": {"insert"},
}
_TIES = re.compile(r"\btie[ (]+%db, '(\w+(?:::\w+)?)'(.*)")
_PATH = re.compile(r"\"?\$\{?(?:main::)?dbfile\}?([^\s\",$@]*)\"?")
_CODE = "code of your own has no counterpart"
_EXEC = "write it as a program, and dbfile = exec:..., which runs it with add or del and the address (docs/BLOCKING.md)"


def table(old: Old, report: Report) -> Iterator[Setting]:
    """`dbfile`, `flock` and `value`."""
    tie = function(old, "tie_func") or "tie_DB"
    kind = _TABLES.get(tie)
    for variable in _GO_WITH:
        _look_at(old, variable, report)
    dbfile, why = _dbfile(old, kind)
    spec = None
    if kind is not None:
        options = list(_options(old, kind, report))
        appended = _appended(old, tie, kind, report)
        spec, options = _spec(kind, dbfile + appended, options, dbfile, old, report)
        text = f"{spec}" + ("?" + "&".join(options) if options else "")
        try:
            kept = parse(text)
        except UsageError as error:
            report.leave(
                f"$dbfile ({old.where('dbfile')})", f"cannot be carried over: {error}", "name the table as dbfile"
            )
            kept = None
        else:
            yield Setting("dbfile", text, f"$dbfile ({old.where('dbfile')}{why}), $tie_func = \\&{tie}")
    else:
        kept = None
    if kind in ("hash", "sendmail", "courier", "cdb", "tcprules") or kind is None:
        for each, file in place.left_behind(dict.fromkeys((place.UPSTREAM, place.DEBIAN, dbfile)), kept):
            report.note(place.advice(each, file))
    yield from _flock(old, kind, tie, report)
    yield from _value(old, kind, report)


def acts_itself(old: Old) -> bool:
    """Whether an address goes elsewhere than into a table: into a firewall, of those who failed to log in."""
    value = old.value("add_func")
    return isinstance(value, dict) and (value["function"] not in _GO_WITH["add_func"] or bool(value.get("own")))


def _dbfile(old: Old, kind: str | None) -> tuple[str, str]:
    """The path without what is appended, and how it was found out where the file does not say."""
    given = old.values.get("dbfile")
    if given:
        return str(given), ""
    if kind == "sendmail":
        return "/etc/mail/popauth", ""
    if kind == "courier":
        return "/etc/courier/smtpaccess", ""
    found = place.default_dbfile(old.path, old.text)
    return found.path, f": {found.why}"


def _options(old: Old, kind: str, report: Report) -> Iterator[str]:
    if kind == "sendmail":
        if function(old, "flock_func") == "fcntl_sendmail":
            yield "lock=fcntl"
        if truth(old.values.get("signal_sendmail", old.lexical("signal_sendmail"))):
            yield "signal=/run/sendmail/mta/sendmail.pid"
            report.note(
                f"$signal_sendmail ({old.where('signal_sendmail')}): the option signal= of the table; check its pid "
                "file. Today's Sendmails see changes without it (docs/MTA-SENDMAIL.md)"
            )
    elif kind == "courier":
        report.note("courier: no restart of esmtpd is needed any more (docs/MTA-COURIER.md)")
    elif kind == "tcprules":
        program = str(old.values.get("TCPRULES") or old.lexical("TCPRULES") or "").split()
        if program and program[0] != "tcprules":
            yield f"program={program[0]}"
        report.note("tcprules: our rules are compiled together with your own ones; see docs/MTA-QMAIL.md, rules=")
        if old.networks and old.networks.strip() != "127.0.0.0/8":
            report.leave(
                f"$mynet_func ({old.where('mynet_func')})",
                f"the old program wrote rules for these networks into the table as well: {old.networks}",
                "put such rules into a file and name it with rules= (docs/MTA-QMAIL.md)",
            )


def _spec(kind: str, file: str, options: list[str], dbfile: str, old: Old, report: Report) -> tuple[str, list[str]]:
    """`type:path` of the exact file that the MTA has open, and the options that it takes."""
    where = f"$dbfile = '{dbfile}' ({old.where('dbfile')})"
    if kind == "courier":
        return f"courier:{file.removesuffix('.dat')}", options
    suffix = ".cdb" if kind in ("cdb", "tcprules") else ".db"
    if file.endswith(suffix):
        bare = file.removesuffix(suffix)
        # One suffix is taken off a path that ends in it.
        return f"{kind}:{file if bare.endswith(suffix) else bare}", options
    if kind == "cdb":
        return f"cdb:{file}", [*options, "suffix=none"]
    if kind == "tcprules":
        report.leave(
            where,
            f"tcprules made {file}; here {file} holds your own rules, and {file}.cdb is made of them and ours",
            f"let tcpserver -x read {file}.cdb",
        )
        return f"tcprules:{file}", options
    report.leave(
        where,
        f"the old program wrote {file}, and an MTA that says {kind}: opens a file that ends in {suffix}",
        f"let the MTA read {kind}:{file}",
    )
    return f"{kind}:{file}", options


def _appended(old: Old, tie: str, kind: str, report: Report) -> str:
    """What the code that opens or writes the file puts behind $dbfile."""
    if tie == "tie_NDBM":
        report.note(
            f"$tie_func = \\&tie_NDBM ({old.where('tie_func')}): NDBM is not written any more; hash: is the nearest. "
            f"Where the MTA says dbm:PATH, let it say hash:PATH"
        )
        return ".db"
    sub = old.subs.get("sync_CDB" if kind == "cdb" else tie)
    if sub is None:
        return _APPENDED[kind]
    text = " ".join(sub.text.split()).replace("main::", "")
    if kind == "tcprules":
        return ""
    if kind == "cdb":
        found = re.search(r"CDB_File(?:'->|->|::)new\((.*?), ", text) or re.search(r"'CDB_File'->new\((.*?), ", text)
        written = _PATH.fullmatch(found[1]) if found else None
    else:
        tied = _TIES.search(text)
        if tied and tied[1] not in ("DB_File", "BerkeleyDB::Hash"):
            _other_code(old, tie, f"it opens a {tied[1]}", report)
            return _APPENDED[kind]
        written = _PATH.search(tied[2]) if tied else None
    if written is None:
        _other_code(
            old, "sync_CDB" if kind == "cdb" else tie, "which file it opens cannot be read out of its code", report
        )
        return _APPENDED[kind]
    return written[1]


def _other_code(old: Old, name: str, why: str, report: Report) -> None:
    report.leave(f"sub {name} ({old.where(name)})", why, "compare the table that dbfile names with what your MTA reads")


def _look_at(old: Old, variable: str, report: Report) -> None:
    """Leaves out a function that is not one of the sample's, or does what those did not do."""
    value = old.value(variable)
    if not isinstance(value, dict):
        return
    name, where = value["function"], old.where(variable)
    grants = variable in ("add_func", "del_func")
    if name not in _GO_WITH[variable]:
        if value.get("own") and variable in ("flock_func", "sync_func") and does_nothing(value["text"]):
            return
        instead = _EXEC if grants else "look for what replaces it in docs/MIGRATION.md"
        report.leave(f"${variable} = \\&{name} ({where})", _CODE, instead)
        return
    if not value.get("own"):
        return
    line = f"sub {name} ({old.where(name)})"
    if grants:
        report.leave(line, _CODE, _EXEC)
    elif acts := _unusual(name, variable, value["text"]):
        report.leave(
            line, f"does what the old sample's did not do ({acts})", "look for what replaces it in docs/MIGRATION.md"
        )


def _unusual(name: str, variable: str, text: str) -> str:
    """The first act of a function that the sample's of that name has not; empty for none."""
    bare = re.sub(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", "''", text)
    may = _MAY.get(name, set()) | ({"tie"} if variable == "tie_func" else set())
    found = next((match[1] for match in _ACTS.finditer(bare) if match[1] not in may), "")
    if found or name not in ("sync_tcprules", "sync_CDB", "tie_DB", "tie_sendmail", "tie_courier"):
        return found
    flat = " ".join(text.split()).replace("main::", "")
    if name == "sync_tcprules":
        texts = re.findall(r"print RULES ('(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")", flat)
        odd = [
            each
            for each in texts
            if not re.fullmatch(r"\"\$(?:_|\{_\}):allow,RELAYCLIENT=(?:''|\\\"\\\")\\n\"|\":allow\\n\"", each)
        ]
        return f"print {odd[0]}" if odd else ""
    if name == "sync_CDB":
        return "" if re.search(r"->insert\(\$_, \$dbvalue\)", flat) else "insert"
    return "%db" if re.search(r"%db\s*=|\$db\{", flat) else ""


def _flock(old: Old, kind: str | None, tie: str, report: Report) -> Iterator[Setting]:
    if "flock" not in old.values:
        return
    text = f"$flock = {old.values['flock']} ({old.where('flock')})"
    if (kind == "hash" and tie == "tie_DB") or kind == "sendmail":
        yield Setting("flock", truth(old.values["flock"]), text)
    elif not truth(old.values["flock"]):
        # With Berkeley DB's own module, and for rebuilt files, the old daemon took no lock; ours goes by the table.
        report.remark(f"{text}: not needed, the lock goes by the table's type, as its MTA reads it")


def _value(old: Old, kind: str | None, report: Report) -> Iterator[Setting]:
    value: Any = old.values.get("dbvalue")
    if value is None or (kind == "courier" and value == "allow,RELAYCLIENT"):
        return
    was = f"$dbvalue = '{value}' ({old.where('dbvalue')})"
    try:
        KEYS["value"].kind.read(str(value))
    except RefusedError:
        report.leave(was, f"is not {KEYS['value'].kind.allowed}", "write the key value yourself")
        return
    yield Setting("value", str(value), was)
