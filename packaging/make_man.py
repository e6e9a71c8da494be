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
from pbs_fast.config.model import FORMAT_KEYS, KEYS, Key
from pbs_fast.config.show import toml_value
from pbs_fast.formats.loader import TABLE_KEYS, load_catalogue
from pbs_fast.tables.registry import TYPES

MAN = Path(__file__).parent / "man"
#: Where pieces of text that no option and no key can tell are written down.
_FILES = (
    ("/etc/pbs-fast/pbs-fast.toml", "the configuration, pbs-fast.toml(5)"),
    ("/etc/pbs-fast/deny.toml", "addresses, networks and users that get nothing; read again on SIGHUP"),
    ("/var/lib/pbs-fast/relay.*", "the table, where nothing else is configured"),
)
_EXIT = (
    ("0", "all went well"),
    ("1", "a run failed: a log or a table cannot be read or written; one line on standard error says which"),
    ("2", "bad use: an option, a key or a format that does not exist"),
    (
        "3",
        "match --missed: there were lines that look like a login and that nothing took. import-config --check: one"
        " of the two programs grants what the other does not",
    ),
)
_SIGNALS = (
    (
        "SIGHUP",
        "open our own log anew; read mynetworks, the guards and the deny list again. A log that is followed needs no"
        " signal when it is rotated.",
    ),
    ("SIGTERM, SIGINT", "stop. The rows stay, so that a restart shuts nobody out."),
)
#: Key of a [[format]] -> what it is; all that the loader knows, which `_own_formats` checks.
_FORMAT = {
    "name": "the format's name: a-z, 0-9 and -, and none that the catalogue has",
    "title": "for people: the server",
    "versions": "for people: what the patterns cover",
    "program": "syslog tags of the server's lines",
    "tls_program": "further tags, those whose logins are over TLS",
    "success": "texts that mark a message as a login; one that no pattern took is shown by match --missed",
    "login": "patterns of a whole message that is a login; each has {ip}",
    "logout": "patterns of the end of a login's session",
    "line_login": "patterns searched in whole lines, stamp and host included, as $pat of the Perl program; [LOGTIME]"
    " stands for the stamp",
    "line_logout": "the same for the end of a session, as $out_pat",
    "session": "a table of lists of patterns, for a login of several lines joined by their process: address, success,"
    " failure, end",
    "raw_names": "those of its tags under which user names are logged as they were sent, line feeds included",
    "restart": "patterns of lines by which the server says that it starts or stops, which ends all its sessions",
    "killed": "the same of a process that ended, {pid} or the line's own, and with it its sessions",
    "aborted": "the same of a login of {user} that came to nothing",
    "counted": "false where the ends of its sessions are not always written, so that count_sessions leaves them alone",
    "cut": "length in bytes from which a record counts as cut by its writer; any counts as cut from 700 on",
    "cut_prefix": "texts that the writer repeats before each part of a record; cut is then for messages that start so",
    "cut_whole": "lengths at which messages begin, and cease, to be whole parts, in turn: for a minute after one its"
    " writer makes no login",
    "marked": "numbers of the login patterns that no refused login can end like, which newer servers write",
    "unmarked": "numbers of those that the end of a refused login may look like: refused once there was a marked one",
    "own_log": "a table, where the server writes a log itself: prefix (what may stand before the stamp), probe (a"
    " pattern that the messages start with)",
    "sample": "tables [[format.sample]] with kind, message and what must come out; checked at each start",
}
_PLACEHOLDERS = (
    "Patterns are ASCII and hold neither look-around nor back references. Placeholders: {ip} is the client's"
    " address, {lip} the server's, {user} a name without blanks, {user:CHARS} one that ends before any of CHARS,"
    " {session:CHARS} and {text:CHARS} likewise, {number} digits, {rest} anything up to the end. Try them with:"
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
    "Functions of the old configuration are known by their names (tie_DB, tie_CDB, getline_stdin, syslog and so on) and"
    " become tables, sources or the log. A pattern that reads the lines of a format of the catalogue becomes nothing,"
    " since all formats are on; one whose tag alone is another adds the tag; any other becomes a [[format]]; the"
    " patterns that custom_match goes through become one each. Behind each line of the result stands what it was.\n\n"
    "A note on standard error tells, with its line, what has no counterpart: code of your own, a pattern that no engine"
    " here can run, a map among the networks, NDBM; and of a pattern that is known, lines that it would have taken"
    " and that are refused on purpose. With --check, what that means for a real log is seen."
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
            "It watches the mail log for logins, puts each client's address into a table that the MTA (Postfix, Exim,"
            " Sendmail, qmail, Courier) consults before it relays, and takes it out again when the grace time after the"
            " last login is over. The servers whose logs it understands are: "
            + ", ".join(each.title for each in load_catalogue())
            + "."
        )
    )
    out.append(".SH COMMANDS\n")
    for name, command in group.commands.items():
        out += [f".SS {_roman(name)}\n", _paragraphs(command.help), *_options(command)]
        if name == "import-config":
            out.append(_paragraphs(_IMPORTED))
    out += [".SH SIGNALS\n", *_list(_SIGNALS), ".SH FILES\n", *_list(_FILES), ".SH EXIT STATUS\n", *_list(_EXIT)]
    return "".join([*out, _foot("pbs-fast.toml(5), pop-before-smtp(8), postconf(5), journalctl(1)")])


def _old_program() -> str:
    command: Any = get_command(old_application())
    out = [_head("pop-before-smtp", 8, "pbs-fast under the name and with the options of the program it succeeds")]
    out += [".SH SYNOPSIS\n", ".B pop\\-before\\-smtp\n", "[\\fB\\-\\-config=\\fIFILE\\fR] [\\fIoptions\\fR]\n"]
    out += [".SH DESCRIPTION\n", _paragraphs(command.help), ".SH OPTIONS\n"]
    out.append(
        _paragraphs(
            "Options are read in any case, with one dash or two, and shortened as far as they stay clear, as the Perl"
            " program read them."
        )
    )
    out += [*_options(command), ".SH SIGNALS\n", *_list(_SIGNALS)]
    return "".join([*out, _foot("pbs-fast(8), pbs-fast.toml(5)")])


def _configuration() -> str:
    out = [_head("pbs-fast.toml", 5, "configuration of pbs-fast")]
    out += [".SH DESCRIPTION\n"]
    out.append(
        _paragraphs(
            "A file in TOML 1.0. Each key has the name of its option; options win over the file, the file over the"
            " defaults. An unknown key or a wrong value is an error that names the line. What is in force, and where"
            " each value comes from, is shown by: pbs-fast config\n\n"
            "A reload (SIGHUP) reads mynetworks, guards and the deny list again; what else changes needs a restart."
        )
    )
    out.append(".SH KEYS\n")
    out += [_key(key) for name, key in KEYS.items() if "." not in name]
    out += [".SH GUARDS\n", _paragraphs("Keys of the table [guards]: which grants are refused.")]
    out += [_key(key) for name, key in KEYS.items() if name.startswith("guards.")]
    out += [".SH FORMATS\n"]
    out.append(_paragraphs("A table [formats.NAME] adds to a format of the catalogue (pbs-fast formats)."))
    out += [_key(key) for key in FORMAT_KEYS.values()]
    out += [".SH FORMATS OF YOUR OWN\n", *_own_formats(), ".SH TABLES\n", *_tables()]
    return "".join([*out, _foot("pbs-fast(8)")])


def _own_formats() -> Iterator[str]:
    if wrong := _FORMAT.keys() ^ TABLE_KEYS:
        raise SystemExit(f"make_man.py: _FORMAT lacks or has too much: {', '.join(sorted(wrong))}")
    yield _paragraphs("A table [[format]] for each server that the catalogue has not:")
    yield f".PP\n.nf\n.RS\n{_roman(_EXAMPLE)}.RE\n.fi\n"
    for name, what in _FORMAT.items():
        yield f".TP\n.B {_roman(name)}\n{_text(_sentence(what))}\n"
    yield _paragraphs(_PLACEHOLDERS)


def _tables() -> Iterator[str]:
    yield _paragraphs(
        "dbfile and table name a table as TYPE:PATH; behind a ? may stand options of it, as in"
        " text:/x/relay?command=/usr/local/sbin/notify&timeout=2 (%26 is &). The types, each with what is appended"
        " to the path and with its options:"
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
