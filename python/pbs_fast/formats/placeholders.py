"""Placeholders of format files: `{ip}`, `{user:<>}`, `{to-rip:user !session}`, expanded to regular expressions.

Each expands to one tested sub-pattern; docs/FORMAT-FILES.md lists them. Every expansion is unambiguous at each byte, so
a pattern made of them stays one-pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pbs_fast.errors import FormatError
from pbs_fast.formats import dovecot
from pbs_fast.formats.words import escape_class, words

#: `{name}` or `{name:argument}`; a repetition such as `{1,3}` starts with a digit and is left alone.
_PLACEHOLDER = re.compile(r"(?<!\\)\{([A-Za-z][A-Za-z0-9-]*)(?::([^{}]*))?\}")


def _but(group: str | None) -> Callable[[str], str]:
    """A placeholder `{name:CHARS}`: bytes other than CHARS, kept as `group` or not kept."""

    def expand(characters: str) -> str:
        if not characters:
            raise ValueError("needs the characters that end it, as in {user:<>}")
        text = f"[^{escape_class(characters)}]*"
        return f"(?P<{group}>{text})" if group else text

    return expand


def _other_than(group: str | None) -> Callable[[str], str]:
    """A placeholder `{name:A|B*}`: one word (no blanks) that is not A and does not start with B."""

    def expand(argument: str) -> str:
        leaves: dict[str, str | None] = {}
        for text in argument.split("|"):
            leaves[text.removesuffix("*")] = None if text.endswith("*") else "[^ ]+"
        if "" in leaves:
            raise ValueError("needs texts separated by |, each of at least one byte")
        word = words(leaves).removesuffix("?")  # the empty word is no name
        return f"(?P<{group}>{word})" if group else word

    return expand


_PLAIN = {
    "ip": r"(?P<ip>[0-9A-Fa-f:.]+)",
    "rip": r"\[?(?P<ip>[0-9A-Fa-f:.]+)(?:\](?::[0-9]+)?)?",
    "ipv4": r"(?P<ip>[0-9.]+)",
    "lip": r"(?P<lip>[0-9A-Fa-f:.]+)",
    "lipv4": r"(?P<lip>[0-9.]+)",
    "user": r"(?P<user>[^ ]+)",
    "number": r"[0-9]+",
    "pid": r"(?P<pid>[0-9]+)",
    "rest": r".*",
    "proxied-to": dovecot.PROXIED_TO,
    "proxied": dovecot.PROXIED,
    "service": dovecot.SERVICE,
    "before-elements": dovecot.BEFORE,
    "after-elements": dovecot.AFTER,
    "behind-elements": dovecot.BEHIND,
}
_WITH_ARGUMENT: dict[str, Callable[[str], str]] = {
    "user": _but("user"),
    "session": _but("session"),
    "text": _but(None),
    "user-not": _other_than("user"),
    "to-rip": dovecot.to_rip,
    "after-rip": dovecot.after_rip,
    "to-address": dovecot.to_address,
    "after-address": dovecot.after_address,
}

#: Every name that is allowed in braces.
NAMES = tuple(dict.fromkeys((*_PLAIN, *_WITH_ARGUMENT)))


def expand(pattern: str) -> str:
    """`pattern` with every placeholder replaced.

    Raises FormatError, which names the placeholder and the nearest known one, when there is no such placeholder or its
    argument is not one.
    """

    def replace(match: re.Match[str]) -> str:
        name, argument = match[1], match[2]
        if argument is None and name in _PLAIN:
            return _PLAIN[name]
        if argument is not None and name in _WITH_ARGUMENT:
            try:
                return _WITH_ARGUMENT[name](argument)
            except ValueError as error:
                raise FormatError(f"placeholder {match[0]}: {error}") from None
        raise FormatError(_unknown(match[0], name, argument))

    return _PLACEHOLDER.sub(replace, pattern)


def _unknown(text: str, name: str, argument: str | None) -> str:
    if name in NAMES:
        return (
            f"placeholder {text}: {name} takes {'no' if argument is not None else 'an'} argument (docs/FORMAT-FILES.md)"
        )
    import difflib  # only here: 3 ms that no good start should pay

    near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.4)
    hint = f"did you mean {{{near[0]}}}?" if near else f"known: {', '.join(NAMES)}"
    return f"unknown placeholder {text}; {hint}"
