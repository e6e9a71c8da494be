"""Reads format files: TOML to `Format`, checked key by key, placeholders expanded.

Every error is a FormatError with the file, the line, and the nearest known key. The files are found next to this
module, not with `importlib.resources`, whose import alone takes longer than everything else.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pbs_fast.errors import FormatError
from pbs_fast.formats import Format
from pbs_fast.formats.placeholders import expand
from pbs_fast.formats.wholeline import named
from pbs_fast.util.admin_files import parse_toml, read_admin_file

#: Where the packaged format files lie.
DATA = Path(__file__).parent / "data"

#: Types of a key's value, as an error says them.
TEXT, TEXTS, NUMBER, BOOLEAN = "a text", "a list of texts", "a whole number", "true or false"
NUMBERS = "a list of whole numbers"
TABLE, TABLES = "a table", "a list of tables"
_ITEMS = {TEXTS: TEXT, NUMBERS: NUMBER, TABLES: TABLE}
#: Returns the place of a key, for an error: (key, table it is in or "").
Where = Callable[[str, str], str]
#: For each key the types it may have; None for any.
Types = Mapping[str, str | tuple[str, ...] | None]

_KEYS: Types = {
    "name": TEXT,
    "title": TEXT,
    "versions": TEXT,
    "program": TEXTS,
    "tls_program": TEXTS,
    "success": TEXTS,
    "login": TEXTS,
    "logout": TEXTS,
    "cut": NUMBER,
    "cut_rest": NUMBER,
    "cut_prefix": TEXTS,
    "cut_whole": NUMBERS,
    "counted": BOOLEAN,
    "raw_names": TEXTS,
    "marked": NUMBERS,
    "unmarked": NUMBERS,
    "own_log": TABLE,
    "session": TABLE,
    "restart": TEXTS,
    "killed": TEXTS,
    "aborted": TEXTS,
    "line_login": TEXTS,
    "line_logout": TEXTS,
    "sample": TABLES,
}
#: The keys of a format's table.
TABLE_KEYS = frozenset(_KEYS)
_REQUIRED = ("name", "title", "versions")
#: Of a format that has lines of a tag.
_REQUIRED_OF_TAGS = ("program", "success")
_OWN_LOG_KEYS: Types = {"prefix": TEXTS, "probe": TEXT, "in_syslog": BOOLEAN}
_SESSION_KEYS: Types = {"address": TEXTS, "success": TEXTS, "failure": TEXTS, "end": TEXTS}
#: Samples come last in a file, so that a start need not parse them (they are nine tenths of it).
_FIRST_SAMPLE = re.compile(r"^\[\[sample\]\]", re.MULTILINE)


def load_catalogue(directory: Path = DATA) -> tuple[Format, ...]:
    """All formats of `directory`, by name. Raises FormatError for the first file that is not acceptable."""
    formats = [replace(load_format(file), packaged=directory == DATA) for file in sorted(directory.glob("*.toml"))]
    return tuple(sorted(formats, key=lambda fmt: fmt.name))


def load_format(file: Path) -> Format:
    """The format that one file describes; its samples are not read. Raises FormatError."""
    text = read(file)
    samples = _FIRST_SAMPLE.search(text)
    head = text[: samples.start()] if samples else text
    fmt = build(parse(head, file), in_file(file, head))
    if fmt.name != file.stem:
        raise FormatError(f"{file}{_line(head, 'name')}: name is '{fmt.name}'; it must be the file's, '{file.stem}'")
    return fmt


def read(file: Path) -> str:
    """The text of a format file. Raises FormatError when it cannot be read or is not UTF-8."""
    try:
        return read_admin_file(file).decode()
    except OSError as error:
        raise FormatError(f"{file}: cannot read this format file: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{file}: not UTF-8 at byte {error.start}; save the format file as UTF-8") from error


def parse(text: str, file: Path) -> dict[str, Any]:
    """The TOML tables of a format file. Raises FormatError."""
    try:
        return parse_toml(text)
    except tomllib.TOMLDecodeError as error:
        raise FormatError(f"{file}: not TOML: {error}") from error


def in_file(file: Path, text: str = "") -> Where:
    """Places of keys in a file, whose text tells their lines."""
    return lambda key, within: f"{file}{_line(text, key, within)}"


def build(table: Mapping[str, Any], where: Where) -> Format:
    """A Format from the keys of one table; `where` is for errors. Raises FormatError.

    Placeholders are expanded; whether the patterns are safe is for `pbs_fast.formats.lint`.
    """
    of_lines = bool(table.get("line_login"))
    check_keys(table, _KEYS, _REQUIRED if of_lines else (*_REQUIRED, *_REQUIRED_OF_TAGS), where)
    own, session = table.get("own_log", {}), table.get("session", {})
    check_keys(own, _OWN_LOG_KEYS, ("probe",) if "own_log" in table else (), where, "own_log")
    steps = ("address", "success") if "session" in table else ()
    check_keys(session, _SESSION_KEYS, steps, where, "session")
    if not re.fullmatch(r"[a-z0-9-]+", table["name"]):
        raise FormatError(f"{where('name', '')}: name '{table['name']}' may hold a-z, 0-9 and - only")
    if not (of_lines or table["program"] or table.get("tls_program") or own):
        raise FormatError(f"{where('program', '')}: program is empty; name the tags of this server's lines")
    if not (table.get("login") or session or of_lines):
        raise FormatError(f"{where('login', '')}: login is empty; give at least one pattern")
    for key in steps:
        if not session[key]:
            raise FormatError(f"{where(key, 'session')}: {key} is empty; give at least one pattern")
    if strange := set(table.get("raw_names", ())) - {*table.get("program", ()), *table.get("tls_program", ())}:
        raise FormatError(f"{where('raw_names', '')}: raw_names: '{min(strange)}' is no tag of program or tls_program")
    if table.get("cut", 0) < 0:
        raise FormatError(f"{where('cut', '')}: cut is a length in bytes, not {table['cut']}")
    if "cut_prefix" in table and not (table.get("cut") and all(table["cut_prefix"])):
        raise FormatError(f"{where('cut_prefix', '')}: cut_prefix holds texts that are not empty, and needs a cut")
    if "cut_rest" in table and (
        table.get("cut_prefix") or table["cut_rest"] < table.get("cut", 0) or not table.get("cut")
    ):
        raise FormatError(
            f"{where('cut_rest', '')}: cut_rest is a length, from cut on, and needs a cut and no cut_prefix"
        )
    lengths = table.get("cut_whole", [])
    if lengths and not (table.get("cut") and lengths == sorted({*lengths}) and lengths[0] >= table["cut"]):
        raise FormatError(f"{where('cut_whole', '')}: cut_whole holds ascending lengths, from cut on, and needs a cut")

    for key in ("marked", "unmarked"):
        if any(not 0 < number <= len(table.get("login", ())) for number in table.get(key, ())):
            raise FormatError(f"{where(key, '')}: {key} holds numbers of login patterns, which begin with 1")

    def patterns(
        key: str, values: Iterable[str], within: str = "", made: Callable[[str], str] = expand
    ) -> tuple[str, ...]:
        try:
            return tuple(made(value) for value in values)
        except FormatError as error:
            raise FormatError(f"{where(key, within)}: {key}: {error}") from None

    def lines(key: str) -> tuple[str, ...]:
        return patterns(key, table.get(key, ()), made=lambda value: named(expand(value)))

    def step(key: str) -> tuple[str, ...]:
        return patterns(key, session.get(key, ()), "session")

    return Format(
        name=table["name"],
        title=table["title"],
        versions=table["versions"],
        program=tuple(table.get("program", ())),
        tls_program=tuple(table.get("tls_program", ())),
        success=tuple(table.get("success", ())),
        login=patterns("login", table.get("login", ())),
        logout=patterns("logout", table.get("logout", ())),
        cut=table.get("cut", 0),
        cut_rest=table.get("cut_rest", 0),
        cut_prefix=tuple(table.get("cut_prefix", ())),
        cut_whole=tuple(table.get("cut_whole", ())),
        marked=tuple(table.get("marked", ())),
        unmarked=tuple(table.get("unmarked", ())),
        counted=table.get("counted", True),
        raw_names=tuple(table.get("raw_names", ())),
        own_prefix=tuple(own.get("prefix", ())),
        own_probe=patterns("probe", [own["probe"]], "own_log")[0] if own else None,
        own_in_syslog=own.get("in_syslog", False),
        session_address=step("address"),
        session_success=step("success"),
        session_failure=step("failure"),
        session_end=step("end"),
        restart=patterns("restart", table.get("restart", ())),
        killed=patterns("killed", table.get("killed", ())),
        aborted=patterns("aborted", table.get("aborted", ())),
        line_login=lines("line_login"),
        line_logout=lines("line_logout"),
    )


def only_marked(catalogue: Sequence[Format], names: Collection[str]) -> tuple[Format, ...]:
    """`catalogue`, of the formats named without the login patterns that are `unmarked`."""

    def left(fmt: Format) -> Format:
        kept = [number for number in range(1, len(fmt.login) + 1) if number not in fmt.unmarked]
        marked = tuple(kept.index(number) + 1 for number in fmt.marked)
        return replace(fmt, login=tuple(fmt.login[number - 1] for number in kept), marked=marked, unmarked=())

    return tuple(left(fmt) if fmt.name in names and fmt.unmarked else fmt for fmt in catalogue)


def extend(catalogue: Sequence[Format], tags: Mapping[str, Sequence[str]]) -> tuple[Format, ...]:
    """`catalogue` with further program tags for the formats named in `tags`. Raises FormatError for an unknown name."""
    known = {fmt.name: fmt for fmt in catalogue}
    for name, further in tags.items():
        if name not in known:
            raise FormatError(f"unknown format '{name}'{_nearest(name, known)}")
        old = known[name]
        # Which of its services a further tag is for is not known here.
        raw = (*old.raw_names, *further) if old.raw_names else ()
        known[name] = replace(old, program=tuple(dict.fromkeys((*old.program, *further))), raw_names=raw)
    return tuple(known.values())


def check_keys(table: Mapping[str, Any], known: Types, required: Iterable[str], where: Where, within: str = "") -> None:
    """Refuse unknown keys, missing ones and values of another type; `within` names the table. Raises FormatError."""
    for key, value in table.items():
        if key not in known:
            raise FormatError(f"{where(key, within)}: unknown key '{key}'{_nearest(key, known)}")
        types = known[key]
        types = (types,) if isinstance(types, str) else types
        if types is not None and not any(_fits(value, kind) for kind in types):
            raise FormatError(f"{where(key, within)}: {key} must be {' or '.join(types)}")
    for key in required:
        if key not in table:
            raise FormatError(f"{where('', within)}: key '{key}' is missing (docs/FORMAT-FILES.md)")


def _fits(value: object, kind: str) -> bool:
    if kind in _ITEMS:
        return isinstance(value, list) and all(_fits(item, _ITEMS[kind]) for item in value)
    if kind == NUMBER:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, {TEXT: str, BOOLEAN: bool, TABLE: dict}[kind])


def _line(text: str, key: str, within: str = "") -> str:
    """`:N` when exactly one line of the table `within` starts with the key (tomllib keeps no positions), else nothing.

    A line that opens a table is one of the table around it.
    """
    if not key:
        return ""
    start = re.compile(rf'\s*\[*"?{re.escape(key)}"?\s*[=\].]')
    found, table = [], ""
    for number, line in enumerate(text.split("\n"), 1):
        opened = re.match(r'\s*\[+"?([^"\].]*)', line)
        if start.match(line) and within == ("" if opened else table):
            found.append(number)
        table = opened[1] if opened else table
    return f":{found[0]}" if len(found) == 1 else ""


def _nearest(name: str, known: Iterable[str]) -> str:
    import difflib  # only here: 3 ms that no good start should pay

    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    return f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(names)}"
