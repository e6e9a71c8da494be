"""Perl's patterns in the spelling that both matchers read alike, and their captures.

Only the spelling changes: what a pattern takes stays the same. Imports nothing of the package.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

#: An escape, a class, the opening of a group that captures nothing or has a name, or of a capture; `)` ends each.
_UNIT = re.compile(
    r"\\x[0-9A-Fa-f]{2}|\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]"
    r"|(?P<brace>\{(?!\d+(?:,\d*)?\}))|(?P<flags>\(\?\^?[a-z]*:)|(?P<plain>\(\?)|(?P<capture>\()|(?P<end>\))",
    re.DOTALL,
)
_CLASS = r"\[\^?\]?(?:\\.|[^\]\\])*\]"
#: What is in a class: an escape, a class of POSIX, or one byte.
_MEMBER = re.compile(r"\\x[0-9A-Fa-f]{2}|\\.|\[:\^?\w+:\]|.", re.DOTALL)
_POSIX = {"alpha": "A-Za-z", "digit": "0-9", "alnum": "A-Za-z0-9", "space": r"\s", "upper": "A-Z", "lower": "a-z"}
_POSIX |= {"xdigit": "0-9A-Fa-f", "word": r"\w", "blank": r" \t"}
#: Bytes that mean themselves outside of a class, whose escape is none, or another thing, to one of the matchers.
_PLAIN = frozenset("<>'\"=,;:@!%&~/`-_# ")
#: Bytes that mean something in a class to one of the matchers.
_IN_CLASS = frozenset("[]&~^")


def spelled(pattern: str) -> str:
    """A Perl pattern as this engine writes it. Raises ValueError for what it has not."""
    if pattern.startswith("(?i)"):
        pattern = f"(?i:{pattern[4:]})"
    if extended := re.fullmatch(r"\(\?\^([a-z]*x[a-z]*):(.*)\)", pattern, re.DOTALL):
        pattern = f"(?^{extended[1].replace('x', '')}:{_squeezed(extended[2])})"
    pattern = _UNIT.sub(_unit, pattern)
    # qr// puts a group around the whole, which would hide that it begins with ^.
    while pattern.startswith("(?:") and _closes_at_end(pattern):
        pattern = pattern[3:-1]
    return pattern


def at_end_of_line(pattern: str) -> str:
    """A pattern whose last unit perl let take the line's newline (`\\s`, `[^.]`), for lines without one."""
    last = re.search(rf"(?<!\\)(\\[sDW]|{_CLASS})(\+?)(\$?)$", pattern)
    if last is None or re.fullmatch(last[1], "\n") is None:
        return pattern
    before = pattern[: last.start()]
    if last[3]:
        return f"{before}{last[1]}{'*' if last[2] else '?'}$"
    return f"{before}(?:{last[1]}|$)"


def captures(pattern: str) -> list[tuple[int, int]]:
    """Begin and end of each capture, in the order of their numbers."""
    found: list[tuple[int, int]] = []
    opened: list[int | None] = []
    for unit in _UNIT.finditer(pattern):
        if unit["capture"]:
            opened.append(len(found))
            found.append((unit.start(), len(pattern)))
        elif unit["plain"] or unit["flags"]:
            opened.append(None)
        elif unit["end"] and opened and (number := opened.pop()) is not None:
            found[number] = (found[number][0], unit.end())
    return found


def named_captures(pattern: str, names: Mapping[int, str]) -> str:
    """The pattern with names for some captures by their numbers; the others capture nothing."""
    out, last = "", 0
    for number, (begin, _) in enumerate(captures(pattern), 1):
        name = names.get(number)
        out += pattern[last:begin] + (f"(?P<{name}>" if name else "(?:")
        last = begin + 1
    return out + pattern[last:]


def _squeezed(pattern: str) -> str:
    """A pattern with the flag x without its blanks and comments, which mean nothing."""
    parts = re.findall(r"\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]|#[^\n]*|.", pattern, re.DOTALL)
    return "".join(part for part in parts if not part.isspace() and not part.startswith("#"))


def _unit(match: re.Match[str]) -> str:
    text = match[0]
    if match["flags"]:
        flags = set(text[2:-1])
        if flags - set("^ailnsu"):
            raise ValueError(f"holds flags ({text}) that are not known here")
        return "(?i:" if "i" in flags else "(?:"
    if match["brace"]:  # no repetition, so perl takes it as it is; here it may begin a placeholder
        return r"\{"
    if text.startswith("["):
        return _class(text)
    return _escape(text) if text.startswith("\\") else text


def _escape(text: str) -> str:
    if text.startswith("\\x") and len(text) == 4:
        return re.escape(bytes.fromhex(text[2:]).decode("latin-1"))
    if text in (r"\z", r"\Z"):
        return "$"
    if text == r"\h":
        return r"[ \t]"
    return text[1] if text[1] in _PLAIN else text


def _class(text: str) -> str:
    negated = "^" if text.startswith("[^") else ""
    members = []
    for member in _MEMBER.findall(text[1 + len(negated) : -1]):
        if member.startswith("[:"):
            name = member[2:-2]
            if name not in _POSIX:
                raise ValueError(f"holds a class ({member}) that is not known here")
            members.append(_POSIX[name])
        elif member == r"\h":
            members.append(r" \t")
        elif member.startswith("\\x") and len(member) == 4:
            char = bytes.fromhex(member[2:]).decode("latin-1")
            members.append(char if char.isalnum() else f"\\{char}")
        elif len(member) == 1:
            members.append(f"\\{member}" if member in _IN_CLASS else member)
        else:
            members.append(member[1] if member[1] in _PLAIN - {"-", "&", "~"} else member)
    # `[:` begins a class of POSIX to other eyes.
    if members and members[0] == ":" and len(members) > 1:
        members = [*members[1:], ":"]
        if members[0] == "-":
            members[0] = r"\-"
    return f"[{negated}{''.join(members)}]"


def _closes_at_end(pattern: str) -> bool:
    """Whether the group that a pattern begins with ends with it."""
    level = 0
    for unit in _UNIT.finditer(pattern):
        level += bool(unit["plain"] or unit["flags"] or unit["capture"]) - bool(unit["end"])
        if level == 0 and unit["end"]:
            return unit.end() == len(pattern)
    return False
