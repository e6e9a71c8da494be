"""How commands reach the running daemon: by `[control] directory` of the same configuration."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from pbs_fast.config import DEFAULT_FILE, Settings
from pbs_fast.util.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from pbs_fast.cli.render.layout import Look
    from pbs_fast.control.protocol import Request, Target

R = TypeVar("R")


def look_for(settings: Settings) -> Look:
    """The Look of standard output; commands to be typed name the configuration that this one was given."""
    from pbs_fast.cli.render.layout import look

    return look(config=None if settings.file == DEFAULT_FILE else settings.file)


def socket_for(settings: Settings, request: Request[Any]) -> Path:
    """The socket of a request."""
    from pbs_fast.control.client import socket_of

    return socket_of(settings.config.control.directory, request)


def answer(settings: Settings, request: Request[R]) -> R:
    """The daemon's reply. Raises PbsError."""
    from pbs_fast.control.client import ask

    return ask(socket_for(settings, request), request)


def target(text: str) -> Target:
    """What an administrator names: an address, a network or a user. Raises UsageError."""
    from pbs_fast.control.protocol import LONGEST_USER, target_of
    from pbs_fast.errors import UsageError

    try:
        found = target_of(text)
    except ValueError as error:
        raise UsageError(f"{text}: {error}") from None
    if not text or len(text) > LONGEST_USER:
        raise UsageError(
            f"{text[:40]!r}: needs an address, a network or a login name of at most {LONGEST_USER} letters"
        )
    return found


def note(command: str, text: str) -> None:
    """Say on standard error what the output cannot."""
    typer.echo(printable(f"pbs-fast {command}: {text}"), err=True)


def escape_output() -> None:
    """A log may hold characters that the terminal's encoding cannot show."""
    import io

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
