"""Text for people: untrusted text made safe to show.

`printable` is the package's only sanitiser; our own log, `match`, `list`, errors and notices use it. It escapes what
`str.isprintable` rejects: Unicode's categories Other (control, format such as U+202E, surrogate, private use,
unassigned) and Separator except the blank. Text in a file with a syntax (JSON, TOML) is quoted by that syntax instead.
"""

from __future__ import annotations


def printable(text: str) -> str:
    r"""The text as one printable line: unsafe characters as `\xNN`, `\uNNNN` or `\UNNNNNNNN`.

    Bytes that were not UTF-8 (`os.fsdecode`, `errors="surrogateescape"`) are shown as these bytes, `\xNN`.
    """
    # Nearly always there is nothing to escape; this check is one C function.
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else _escaped(ord(char)) for char in text])


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
