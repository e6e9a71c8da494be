"""The value of a row: a template with {user} and {expires}, rendered for writing and recognised when reading.

Invariants: a user name can never become the MTA's action, because the first word of the template is literal (or the
whole template is {expires}, and access(5) takes a number alone as OK); `parse` accepts whatever `render` produces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pbs_fast.errors import UsageError
from pbs_fast.events import Grant
from pbs_fast.tables.protocol import Row

#: A longer user name is cut, so that rows stay small: a hash page of 4096 bytes must hold dozens.
USER_MAX = 64
#: Bytes of a template. Postfix accepts much longer values; ours are a word or two.
TEMPLATE_MAX = 128

_PLACEHOLDER = re.compile(r"(\{[^{}]*\})")
_UNFIT = re.compile(r"[^!-~]")
#: What each placeholder may be replaced by. No blank and nothing outside ASCII: `_UNFIT` replaces them.
_FIELDS = {"{user}": rb"(?P<user>[!-~]{1,64})", "{expires}": rb"(?P<expires>[0-9]{1,20})"}


class Template:
    """A value template, checked. Immutable."""

    __slots__ = ("_constant", "_expires", "_pattern", "_text", "_user")

    def __init__(self, text: str, *, commas: bool = False) -> None:
        """`commas`: the MTA separates words by commas, not blanks.

        Raises UsageError for an unknown or repeated placeholder, for text outside printable ASCII, and for a value
        whose first word a login could choose."""
        parts = _PLACEHOLDER.split(text)
        fields = parts[1::2]
        for name in fields:
            if name not in _FIELDS:
                raise UsageError(f"value {text!r}: {name} is unknown; use {{user}} and {{expires}} only")
            if fields.count(name) > 1:
                raise UsageError(f"value {text!r}: {name} is there twice; use it once")
        if any("{" in part or "}" in part for part in parts[0::2]):
            raise UsageError(f"value {text!r}: unmatched brace; use {{user}} and {{expires}} only")
        if not text or not text.isascii() or not text.isprintable() or text != text.strip():
            raise UsageError(f"value {text!r}: needs printable ASCII without blanks at its ends, such as ok")
        if len(text) > TEMPLATE_MAX:
            raise UsageError(f"value of {len(text)} characters: at most {TEMPLATE_MAX} are allowed")
        if text != "{expires}" and _PLACEHOLDER.search(text.split("," if commas else " ")[0]):
            raise UsageError(f"value {text!r}: the first word is the MTA's action; make it literal, as in: ok {{user}}")
        self._text = text
        self._user = "{user}" in fields
        self._expires = "{expires}" in fields
        self._constant = None if fields else text.encode()
        self._pattern = re.compile(b"".join(_FIELDS[p] if p in _FIELDS else re.escape(p.encode()) for p in parts))

    @property
    def names_users(self) -> bool:
        """Whether values name users, so that not everybody may read the file."""
        return self._user

    def render(self, grant: Grant, wall: Callable[[int], int]) -> bytes:
        """The row's value; `wall` turns the grant's expiry into epoch seconds. No user is `-`."""
        if self._constant is not None:
            return self._constant
        text = self._text
        # {expires} first: the user name may be "{expires}".
        if self._expires:
            text = text.replace("{expires}", str(max(0, wall(grant.expires))))
        if self._user:
            text = text.replace("{user}", as_word(grant.user, USER_MAX))
        return text.encode()

    def render_all(self, grants: Mapping[str, Grant], wall: Callable[[int], int]) -> dict[str, bytes]:
        """The values of many rows by their addresses."""
        if self._constant is not None:
            return dict.fromkeys(grants, self._constant)
        return {ip: self.render(grant, wall) for ip, grant in grants.items()}

    def parse(self, value: bytes) -> Row | None:
        """The row with this value; None if `render` cannot have produced it."""
        found = self._pattern.fullmatch(value)
        if found is None:
            return None
        fields = found.groupdict()
        user, expires = fields.get("user"), fields.get("expires")
        return Row(
            value=value.decode("ascii"),
            user=None if user in (None, b"-") else user.decode("ascii"),
            expires=None if expires is None else int(expires),
        )


def as_word(user: str | None, longest: int) -> str:
    """A user as one word of printable ASCII with so many characters at most; no user is `-`."""
    return _UNFIT.sub("?", user or "-")[:longest]
