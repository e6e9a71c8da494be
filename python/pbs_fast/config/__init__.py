"""The configuration: TOML and options become one frozen Config, each value with its origin.

    settings = merge(load(None), options)       defaults < /etc/pbs-fast/pbs-fast.toml, if it exists < options
    settings.config.grace

`model` defines the keys; a new key is added only there. Opens no file except its own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pbs_fast.config.keys import FORMAT_KEYS, KEYS
from pbs_fast.config.model import DEFAULT_FILE, Config, Control, FormatKeys, Guards
from pbs_fast.config.settings import DEFAULT, JOURNAL, STDOUT, Given, Settings, default_log, logs, merge, why_default

if TYPE_CHECKING:
    from pbs_fast.config.read import FileValues

__all__ = [
    "DEFAULT",
    "DEFAULT_FILE",
    "FORMAT_KEYS",
    "JOURNAL",
    "KEYS",
    "STDOUT",
    "Config",
    "Control",
    "FormatKeys",
    "Given",
    "Guards",
    "Settings",
    "default_log",
    "load",
    "logs",
    "merge",
    "why_default",
]


def load(path: str | None, default: str = DEFAULT_FILE) -> FileValues | None:
    """The checked values of the configuration file `path`, or of `default` if `path` is None and it exists.

    Raises ConfigError when the file cannot be read or is not a proper configuration.
    """
    from pbs_fast.config.read import read_file

    if path is None:
        try:
            os.lstat(default)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            pass  # it may be there and hold what keeps the relay shut: reading it says what is wrong
    return read_file(path or default)
