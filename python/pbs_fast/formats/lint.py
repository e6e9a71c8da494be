"""The rules for formats: `make test` checks the packaged ones, and a custom one can be checked too.

A rule checks expanded patterns and samples, never a log. Most of the safety depends on `one-pass`: if there is only one
way to continue at each byte, a text cannot be read in two ways, so the author of free text cannot choose where it ends.
Patterns are parsed with Python's `re`; `one-pass` patterns use only the syntax that both backends interpret alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from pbs_fast.formats import Format
from pbs_fast.formats.bounded import Way, compiled, two_ways
from pbs_fast.formats.lexer import is_class, is_endless, tokens
from pbs_fast.formats.placeholders import expand
from pbs_fast.formats.samples import ENDINGS, Sample
from pbs_fast.formats.structure import PatternError

#: Groups that mean something (docs/MATCHING.md, 4).
GROUPS = frozenset({"ip", "user", "session", "lip", "tls", "pid"})

#: What the two dialects read in different ways, or one of them not at all; each with its name.
_FORBIDDEN = (
    (
        "an anchor (^ $ \\A \\Z \\z \\b \\B): patterns match whole messages anyway",
        re.compile(r"(?P<x>[$^]|\\[AZzbB<>])"),
    ),
    ("look-around", re.compile(r"(?P<x>\(\?<?[=!])")),
    ("a back reference", re.compile(r"(?P<x>\\[1-9]|\(\?P=|\\k)")),
    ("an atomic group or a possessive repetition", re.compile(r"(?P<x>\(\?>|[*+?}]\+)")),
    ("flags or a comment", re.compile(r"(?P<x>\(\?[#aiLmsuxRU-])")),
    ("a group without a name: write (?:...) or (?P<name>...)", re.compile(r"(?P<x>\((?!\?))")),
    ("a group named in the other dialect: write (?P<name>...)", re.compile(r"(?P<x>\(\?<[a-z])")),
    ("a Unicode class or escape: patterns are bytes", re.compile(r"(?P<x>\\[pPuUNxX])")),
)
_SET_OPERATION = re.compile(r"\[|&&|--|~~|\|\|")

_NAME = re.compile(r"[^\x00-\x20:\[\]<>]+")
#: Text that may precede a message when it is repeated by another program.
_BEFORE = ("x ", "x: ", " ", "Login", '"')

#: A format's patterns by what findings call them, in the order in which a line is tried on them.
_KINDS = {
    "login": "login",
    "logout": "logout",
    "session address": "session_address",
    "session success": "session_success",
    "session failure": "session_failure",
    "session end": "session_end",
    "restart": "restart",
    "killed": "killed",
    "aborted": "aborted",
}
#: The kinds whose last message a sample of a kind of event may be.
_OF_EVENT = {
    "login": ("login", "session success"),
    "logout": ("logout", "session end"),
    **{ending: (ending,) for ending in ENDINGS},
}
#: The groups that a pattern of a kind may have, where it is not all of them.
_GROUPS_OF = {"restart": frozenset(), "killed": frozenset({"pid", "session"}), "aborted": frozenset({"user"})}


class Finding(NamedTuple):
    """One breach of a rule."""

    format: str
    rule: str
    text: str
    """What is wrong, where, and what to do."""

    def __str__(self) -> str:
        return f"{self.format}: {self.rule}: {self.text}"


def check(fmt: Format, samples: Sequence[Sample], one_pass: Callable[[str], str | None] | None = None) -> list[Finding]:
    """What is wrong with one format, whose samples these are; an empty list when nothing is.

    `one_pass` answers for a pattern as `pbs_fast._core.one_pass` does, which is the default where it is there: it says
    which patterns the native backend walks in one pass. Else `bounded.two_ways` answers, which joins a few more.
    """
    findings = [Finding(fmt.name, rule, text) for rule, text in _tags(fmt)]
    sound = True
    for what, pattern in _patterns(fmt):
        for rule, text in _pattern(what, pattern, one_pass or _native()):
            findings.append(Finding(fmt.name, rule, f"{what}: {text}"))
            sound = sound and rule not in ("ascii", "construct", "pattern")
    if sound:
        both = (*_samples(fmt, samples), *_coverage(fmt, samples))
        findings += [Finding(fmt.name, rule, text) for rule, text in both]
    return findings


def check_catalogue(catalogue: Sequence[Format], samples: Sequence[Sample]) -> list[Finding]:
    """Samples that more than one format takes. A line has one reading, whatever order the catalogue is in."""
    findings = []
    for sample in samples:
        if sample.own:
            continue
        takers = [
            fmt.name
            for fmt in catalogue
            if fits_tag(fmt, sample.program) and any(_takes(fmt, message) for message in sample.messages)
        ]
        if len(takers) > 1:
            findings.append(
                Finding(sample.format, "one-format", f"sample {sample.number} is taken by {' and '.join(takers)}")
            )
    return findings


def fits_tag(fmt: Format, tag: str) -> bool:
    """Whether lines with this tag are the format's (docs/MATCHING.md, 3)."""
    names = {*fmt.program, *fmt.tls_program}
    return tag in names or ("/" in tag and f"*/{tag.rsplit('/', 1)[1]}" in names)


def _patterns(fmt: Format) -> Iterator[tuple[str, str]]:
    for kind, attribute in _KINDS.items():
        for number, pattern in enumerate(getattr(fmt, attribute), 1):
            yield f"{kind} pattern {number}", pattern


def _tags(fmt: Format) -> Iterator[tuple[str, str]]:
    for tag in (*fmt.program, *fmt.tls_program):
        if not _NAME.fullmatch(tag.removeprefix("*/")):
            yield "tag", f"program '{tag}' is no syslog tag (no blank, colon, bracket, < or >)"
    for text in fmt.success:
        if not text.isascii() or len(text) < 4:
            yield "success", f"success text '{text}' must be four bytes of ASCII or more"


def _pattern(what: str, pattern: str, one_pass: Callable[[str], str | None]) -> Iterator[tuple[str, str]]:
    if not (pattern.isascii() and pattern.isprintable()):
        yield "ascii", "holds a byte that is not printable ASCII; write classes that leave it out"
        return
    broken = False
    for rule, text in _constructs(pattern):
        broken = True
        yield rule, text
    if broken:
        return
    try:
        groups = set(compiled(pattern, Way.WHOLE).names)
        reason = one_pass(pattern)
    except PatternError as error:
        yield "pattern", str(error)
        return
    except ValueError as error:
        yield "pattern", f"is no regular expression: {' '.join(str(error).split())}"
        return
    if groups - GROUPS:
        yield "groups", f"unknown group {', '.join(sorted(groups - GROUPS))}; known: {', '.join(sorted(GROUPS))}"
    if what.startswith(("login", "session address")) and "ip" not in groups:
        yield "address", "has no {ip}, so it can grant nothing"
    if what.startswith(("session success", "session failure", "session end")) and "ip" in groups:
        yield "address", "has {ip}; the address of a session comes from its address line"
    if what.startswith("logout") and not groups & {"ip", "session"}:
        yield "address", "has neither {ip} nor {session}, so it ends nothing; leave it out"
    kind = what.split(" pattern ")[0]
    if unused := groups - _GROUPS_OF.get(kind, groups):
        yield "groups", f"has {{{'}, {'.join(sorted(unused))}}}, which a {kind} pattern does not use"
    if kind == "aborted" and "user" not in groups:
        yield "groups", "has no {user}, so it ends nothing"
    if "pid" in groups and kind not in ("login", "logout", "killed"):
        yield "groups", "has {pid}; lines of a session are joined by the pid of their tag"
    for group in groups & {"ip", "lip"}:
        if not any(expand(f"{{{name}}}") in pattern for name in (group, f"{group}v4")):
            yield "address", f"group {group} is not {{{group}}}: only bytes of an address may be taken for one"
    if reason is not None:
        yield "one-pass", f"can read a text in two ways: {reason}"
    yield from _boundaries(pattern)


def _constructs(pattern: str) -> Iterator[tuple[str, str]]:
    """Constructs outside classes, then the contents of classes."""
    outside = "".join("[x]" if is_class(token) else token[0] for token in tokens(pattern))
    # An escaped backslash or bracket is a literal; only what is not escaped can be a construct.
    outside = re.sub(r"\\[^A-Za-z0-9<>]", "x", outside)
    for name, expression in _FORBIDDEN:
        if found := expression.search(outside):
            yield "construct", f"holds {name} ({found['x']})"
    for token in tokens(pattern):
        if is_class(token) and _SET_OPERATION.search(re.sub(r"\\.", "x", token[0][1:-1])):
            yield "construct", f"holds a bracket or a set operation in the class {token[0]}; escape it"


def _boundaries(pattern: str) -> Iterator[tuple[str, str]]:
    """Repeated text in front of the address that may hold the byte which is to end it."""
    head, address, _ = pattern.partition("(?P<ip>")
    found = tokens(head) if address else []
    for at, (token, repeat) in enumerate(pairwise(found)):
        text = token[0]
        if not (text == "." or is_class(token)) or not (is_endless(repeat) or repeat["range"]):
            continue
        behind = next((each for each in found[at + 1 :] if not (each["repeat"] or each["close"])), None)
        if behind is None:
            yield "boundary", f"nothing ends {text} in front of the address"
        elif behind[0] == "." or re.fullmatch(text, _literal(behind[0])):
            yield "boundary", f"{text} in front of the address may hold the {behind[0]} that ends it"


def _literal(unit: str) -> str:
    """The byte that a unit means, or a value that no class contains."""
    if len(unit) == 1 and unit not in "()|":
        return unit
    return unit[1] if unit.startswith("\\") and not unit[1].isalnum() else ""


def _samples(fmt: Format, samples: Sequence[Sample]) -> Iterator[tuple[str, str]]:
    kinds = {sample.kind for sample in samples}
    wanted = {"login", "failure", "attack"} | ({"logout"} if fmt.logout or fmt.session_end else set())
    wanted |= {ending for ending in ENDINGS if getattr(fmt, ending)}
    for kind in sorted(wanted - kinds):
        yield "samples", f"has no sample of kind '{kind}'"
    if fmt.own_probe is not None and not any(sample.own for sample in samples):
        yield "samples", "has an [own_log] and no sample with own = true"
    for sample in samples:
        where = f"sample {sample.number}"
        message = sample.messages[-1]
        takers = _takers(fmt, message)
        if sample.kind == "failure" and fits_tag(fmt, sample.program) and takers.keys() & {"login", "logout", *ENDINGS}:
            yield "sample", f"{where} is a failure and is taken"
        elif sample.kind in _OF_EVENT:
            if not takers.keys() & set(_OF_EVENT[sample.kind]):
                yield "sample", f"{where} is a {sample.kind} that no {sample.kind} pattern takes"
            for before in _BEFORE:
                # Text without a blank in front of a name is another name.
                if any(
                    " " in before or not first.startswith("(?P<user>")
                    for first in _takers(fmt, before + message).values()
                ):
                    yield "anchored", f"{where} is still taken with '{before}' in front: start with literal text"
                    break
        elif sample.kind == "attack" and sample.fake == sample.ip:
            yield "sample", f"{where} is an attack whose fake address is the true one"


def _coverage(fmt: Format, samples: Sequence[Sample]) -> Iterator[tuple[str, str]]:
    """Each pattern is the first to take some sample, and each login pattern one that would be seen as missed."""
    patterns = list(_patterns(fmt))
    taken: dict[str, list[str]] = {what: [] for what, _ in patterns}
    for sample in samples:
        for message in sample.messages:
            for what, pattern in patterns:
                if _whole(pattern)(message.encode()) is not None:
                    taken[what].append(message)
                    break
    for what, messages in taken.items():
        if not messages:
            yield "samples", f"{what} takes no sample that an earlier pattern does not take"
        elif what.startswith(_OF_EVENT["login"]) and not any(
            text in message for message in messages for text in fmt.success
        ):
            yield "success", f"{what} takes no sample with a success text, so its like would be missed in silence"


def _takes(fmt: Format, message: str) -> bool:
    return bool(_takers(fmt, message))


def _takers(fmt: Format, message: str) -> dict[str, str]:
    """The kinds that take the message, each with its first pattern that does."""
    found: dict[str, str] = {}
    for kind, attribute in _KINDS.items():
        for pattern in getattr(fmt, attribute):
            if _whole(pattern)(message.encode()) is not None:
                found.setdefault(kind, pattern)
    return found


def _native() -> Callable[[str], str | None]:
    try:
        from pbs_fast._core import one_pass
    except ImportError:
        return two_ways
    return one_pass


@lru_cache(maxsize=512)
def _whole(pattern: str) -> Callable[[bytes], object]:
    """What the pattern says of a message. Samples are texts as well that a pattern may be tried on for ever."""
    return compiled(pattern, Way.WHOLE).run
