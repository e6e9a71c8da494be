"""Placeholders of format files: `{ip}`, `{user:<>}`, `{to-rip:user !session}`, expanded to regular expressions.

Each expands to one tested sub-pattern; docs/FORMATS.md lists them. Every expansion is unambiguous at each byte, so a
pattern made of them stays one-pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pbs_fast.errors import FormatError

#: `{name}` or `{name:argument}`; a repetition such as `{1,3}` starts with a digit and is left alone.
_PLACEHOLDER = re.compile(r"(?<!\\)\{([A-Za-z][A-Za-z0-9-]*)(?::([^{}]*))?\}")

#: Dovecot's login elements whose values are kept: the text that starts one, and its value up to the element's end.
_ELEMENTS = {
    "user": ("user=<", r"(?P<user>[^<>]*)>"),
    "session": ("session=<", r"(?P<session>[^<>]*)>"),
    "lip": ("lip=", r"(?P<lip>[0-9A-Fa-f:.]+)"),
    "tls": ("TLS", r"(?P<tls>)"),
    "pid": ("mpid=", r"(?P<pid>[0-9]+)"),
}
#: The mechanism of a login without an account: ANONYMOUS (no other mechanism starts so).
_ANONYMOUS = "method=AN"


def escape_class(characters: str) -> str:
    """`characters` as members of a bracketed class, the same in both regex dialects."""
    return "".join("\\" + c if c in "\\]^-[&~" else c for c in characters)


def _but(group: str | None) -> Callable[[str], str]:
    """A placeholder `{name:CHARS}`: bytes other than CHARS, kept as `group` or not kept."""

    def expand(characters: str) -> str:
        if not characters:
            raise ValueError("needs the characters that end it, as in {user:<>}")
        text = f"[^{escape_class(characters)}]*"
        return f"(?P<{group}>{text})" if group else text

    return expand


def _words(leaves: Mapping[str, str | None], *, rest: str = "[^ ]*", never: str = "", first: str = "") -> str:
    """One word (no blanks; maybe empty), decided byte by byte so that no text is read in two ways.

    A word that starts with a key of `leaves` goes on as the value says: a pattern for the rest of it, or None when no
    word may start so. Any other word goes on with `rest`; it holds no byte of `never` and starts with none of `first`.
    """

    def node(suffixes: Mapping[str, str | None], stop: str) -> str:
        firsts = "".join(sorted({suffix[0] for suffix in suffixes}))
        ways = [f"[^ {escape_class(firsts + stop + never)}]{rest}"]
        for byte in firsts:
            below = {suffix[1:]: leaf for suffix, leaf in suffixes.items() if suffix[0] == byte}
            if "" not in below:
                ways.append(re.escape(byte) + node(below, ""))
            elif (leaf := below[""]) is not None:
                ways.append(re.escape(byte) + leaf)
        return f"(?:{'|'.join(ways)})?"

    return node(leaves, first)


def _other_than(group: str | None) -> Callable[[str], str]:
    """A placeholder `{name:A|B*}`: one word (no blanks) that is not A and does not start with B."""

    def expand(argument: str) -> str:
        leaves: dict[str, str | None] = {}
        for text in argument.split("|"):
            leaves[text.removesuffix("*")] = None if text.endswith("*") else "[^ ]+"
        if "" in leaves:
            raise ValueError("needs texts separated by |, each of at least one byte")
        word = _words(leaves).removesuffix("?")  # the empty word is no name
        return f"(?P<{group}>{word})" if group else word

    return expand


def _leaves(argument: str, tail: str, rest: str, never: str) -> dict[str, str | None]:
    """The elements of an argument such as `user lip !session`: named ones are kept, those after `!` must not occur."""
    leaves: dict[str, str | None] = {"rip=": None, _ANONYMOUS: None}
    for word in argument.split():
        name = word.removeprefix("!")
        if name not in _ELEMENTS:
            raise ValueError(f"knows no element '{name}', only {', '.join(_ELEMENTS)}")
        start, value = _ELEMENTS[name]
        kept: str | None = None if name != word else value + tail
        if name == "tls":  # only the whole word: `TLSv1.3 with cipher ...` may be an element of its own
            other = f"[^ ,{never}]{rest}"
            kept = other if kept is None else f"(?:{kept}|{other})"
        leaves[start] = kept
    return leaves


def _to_rip(argument: str) -> str:
    """Elements up to and including the first `rip=`; further words in `ri...` are refused, which keeps it one-pass.

    "Words up to one that starts with rip=" has a one-pass pattern only when the way out is nested: after a word that
    begins with r but not with ri, the words are read by a second loop, in which nothing is kept (a group can occur
    once in a pattern), so an element that is kept must come before such a word (`rport=`) or after the address.

    No word ends in a colon: Dovecot puts `: ` between what it says and its elements (login_log_format), so that a text
    of a stranger which starts like a login is not read on into the true elements behind it.
    """
    rest = r"[^ :]*(?::+[^ :]+)*"
    leaves = _leaves(argument, ",", rest, ":")
    del leaves["rip="]
    # Three bytes tell these from all other elements; spelling them out would make the pattern half as long again.
    again: dict[str, str | None] = {
        start if start == _ANONYMOUS else start[:3]: None for start in leaves if start != "TLS"
    }
    if "TLS" in leaves:
        again["TLS"] = f"[^ ,:]{rest}"
    first, second = (_words(words, rest=rest, never=":", first="r") for words in (leaves, again))
    return f"(?:{first} )*r(?:(?:[^ i:]{rest})? (?:{second} )*r)*ip="


def _after_rip(argument: str) -> str:
    """The elements after the address up to the message's end, none of which is a second `rip=`.

    A word that is not kept holds no `<` and no `>`, and nothing but a comma after a `)`: so what Dovecot's mail
    processes write after a user's name (`)<812><session>: ...`, `): ...`) is never read as elements. A name with a
    line feed puts whatever it likes in front of that.
    """
    rest, never = r"[^ <>)]*(?:\),?)?", "<>)"
    return f"(?:,(?: {_words(_leaves(argument, ',?', rest, never), rest=rest, never=never)})*)?"


#: What a Dovecot proxy writes between "proxying to " and the elements: up to 2.2 `store2:143/otto (master admin): `,
#: from 2.3 on `<192.0.2.77> (<store2>) as user otto (master admin) (0.010 secs): `, where what stands between the
#: first part and the last may be missing.
_PROXIED_TO = (
    r"(?:(?:[^ :<][^ :]*(?: \(master [^()]*\))?:+)+ "
    r"|<[^<>]*> (?:as user [^ ]+ )?\((?:(?:<[^<>]*>|master [^()]*)\) (?:as user [^ ]+ )?\()*[0-9][^()]*\): )"
)

_PLAIN = {
    "ip": r"(?P<ip>[0-9A-Fa-f:.]+)",
    "ipv4": r"(?P<ip>[0-9.]+)",
    "lip": r"(?P<lip>[0-9A-Fa-f:.]+)",
    "lipv4": r"(?P<lip>[0-9.]+)",
    "user": r"(?P<user>[^ ]+)",
    "number": r"[0-9]+",
    "pid": r"(?P<pid>[0-9]+)",
    "rest": r".*",
    "proxied-to": _PROXIED_TO,
}
_WITH_ARGUMENT: dict[str, Callable[[str], str]] = {
    "user": _but("user"),
    "session": _but("session"),
    "text": _but(None),
    "user-not": _other_than("user"),
    "to-rip": _to_rip,
    "after-rip": _after_rip,
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
        return f"placeholder {text}: {name} takes {'no' if argument is not None else 'an'} argument (docs/FORMATS.md)"
    import difflib  # only here: 3 ms that no good start should pay

    near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.4)
    hint = f"did you mean {{{near[0]}}}?" if near else f"known: {', '.join(NAMES)}"
    return f"unknown placeholder {text}; {hint}"
