"""A map that forgets: what is older than some hours of the log, or too much."""

from __future__ import annotations

from typing import Generic, TypeVar

V = TypeVar("V")

#: How long a message is remembered, in seconds: until its last recipient was tried for the first time.
REMEMBERED = 6 * 3_600
#: Most that are remembered, twice; a hub of 2 million lines a day has 15,000 messages in that time.
_MOST = 200_000


class Remembered(Generic[V]):
    """Two maps, a young and an old one; when the young one is old or full enough, the old one goes."""

    def __init__(self, seconds: int, most: int = _MOST) -> None:
        self._seconds = seconds
        self._most = most
        self._young: dict[bytes | str, V] = {}
        self._old: dict[bytes | str, V] = {}
        self._turned: float = float("-inf")

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: bytes | str) -> V | None:
        """The value of a key that is still remembered."""
        found = self._young.get(key)
        return self._old.get(key) if found is None else found

    def put(self, key: bytes | str, value: V, second: int) -> None:
        """Remember it for at least that time from this second on, unless there is too much."""
        if second - self._turned >= self._seconds or len(self._young) >= self._most:
            self._old, self._young, self._turned = self._young, {}, second
        self._young[key] = value

    def drop(self, key: bytes | str) -> None:
        """Forget it now."""
        self._young.pop(key, None)
        self._old.pop(key, None)
