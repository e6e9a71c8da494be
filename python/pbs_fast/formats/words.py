"""Parts of patterns for one word, decided byte by byte, so that no text is read in two ways."""

from __future__ import annotations

import re
from collections.abc import Mapping


def escape_class(characters: str) -> str:
    """`characters` as members of a bracketed class, the same in both regex dialects."""
    return "".join("\\" + c if c in "\\]^-[&~" else c for c in characters)


def words(leaves: Mapping[str, str | None], *, rest: str = "[^ ]*", never: str = "", first: str = "") -> str:
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
