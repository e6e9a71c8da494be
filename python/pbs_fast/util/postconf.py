"""Reads a setting of Postfix with its command `postconf`, and expands the `$variables` in the answer.

Raises only ConfigError.
"""

from __future__ import annotations

import re
import shlex
import subprocess

from pbs_fast.errors import ConfigError
from pbs_fast.util.commands import SBIN, find_program, run

#: postconf reads two files; one that has not answered by then waits for a dead network file system.
TIMEOUT_S = 30.0
#: Most bytes that are read of what a command prints; the longest setting of a real main.cf has some kilobytes.
OUTPUT_LIMIT = 4 << 20
#: Most settings that are asked for to expand one. Variables that name each other twice on each of 30 levels would take
#: 2^30 questions.
MOST_ASKED = 500

#: Where postconf is, if it is not on PATH.
_SBIN = SBIN

#: `$$`, `$name`, `${name}`, `$(name)` (postconf(5)); the last alternative is a form with a condition.
_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<bare>\w+)|\{(?P<brace>\w+)\}|\((?P<paren>\w+)\)|(?P<other>[{(]))", re.ASCII
)


class NoPostfixError(ConfigError):
    """There is no such command as `postconf` here."""


class Postconf:
    """One `postconf` command, for example `postconf` or `/usr/sbin/postconf -c /etc/postfix-out`."""

    def __init__(self, command: str = "postconf") -> None:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise ConfigError(f"postconf = {command!r}: {error}; give a command and its options") from None
        if not words:
            raise ConfigError("postconf = '': names no command; give one, such as /usr/sbin/postconf")
        self._program, self._options = words[0], words[1:]
        self._asked = 0

    def value(self, name: str) -> tuple[str, list[str]]:
        """The setting's value with its variables expanded, and a notice (one line) on each that is not set."""
        notices: list[str] = []
        self._asked = 0
        return self._expanded(name, (), notices), notices

    def _expanded(self, name: str, above: tuple[str, ...], notices: list[str]) -> str:
        if name in above:
            chain = " -> ".join((*above, name))
            raise ConfigError(f"postconf {above[0]}: its variables go round in a circle ({chain}); mend main.cf")
        self._asked += 1
        if self._asked > MOST_ASKED:
            raise ConfigError(f"postconf {above[0]}: needs more than {MOST_ASKED} variables; list mynetworks instead")
        raw = self.ask("-h", name)
        if raw is None:
            notices.append(f"postconf {above[0] if above else name}: ${name} is not set in main.cf; taken as empty")
            return ""
        parts = []
        end = 0
        for variable in _VARIABLE.finditer(raw):
            if variable["other"]:
                # ${name?yes}, ${name:no} and comparisons: Postfix evaluates them itself (-x, since 2.10).
                return self.ask("-x", "-h", name) or ""
            parts.append(raw[end : variable.start()])
            end = variable.end()
            inner = variable["bare"] or variable["brace"] or variable["paren"]
            parts.append(self._expanded(inner, (*above, name), notices) if inner else "$")
        return "".join(parts) + raw[end:]

    def ask(self, *arguments: str) -> str | None:
        """What postconf prints, without its last newline; None when it prints nothing at all (no such setting).

        Raises NoPostfixError when there is no such command, ConfigError when it fails.
        """
        path = find_program(self._program, _SBIN)
        if path is None:
            raise NoPostfixError(
                f"postconf: {self._program}: no such command; install Postfix, set postconf = PATH, or list mynetworks"
            )
        command = [path, *self._options, *arguments]
        try:
            done = run(command, timeout=TIMEOUT_S, limit=OUTPUT_LIMIT)
        except OSError as error:
            raise ConfigError(f"postconf: {path}: {error.strerror}; set postconf = PATH or list mynetworks") from None
        except subprocess.TimeoutExpired:
            raise ConfigError(
                f"postconf: {shlex.join(command)}: no answer in {TIMEOUT_S:.0f} s; run it by hand"
            ) from None
        if done.is_cut:
            raise ConfigError(
                f"postconf: {shlex.join(command)}: prints more than {OUTPUT_LIMIT >> 20} MiB; run it by hand"
            )
        if done.status != 0:
            said = done.complaint or "it says nothing"
            raise ConfigError(f"postconf: {shlex.join(command)} failed with {done.status}: {said}; run it by hand")
        return done.text if done.output else None
