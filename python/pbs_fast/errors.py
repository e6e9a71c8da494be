"""One tree of errors. Each message says in one line what is wrong, where, and what to do.

This module imports nothing of the package.
"""


class PbsError(Exception):
    """Anything that pbs-fast refuses or fails at; `str(error)` is the whole line for the user."""

    exit_status = 1


class UsageError(PbsError):
    """The command line asks for something that does not exist or does not go together."""

    exit_status = 2


class ConfigError(PbsError):
    """A configuration file cannot be read or holds something unknown; names file, line, nearest key."""

    exit_status = 2


class FormatError(PbsError):
    """A format file or pattern is not acceptable."""

    exit_status = 2


class CoreError(PbsError):
    """The Rust backend is broken, has another version, or is requested but not installed."""


class SourceError(PbsError):
    """A log cannot be read."""


class TableError(PbsError):
    """A table cannot be opened, locked, read or written."""


class LogError(PbsError):
    """Our own log cannot be opened."""
