"""Rules for patterns that are searched in whole lines, as the old Perl configuration had them.

They may be less strict than those of the catalogue: a risky pattern causes a warning; one that cannot run in time
bounded by the line's length is refused, with a remedy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from pbs_fast.formats.bounded import is_proved
from pbs_fast.formats.lexer import TOKEN, after, is_class, is_ended, is_endless, tokens
from pbs_fast.formats.structure import PatternError

#: What a linear-time engine, or Python's `re`, cannot run or reads in another way; how to say it otherwise.
_REFUSED = (
    ("look-around", r"\(\?<?[=!]", "write what may be there instead, such as [^ ]* for anything but a blank"),
    ("a back reference", r"\\[1-9]|\(\?P=|\\k|\\g", "write the text out a second time"),
    ("a possessive or atomic part", r"\(\?>|[*+?}]\+", "leave the + or ?> out: no engine here tries twice"),
    ("recursion, a condition or code", r"\(\?[R0-9(&{|]|\(\?\?\{|\(\*", "write the alternatives out"),
    ("a group named as in Perl", r"\(\?<[A-Za-z]|\(\?'", "write (?P<name>...)"),
    ("a Unicode class or escape", r"\\[pPuUNXxhHvVRKGQE]", "patterns are bytes; write the characters in a class"),
    ("an end that depends on a newline", r"\\[zZ]", "write $, a line holds no newline"),
    ("a class of POSIX", r"\[\[:", "write the characters, as [A-Za-z]"),
    ("flags for what follows", r"\(\?[aiLmsux]+\)", "write (?i:...) around the whole pattern"),
    ("flags other than i", r"\(\?[a-z]*[aLmsux-][a-z]*:", "leave them out: . never meets a newline here"),
)
_REFUSED_COMPILED = tuple((what, re.compile(pattern), instead) for what, pattern, instead in _REFUSED)


class Advice(NamedTuple):
    """What is wrong with a pattern."""

    fatal: bool
    text: str


def advise(pattern: str) -> Iterator[Advice]:
    """What speaks against a whole-line pattern, with named groups; the fatal first."""
    if not (pattern.isascii() and pattern.isprintable()):
        yield Advice(True, "holds a byte that is not printable ASCII; write a class that leaves it out")
        return
    bare = re.sub(r"\\[^A-Za-z0-9]", "x", pattern)
    outside = "".join("[x]" if is_class(token) else token[0] for token in tokens(bare))
    fatal = False
    for what, found, instead in _REFUSED_COMPILED:
        if match := found.search(pattern if what == "a class of POSIX" else outside):
            fatal = True
            yield Advice(True, f"holds {what} ({match[0]}), which the matcher cannot run; {instead}")
    if fatal:
        return
    try:
        is_proved(pattern)
    except PatternError as error:
        yield Advice(True, str(error))
        return
    yield from _unwise(pattern)


def _unwise(pattern: str) -> Iterator[Advice]:
    if not pattern.startswith("^"):
        yield Advice(False, "does not begin with ^, so a line of another program may hold what it looks for")
    if "(?P<ip>" in pattern:
        body = _group(pattern, "ip")
        if any(re.fullmatch(body.encode(), text) for text in (b"zz", b"z.example", b"[z]", b"z z")):
            yield Advice(False, f"takes anything for the address ({body}); write {{ip}}, only addresses are accepted")
        between = pattern[pattern.find("(?P<timestamp>") :] if "(?P<timestamp>" in pattern else pattern
        before = between.partition("(?P<ip>")[0]
        if free := _free_text(before):
            yield Advice(
                False,
                f"has free text ({free}) before the address with nothing that ends it, so a user's or host's name "
                "may pose as the address; write a class without the byte that ends it, as [^>]*>",
            )


def _free_text(before: str) -> str:
    """The first repeated unit that takes what a stranger writes and that no byte ends; empty for none."""
    found = tokens(before)
    for at, token in enumerate(found):
        free = token[0] in (".", "\\S", "\\D", "\\W") or token[0].startswith("[^")
        if free and is_endless(after(found, at)) and not is_ended(found, at):
            return before[token.start() : token.end() + 1]
    return ""


def _group(pattern: str, name: str) -> str:
    """The contents of a named group."""
    begin = pattern.index(f"(?P<{name}>") + len(f"(?P<{name}>")
    level = 1
    for token in TOKEN.finditer(pattern, begin):
        level += bool(token["open"] or token["strange"]) - bool(token["close"])
        if level == 0:
            return pattern[begin : token.start()]
    return pattern[begin:]
