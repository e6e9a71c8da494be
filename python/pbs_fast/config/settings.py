"""The settings in force and their origin: defaults, then the file, then options from left to right.

One rule depends on the order: `debug` also sends our own log to standard output; a later `logto` overrides this, an
earlier one is overridden. In a file, where keys have no order, `logto` wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pbs_fast.config.keys import KEYS, build, values_of
from pbs_fast.config.kinds import RefusedError
from pbs_fast.config.model import Config
from pbs_fast.errors import UsageError

if TYPE_CHECKING:
    from pbs_fast.config.read import FileValues

STDOUT = "-"
DEFAULT = "default"
#: In this order the first that exists is followed when no log is named.
DEFAULT_LOGS = ("/var/log/mail.log", "/var/log/maillog", "/var/log/mail/info", "/var/log/messages")
JOURNAL = "journal:"
#: No log at all: a node whose grants all come from other nodes.
NO_LOG = "none:"


class Given(NamedTuple):
    """One option of the command line, as it was given."""

    option: str
    """As `--grace` or `--nowrite`."""
    key: str
    value: str | bool


@dataclass(frozen=True, slots=True)
class Settings:
    """A Config with where it comes from."""

    config: Config
    file: str | None = None
    """The configuration file that was read; None when there was none."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Dotted key -> `FILE:LINE` or the option; a key that is missing here has its default."""

    def origin(self, key: str) -> str:
        """Where a key's value comes from: `default`, `FILE:LINE` or an option such as `--grace`."""
        return self.origins.get(key, DEFAULT)


def merge(file: FileValues | None, options: Iterable[Given], base: Config | None = None) -> Settings:
    """Base (by default `Config()`), then the file's values, then the options in their order.

    Of the list keys (`watchlog`, `table`) the first option replaces what the file says and each further one adds.
    Raises UsageError when an option's value is not allowed.
    """
    values = values_of(base or Config())
    origins: dict[str, str] = {}
    if file:
        values |= file.values
        origins |= {key: f"{file.path}:{line}" for key, line in file.lines.items()}
        if file.values.get("debug") and "logto" not in file.values:
            values["logto"] = STDOUT
            origins["logto"] = origins["debug"]
    begun: set[str] = set()
    for option, key, text in options:
        value = _checked(option, key, text)
        if isinstance(value, tuple) and key in begun:
            old = values[key]
            value = (*old, *value) if isinstance(old, tuple) else value
        begun.add(key)
        values[key] = value
        origins[key] = option
        if key == "debug" and value:
            values["logto"] = STDOUT
            origins["logto"] = option
    return Settings(build(values), file.path if file else None, origins)


def _checked(option: str, key: str, value: str | bool) -> object:
    kind = KEYS[key].kind
    try:
        return kind.read_text(value) if isinstance(value, str) else kind.read(value)
    except RefusedError:
        raise UsageError(f"{option} must be {kind.allowed}, not {kind.shown(repr(value))}") from None


def default_log(exists: Callable[[str], bool] | None = None) -> str:
    """The log to follow when none is named: the first of DEFAULT_LOGS that exists, else the journal."""
    from os.path import exists as on_disk

    return next((path for path in DEFAULT_LOGS if (exists or on_disk)(path)), JOURNAL)


def why_default(log: str) -> str:
    """The default log and why it is that one, in words."""
    names = ", ".join(DEFAULT_LOGS)
    return f"the journal, as none of {names} exists" if log == JOURNAL else f"{log}, the first of {names} that exists"


def logs(config: Config) -> tuple[str, ...]:
    """The logs to follow: `watchlog`, else the default log; none for NO_LOG."""
    return () if config.watchlog == (NO_LOG,) else config.watchlog or (default_log(),)
