"""Writes the manual pages to packaging/man/, from the same source as `--help` and the configuration's model.

    .venv/bin/python packaging/make_man.py

A test holds the pages to it. The format is man(7), which every man program reads.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from pbs_fast import __version__
from pbs_fast.cli import application
from pbs_fast.cli.old import application as old_application
from pbs_fast.cli.panels import COMMANDS
from pbs_fast.config.model import EXCEPTION_KEYS, FORMAT_KEYS, KEYS, TABLES, Key
from pbs_fast.config.show import toml_value
from pbs_fast.formats.loader import TABLE_KEYS, load_catalogue
from pbs_fast.tables.registry import TYPES

MAN = Path(__file__).parent / "man"
#: Texts that come from no option and no key.
_FILES = (
    ("/etc/pbs-fast/pbs-fast.toml", "the configuration, pbs-fast.toml(5)"),
    ("/etc/pbs-fast/deny.toml", "addresses, networks and users that get no grant; reloaded on SIGHUP"),
    ("/var/lib/pbs-fast/relay.*", "the table, if no other is configured"),
)
_EXIT = (
    ("0", "success"),
    (
        "1",
        "a run failed: a log or a table cannot be read or written; a line on standard error says which. doctor: it"
        " found a failure",
    ),
    ("2", "bad use: an option, a key or a format that does not exist"),
    (
        "3",
        "status: the daemon runs with a fault. why: the address may not relay. doctor: it found a warning, and no"
        " failure. match: few or no lines are understood, or --missed found lines that look like a login but match no"
        " pattern. report: there is no login. import-config --check: one of the two programs grants"
        " addresses that the other does not",
    ),
    (
        "4",
        "status: the daemon hangs",
    ),
)
#: Page -> what to type, and what it does.
_EXAMPLES = {
    "pbs-fast.8": (
        ("pbs-fast status", "Is the daemon well? The exit status tells a monitoring system the same."),
        ("pbs-fast why 203.0.113.5", "May this address relay, until when, and by which login; or why not."),
        ("pbs-fast why anna@example.org", "The addresses from which this user may relay."),
        (
            "pbs-fast revoke mallory@example.org --for=24h --reason='stolen password'",
            "Stop a user at once, and make no new grant for a day.",
        ),
        ("pbs-fast queue mallory@example.org | postsuper -h -", "Hold what this user has in Postfix's queue."),
        ("pbs-fast grant 203.0.113.9 --for=2h --reason='scanner'", "Let a device without a login relay for two hours."),
        ("pbs-fast list --sort=until", "All addresses that may relay, those that end first at the top."),
        ("pbs-fast metrics | grep -v '^#'", "All numbers that Prometheus would get."),
        ("pbs-fast watch --alarms --run=/usr/local/sbin/alarm", "Run a program for each event that is not in order."),
        (
            "pbs-fast match --follow --missed /var/log/mail.log",
            "Show logins as they are logged, and lines that are missed.",
        ),
        ("pbs-fast match journal:", "The logins in systemd's journal."),
        ("pbs-fast bench --core=both /var/log/mail.log*", "How fast this machine reads its own logs."),
        ("pbs-fast run --watchlog=/var/log/mail.log --grace=30m --debug --nowrite", "Try it, and change nothing."),
    ),
    "pop-before-smtp.8": (
        (
            "pop-before-smtp --config=/etc/pop-before-smtp/pop-before-smtp.conf --debug",
            "Run with the old configuration.",
        ),
        ("pop-before-smtp --list", "The addresses in the table."),
        ("pop-before-smtp --dumpconfig", "The configuration in force."),
    ),
    "pbs-fast.toml.5": (
        (
            'watchlog = ["/var/log/mail.log", "journal:unit=dovecot.service"]\n'
            'dbfile = "lmdb:/var/lib/pbs-fast/relay"\ngrace = "30m"\n\n[guards]\nproxies = ["192.0.2.7"]',
            "A log file and the journal, one table, half an hour; a web mail host gets no grant.",
        ),
        (
            'watchlog = "/var/log/other.log"\ndbfile = "lmdb:/var/lib/pbs-other/relay"\n'
            'state_directory = "/var/lib/pbs-other"\n\n[control]\ndirectory = "/run/pbs-other"',
            "A second daemon on the same machine, with a state and sockets of its own.",
        ),
    ),
}
_SIGNALS = (
    (
        "SIGHUP",
        "reopen the daemon's own log; reload mynetworks, the guards and the deny list. Rotating a log that the daemon"
        " follows needs no signal.",
    ),
    ("SIGUSR1", "log the number of rows and all counters so far, in one info line."),
    ("SIGTERM, SIGINT", "stop. The rows stay, so that a restart locks no one out."),
)
#: Key of a [[format]] -> what it is; all that the loader knows, which `_own_formats` checks.
_FORMAT = {
    "name": "the format's name: a-z, 0-9 and -; it must not be in the catalogue",
    "title": "for display: the server",
    "versions": "for display: the versions that the patterns cover",
    "program": "syslog tags of the server's lines",
    "tls_program": "further tags, whose logins are over TLS",
    "success": "texts that mark a message as a login; match --missed shows it if no pattern matches",
    "login": "patterns of a whole message that is a login; each has {ip}",
    "logout": "patterns of the end of a login's session",
    "line_login": "patterns searched in whole lines, including timestamp and host, like $pat of the Perl program;"
    " [LOGTIME] means the timestamp",
    "line_logout": "the same for the end of a session, like $out_pat",
    "session": "a table of lists of patterns, for a login of several lines joined by their process: address, success,"
    " failure, end",
    "raw_names": "the tags under which it logs user names unescaped, including line feeds",
    "restart": "patterns of lines that report a start or stop of the server, which ends all its sessions",
    "killed": "the same for the end of a process, {pid} or that of the line, which ends its sessions",
    "aborted": "the same for a login of {user} that failed afterwards",
    "counted": "false if its session ends are not always logged, so that count_sessions ignores it",
    "cut": "length in bytes from which a record counts as cut by its writer; 700 for any writer",
    "cut_rest": "length from which the record after a cut one may be its rest; by default cut",
    "cut_prefix": "texts that the writer repeats before each part of a record; cut then applies to messages that start"
    " with one",
    "cut_whole": "lengths, alternately, from which and up to which a message is a whole part; for a minute after one"
    " the writer's records grant nothing",
    "marked": "numbers of the login patterns that the end of a refused login cannot match",
    "unmarked": "numbers of those that it may match: refused after the server has written a marked one",
    "own_log": "a table, if the server writes its own log: prefix (text that may precede the timestamp), probe (a"
    " pattern that matches the start of the messages)",
    "sample": "tables [[format.sample]] with kind, message and expected result; checked at each start",
}
_PLACEHOLDERS = (
    "Patterns are ASCII, without look-around and back references. Placeholders: {ip} is the client's"
    " address, {lip} the server's, {user} a name without blanks, {user:CHARS} one that ends before any of CHARS,"
    " {session:CHARS} and {text:CHARS} likewise, {number} digits, {rest} anything up to the end. Test them with:"
    " pbs-fast match --config=FILE LOG"
)
_EXAMPLE = """\
[[format]]
name = "mypop"
program = ["mypop"]
success = ["logged in"]
login = ['user {user} logged in from {ip}']
"""
_IMPORTED = (
    "Functions of the old configuration are recognised by name (tie_DB, tie_CDB, getline_stdin, syslog and so on) and"
    " become tables, sources or the log. A pattern that matches the lines of a format in the catalogue is dropped,"
    " because all formats are enabled; if only its tag differs, the tag is added; any other pattern becomes a"
    " [[format]], and so does each pattern of custom_match. A comment on each line of the result shows the old"
    " setting.\n\n"
    "A note on standard error reports, with its line, each setting without a counterpart: custom code, a pattern that"
    " no backend can run, a map among the networks, NDBM; and for known patterns, lines that they would have matched"
    " but that are refused on purpose. --check shows what this means for a real log."
)
_AUTHORS = (
    "pbs-fast is by its developers. It succeeds the Perl daemon pop-before-smtp, created by Bennett Todd and long"
    " maintained by Wayne Davison."
)


def pages() -> dict[str, str]:
    """File name -> text of each page."""
    return {
        "pbs-fast.8": _program(),
        "pop-before-smtp.8": _old_program(),
        "pbs-fast.toml.5": _configuration(),
    }


def _program() -> str:
    group: Any = get_command(application())
    out = [_head("pbs-fast", 8, "let clients relay that have logged in over POP or IMAP")]
    out += [".SH SYNOPSIS\n", _synopsis("pbs-fast", *group.commands)]
    out += [".SH DESCRIPTION\n", _paragraphs(group.help)]
    out.append(
        _paragraphs(
            "It watches the mail log for logins and adds each client's address to a table that the MTA (Postfix, Exim,"
            " Sendmail, qmail, Courier) looks up before it relays. It removes the address one grace period after the"
            " last login. It can read the logs of these servers: "
            + ", ".join(each.title for each in load_catalogue())
            + "."
        )
    )
    out.append(".SH COMMANDS\n")
    for name, command in sorted(group.commands.items(), key=lambda item: COMMANDS.index(item[1].rich_help_panel)):
        out += [f".SS {_roman(name)}\n", _paragraphs(command.help), *_options(command)]
        if name == "import-config":
            out.append(_paragraphs(_IMPORTED))
    out += [".SH SIGNALS\n", *_list(_SIGNALS), ".SH FILES\n", *_list(_FILES), ".SH EXIT STATUS\n", *_list(_EXIT)]
    out += _examples("pbs-fast.8")
    return "".join([*out, _foot("pbs-fast.toml(5), pop-before-smtp(8), postconf(5), journalctl(1)")])


def _old_program() -> str:
    command: Any = get_command(old_application())
    out = [_head("pop-before-smtp", 8, "pbs-fast with the name and options of the program that it succeeds")]
    out += [".SH SYNOPSIS\n", ".B pop\\-before\\-smtp\n", "[\\fB\\-\\-config=\\fIFILE\\fR] [\\fIoptions\\fR]\n"]
    out += [".SH DESCRIPTION\n", _paragraphs(command.help), ".SH OPTIONS\n"]
    out.append(
        _paragraphs(
            "Options may be in any case, with one dash or two, and abbreviated as long as they are unambiguous, as in"
            " the Perl program."
        )
    )
    out += [*_options(command), ".SH SIGNALS\n", *_list(_SIGNALS), *_examples("pop-before-smtp.8")]
    return "".join([*out, _foot("pbs-fast(8), pbs-fast.toml(5)")])


#: The nested tables of the configuration: what each is about.
_NESTED = {
    "control": "the sockets of the running daemon.",
    "metrics": "numbers for Prometheus. A change needs a restart.",
    "guards": "which grants are refused.",
    "caps": "how much a login and an address may send through a table policy:. Tables [[caps.except]] give some logins"
    " or networks caps of their own.",
    "json": "where a record of JSON lines has what a line is made of, if it has an unusual shape.",
}


def _configuration() -> str:
    if wrong := _NESTED.keys() ^ TABLES.keys():
        raise SystemExit(f"make_man.py: _NESTED lacks or has too much: {', '.join(sorted(wrong))}")
    out = [_head("pbs-fast.toml", 5, "configuration of pbs-fast")]
    out += [".SH DESCRIPTION\n"]
    out.append(
        _paragraphs(
            "A file in TOML 1.0. Each key has the name of its option. Options override the file, and the file overrides"
            " the defaults. An unknown key or an invalid value is an error with its line number. To show the values in"
            " force and where each comes from, use: pbs-fast config\n\n"
            "A reload (SIGHUP) reloads mynetworks, guards, caps and the deny list; other changes need a restart."
        )
    )
    out.append(".SH KEYS\n")
    out += [_key(key) for name, key in KEYS.items() if "." not in name]
    for table, what in _NESTED.items():
        out += [f".SH {table.upper()}\n", _paragraphs(f"Keys of the table [{table}]: {what}")]
        out += [_key(key) for name, key in KEYS.items() if name.startswith(f"{table}.")]
        if table == "caps":
            out.append(_paragraphs("Keys of each [[caps.except]]; the first that fits a login or an address decides."))
            out += [_key(key) for key in EXCEPTION_KEYS.values()]
    out += [".SH FORMATS\n"]
    out.append(_paragraphs("A table [formats.NAME] adds to a format of the catalogue (pbs-fast formats)."))
    out += [_key(key) for key in FORMAT_KEYS.values()]
    out += [".SH CUSTOM FORMATS\n", *_own_formats(), ".SH TABLES\n", *_tables(), *_examples("pbs-fast.toml.5")]
    return "".join([*out, _foot("pbs-fast(8)")])


def _examples(page: str) -> Iterator[str]:
    yield ".SH EXAMPLES\n"
    for text, what in _EXAMPLES[page]:
        yield f"{_paragraphs(what)}.PP\n.nf\n.RS\n{_text(text)}\n.RE\n.fi\n"


def _own_formats() -> Iterator[str]:
    if wrong := _FORMAT.keys() ^ TABLE_KEYS:
        raise SystemExit(f"make_man.py: _FORMAT lacks or has too much: {', '.join(sorted(wrong))}")
    yield _paragraphs("A table [[format]] for each server that is not in the catalogue:")
    yield f".PP\n.nf\n.RS\n{_roman(_EXAMPLE)}.RE\n.fi\n"
    for name, what in _FORMAT.items():
        yield f".TP\n.B {_roman(name)}\n{_text(_sentence(what))}\n"
    yield _paragraphs(_PLACEHOLDERS)


def _tables() -> Iterator[str]:
    yield _paragraphs(
        "dbfile and table name a table as TYPE:PATH, with options after a ?, for example"
        " text:/x/relay?command=/usr/local/sbin/notify&timeout=2 (%26 is &). The types, with the suffix that is"
        " appended to the path and their options:"
    )
    for name, kind in TYPES.items():
        doc = _docstring(kind.module).partition("\n")[0]
        what = re.sub(r"^`[^`]*`[,:]?\s*", "", doc)
        suffix = f" Suffix: {kind.suffix}." if kind.suffix else ""
        options = f" Options: {', '.join(sorted(kind.options))}." if kind.options else ""
        yield f".TP\n.B {_roman(name)}:\n{_text(_sentence(what) + suffix + options)}\n"


def _docstring(module: str) -> str:
    """A module's text, without importing it: its engine need not be installed."""
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise SystemExit(f"make_man.py: there is no module {module}")
    return ast.get_docstring(ast.parse(Path(found.origin).read_text())) or ""


def _key(key: Key) -> str:
    default = "not set" if key.default is None else toml_value(key.default)
    last = key.name.rpartition(".")[2]
    value = f"It is {_text(key.kind.allowed)}; by default: {_text(default)}"
    return f".TP\n.B {_roman(last)}\n{_text(_sentence(key.doc))}\n{value}\n"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _head(name: str, section: int, what: str) -> str:
    return (
        f'.TH "{_roman(name.upper())}" "{section}" "" "pbs\\-fast {__version__}" "System Administration"\n'
        f".SH NAME\n{_roman(name)} \\- {_text(what)}\n"
    )


def _foot(also: str) -> str:
    return f".SH SEE ALSO\n{_text(also)}\n.SH AUTHORS\n{_text(_AUTHORS)}\n"


def _synopsis(program: str, *commands: str) -> str:
    lines = [f".B {_roman(program)}\n{_roman(name)} [\\fIoptions\\fR]\n" for name in commands]
    return ".br\n".join(lines)


def _options(command: Any) -> Iterator[str]:
    for each in command.params:
        if each.param_type_name == "argument":
            yield f".TP\n.I {_roman(each.metavar or each.name)}\n{_text(each.help or '')}\n"
            continue
        names = [f"\\fB{_roman(name)}\\fR" for name in (*each.opts, *each.secondary_opts)]
        value = "" if each.is_flag else f"=\\fI{_roman(each.metavar or 'VALUE')}\\fR"
        yield f".TP\n{', '.join(name + value for name in names)}\n{_text(each.help or '')}\n"


def _list(rows: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for term, text in rows:
        yield f".TP\n.B {_roman(term)}\n{_text(text)}\n"


def _paragraphs(text: str | None) -> str:
    parts = re.split(r"\n\s*\n", (text or "").replace("\b\n", "").strip())
    return "".join(f".PP\n{_text(' '.join(part.split()))}\n" for part in parts)


def _text(text: str) -> str:
    """Running text: a line must not begin with a dot or an apostrophe."""
    safe = _roman(text)
    return f"\\&{safe}" if safe.startswith((".", "'")) else safe


def _roman(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\`").replace("'", "\\(aq").replace('"', "\\(dq")


def main() -> None:
    MAN.mkdir(exist_ok=True)
    for name, text in pages().items():
        (MAN / name).write_text(text)


if __name__ == "__main__":
    main()
