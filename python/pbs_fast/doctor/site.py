"""What the checks look at: one site's configuration, its tables, its accounts, its MTA."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from pbs_fast.errors import ConfigError
from pbs_fast.health.postfix.installation import Installation, read_installations
from pbs_fast.util.postconf import NoPostfixError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pbs_fast.config import Config, Settings
    from pbs_fast.tables import TableSpec


@dataclass(frozen=True)
class Site:
    """One site. What needs a program is asked for when a check first wants it."""

    settings: Settings
    specs: Sequence[TableSpec]
    account: str | None = None
    """The account as which the daemon works; None for this process's own."""
    trouble: str = ""
    """Why no account is known: then the daemon refuses to start."""
    root: str = field(default="/", kw_only=True)
    """Where the file system of the machine begins."""

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.settings.config

    @cached_property
    def postfix(self) -> Postfix:
        """The Postfix of this machine."""
        try:
            return Postfix(tuple(read_installations(self.config.postconf)))
        except NoPostfixError as error:
            return Postfix((), str(error), is_missing=True)
        except ConfigError as error:
            return Postfix((), str(error))


@dataclass(frozen=True, slots=True)
class Postfix:
    """The instances of Postfix, or why they are not known."""

    installations: tuple[Installation, ...]
    trouble: str = ""
    is_missing: bool = False
    """There is no Postfix."""

    @property
    def account(self) -> str:
        """The account as which its programs work."""
        return self.installations[0].settings.get("mail_owner", "postfix") if self.installations else "postfix"

    @property
    def queue(self) -> str:
        """Where its programs work, and relative paths of sockets begin."""
        return self.installations[0].settings.get("queue_directory", "/") if self.installations else "/"
