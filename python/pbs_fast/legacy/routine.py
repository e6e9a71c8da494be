"""A `sub custom_match` read as the patterns that it tries, in order.

Read is only what is known to do nothing else: loops over lists of patterns and single matches that return timestamp and
address. Whatever else a sub does (a return for an excluded line, a look-up, a count) may decide about grants, so it is
never read in part. Works on the code as perl understood it (B::Deparse). Imports what evaluated the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pbs_fast.legacy.evaluate import Old


class UnreadError(ValueError):
    """A statement whose meaning is not known; its text is the message."""


class Tried(NamedTuple):
    """One pattern of a routine."""

    name: str
    """How the file calls it."""
    pattern: str
    """As perl has it, flags inside."""
    logout: bool
    counts: bool
    """Whether a login opens a session that a logout ends."""
    timestamp: int
    """Number of the capture that is the timestamp."""
    ip: int


#: A statement, or a block: its head and what is in it.
Statement = str | tuple[str, list[Any]]

_IGNORED = re.compile(r"my(?:\(\$\w+(?:, \$\w+)*\)| \$\w+)(?: = 0)?;|\+\+\$\w+;|\$\w+\+\+;")
_NOTHING = re.compile(r"\(\);|return;|return \(\);|return undef;")
_LOOP = re.compile(r"foreach (?:my )?(\$\w+) \(([$@]\w+(?:, [$@]\w+)*)\)")
_UNLESS = re.compile(r"(?:return(?: \(\))?|next) unless (.+);")
_DEFINED = re.compile(r"next unless defined (\$\w+);")
_INCREMENT = re.compile(r"my (\$\w+) = defined (\$\w+)\[\$\w+\] \? 1 : 0;")
_RETURN = r"return (\$\w+), (\$\w+)(?:, (-?\d+|\$\w+))?"
_RETURNS = re.compile(_RETURN + ";")
_RETURN_IF = re.compile(_RETURN + r" if (.+);")
_IF = re.compile(r"(?:els)?if \((.+)\)")
_LINE = re.compile(r"my (\$\w+) = \$_;")
_MATCH = re.compile(
    r"(?:defined (?P<defined>\$\w+) and )?\(?(?:(?:my\()?\(?(?P<bound>\$\w+(?:, \$\w+)*)\) = )?"
    r"(?:(?P<line>\$\w+) =~ )?(?P<regex>/.*/|m\{.*\}|m\[.*\]|m<.*>|m\(.*\)|m'.*')(?P<flags>[a-z]*)\)?",
    re.DOTALL,
)
_ELEMENT = re.compile(r"\$(\w+)\[(\d+)\]")
#: What of a regular expression in code perl replaces when it runs.
_INTERPOLATED = re.compile(r"(?<!\\)(?:\\\\)*(?:\$(\w*[A-Za-z]\w*)(\[\d+\])?|\$\{|[@]\w)")

#: The statements of the routine for several lines of one process that each sample file ends with, a letter each.
_STEPS = (
    ("p", r"if \(/\$PID_pat/o?\)"),
    ("i", r"if \(/\$IP_pat/o?\)"),
    ("k", r"if \(/\$OK_pat/o?\)"),
    ("f", r"if \(/\$(?:FAIL|END)_pat/o?\)"),
    ("o", r"if \(/\$OUT_pat/o?\)"),
    ("u", r"if \(defined \$OUT_pat\)"),
    ("t", r"my\(\$\w+, \$\w+\) = \(\$1, \$2\);"),
    ("a", r"\$\w+\{\$\w+\} = \$3;"),
    ("s", r"\$\w+\{\$\w+\} = 1;"),
    ("g", r"my \$\w+ = \$\w+\{\$\w+\};"),
    ("d", r"if \(defined \$\w+\)"),
    ("c", r"if \(\$\w+\{\$\w+\}\)"),
    ("x", r"delete \$\w+\{\$\w+\};"),
    ("r", r"return \$\w+, \$\w+(?:, -?[01])?;"),
    ("e", r"foreach my \$\w+ \(keys %\w+\)"),
    ("q", r"if \(\$\w+ == \$\w+\)"),
    ("z", r"last;"),
    ("l", r"else"),
)
#: That routine from 1.36 on, and before.
_SEVERAL_LINES = ("ptialgdcoxxrlkusrxrfx", "ptialeqgkxrfxz")


def tried(old: Old) -> list[Tried]:
    """The patterns of the file's custom_match. Raises UnreadError."""
    sub = old.subs["custom_match"]
    names: dict[str, Any] = {f"${name}": value for name, value in {**old.defaults, **old.values}.items()}
    names |= {**old.variables, **sub.captured}
    return list(_Reader(names).routine(statements(sub.text)))


def joins_lines(old: Old) -> bool:
    """Whether the file's custom_match is the known one for several lines, which its own $PID_pat and others feed."""
    sub = old.subs.get("custom_match")
    if sub is None:
        return False
    text = sub.text.replace("main::", "")
    if not all(f"/${name}_pat/" in text for name in ("PID", "IP", "OK")):
        return False
    letters = [
        next((letter for letter, step in _STEPS if re.fullmatch(step, each)), "?") for each in _flat(statements(text))
    ]
    return "".join(letters) in _SEVERAL_LINES


def is_empty(text: str) -> bool:
    """Whether a sub does nothing."""
    return all(_NOTHING.fullmatch(each) for each in _flat(statements(text)))


def statements(text: str) -> list[Statement]:
    """The statements of a sub as blocks in blocks, without pragmas. Raises UnreadError where its form is not known."""
    top: list[Statement] = []
    stack: list[list[Statement]] = [top]
    lines = text.replace("main::", "").strip().splitlines()
    if not lines or lines[0].strip() != "{" or lines[-1].strip() != "}":
        raise UnreadError("it has no code that can be read")
    for raw in lines[1:-1]:
        line = raw.strip()
        if line.startswith("}"):
            if len(stack) == 1:
                raise UnreadError(line)
            stack.pop()
            line = line[1:].strip()
            if not line:
                continue
        if line.endswith("{"):
            block: list[Statement] = []
            stack[-1].append((line[:-1].strip(), block))
            stack.append(block)
        elif line and line != ";" and not _PRAGMA.fullmatch(line):
            stack[-1].append(line)
    if len(stack) != 1:
        raise UnreadError("it has no code that can be read")
    return top


_PRAGMA = re.compile(r"(?:use|no|package) [^;]*;|BEGIN \{\$\{\^WARNING_BITS\} = .*\}")


def _flat(block: Sequence[Statement]) -> Iterator[str]:
    for each in block:
        if isinstance(each, str):
            if not _NOTHING.fullmatch(each):
                yield each
        else:
            yield each[0]
            yield from _flat(each[1])


class _Reader:
    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = names
        self._lines = {"$_"}
        """Variables that hold the line."""

    def routine(
        self, block: Sequence[Statement], element: Mapping[str, tuple[str, Any]] | None = None
    ) -> Iterator[Tried]:
        """The patterns that a block tries, each of which returns where it takes the line."""
        rest = list(block)
        while rest:
            each = rest.pop(0)
            if isinstance(each, str) and _NOTHING.fullmatch(each):
                if element is not None:
                    raise UnreadError(each)
                return
            if not isinstance(each, str) and each[0] == "else":
                # Nothing is tried behind an `else` that returns; in a loop it would end the loop.
                after = [one for one in (*each[1], *rest) if not (isinstance(one, str) and _NOTHING.fullmatch(one))]
                if element is not None or after:
                    raise UnreadError("else {")
                return
            unless = _UNLESS.fullmatch(each) if isinstance(each, str) and not _DEFINED.fullmatch(each) else None
            if unless is None or not isinstance(each, str):
                yield from self._statement(each, element or {})
                continue
            # Nothing may be tried behind it: the rest is what is done with a line that it takes.
            if each.startswith("next") != (element is not None) or len(rest) != 1:
                raise UnreadError(each)
            yield from self._if(unless[1], rest, element or {})
            return

    def _statement(self, each: Statement, element: Mapping[str, tuple[str, Any]]) -> Iterator[Tried]:
        if isinstance(each, str):
            if _IGNORED.fullmatch(each):
                return
            if (line := _LINE.fullmatch(each)) and not element:
                self._lines.add(line[1])
            elif match := _RETURN_IF.fullmatch(each):
                yield from self._any(match[4], match.groups()[:3], {}, element)
            elif not ((match := _DEFINED.fullmatch(each)) and match[1] in element):
                raise UnreadError(each)
            return
        head, body = each
        if (loop := _LOOP.fullmatch(head)) and not element:
            yield from self._loop(loop[1], loop[2].split(", "), body)
        elif condition := _IF.fullmatch(head):
            yield from self._if(condition[1], body, element)
        else:
            raise UnreadError(f"{head} {{")

    def _loop(self, variable: str, lists: Sequence[str], body: Sequence[Statement]) -> Iterator[Tried]:
        if variable == "$_" and self._lines == {"$_"}:
            raise UnreadError(f"foreach $_ ({', '.join(lists)}) {{")
        for name in lists:
            values = self._names.get(name, [] if name.startswith("@") else None)
            if name.startswith("$"):
                values = [values]
            if not isinstance(values, list):
                raise UnreadError(name)
            for number, value in enumerate(values):
                if value is None:
                    if not any(re.search(rf"defined {re.escape(variable)}\b", text) for text in _flat(body)):
                        raise UnreadError(f"${name[1:]}[{number}] is undefined, and an empty pattern takes any line")
                    continue
                place = f"${name[1:]}[{number}]" if name.startswith("@") else name
                yield from self.routine(body, {variable: (place, value)})
            if not values:
                # An empty list is tried on nothing; its body must be known all the same.
                list(self.routine(body, {variable: (name, "x(x)(x)")}))

    def _if(self, condition: str, body: Sequence[Statement], element: Mapping[str, tuple[str, Any]]) -> Iterator[Tried]:
        increments: dict[str, int] = {}
        for each in body[:-1]:
            match = _INCREMENT.fullmatch(each) if isinstance(each, str) else None
            if match is None:
                raise UnreadError(each if isinstance(each, str) else each[0])
            increments[match[1]] = int(self._has_logout(match[2], element))
        last = body[-1] if body else ""
        returns = _RETURNS.fullmatch(last) if isinstance(last, str) else None
        if returns is None:
            raise UnreadError(f"if ({condition}) {{ {last if isinstance(last, str) else last[0]}")
        yield from self._any(condition, returns.groups(), increments, element)

    def _has_logout(self, name: str, element: Mapping[str, tuple[str, Any]]) -> bool:
        """Whether the list of logouts has one at the login's own place."""
        values = self._names.get(f"@{name[1:]}", [])
        ((place, _),) = element.values() or (("", None),)
        number = re.search(r"\[(\d+)\]$", place)
        if not isinstance(values, list) or number is None:
            return False
        return int(number[1]) < len(values) and values[int(number[1])] is not None

    def _any(
        self,
        condition: str,
        returned: Sequence[str | None],
        increments: Mapping[str, int],
        element: Mapping[str, tuple[str, Any]],
    ) -> Iterator[Tried]:
        """The patterns of `/a/ or /b/`: the captures are those of the one that takes the line."""
        parts = condition.split(" or ")
        if not all((match := _MATCH.fullmatch(part)) and _is_one(match["regex"]) for part in parts):
            parts = [condition]
        for part in parts:
            yield self._one(part, returned, increments, element)

    def _one(
        self,
        condition: str,
        returned: Sequence[str | None],
        increments: Mapping[str, int],
        element: Mapping[str, tuple[str, Any]],
    ) -> Tried:
        match = _MATCH.fullmatch(condition)
        if match is None or (match["line"] or "$_") not in self._lines:
            raise UnreadError(f"if ({condition})")
        # In a loop over $_ the line is another variable's.
        if match["line"] is None and "$_" in element:
            raise UnreadError(f"if ({condition})")
        bound = match["bound"].split(", ") if match["bound"] else []
        places = {name: number for number, name in enumerate(bound, 1)} or {
            f"${number}": number for number in range(1, 10)
        }
        time, ip, change = returned
        if time not in places or ip not in places:
            raise UnreadError(f"return {time}, {ip}")
        if change is not None and change.startswith("$"):
            if change not in increments:
                raise UnreadError(f"return {time}, {ip}, {change}")
            step = increments[change]
        else:
            step = int(change or 0)
        name, pattern = self._pattern(match["regex"], match["flags"], element)
        return Tried(name, pattern, step < 0, step > 0, places[time], places[ip])

    def _pattern(self, regex: str, flags: str, element: Mapping[str, tuple[str, Any]]) -> tuple[str, str]:
        body = regex[1:-1] if regex.startswith("/") else regex[2:-1]
        if set(flags) - set("ios") or not _is_one(regex):
            raise UnreadError(f"{regex}{flags}")
        name = "its code"
        if (found := _ELEMENT.fullmatch(body)) or body in element or (body in self._names and body != "$_"):
            name, value = element[body] if body in element else (body, self._named(body, found))
            text = _text(value)
            if text is None:
                raise UnreadError(f"{body} holds no pattern")
        else:
            text = _INTERPOLATED.sub(lambda inner: self._interpolated(inner, element), body)
        return name, f"(?i:{text})" if "i" in flags else text

    def _named(self, name: str, element: re.Match[str] | None) -> Any:
        if element is None:
            return self._names.get(name)
        values = self._names.get(f"@{element[1]}")
        number = int(element[2])
        return values[number] if isinstance(values, list) and number < len(values) else None

    def _interpolated(self, match: re.Match[str], element: Mapping[str, tuple[str, Any]]) -> str:
        name = f"${match[1]}"
        value = element[name][1] if name in element else self._names.get(name)
        text = _text(value) if match[1] and not match[2] else None
        if text is None:
            raise UnreadError(f"/{match.string}/")
        return match[0].removesuffix(name) + text


def _is_one(regex: str) -> bool:
    """Whether the text is one regular expression: `/a/ and not /b/` begins and ends like one."""
    begin, end = ("/", "/") if regex.startswith("/") else (regex[1], regex[-1])
    level = 0
    for unit in re.findall(r"\\.|.", regex[1 if begin == "/" else 2 : -1], re.DOTALL):
        level += (unit == begin) - (unit == end) if begin != end else 0
        if level < 0 or (begin == end and unit == end):
            return False
    return level == 0


def _text(value: Any) -> str | None:
    """A pattern's text, of a string or of qr//."""
    if isinstance(value, dict):
        value = value.get("regexp")
    return value if isinstance(value, str) and value else None
