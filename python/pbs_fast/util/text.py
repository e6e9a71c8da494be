"""Text for people: untrusted text made safe to show, and times.

`printable` is the package's only sanitiser; our own log, `match`, `list`, errors and notices use it. It escapes what
`str.isprintable` rejects: Unicode's categories Other (control, format such as U+202E, surrogate, private use,
unassigned) and Separator except the blank. Text in a file with a syntax (JSON, TOML) is quoted by that syntax instead.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def printable(text: str) -> str:
    r"""The text as one printable line: unsafe characters as `\xNN`, `\uNNNN` or `\UNNNNNNNN`.

    Bytes that were not UTF-8 (`os.fsdecode`, `errors="surrogateescape"`) are shown as these bytes, `\xNN`.
    """
    # Nearly always there is nothing to escape; this check is one C function.
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else _escaped(ord(char)) for char in text])


fold_user: Callable[[str], str] = str.casefold
"""The form in which users are compared: case-insensitive, as in most servers. One C function, asked for each login."""


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 row`, `4,812 rows`; `many` where it is not `one` with an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def rfc3339(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC with milliseconds: `2026-11-30T10:12:17.204Z`.

    What no date can be (before the year 1, after 9999) becomes the nearest one that can.
    """
    try:
        at = _EPOCH + timedelta(milliseconds=round(seconds * 1000))
    except OverflowError:
        at = datetime.max if seconds > 0 else datetime.min
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def utc(second: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC with whole seconds: `2026-11-30T10:12:17Z`.

    Raises OverflowError, ValueError or OSError for what no date can be.
    """
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
