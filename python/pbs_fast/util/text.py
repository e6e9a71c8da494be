"""Text of strangers made safe to show: one line, and nothing in it that a terminal or a reader's eye obeys.

The only sanitiser of the package; what people read (our own log, `match`, `list`, errors, notices) goes through it.
Escaped is what `str.isprintable` does not call printable: Unicode's categories Other (control, format such as U+202E,
surrogate, private use, unassigned) and Separator but the blank. Text that goes into a file of some syntax (JSON, TOML)
is quoted by that syntax. Imports nothing of the package.
"""

from __future__ import annotations


def printable(text: str) -> str:
    r"""The text as one printable line: what is unsafe as `\xNN`, `\uNNNN` or `\UNNNNNNNN`.

    Bytes that were no UTF-8 (`os.fsdecode`, `errors="surrogateescape"`) are shown as these bytes, `\xNN`.
    """
    # Nearly always there is nothing to escape, and this asks one C function.
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else _escaped(ord(char)) for char in text])


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
