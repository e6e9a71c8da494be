"""The sieve: finds, in a whole buffer, the lines that are worth the exact parser, and matches each with its newline.

May let lines through that turn out to be nothing, never keeps one back that the exact parser would give a known tag:
tests/twins holds it to that. Led by the newline, so that `re` goes from line to line by memchr and looks only at their
heads (0.3 us a line of 167 bytes with the whole catalogue; the exact grammar takes half as long again). Imports
nothing of the package.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_RUN = b"-+0123456789TZ:.,"
"""Bytes of a stamp after its month, or of an ISO stamp; runs of them may go on into a host name that starts so."""

_START = rb"\n(?:[A-Z][a-z][a-z] |[0-9]|<[0-9]++>(?:1 |[A-Z][a-z][a-z] )?)"
_STAMP = rb"[-+0-9TZ:., ]++"
_STAMP_IN_WORDS = rb"(?:[-+0-9TZ:.,]*+ ++){1,5}"
"""The same in words, given back word by word (byte by byte would be quadratic), for tags that start like a stamp."""
_FAC = rb"(?:[a-z0-9]++\.[a-z0-9]++ |)"
# A host, `<FAC>` and what may follow it, or nothing: the run may have taken the host, or there is none.
_HOST = rb"(?:[^ \n<][^ \n]*+ ++" + _FAC + rb"|<[^ \n]++ ++(?:[^ \n]++ ++" + _FAC + rb")?|)"
_COMPONENT = rb"[^ \n:\[\]]*/"
_AFTER = rb"[\[:\] ][^\n]*+"
"""The byte after a tag, and the rest of the line."""


def syslog(tags: Iterable[bytes], components: Iterable[bytes]) -> re.Pattern[bytes]:
    """The sieve for lines whose tag is one of `tags`, or ends in `/` and one of `components`."""
    words = {tag for tag in tags if not re.search(rb"[ \n]", tag)}
    parts = []
    if words:
        parts.append(_trie(sorted(words)))
    if components := sorted(set(components)):
        parts.append(_COMPONENT + _trie(components))
    known = rb"(?:" + b"|".join(parts) + rb")" if parts else rb"(?!)"
    stamp = _STAMP_IN_WORDS if any(word[:1] in _RUN for word in words) else _STAMP
    return re.compile(_START + stamp + _HOST + rb"\[?" + known + _AFTER)


def own(prefixes: Iterable[str]) -> re.Pattern[bytes]:
    """The sieve for a format's own layout: all lines that may start with a stamp."""
    names = b"|".join(re.escape(prefix.encode()) for prefix in prefixes)
    return re.compile(rb"\n(?:" + names + rb")?(?:[A-Z][a-z][a-z] |[0-9]{4}-)[^\n]*+")


def _trie(words: list[bytes]) -> bytes:
    """The words as one pattern that looks at each byte once, so a foreign tag fails at its first strange byte."""
    ends = b"" in words
    branches: dict[bytes, list[bytes]] = {}
    for word in words:
        if word:
            branches.setdefault(word[:1], []).append(word[1:])
    if not branches:
        return b""
    body = b"|".join(re.escape(first) + _trie(rest) for first, rest in branches.items())
    if len(branches) == 1 and not ends:
        return body
    return rb"(?:" + body + (rb")?" if ends else rb")")
