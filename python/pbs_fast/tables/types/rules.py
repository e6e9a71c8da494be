"""Instructions of tcpserver's rules: `allow,NAME="text",…` as a line has them, `+NAME=text` and a NUL, or `D` and a
NUL first, as the cdb file has them.

A text may stand between any two equal characters; here it is the first of QUOTES that it does not hold, so that what
was written and what is read back are the same bytes. Pure; imports nothing of the package.
"""

from __future__ import annotations

import re

QUOTES = '"/|%!'

_VARIABLE = re.compile(r",([A-Za-z_][A-Za-z0-9_]*)=(.)((?:(?!\2).)*)\2")


def canonical(value: str) -> str | None:
    """`allow` with its variables, each quoted in the one way; None for what is no such instruction.

    No {user}: he could choose a name that ends the quotes.
    """
    if not value.startswith("allow") or "{user}" in value:
        return None
    at, text = len("allow"), "allow"
    while at < len(value):
        found = _VARIABLE.match(value, at)
        quoted = None if found is None else _quoted(found[1], found[3])
        if found is None or quoted is None:
            return None
        text += quoted
        at = found.end()
    return text


def instructions(data: bytes) -> bytes | None:
    """A record of the cdb file as a line has it; None for what tcprules cannot have written."""
    if data and not data.endswith(b"\0"):
        return None
    words = data.decode("latin-1").split("\0")[:-1]
    text = "deny" if words[:1] == ["D"] else "allow"
    for word in words[text == "deny" :]:
        name, equals, value = word.partition("=")
        quoted = _quoted(name[1:], value) if name.startswith("+") and equals else None
        if quoted is None:
            return None
        text += quoted
    return text.encode("latin-1")


def _quoted(name: str, text: str) -> str | None:
    quote = next((each for each in QUOTES if each not in text), None)
    return None if quote is None else f",{name}={quote}{text}{quote}"
