"""What a `journal:` spec asks for: `journal:`, `journal:unit=dovecot.service`, `journal:directory=/path,unit=...`.

KEY=VALUE items, separated by commas, follow the colon; an item without `=` is another value of the previous key, and a
key may be repeated.
"""

from __future__ import annotations

import pwd
from collections.abc import Sequence
from dataclasses import dataclass, fields

from pbs_fast.errors import UsageError

#: In a `uid=`: entries of any account.
ANY = "any"


@dataclass(frozen=True, slots=True)
class JournalSpec:
    """Each key of a spec with its values, in the order given; empty if not given."""

    unit: tuple[str, ...] = ()
    """Accepted units; `*` stands for any characters. Without a type: `.service`."""
    uid: tuple[str, ...] = ()
    """Accepted user ids, as decimal numbers, or `any`; empty: root and the accounts of the unit."""
    machine: tuple[str, ...] = ()
    """Accepted machine ids."""
    container: tuple[str, ...] = ()
    """Accepted containers, by the name that Docker or Podman gives them."""
    directory: tuple[str, ...] = ()
    """Read the journal files of this directory instead of this machine's journal; one at most."""
    file: tuple[str, ...] = ()
    """Read these journal files (patterns) instead."""

    @property
    def given_files(self) -> bool:
        """It reads configured files, not this machine's journal."""
        return bool(self.directory or self.file)


KEYS = [each.name for each in fields(JournalSpec)]
_TYPES = (".service", ".scope", ".slice", ".socket", ".mount", ".swap", ".timer", ".target", ".path", ".device")


def parse_journal(text: str) -> JournalSpec:
    """The spec without `journal:`. Raises UsageError for an unknown key, an empty value or an unknown account."""
    values: dict[str, list[str]] = {}
    key = ""
    for item in text.split(",") if text else []:
        name, equals, value = item.partition("=")
        if equals:
            key = name
        else:
            value = item
        if key not in KEYS:
            raise _refused(text, f"{item!r} is none of {', '.join(f'{each}=' for each in KEYS)}{_nearest(key)}")
        if not value or "\0" in value:
            raise _refused(text, f"{key}= has no value")
        values.setdefault(key, []).append(_checked(text, key, value))
    if len(values.get("directory", ())) > 1 or ("directory" in values and "file" in values):
        raise _refused(text, "one directory, or files, but not both")
    return JournalSpec(**{name: tuple(dict.fromkeys(each)) for name, each in values.items()})


def _checked(text: str, key: str, value: str) -> str:
    if key in ("directory", "file") and not value.startswith("/"):
        raise _refused(text, f"{key}={value} is no absolute path")
    if key == "unit":
        return value if value.endswith((*_TYPES, "*")) else f"{value}.service"
    if key == "machine":
        plain = value.replace("-", "").lower()
        if len(plain) != 32 or set(plain) - set("0123456789abcdef"):
            raise _refused(text, f"machine={value} is no machine id of 32 hexadecimal digits")
        return plain
    if key == "uid" and value != ANY:
        if value.isascii() and value.isdigit():
            return str(int(value))
        try:
            return str(pwd.getpwnam(value).pw_uid)
        except KeyError:
            raise _refused(text, f"uid={value}: there is no such account") from None
    return value


def _refused(text: str, reason: str) -> UsageError:
    return UsageError(f"--watchlog=journal:{text}: {reason}")


def _nearest(key: str, names: Sequence[str] = tuple(KEYS)) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, names, n=1, cutoff=0.4)
    return f'; nearest: "{near[0]}="' if near else ""
