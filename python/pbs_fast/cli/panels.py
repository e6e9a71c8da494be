"""The groups of commands and of options in `--help` and in the manual."""

from __future__ import annotations

WORK = "Keeping the table"
DAEMON = "Asking and changing the running daemon"
LOGS = "Reading logs"
SETUP = "Configuration and installation"

#: In this order.
COMMANDS = (WORK, DAEMON, LOGS, SETUP)
#: The options that are keys of the configuration come after those of the command itself.
KEYS = "Options that are keys of the configuration"
