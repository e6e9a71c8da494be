"""Writes the manual pages to packaging/man/, from the same source as `--help` and the configuration's model.

    .venv/bin/python packaging/make_man.py

A test holds the pages to it. What has no such source is in man_texts.py.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

from man_texts import (
    EXAMPLE,
    EXAMPLES,
    EXIT,
    FILES,
    FORMAT,
    IMPORTED,
    JOURNAL,
    LOGS,
    NESTED,
    PLACEHOLDERS,
    SIGNALS,
    SOURCES,
)
from man_troff import foot, head, listed, options, paragraphs, prose, roman, sentence, synopsis
from typer.main import get_command

from pbs_fast.cli import application
from pbs_fast.cli.old import application as old_application
from pbs_fast.cli.panels import COMMANDS
from pbs_fast.config.keys import EXCEPTION_KEYS, FORMAT_KEYS, KEYS, TABLES, Key
from pbs_fast.config.show import toml_value
from pbs_fast.formats.loader import TABLE_KEYS, load_catalogue
from pbs_fast.sources.journal.spec import KEYS as JOURNAL_KEYS
from pbs_fast.sources.registry import SCHEMES
from pbs_fast.tables.registry import TYPES

MAN = Path(__file__).parent / "man"


def pages() -> dict[str, str]:
    """File name -> text of each page."""
    return {
        "pbs-fast.8": _program(),
        "pop-before-smtp.8": _old_program(),
        "pbs-fast.toml.5": _configuration(),
    }


def _program() -> str:
    group: Any = get_command(application())
    out = [head("pbs-fast", 8, "let clients relay that have logged in over POP or IMAP")]
    out += [".SH SYNOPSIS\n", synopsis("pbs-fast", group.commands)]
    out += [".SH DESCRIPTION\n", paragraphs(group.help)]
    out.append(
        paragraphs(
            "It watches the mail log for logins and adds each client's address to a table that the MTA (Postfix, Exim,"
            " Sendmail, qmail, Courier) looks up before it relays. It removes the address one grace period after the"
            " last login. It can read the logs of these servers: "
            + ", ".join(each.title for each in load_catalogue())
            + "."
        )
    )
    out.append(".SH COMMANDS\n")
    for name, command in sorted(group.commands.items(), key=lambda item: COMMANDS.index(item[1].rich_help_panel)):
        out += [f".SS {roman(name)}\n", paragraphs(command.help), *options(command)]
        if name == "import-config":
            out.append(paragraphs(IMPORTED))
    out += [".SH SIGNALS\n", *listed(SIGNALS), ".SH FILES\n", *listed(FILES), ".SH EXIT STATUS\n", *listed(EXIT)]
    out += [".SH LOGS\n", *_sources(), ".SH TABLES\n", *_tables()]
    out += _examples("pbs-fast.8")
    return "".join([*out, foot("pbs-fast.toml(5), pop-before-smtp(8), postconf(5), journalctl(1)")])


def _old_program() -> str:
    command: Any = get_command(old_application())
    out = [head("pop-before-smtp", 8, "pbs-fast with the name and options of the program that it succeeds")]
    out += [".SH SYNOPSIS\n", ".B pop\\-before\\-smtp\n", "[\\fB\\-\\-config=\\fIFILE\\fR] [\\fIoptions\\fR]\n"]
    out += [".SH DESCRIPTION\n", paragraphs(command.help), ".SH OPTIONS\n"]
    out.append(
        paragraphs(
            "Options may be in any case, with one dash or two, and abbreviated as long as they are unambiguous, as in"
            " the Perl program."
        )
    )
    out += [*options(command), ".SH SIGNALS\n", *listed(SIGNALS), *_examples("pop-before-smtp.8")]
    return "".join([*out, foot("pbs-fast(8), pbs-fast.toml(5)")])


def _configuration() -> str:
    _same("NESTED", NESTED.keys(), TABLES.keys())
    out = [head("pbs-fast.toml", 5, "configuration of pbs-fast")]
    out += [".SH DESCRIPTION\n"]
    out.append(
        paragraphs(
            "A file in TOML 1.0. Each key has the name of its option. Options override the file, and the file overrides"
            " the defaults. An unknown key or an invalid value is an error with its line number. To show the values in"
            " force and where each comes from, use: pbs-fast config\n\n"
            "A key below a line [table] belongs to that table, up to the next such line, and each table is written"
            " once; keys without a table precede the first one.\n\n"
            "A reload (SIGHUP) reloads mynetworks, guards, caps, the deny list and share.from; other changes need a"
            " restart.\n\n"
            "pbs-fast(8) lists the forms of watchlog and the types of dbfile and table."
        )
    )
    out.append(".SH KEYS\n")
    out += [_key(key) for name, key in KEYS.items() if "." not in name]
    for table, what in NESTED.items():
        out += [f".SH {table.upper()}\n", paragraphs(f"Keys of the table [{table}]: {what}")]
        out += [_key(key) for name, key in KEYS.items() if name.startswith(f"{table}.")]
        if table == "caps":
            out.append(paragraphs("Keys of each [[caps.except]]; the first that fits a login or an address decides."))
            out += [_key(key) for key in EXCEPTION_KEYS.values()]
    out += [".SH FORMATS\n"]
    out.append(paragraphs("A table [formats.NAME] adds to a format of the catalogue (pbs-fast formats)."))
    out += [_key(key) for key in FORMAT_KEYS.values()]
    out += [".SH CUSTOM FORMATS\n", *_own_formats(), *_examples("pbs-fast.toml.5")]
    return "".join([*out, foot("pbs-fast(8)")])


def _examples(page: str) -> Iterator[str]:
    yield ".SH EXAMPLES\n"
    for text, what in EXAMPLES[page]:
        yield f"{paragraphs(what)}.PP\n.nf\n.RS\n{prose(text)}\n.RE\n.fi\n"


def _own_formats() -> Iterator[str]:
    _same("FORMAT", FORMAT.keys(), TABLE_KEYS)
    yield paragraphs("A table [[format]] for each server that is not in the catalogue:")
    yield f".PP\n.nf\n.RS\n{roman(EXAMPLE)}.RE\n.fi\n"
    for name, what in FORMAT.items():
        yield f".TP\n.B {roman(name)}\n{prose(sentence(what))}\n"
    yield paragraphs(PLACEHOLDERS)


def _sources() -> Iterator[str]:
    """The forms of --watchlog."""
    _same("SOURCES", {name.partition(":")[0] for name in SOURCES} - {"PATH", "PATTERN"}, SCHEMES.keys())
    _same("JOURNAL", JOURNAL.keys(), set(JOURNAL_KEYS))
    yield paragraphs(LOGS)
    yield from listed(SOURCES.items())
    yield paragraphs("The keys of journal:, separated by commas; a further value of a key needs no key:")
    yield from listed((f"{key}=", what) for key, what in JOURNAL.items())


def _same(name: str, here: Set[str], there: Set[str]) -> None:
    if wrong := here ^ there:
        raise SystemExit(f"make_man.py: {name} of man_texts.py lacks or has too much: {', '.join(sorted(wrong))}")


def _tables() -> Iterator[str]:
    yield paragraphs(
        "dbfile and table name a table as TYPE:PATH, with options after a ?, for example"
        " text:/x/relay?command=/usr/local/sbin/notify&timeout=2 (%26 is &). The types, with the suffix that is"
        " appended to the path and their options:"
    )
    for name, kind in TYPES.items():
        doc = _docstring(kind.module).partition("\n")[0]
        what = re.sub(r"^`[^`]*`[,:]?\s*", "", doc)
        suffix = f" Suffix: {kind.suffix}." if kind.suffix else ""
        options = f" Options: {', '.join(sorted(kind.options))}." if kind.options else ""
        yield f".TP\n.B {roman(name)}:\n{prose(sentence(what) + suffix + options)}\n"


def _docstring(module: str) -> str:
    """A module's text, without importing it: its engine need not be installed."""
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise SystemExit(f"make_man.py: there is no module {module}")
    return ast.get_docstring(ast.parse(Path(found.origin).read_text())) or ""


def _key(key: Key) -> str:
    default = "not set" if key.default is None else toml_value(key.default)
    last = key.name.rpartition(".")[2]
    value = f"It is {prose(key.kind.allowed)}; by default: {prose(default)}"
    return f".TP\n.B {roman(last)}\n{prose(sentence(key.doc))}\n{value}\n"


def main() -> None:
    MAN.mkdir(exist_ok=True)
    for name, text in pages().items():
        (MAN / name).write_text(text)


if __name__ == "__main__":
    main()
