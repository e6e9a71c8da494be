"""The prefilter: finds the lines of a buffer that are worth parsing, and splits the common ones.

It may pass lines that turn out to contain nothing, but never drops one for which the exact parser would find a known
tag (tests/backends checks this). The regex starts with the newline, so that `re` goes from line to line in one loop and
reads only their heads. A common line comes with its head in pieces that recur, so that each is parsed once and
remembered (`heads`): the exact grammar costs 0.5 us a line, two look-ups 0.2. For other lines the message is None.

Most of the work is what `re` does with lines that nobody needs. In ns (CPython 3.11): the search for the newline 50, a
branch 15, an optional group 50 (so there are none), and a byte 0.8, or 4 if its set has no bitmap (`classes`). A line
that the prefilter drops costs 200 in all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pbs_fast.matching.python.classes import with_bitmaps
from pbs_fast.matching.python.envelope import FAC, SD_IN_LINE

# Groups: 1 all before the seconds, 2 the seconds, 3 zone, host, tag and the byte after it, 4 the pid, 5 RFC 5424's
# procid, 6 the message.
# There is one way to read a line: what follows a repetition starts with no byte of it, so to give bytes back finds
# nothing, and costs little where a literal follows. Elsewhere the group is atomic. (Possessive repetitions would save
# a tenth of this, but Debian 12's Python gets them wrong: `engine`.)
# Of timestamps `Nov 1 07:` is the shortest and `<191>1 2026-11-01T07:` the longest.
_BEFORE_SECONDS = rb"[^:\n]{8,20}:[0-9][0-9]:"
_FRACTION = rb"(?:[.,](?>[0-9]{1,9})|)"
_ZONE = rb"[^ \n]{0,6}"
_FORWARDED = rb"Message forwarded from [^ \n]+  *"
_COMPONENTS = rb"(?>(?:[^ \n/]*/)*)"
_WORDS = rb"((?>[^ \n]+)) [^ \n]+ " + SD_IN_LINE + rb" (?:\xef\xbb\xbf|(?!\xef\xbb\xbf))(?> ?)"
_BEHIND_TAG = rb"(?:(?<=:) |(?<=\[)([0-9]+)\]: |(?<= )" + _WORDS + rb")"
# A repeated message is not usual: the exact grammar takes it out of its brackets. Solaris's part is never given back.
_SOLARIS = rb"(?:\[ID [0-9]+ " + FAC + rb"\] (?!message repeated )|(?!message repeated |\[ID ))"
_MESSAGE = rb"(?:" + _BEHIND_TAG + _SOLARIS + rb"([^\n]*)|[^\n]*)"


def syslog(tags: Iterable[bytes], components: Iterable[bytes]) -> re.Pattern[bytes]:
    """The sieve for lines whose tag is one of `tags`, or ends in `/` and one of `components`."""
    words = sorted({tag for tag in tags if not re.search(rb"[ \n]", tag)})
    names = sorted(set(components))
    tag = _branches(words) if words else rb"(?!)"
    # A further component where there was a slash; none of it matches nothing.
    name = _COMPONENTS + _trie(names) if names else rb"(?!)"
    component = rb"[^ \n/]*/" + name
    known = rb"(?:" + tag + rb"|" + component + rb")"
    # What follows a host: `FAC tag`, `Message forwarded from X: tag`, or the tag.
    facility = rb"[a-z0-9]*\.[a-z0-9]+ (?:" + _FORWARDED + known + rb"|" + known + rb")"
    # Of two blanks the first is taken and the second ends the search: such a line is not usual.
    blank = rb"|(?= )"
    behind_host = rb"(?:" + tag + rb"|" + _FORWARDED + known + rb"|" + facility + rb"|" + component + blank + rb")"
    # A `<FAC>` is a host here, and with a host behind it the second case; a tag without host comes first or last.
    host = rb"[^ \n]+ " + behind_host + rb"|" + component
    bracketed = rb"<[^ \n]+  *(?:" + _not_postfix(words, names) + rb"[^ \n]+ " + behind_host + rb"|\[" + known + rb")"
    alternatives = host + rb"|" + bracketed + rb"|" + tag + rb"|\[(?:" + tag + rb")" + blank
    sender = rb" (?:" + alternatives + rb")[\[:\] ]"
    # Fraction and zone hold no blank.
    seconds = rb"([0-9][0-9])" + _not_postfix(words, names, behind=rb"[^ \n]* ")
    timestamped = rb"(" + _BEFORE_SECONDS + rb")" + seconds + _FRACTION + rb"(" + _ZONE + sender + rb")" + _MESSAGE
    unstamped = rb"<[0-9]+>1 - [^ \n]+ " + known + rb" [^\n]*"
    return re.compile(with_bitmaps(rb"\n(?:" + timestamped + rb"|" + unstamped + rb")"))


def _not_postfix(words: list[bytes], names: list[bytes], *, behind: bytes = b"") -> bytes:
    """Nothing, where no host and `postfix` follow, or `postfix/NAME[PID]: ` whose NAME starts like no known one.

    They are looked for after what `behind` matches. They are most of a mail server's lines, and are turned away before
    all that has alternatives, each of which would be tried on them. That reads the host of all other lines twice, and
    saves a seventh on the average of all lines.
    """
    first = bytes(sorted(set(b"abcdefghijklmnopqrstuvwxyz") - {name[0] for name in names if name}))
    if any(word.startswith(b"postfix") for word in words) or not first:
        return b""
    # A word that ends in one of these bytes, a tag or a facility, may be no host; then `postfix` is one, or begins a
    # message. To look back is dear, so it is done in those lines only.
    postfix = rb" postfix(?<=[^:\]>] postfix)"
    return rb"(?!" + behind + rb"[^ \n]+" + postfix + rb"(?: |/(?:[a-z]+/|)[" + first + rb"][a-z0-9\[\]]*: ))"


def own(prefixes: Iterable[str]) -> re.Pattern[bytes]:
    """The sieve for a format's own layout: all lines that may start with a timestamp, none of them taken apart."""
    names = b"|".join(re.escape(prefix.encode()) for prefix in prefixes)
    return re.compile(rb"\n(?:(?!)()()()()()()|(?:" + names + rb")?(?:[A-Z][a-z][a-z] |[0-9]{4}-)[^\n]*)")


def _trie(words: list[bytes]) -> bytes:
    """The words as one pattern that looks at each byte once, so a foreign tag fails at its first strange byte."""
    ends = b"" in words
    body = _branches(word for word in words if word)
    if ends:
        return rb"(?:" + body + rb"|)" if body else b""
    return rb"(?:" + body + rb")" if b"|" in body else body


def _branches(words: Iterable[bytes]) -> bytes:
    """The same as alternatives for the group around it. Each has a first byte of its own, which `re` looks at first."""
    branches: dict[bytes, list[bytes]] = {}
    for word in words:
        branches.setdefault(word[:1], []).append(word[1:])
    return b"|".join(re.escape(first) + _trie(rest) for first, rest in branches.items())
