"""The settings of a Perl configuration: perl runs it like the old daemon did, and this module reads the result.

Evaluating a configuration runs its code, as starting the old daemon did. Imports the errors and the runner of perl.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pbs_fast.errors import ConfigError
from pbs_fast.legacy import perl

#: Seconds; a configuration sets variables.
_PATIENCE = 60
#: Bytes of an answer: all values and the code of all subs.
_MOST = 8 << 20
#: What sets a variable, or one element of a hash.
_SETS = re.compile(
    r"(?:^|[;{}])\s*(?:(?:our|local|my)\s+)?(?:push\s*\(?\s*)?([$@%])(\w+)(?:\{\W*(\w+)\W*\})?\s*(?:[.|+]?=|,)"
)
#: A setting of the old sections that is a lexical of the file, so that no other code can look at it.
_LEXICAL = re.compile(
    r"(?:^|;)\s*(?:my|our)\s+\$(signal_sendmail|TCPRULES|ESMTPD)\s*=\s*(?:'([^']*)'|\"([^\"$@\\]*)\"|(\d+))\s*;"
)


@dataclass(frozen=True)
class Sub:
    """A sub that the file defines."""

    text: str
    """Its code as perl understood it (B::Deparse), one statement a line."""
    captured: Mapping[str, Any]
    """What it has closed over, by name with sigil."""
    line: int


@dataclass(frozen=True)
class Old:
    """A configuration as evaluated."""

    path: str
    values: Mapping[str, Any]
    """Variable without its sigil -> text, list, or {"function": name}; what the file leaves alone is not there."""
    lines: Mapping[str, int]
    """Variable -> the last line that sets it, as far as the text tells."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """The old program's own values of what the file leaves alone."""
    file_tail: Mapping[str, Any] = field(default_factory=dict)
    """All of %file_tail, its defaults included."""
    subs: Mapping[str, Sub] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    """The file's own package variables, by name with sigil."""
    networks: str | None = None
    """What the file's own $mynet_func returns."""
    networks_error: str = ""
    output_log: str | None = None
    """The file that set_output_log was called with."""
    search_path: str | None = None
    """$ENV{PATH}, where the file changes it."""
    text: str = ""
    """The file."""

    def where(self, name: str) -> str:
        """`line N` of a variable, for people."""
        if name in self.lines:
            return f"line {self.lines[name]}"
        if name in self.subs:
            return f"line {self.subs[name].line}"
        return "set by its code" if name.partition(".")[0] in self.values else "its default"

    def value(self, name: str) -> Any:
        """A scalar's value in force, the old program's own where the file sets none; None where it was undef."""
        return self.values.get(name, self.defaults.get(name))

    def lexical(self, name: str) -> str | None:
        """The value of a lexical that the old sections set, as a sub has it or as the text gives it."""
        for sub in self.subs.values():
            value = sub.captured.get(f"${name}")
            if isinstance(value, str):
                return value
        found = None
        for line in code_lines(self.text).values():
            for match in _LEXICAL.finditer(line):
                if match[1] == name:
                    found = match[2] or match[3] or match[4] or ""
        return found


def evaluate(path: str) -> Old:
    """Run a Perl configuration and read what it set.

    Raises ConfigError when there is no perl, when the file cannot be read, and with perl's own words when it fails.
    """
    data = read(path)
    answer: list[bytes] = []
    ran = perl.run("convert", path, data, answer.append, patience=_PATIENCE, most=_MOST)
    check(ran, path, answered=bool(answer))
    try:
        found = json.loads(b"".join(answer))
    except ValueError as error:
        raise ConfigError(f"{path}: its code writes into the answer of import-config; take that out") from error
    text = data.decode("utf-8", "replace")
    values = dict(found["set"])
    if found["file_tail_set"]:
        values["file_tail"] = {key: found["file_tail"].get(key) for key in found["file_tail_set"]}
    if "mynets" in found:
        values["mynets"] = found["mynets"]
    return Old(
        path=path,
        values=values,
        lines=_lines(text),
        defaults=found["default"],
        file_tail=found["file_tail"],
        subs={name: Sub(each["text"], each["captured"], each["line"]) for name, each in found["subs"].items()},
        variables=found["variables"],
        networks=found.get("mynet_result"),
        networks_error=found.get("mynet_error", ""),
        output_log=found.get("output_log"),
        search_path=found.get("path"),
        text=text,
    )


def read(path: str) -> bytes:
    """The file. Raises ConfigError."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {path}: {error.strerror}") from error


def check(ran: perl.Ran, path: str, *, answered: bool) -> None:
    """Raises ConfigError, in perl's words, for a file that fails."""
    if ran.ended:
        raise ConfigError(f"{path}: perl {ran.ended}")
    if ran.status != 0 and ran.said:
        said = re.sub(
            r" \(you may need to install the [\w:]+ module\)| \(@INC[^()]*(?:\([^()]*\)[^()]*)*\)", "", ran.said
        )
        who = perl.account_for(path)
        hint = f" (its code runs as {who.name} here)" if who is not None and "ermission denied" in said else ""
        raise ConfigError(f"{path}: perl cannot evaluate it: {said}{hint}")
    if not answered:
        raise ConfigError(f"{path}: it ends perl (exit status {ran.status}) instead of giving back; take its exit out")


def code_lines(text: str) -> dict[int, str]:
    """Number -> line, of what is neither POD nor a comment nor behind the end."""
    found: dict[int, str] = {}
    pod = False
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"=[a-zA-Z]", line):
            # `=cut` ends what is no code, and begins it where the text is code: so the old sections were switched off.
            pod = not (pod and line.startswith("=cut"))
            continue
        if pod or line.lstrip().startswith("#"):
            continue
        if re.match(r"__(?:END|DATA)__\s*$", line):
            break
        found[number] = line
    return found


def _lines(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for number, line in code_lines(text).items():
        for match in _SETS.finditer(line):
            found[f"{match[2]}.{match[3]}" if match[3] else match[2]] = number
            found.setdefault(match[2], number)
        if sub := re.search(r"(?:^|[;{}])\s*sub\s+(\w+)|\b(set_output_log)\s*\(", line):
            found[sub[1] or sub[2]] = number
    return found
