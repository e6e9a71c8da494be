"""Paths of a configuration as the administrator meant them: from the directory where the daemon was started.

In the background the daemon's directory is `/`; a reload must find the same files as the start. Imports config,
logs, sources.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from pbs_fast.config import Config
from pbs_fast.log.handlers import is_file
from pbs_fast.sources.registry import find_scheme
from pbs_fast.tables.registry import TYPES


def started_in() -> str:
    """The current directory; `/` when it was removed under us."""
    try:
        return os.getcwd()  # noqa: PTH109 - text
    except OSError:
        return "/"


def rooted(directory: str) -> Callable[[str], str]:
    """A function that names a path so that it is found from everywhere."""
    return lambda path: os.path.join(directory, path)  # noqa: PTH118 - links stay as they are named


def absolute(config: Config, directory: str) -> Config:
    """The same files, named so that a process in another directory finds them."""
    path = rooted(directory)

    def table(text: str) -> str:
        kind, colon, rest = text.partition(":")
        typed = colon and "/" not in kind
        if (
            kind in TYPES and TYPES[kind].served
        ):  # an endpoint; a relative path of one is below Postfix's queue directory
            return text
        return (f"{kind}:{path(rest)}" if rest else text) if typed else path(text)

    return replace(
        config,
        watchlog=tuple(spec if find_scheme(spec) else path(spec) for spec in config.watchlog),
        dbfile=table(config.dbfile),
        table=tuple(map(table, config.table)),
        logto=path(config.logto) if is_file(config.logto) else config.logto,
        daemon=None if config.daemon is None else path(config.daemon),
        deny=path(config.deny),
        state_directory=path(config.state_directory),
        metrics=replace(config.metrics, file=None if config.metrics.file is None else path(config.metrics.file)),
        share=replace(
            config.share,
            secret=path(config.share.secret) if "/" in config.share.secret else config.share.secret,
            ca=None if config.share.ca is None else path(config.share.ca),
        ),
        control=replace(config.control, directory=path(config.control.directory)),
    )
