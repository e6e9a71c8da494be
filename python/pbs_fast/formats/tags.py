"""Which tags of log lines belong to a format (docs/MATCHING.md, 3)."""

from __future__ import annotations

from collections.abc import Iterable, Set


def listed_as(tag: str) -> Set[str]:
    """The entries of `program` and `tls_program` to which a tag belongs: itself and, with a slash, `*/LAST`."""
    _, slash, last = tag.rpartition("/")
    return {tag, f"*/{last}"} if slash and last else {tag}


class KnownTags:
    """The tags of some formats; `tag in known` asks for one as it stands in a line."""

    def __init__(self, listed: Iterable[str]) -> None:
        """`listed` as formats list them, `*/NAME` included."""
        self._listed = frozenset(listed)

    def __contains__(self, tag: object) -> bool:
        return isinstance(tag, bytes) and not self._listed.isdisjoint(listed_as(tag.decode("utf-8", "surrogateescape")))
