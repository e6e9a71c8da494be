"""The addresses that the MTA always lets relay (Postfix's mynetworks), which need no grant.

The grammar is Postfix's (mynetworks in postconf(5), util/match_list.c): words between blanks and commas, the first
match decides, `!` negates, `/file` contains further words, `[…]` encloses IPv6. IPv6 is also accepted without brackets.
Raises ConfigError with the word and its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pbs_fast.errors import ConfigError
from pbs_fast.util.addresses import Network, NetworkTable, parse, parse_network
from pbs_fast.util.admin_files import read_admin_file
from pbs_fast.util.postconf import NoPostfixError, Postconf

#: The word of the configuration that means the output of `postconf mynetworks`.
POSTFIX = "postfix"
#: The command that is asked where the configuration names none. That it is missing is then no fault: a host without
#: Postfix has no networks of Postfix, and a grant too many for a local address opens nothing.
DEFAULT_COMMAND = "postconf"

#: Files that name files: how deep, and how many readings in all. One that is named twice on each of 30 levels would be
#: read 2^30 times.
MOST_NESTED, MOST_FILES = 16, 1_000

#: Words are separated by blanks and commas outside braces (`inline:{ {a = b} }`).
_WORD = re.compile(r"(?:\{(?:[^{}]|\{[^{}]*\})*\}|[^,\s])+")
#: What is meant as an address, so that a slip in it is an error and not the name of a map or host.
_ADDRESS_LIKE = re.compile(r"\[.*|[0-9.]+(?:/.*)?|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:/[0-9]*)?")
_BRACKETED = re.compile(r"\[([^\[\]]*)\](/.*)?")
_MAP = re.compile(r"[A-Za-z][A-Za-z0-9_-]*:.*", re.DOTALL)
_HOST_NAME = re.compile(r"[A-Za-z0-9_.-]+")


class Netblocks:
    """The networks of one reading. Immutable; `notices` are lines for the log on what could not be taken over."""

    __slots__ = ("_table", "notices", "words")

    def __init__(self, entries: Iterable[tuple[Network, bool]] = (), notices: Sequence[str] = ()) -> None:
        """`entries` in order: a network, and whether an address in it is local (False: a `!` word)."""
        entries = tuple(entries)
        self._table = NetworkTable(entries)
        self.words = tuple(f"{'' if local else '!'}{network}" for network, local in entries)
        """The networks as text, in order."""
        self.notices = tuple(notices)

    def __len__(self) -> int:
        return len(self._table)

    def begins(self, width: int) -> bytes:
        """For each first byte of an address, 1 when addresses that begin so may be local, else 0."""
        return self._table.begins(width)

    def holds(self, width: int, value: int) -> bool:
        """True when the parsed address is local: about 0.1 µs."""
        return self._table.find(width, value) is True

    def local(self, ip: str) -> bool:
        """True when the address is local; False also for what is no address. About 0.3 µs: callers keep answers."""
        address = parse(ip)
        return address is not None and self._table.find(*address) is True


def read_netblocks(words: Sequence[str] = (POSTFIX,), postconf: str = DEFAULT_COMMAND) -> Netblocks:
    """The networks that the configuration's `mynetworks` lists; the word `postfix` means those of Postfix.

    `postconf` is the command to ask, with options. Raises ConfigError.
    """
    reader = _Reader()
    for text in words:
        if text == POSTFIX:
            try:
                value, notices = Postconf(postconf).value("mynetworks")
            except NoPostfixError:
                if postconf != DEFAULT_COMMAND:
                    raise
                reader.notices.append(
                    "Postfix is not installed, so no network counts as local; set mynetworks in the configuration"
                )
                continue
            reader.notices += notices
            reader.read(value, "postconf mynetworks")
        else:
            reader.read(text, "mynetworks")
    return Netblocks(reader.entries, reader.notices)


class _Reader:
    def __init__(self) -> None:
        self.entries: list[tuple[Network, bool]] = []
        self.notices: list[str] = []
        self._open: list[str] = []
        """Files that are being read, outermost first."""
        self._files = 0

    def read(self, text: str, where: str, positive: bool = True) -> None:
        for word in _WORD.findall(text):
            if word.startswith("#"):  # Postfix ignores the rest of such a line as well, with a warning
                return
            bare = word.lstrip("!")
            if not bare:
                raise ConfigError(f'{where}: "{word}": nothing follows the !; name an address, network or file')
            self._take(bare, word, where, positive == ((len(word) - len(bare)) % 2 == 0))

    def _take(self, bare: str, word: str, where: str, positive: bool) -> None:
        if bare.startswith("/"):
            self._file(bare, where, positive)
            return
        text = bare
        if bracketed := _BRACKETED.fullmatch(bare):
            text = bracketed[1] + (bracketed[2] or "")
        try:
            self.entries.append((parse_network(text), positive))
        except ValueError as error:
            if not _ADDRESS_LIKE.fullmatch(bare):
                kind = "lookup table" if _MAP.fullmatch(bare) else "host name" if _HOST_NAME.fullmatch(bare) else None
                if kind:
                    effect = "its hosts get grants" if positive else "its hosts are local if a later word says so"
                    self.notices.append(f'{where}: "{word}" is a {kind} and is skipped: {effect}')
                    return
            raise ConfigError(f'{where}: "{word}" {error}') from None

    def _file(self, path: str, where: str, positive: bool) -> None:
        if path in self._open:
            chain = " -> ".join((*self._open, path))
            raise ConfigError(f"{where}: {path} includes itself ({chain}); remove one of the names")
        self._files += 1
        if len(self._open) == MOST_NESTED or self._files > MOST_FILES:
            raise ConfigError(
                f"{where}: {path}: at most {MOST_FILES} files, {MOST_NESTED} deep, are read; put the networks into one"
            )
        try:
            text = read_admin_file(path).decode("utf-8", "backslashreplace")
        except OSError as error:
            raise ConfigError(f"{where}: {path}: {error.strerror}; correct the file or remove it from there") from None
        self._open.append(path)
        for number, line in enumerate(text.split("\n"), 1):
            self.read(line, f"{path}:{number}", positive)
        self._open.pop()
