"""The sieve: finds, in a whole buffer, the lines that are worth more, and takes the usual ones apart.

May let lines through that turn out to be nothing, never keeps one back that the exact parser would give a known tag:
tests/twins holds it to that. Led by the newline, so that `re` goes from line to line by memchr and looks only at their
heads. A usual line comes with its head in pieces that are few in a log, so that each is read once and remembered
(`heads`): the exact grammar costs 0.5 us a line, two look-ups 0.2. Of any other line the message is None. Knows the
grammar's fragments only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pbs_fast.matching.pure.envelope import FAC, SD_IN_LINE, SOLARIS

# Groups: 1 all before the seconds, 2 the seconds, 3 zone, host, tag and the byte after it, 4 the pid, 5 RFC 5424's
# procid, 6 the message.
_BEFORE_SECONDS = rb"(?:[A-Z][a-z][a-z] |[0-9]|<[0-9]++>(?:1 |[A-Z][a-z][a-z] )?+)[-0-9T ]++:[0-9][0-9]:"
_STAMP = rb"(?:(" + _BEFORE_SECONDS + rb")([0-9][0-9])(?:[.,][0-9]{1,9}+)?+|<[0-9]++>1 -)"
_ZONE = rb"(?:Z|[-+][0-9:]++)?+"
_FORWARDED = rb"Message forwarded from [^ \n]++ "
_FAC = rb"(?:" + FAC + rb" |)(?:" + _FORWARDED + rb"|)"
# A host, `<FAC>` and what may follow it (which is a host in brackets itself then), or nothing: there is none.
_BRACKETED = rb"<[^ \n]++ ++(?:" + _FORWARDED + rb"|[^ \n]++ ++" + _FAC + rb")?"
_HOST = rb"(?:[^ \n<][^ \n]*+ ++" + _FAC + rb"|" + _BRACKETED + rb"|)"
_COMPONENT = rb"(?:[^ \n/]*+/)++"
_WORDS = rb"([^ \n]++) [^ \n]++ " + SD_IN_LINE + rb" (?:\xef\xbb\xbf)?+ ?+"
_BEHIND_TAG = rb"(?:(?<=:) |(?<=\[)([0-9]++)\]: |(?<= )" + _WORDS + rb")" + SOLARIS
# A repeated message is not usual: the exact grammar takes it out of its brackets.
_MESSAGE = rb"(?:" + _BEHIND_TAG + rb"(?!message repeated )([^\n]*+)|[^\n]*+)"


def syslog(tags: Iterable[bytes], components: Iterable[bytes]) -> re.Pattern[bytes]:
    """The sieve for lines whose tag is one of `tags`, or ends in `/` and one of `components`."""
    words = {tag for tag in tags if not re.search(rb"[ \n]", tag)}
    parts = []
    if words:
        parts.append(_trie(sorted(words)))
    if components := sorted(set(components)):
        parts.append(_COMPONENT + _trie(components))
    known = rb"(?:" + b"|".join(parts) + rb")" if parts else rb"(?!)"
    return re.compile(rb"\n" + _STAMP + rb"(" + _ZONE + rb" ++" + _HOST + rb"\[?" + known + rb"[\[:\] ])" + _MESSAGE)


def own(prefixes: Iterable[str]) -> re.Pattern[bytes]:
    """The sieve for a format's own layout: all lines that may start with a stamp, none of them taken apart."""
    names = b"|".join(re.escape(prefix.encode()) for prefix in prefixes)
    return re.compile(rb"\n(?:(?!)()()()()()()|(?:" + names + rb")?(?:[A-Z][a-z][a-z] |[0-9]{4}-)[^\n]*+)")


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
