"""A configuration file: TOML in, checked values by dotted key out, each with its line.

Each error is a ConfigError of one line, `FILE:LINE: what; what to do`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import NamedTuple, NoReturn

from pbs_fast.caps.limits import check_exemption
from pbs_fast.config.keys import CAP_EXCEPTIONS, EXCEPTION_KEYS, FORMAT_KEYS, KEYS, OWN_FORMATS, TABLES, Key
from pbs_fast.config.kinds import RefusedError
from pbs_fast.config.model import CapException, OwnFormat
from pbs_fast.errors import ConfigError, UsageError
from pbs_fast.util.admin_files import parse_toml, read_admin_file
from pbs_fast.util.text import printable
from pbs_fast.util.toml_lines import Path, lines

_FORMAT_NAME = re.compile(r"[a-z0-9-]+")
#: Lines that a Perl configuration of pop-before-smtp has and that no TOML document can have.
_PERL = re.compile(
    r"^(?:\s*(?:(?:my|our|local)\s+)?[$@%]\w+\s*=|\s*use\s+strict\b|=cut\b|=pod\b|1;\s*$|\s*sub\s+\w+)", re.MULTILINE
)
#: Longest text of a wrong value that a message repeats.
_SHOWN = 60
#: Bits of a number that a message repeats; str() refuses one of more than 4,300 digits.
_LONGEST_NUMBER = 1024


class FileValues(NamedTuple):
    """What a configuration file says."""

    path: str
    values: Mapping[str, object]
    """Dotted key -> checked value, in the file's order."""
    lines: Mapping[str, int]
    """Dotted key -> line (from 1)."""


def read_file(path: str) -> FileValues:
    """The checked values of a configuration file.

    Raises ConfigError when it cannot be read, is no TOML, or holds an unknown key or a value that its key does not
    allow; a Perl configuration is named as such.
    """
    try:
        data = read_admin_file(path)
    except OSError as error:
        name = path if path.isprintable() else repr(path)
        raise ConfigError(f"cannot read the configuration file {name}: {error.strerror}") from error
    if path.endswith(".pl"):
        _is_perl(path)
    try:
        text = data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text, which TOML must be") from error
    try:
        document = parse_toml(text)
        positions = lines(text)
    except tomllib.TOMLDecodeError as error:
        if looks_like_perl(text):
            _is_perl(path)
        raise ConfigError(_syntax(path, text, str(error))) from error
    return _Reader(path, positions).read(document)


def looks_like_perl(text: str) -> bool:
    """Whether a text that is no TOML is a Perl configuration of pop-before-smtp."""
    return _PERL.search(text) is not None


def _is_perl(path: str) -> NoReturn:
    raise ConfigError(
        f"{path} is a Perl configuration of pop-before-smtp; convert it: pbs-fast import-config {path} > pbs-fast.toml"
    )


def _syntax(path: str, text: str, message: str) -> str:
    where = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    line = int(where[1]) if where and where[1] else text.rstrip().count("\n") + 1
    # A guide's table pasted at the end of our example, which has every table.
    if twice := re.match(r"Cannot declare \('(\w+)',\) twice", message):
        header = re.compile(rf"[ \t]*\[[ \t]*{twice[1]}[ \t]*\]")
        first = next((n for n, each in enumerate(text.splitlines(), 1) if header.match(each)), line)
        if first < line:
            return f"{path}:{line}: the table [{twice[1]}] is already in line {first}; write its keys there"
    return f"{path}:{line}: not valid TOML: {message[: where.start()] if where else message}"


class _Reader:
    def __init__(self, path: str, lines: Mapping[Path, int]) -> None:
        self.path = path
        self.line = lines
        self.result = FileValues(path, {}, {})

    def read(self, document: dict[str, object]) -> FileValues:
        for name, value in document.items():
            if name in TABLES:
                for inner, content in self.table((name,), value).items():
                    if f"{name}.{inner}" == CAP_EXCEPTIONS:
                        self.exceptions((name, inner), content)
                        continue
                    self.take((name, inner), content, KEYS, f"{name}.{inner}")
            elif name == "formats":
                for format_name, keys in self.table((name,), value).items():
                    self.format(format_name, keys)
            elif name == OWN_FORMATS:
                self.own_formats(value)
            else:
                self.take((name,), value, KEYS, name)
        return self.result

    def format(self, name: str, keys: object) -> None:
        if not _FORMAT_NAME.fullmatch(name):
            self.refuse(("formats", name), f'no format can have the name "{_shown(name)}"; see: pbs-fast formats')
        for last, value in self.table(("formats", name), keys).items():
            self.take(("formats", name, last), value, FORMAT_KEYS, last)

    def own_formats(self, value: object) -> None:
        """Whether each is a proper format is for `pbs_fast.formats.custom`, which knows what formats are."""
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            self.refuse((OWN_FORMATS,), "format must be tables, each written [[format]]")
        found = []
        for number, keys in enumerate(value):
            lines = {path[2:]: line for path, line in self.line.items() if path[:2] == (OWN_FORMATS, number)}
            found.append(OwnFormat(keys, self.path, lines))
        self.result.values[OWN_FORMATS] = tuple(found)  # type: ignore[index]
        self.result.lines[OWN_FORMATS] = self.line[OWN_FORMATS,]  # type: ignore[index]

    def exceptions(self, path: Path, value: object) -> None:
        """The `[[caps.except]]`."""
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            self.refuse(path, f"{_dotted(path)} must be tables, each written [[{_dotted(path)}]]")
        found = []
        for number, keys in enumerate(value):
            checked = {
                name: self.checked((*path, number, name), each, EXCEPTION_KEYS, name) for name, each in keys.items()
            }
            exception = CapException(**checked)  # type: ignore[arg-type]  # each value came through its key's Kind
            try:
                check_exemption(exception)
            except UsageError as error:
                self.refuse((*path, number), str(error))
            found.append(exception)
        self.result.values[CAP_EXCEPTIONS] = tuple(found)  # type: ignore[index]
        self.result.lines[CAP_EXCEPTIONS] = self.line[path]  # type: ignore[index]

    def table(self, path: Path, value: object) -> dict[str, object]:
        if not isinstance(value, dict):
            self.refuse(path, f"{_dotted(path)} must be a table, written [{_dotted(path)}]")
        return value

    def take(self, path: Path, value: object, keys: Mapping[str, Key], name: str) -> None:
        checked = self.checked(path, value, keys, name)
        # The result is this reader's own until `read` returns it.
        self.result.values[_dotted(path)] = checked  # type: ignore[index]
        self.result.lines[_dotted(path)] = self.line[path]  # type: ignore[index]

    def checked(self, path: Path, value: object, keys: Mapping[str, Key], name: str) -> object:
        dotted = _dotted(each for each in path if not isinstance(each, int))
        if name not in keys or (len(path) == 1 and "." in name):
            self.refuse(path, f'unknown key "{_shown(dotted)}"{_nearest(dotted, keys, len(path))}')
        kind = keys[name].kind
        try:
            return kind.read(value)
        except RefusedError as error:
            if error.index is None:
                self.refuse(path, f"{dotted} must be {kind.allowed}, not {kind.shown(_literal(value))}")
            assert isinstance(value, list)  # noqa: S101 - only lists are refused by index
            one = kind.shown(_literal(value[error.index]))
            self.refuse((*path, error.index), f"{dotted} must be {kind.allowed}; one is {one}")

    def refuse(self, path: Path, message: str) -> NoReturn:
        raise ConfigError(f"{self.path}:{self.line[path]}: {message}")


def _dotted(path: Iterable[str | int]) -> str:
    return ".".join(str(part) for part in path)


def _nearest(dotted: str, keys: Mapping[str, Key], depth: int) -> str:
    """What to do about an unknown key: the nearest one of its table, else where a key of that name belongs.

    A line at the end of a file belongs to the file's last table, which is easily overlooked.
    """
    from difflib import get_close_matches

    prefix, _, last = dotted.rpartition(".")
    if depth >= 3:
        here = {name: f"{prefix}.{name}" for name in keys}
    else:
        here = {name.rpartition(".")[2]: name for name in keys if name.rpartition(".")[0] == prefix}
    tables = {name: f"[{name}]" for name in TABLES} | {"formats": "[formats.NAME]", "format": "[[format]]"}
    if prefix == "caps":
        here["except"] = "[[caps.except]]"
    elsewhere = {name.rpartition(".")[2]: name for name in KEYS}
    for names in (here | (tables if depth == 1 else {}), elsewhere):
        if names is elsewhere and last in KEYS:
            return f'; "{last}" belongs above the first [table]'
        if names is elsewhere and last in elsewhere:
            return f'; "{last}" belongs below [{elsewhere[last].rpartition(".")[0]}]'
        if near := get_close_matches(last, names, n=1, cutoff=0.6):
            return f'; nearest: "{names[near[0]]}"'
    return "; the keys are listed by: pbs-fast config"


def _shown(text: str) -> str:
    cut = text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
    return printable(cut)


def _literal(value: object) -> str:
    """A TOML value in a message: short, of one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{_shown(value)}"'
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
        return "a number of so many digits"
    return _shown(str(value))
