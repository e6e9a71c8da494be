"""Checks a configuration of syslog-ng: does a line feed in a message reach a mail log unescaped?

With Debian's default configuration it does. Measured with 3.38 and 4.8 (SECURITY.md): `flags(no-multi-line)` of a
`file()` destination replaces it by a blank, for any source. On a source the flag works for `unix-dgram()`; `system()`
and `systemd-journal()` accept and ignore it. A source that reads a stream ends the record there in any case.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from pbs_fast.health.loggers.files import Finding, UnreadableError, is_mail_log, unknown
from pbs_fast.health.loggers.syslog_ng_config import Group, Statement, read_statements

_FLAG = "no-multi-line"
#: Sources of messages that may hold a line feed; the flag is one of theirs.
_DATAGRAMS = frozenset({"unix-dgram", "systemd-syslog", "udp", "udp6", "syslog", "network", "default-network-drivers"})
#: The same, where the flag does nothing.
_DEAF = frozenset({"system", "systemd-journal"})
_STREAMS = frozenset({"unix-stream"})
_FILES = frozenset({"file", "pipe"})
#: Template functions that leave no line feed in what they give.
_CLEANERS = ("$(format-json", "$(sanitize", "$(replace-delimiter")
_MESSAGE_MACRO = re.compile(r"\$\{?(?:MSG|MESSAGE|MSGONLY|RAWMSG)\b")
_MACRO = re.compile(r"\$\{[^}]*\}|\$\w+|\$\([^)]*\)")
#: What a pattern of `subst` looks for when it looks for line feeds.
_LINE_FEED = re.compile(r"\\n|\\R|\\x0a|\\s|cntrl|\n")


def syslog_ng_findings(logs: Sequence[str], root: Path) -> list[Finding]:
    """One finding for each mail log that a line feed can reach, and why; none for a safe configuration."""
    if not (root / "etc/syslog-ng/syslog-ng.conf").exists():
        return []
    try:
        config = _Config.of(read_statements(root))
    except (UnreadableError, OSError) as error:
        if not isinstance(error, UnreadableError):
            error = UnreadableError(f"{error.filename}: {error.strerror}")
        return [unknown("syslog-ng", error, logs)]
    written = {log for _, path in config.paths for log, _ in config.files(path)}
    # Where none is followed by the name it has here (a link, say), each log of mail may be the one.
    judged = {log for log in written if _followed(log, logs)} or {log for log in written if is_mail_log(log)}
    found: dict[tuple[str, bool], Finding] = {}
    for file, path in config.paths:
        for log, safe in config.files(path):
            if log not in judged:
                continue
            for driver, split in config.sources(path):
                if split or not (safe or config.cleans(path)):
                    found.setdefault((log, split), _finding(file, log, _followed(log, logs), driver, split=split))
    return list(found.values())


def _finding(file: str, log: str, followed: tuple[str, ...], driver: str, *, split: bool) -> Finding:
    what, cure = (
        (f"{driver}() ends a message at each line feed", f"use unix-dgram() with flags({_FLAG})")
        if split
        else (f"{driver}() passes on line feeds in user names", f"set flags({_FLAG}) on the destination's file()")
    )
    text = f"{file}: {what}, so a stranger can forge logins in {log}; {cure} (SECURITY.md)"
    return Finding("syslog-ng", file, log, followed, text)


def _followed(log: str, logs: Sequence[str]) -> tuple[str, ...]:
    """Which of `logs` a file name of the configuration means; a macro in it may be any text."""
    pattern = re.sub("[][]", "?", _MACRO.sub("*", log))
    return tuple(each for each in logs if each == log or (pattern != log and fnmatch.fnmatchcase(each, pattern)))


@dataclass
class _Config:
    """The statements by kind and name."""

    named: dict[tuple[str, str], tuple[Statement, ...]] = field(default_factory=dict)
    """(`source`, `destination`, `rewrite`, `template` or `block`, name) -> what is in its braces."""
    paths: list[tuple[str, tuple[Statement, ...]]] = field(default_factory=list)
    """The log paths, with the file of each."""

    @classmethod
    def of(cls, statements: Iterable[tuple[str, Statement]]) -> _Config:
        made = cls()
        for file, statement in statements:
            body = next((item for item in reversed(statement) if isinstance(item, Group) and item.mark == "{"), None)
            words = [item for item in statement if isinstance(item, str)]
            if not words or body is None:
                continue
            if words[0] == "log":
                made.paths.append((file, body.statements))
            elif words[0] == "block" and len(words) > 2:
                made.named["block", _name(words[2])] = body.statements
            elif len(words) > 1:
                made.named[words[0], _name(words[1])] = body.statements
        return made

    def sources(self, path: Sequence[Statement]) -> Iterator[tuple[str, bool]]:
        """The drivers by which a line feed comes into a log path, and whether they split a message there."""
        bodies = list(self._bodies("source", path))
        if any("catchall" in _words(each) for each in _calls("flags", path)):
            bodies += [body for (kind, _), body in self.named.items() if kind == "source"]
        for body in bodies:
            for name, options in self._drivers(body):
                if name in _STREAMS:
                    yield name, True
                elif name in _DEAF or (name in _DATAGRAMS and _FLAG not in _flags(options)):
                    yield name, False

    def files(self, path: Sequence[Statement]) -> Iterator[tuple[str, bool]]:
        """The files that a log path writes, and whether no line feed comes there within a message."""
        for body in self._bodies("destination", path):
            for name, options in self._drivers(body):
                words = [item for item in options[:1] if isinstance(item, str)]
                if name in _FILES and words:
                    yield words[0], _FLAG in _flags(options) or self._is_clean(options)

    def cleans(self, path: Sequence[Statement]) -> bool:
        """Whether a rewrite rule of a log path takes the line feeds out."""
        return any(
            any(isinstance(item, str) and _LINE_FEED.search(item) for item in call[:1])
            and "global" in _flags(call)
            and any({"MESSAGE", "MSG"} & set(_words(each)) for each in _calls("value", [call]))
            for body in self._bodies("rewrite", path)
            for call in _calls("subst", body)
        )

    def _is_clean(self, options: Statement) -> bool:
        """Whether the template of a destination gives no line feed of a message."""
        for call in _calls("template", [options]):
            text = "".join(item for item in call[:1] if isinstance(item, str))
            for inner in _calls("template", self.named.get(("template", _name(text)), ())):
                text = "".join(item for item in inner[:1] if isinstance(item, str))
            return any(each in text for each in _CLEANERS) or ("$" in text and not _MESSAGE_MACRO.search(text))
        return False

    def _bodies(self, kind: str, path: Sequence[Statement]) -> Iterator[tuple[Statement, ...]]:
        """What the log path's references of a kind mean, and what it defines in place; in embedded paths as well."""
        for statement in path:
            for number, item in enumerate(statement):
                following = statement[number + 1] if number + 1 < len(statement) else None
                if item == kind and isinstance(following, Group):
                    if following.mark == "{":
                        yield following.statements
                    for name in _words(*following.statements) if following.mark == "(" else ():
                        yield self.named.get((kind, _name(name)), ())
                elif isinstance(item, Group) and item.mark == "{" and statement[number - 1] != kind:
                    yield from self._bodies(kind, item.statements)

    def _drivers(self, body: Iterable[Statement], depth: int = 0) -> Iterator[tuple[str, Statement]]:
        """Name and options of each driver, those of the configuration's own blocks taken apart."""
        for statement in body:
            for item, following in pairwise(statement):
                if not (isinstance(item, str) and isinstance(following, Group)):
                    continue
                own = self.named.get(("block", item))
                if own is not None and depth < 10:
                    yield from self._drivers(own, depth + 1)
                elif following.mark == "{":
                    yield from self._drivers(following.statements, depth)
                else:
                    yield item, tuple(each for inner in following.statements for each in inner)


def _name(text: str) -> str:
    """A name as it is compared; in a reference it may be quoted."""
    return text.replace("_", "-")


def _words(*statements: Statement) -> list[str]:
    return [item for statement in statements for item in statement if isinstance(item, str)]


def _flags(options: Statement) -> set[str]:
    return {word for call in _calls("flags", [options]) for word in _words(call)}


def _calls(name: str, statements: Iterable[Statement]) -> Iterator[Statement]:
    """The options of each `name(...)` directly in these statements."""
    for statement in statements:
        for item, following in pairwise(statement):
            if item == name and isinstance(following, Group):
                yield tuple(each for inner in following.statements for each in inner)
