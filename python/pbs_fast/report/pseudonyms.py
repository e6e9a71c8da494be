"""Names as they are, or replaced by words that only this run can make: a keyed hash (HMAC), its key forgotten."""

from __future__ import annotations

import hmac
import secrets
from base64 import b32encode

#: Letters of a word: 40 bits, so that among a million names two are alike in one of two runs.
_LETTERS = 8


class Names:
    """Logins, addresses and host names for the outputs."""

    def __init__(self, *, pseudonyms: bool) -> None:
        self._key = secrets.token_bytes(32) if pseudonyms else None

    def login(self, text: str) -> str:
        """A user; an address in brackets stands for one whose server logs no user."""
        return self._word("login", text.casefold()) if self._key else text

    def address(self, text: str) -> str:
        """An address or a network."""
        return self._word("address", text) if self._key else text

    def host(self, text: str) -> str:
        """How a client calls itself."""
        return self._word("host", text.casefold()) if self._key else text

    def _word(self, kind: str, text: str) -> str:
        digest = hmac.digest(self._key or b"", f"{kind} {text}".encode("utf-8", "surrogatepass"), "sha256")
        return f"{kind}-{b32encode(digest).decode('ascii')[:_LETTERS].lower()}"
