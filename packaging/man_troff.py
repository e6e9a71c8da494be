"""man(7), the markup of manual pages, which every man program reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from man_texts import AUTHORS

from pbs_fast import __version__


def sentence(text: str) -> str:
    return text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


def head(name: str, section: int, what: str) -> str:
    return (
        f'.TH "{roman(name.upper())}" "{section}" "" "pbs\\-fast {__version__}" "System Administration"\n'
        f".SH NAME\n{roman(name)} \\- {prose(what)}\n"
    )


def foot(also: str) -> str:
    return f".SH SEE ALSO\n{prose(also)}\n.SH AUTHORS\n{prose(AUTHORS)}\n"


def synopsis(program: str, commands: Mapping[str, Any]) -> str:
    """A line for each command, with its arguments and what it cannot do without."""
    lines = []
    for name, command in commands.items():
        words = [r"[\fIoptions\fR]"]
        for each in command.params:
            shown = each.metavar or each.name
            if each.param_type_name != "argument":
                words += [rf"{roman(each.opts[0])}=\fI{roman(shown)}\fR"] if each.required else []
            elif each.required:
                words.append(rf"\fI{roman(shown)}\fR")
            else:
                words.append(rf"[\fI{roman(shown)}\fR]{'...' if each.nargs == -1 else ''}")
        lines.append(f".B {roman(program)}\n{roman(name)} {' '.join(words)}\n")
    return ".br\n".join(lines)


def options(command: Any) -> Iterator[str]:
    for each in command.params:
        if each.param_type_name == "argument":
            yield f".TP\n.I {roman(each.metavar or each.name)}\n{prose(each.help or '')}\n"
            continue
        names = [f"\\fB{roman(name)}\\fR" for name in (*each.opts, *each.secondary_opts)]
        value = "" if each.is_flag else f"=\\fI{roman(each.metavar or 'VALUE')}\\fR"
        yield f".TP\n{', '.join(name + value for name in names)}\n{prose(each.help or '')}\n"


def listed(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, text in rows:
        yield f".TP\n.B {roman(term)}\n{prose(text)}\n"


def paragraphs(text: str | None) -> str:
    parts = re.split(r"\n\s*\n", (text or "").replace("\b\n", "").strip())
    return "".join(f".PP\n{prose(' '.join(part.split()))}\n" for part in parts)


def prose(text: str) -> str:
    """Running text: a line must not begin with a dot or an apostrophe."""
    safe = roman(text)
    return f"\\&{safe}" if safe.startswith((".", "'")) else safe


def roman(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\`").replace("'", "\\(aq").replace('"', "\\(dq")
