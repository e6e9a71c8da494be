"""The kinds of values in the configuration: one Kind per sort of value, for TOML and options alike.

Invariants: `read` returns an immutable value of one Python type or raises RefusedError; a returned value, written as
TOML, is read as the same value again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pbs_fast.caps.limits import MOST_CAPS, parse_cap
from pbs_fast.errors import UsageError
from pbs_fast.util.addresses import parse_endpoint
from pbs_fast.util.durations import allowed, read_duration

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: Text around the two placeholders that a table's value may hold; any other brace is a slip of the pen.
_VALUE = re.compile(r"(?:[ -z|~]|\{user\}|\{expires\})+")
#: A syslog tag (docs/MATCHING.md, 2), or `*/NAME` for tags whose last component is NAME.
_TAG = re.compile(r"(?:\*/)?[^\x00-\x20:\[\]<>]+")
#: The name of a site or a node.
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
#: An unescaped password may hold any character, also the `@` and `/` that end it for urlsplit; a long value is cut.
_PASSWORD = re.compile(r"""(//[^/\s:@"']*:)[^\s"']*(?:@|\.\.\.)""")
_QUERY = re.compile(r"""\?[^\s"']*""")
_NODE = re.compile(rf"\*|{_WORD.pattern}")
#: Where DNS ends a host name (RFC 1035 2.3.4); a syslog host field is a word, not necessarily a name.
_HOST = re.compile(r"[^\x00-\x20\x7f]{1,255}")


class RefusedError(ValueError):
    """A value is not of its Kind. `index` is the element of a list that is wrong, None for the value as a whole."""

    def __init__(self, index: int | None = None) -> None:
        super().__init__(index)
        self.index = index


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of value."""

    allowed: str
    """What is allowed, in words that follow `must be`."""
    read: Callable[[object], object]
    """The checked value of a TOML value; raises RefusedError."""
    number: bool = False
    """True if an option's text is a TOML integer in digits."""
    many: bool = False
    """True when the value is a list, and an option given again adds to it."""
    shown: Callable[[str], str] = str
    """A refused value as it goes into the message: without what is secret."""

    def read_text(self, text: str) -> object:
        """The checked value of an option's text; for a list, the list of that one element. Raises RefusedError."""
        if self.number:
            # int() also takes blanks, signs, underscores and other scripts' digits.
            if not re.fullmatch(r"[0-9]{1,18}", text):
                raise RefusedError
            return self.read(int(text))
        return self.read([text] if self.many else text)


def _clean(value: object) -> str:
    if not isinstance(value, str) or not value or _CONTROL.search(value):
        raise RefusedError
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes of the command line that are no UTF-8; TOML could not hold them
        raise RefusedError from None
    return value


def _list(value: object, element: Callable[[object], str]) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list):
        raise RefusedError
    result = []
    for index, item in enumerate(values):
        try:
            result.append(element(item))
        except RefusedError:
            raise RefusedError(index if isinstance(value, list) else None) from None
    return tuple(result)


def switch() -> Kind:
    """True or false."""

    def read(value: object) -> bool:
        if not isinstance(value, bool):
            raise RefusedError
        return value

    return Kind("true or false", read)


def switch_or_names() -> Kind:
    """True or false, or a list of names."""

    def read(value: object) -> bool | tuple[str, ...]:
        return value if isinstance(value, bool) else _list(value, _clean)

    return Kind('true, false, or a list of formats, such as ["dovecot", "uw"]', read)


def whole(low: int, high: int, what: str = "a whole number") -> Kind:
    """An integer of low..high."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise RefusedError
        return value

    return Kind(f"{what} from {low} to {high}", read, number=True)


def seconds(low: int, high: int) -> Kind:
    """A duration of low..high seconds: a TOML integer, or a text such as `30m`."""

    def read(value: object) -> int:
        try:
            return read_duration(value, low, high)
        except ValueError:
            raise RefusedError from None

    return Kind(allowed(low, high), read)


def text(what: str = "a text without control characters") -> Kind:
    """A non-empty text of one line."""
    return Kind(what, _clean)


def prom_file() -> Kind:
    """The path of a file that node_exporter reads; it passes over other endings."""

    def read(value: object) -> str:
        if not (path := _clean(value)).endswith(".prom"):
            raise RefusedError
        return path

    return Kind("the path of a file that ends in .prom", read)


def listener() -> Kind:
    """An address and a port to listen on."""

    return Kind("ADDRESS:PORT, such as 127.0.0.1:9876 or [::1]:9876", _parsed(parse_endpoint))


def _parsed(parse: Callable[[str], object]) -> Callable[[object], str]:
    """A text of one line that `parse` takes, as it is written; ValueError refuses it."""

    def read(value: object) -> str:
        text = _clean(value)
        try:
            parse(text)
        except ValueError:
            raise RefusedError from None
        return text

    return read


def _without_password(text: str) -> str:
    """Text with URLs, without their passwords: messages go into logs that others may read."""
    return _QUERY.sub("?…", _PASSWORD.sub(r"\1…@", text))


def hubs() -> Kind:
    """A list of URLs of Valkey or Redis servers, each once."""

    def read(value: object) -> tuple[str, ...]:
        from pbs_fast.share.spec import parse_hub

        found = _list(value, _parsed(parse_hub))
        if len(set(found)) < len(found):
            raise RefusedError
        return found

    return Kind(
        'a list of URLs without passwords, each once, such as ["valkeys://pop1@192.0.2.11:6380"] '
        "(valkey://, redis:// or rediss://; unix:///PATH)",
        read,
        many=True,
        shown=_without_password,
    )


def word() -> Kind:
    """A name of a site or a node, which becomes a part of a key in the hub."""
    return Kind("a name of at most 63 letters, digits, '.', '_' and '-'", _matching(_WORD))


def nodes() -> Kind:
    """A list of nodes; `*` alone is all."""
    element = _matching(_NODE)

    def read(value: object) -> tuple[str, ...]:
        found = _list(value, element)
        if "*" in found and len(found) > 1:
            raise RefusedError
        return found

    return Kind('a list of names of nodes, such as ["pop1", "pop2"], or "*" for all', read, many=True)


def choice(*names: str) -> Kind:
    """One of the names."""

    def read(value: object) -> str:
        if value not in names or not isinstance(value, str):
            raise RefusedError
        return value

    return Kind("one of " + ", ".join(names), read)


def table_value() -> Kind:
    """The value of a table's rows: printable ASCII with braces only in {user} and {expires}."""

    def read(value: object) -> str:
        if not _VALUE.fullmatch(_clean(value)):
            raise RefusedError
        return str(value)

    return Kind("printable ASCII with braces only in {user} and {expires}", read)


def rates() -> Kind:
    """A list of caps: `200/1h`, `messages:100/1h`."""

    def read(value: object) -> tuple[str, ...]:
        found = _list(value, _rate)
        if len(found) > MOST_CAPS or len(set(found)) < len(found):
            raise RefusedError
        return found

    return Kind(
        f'a list of at most {MOST_CAPS} rates, such as ["200/1h", "1000/1d", "messages:100/1h"]', read, many=True
    )


def _rate(value: object) -> str:
    text = _clean(value)
    try:
        parse_cap("user", text)
    except UsageError:
        raise RefusedError from None
    return text


def zone() -> Kind:
    """A time zone's name in the IANA data base, as far as this machine has it."""

    def read(value: object) -> str:
        from zoneinfo import ZoneInfo

        name = _clean(value)
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # unknown, not a relative path, a directory of zones
            raise RefusedError from None
        return name

    return Kind("a time zone that this machine knows, such as UTC or Europe/Vienna", read)


def specs(what: str) -> Kind:
    """A text or a list of texts."""
    return Kind(what, lambda value: _list(value, _clean), many=True)


def _matching(pattern: re.Pattern[str]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise RefusedError
        return _clean(value)

    return read


def tags() -> Kind:
    """A list of syslog tags."""
    element = _matching(_TAG)
    return Kind('a list of syslog tags, such as ["dovecot-backend"]', lambda value: _list(value, element), many=True)


def hosts() -> Kind:
    """A list of host fields."""
    element = _matching(_HOST)
    return Kind("a list of host names as written in the log", lambda value: _list(value, element), many=True)


def networks(what: str) -> Kind:
    """A list of addresses and CIDR networks (no host bits), as their authors wrote them."""

    def element(value: object) -> str:
        from pbs_fast.util.addresses import parse_network

        word = _clean(value)
        try:
            parse_network(word)
        except ValueError:
            raise RefusedError from None
        return word

    return Kind(what, lambda value: _list(value, element), many=True)
