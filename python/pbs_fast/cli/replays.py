"""Options and helpers that `match`, `bench` and `report` share. Imports heavier modules only when a command runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from pbs_fast.cli.render.layout import look, paragraph
from pbs_fast.util.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pbs_fast.formats import Format
    from pbs_fast.matching import Backend as Backend
    from pbs_fast.matching import Matcher
    from pbs_fast.matching.census import Unread
    from pbs_fast.matching.rewrite import Shape

Now = Annotated[
    str | None,
    typer.Option(
        "--now",
        metavar="ISO",
        help="Time from which the year of timestamps without one is derived, like 2026-11-22T10:00:00Z; by default each"
        " file's modification time.",
        show_default=False,
    ),
]
ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration with custom formats; by default /etc/pbs-fast/pbs-fast.toml, if it exists.",
        show_default=False,
    ),
]
LogTimezone = Annotated[
    str | None,
    typer.Option(
        "--log-timezone",
        metavar="ZONE",
        help="Time zone of timestamps without one, like Europe/Berlin; by default local time.",
        show_default=False,
    ),
]
LogTime = Annotated[
    str | None,
    typer.Option(
        "--logtime",
        metavar="FORMAT",
        help="Format of unusual timestamps at the start of lines: a strptime format, like '%d/%b/%Y:%H:%M:%S %z', or a"
        " regular expression.",
        show_default=False,
    ),
]

#: Exit status if few or no lines are understood, or if `match --missed` found some that look like a login.
NOT_UNDERSTOOD = 3
#: Longest `--grace`, in seconds: a log of ten years; no daemon holds a grant as long.
LONGEST_GRACE = 3650 * 86_400


class Site(NamedTuple):
    """The settings of a configuration for reading logs."""

    formats: tuple[Format, ...]
    log_timezone: str | None
    logtime: str | None
    logtime_from: str = ""
    """`FILE:LINE: ` if `logtime` is from a configuration file, else empty."""
    shape: Shape | None = None


def parse_now(text: str | None, zone: str | None) -> int | None:
    """The second that `--now` names; without a zone in the text it is in `zone`, by default local time.

    Raises UsageError when the text is no ISO 8601 time, and for an unknown zone.
    """
    if text is None:
        return None
    from datetime import datetime

    from pbs_fast.errors import UsageError

    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None and zone is not None:
            from zoneinfo import ZoneInfo

            time = time.replace(tzinfo=ZoneInfo(zone))
        return int(time.timestamp() // 1)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--now={text}: not a valid time; write it like 2026-11-22T10:00:00Z") from error


def show_unread(command: str, unread: Iterable[Unread]) -> None:
    """Write to standard error why lines are not understood, with samples and what to do."""
    seen = look(sys.stderr)
    for finding in unread:
        text = paragraph(f"pbs-fast {command}: {finding.what}; {finding.remedy}", seen, indent="  ")
        if finding.sample:
            text += paragraph(f"  for example: {finding.sample}", seen, indent="    ")
        typer.echo(text, nl=False, err=True)


def read_site(file: str | None, command: str, backend: Backend, zone: str | None, logtime: str | None) -> Site:
    """The formats and timestamp settings of a configuration `file`, by default the daemon's; options override it.

    Warnings about custom formats go to standard error. Raises ConfigError.
    """
    from dataclasses import asdict

    from pbs_fast.config import load, merge
    from pbs_fast.matching.rewrite import read_shape
    from pbs_fast.matching.site import cost, site_formats

    settings = merge(load(file), ())
    found = site_formats(settings)
    for warning in (*found.warnings, *filter(None, [cost(backend, found)])):
        typer.echo(printable(f"pbs-fast {command}: warning: {warning}"), err=True)
    origin = "" if logtime else f"{settings.origin('logtime')}: "
    shape = read_shape(asdict(settings.config.json), f"{settings.file}: ")
    return Site(found.formats, zone or settings.config.log_timezone, logtime or settings.config.logtime, origin, shape)


def make_matcher(backend: Backend, formats: Sequence[Format], zone: str | None) -> Matcher:
    """The matcher of one backend. Raises PbsError for an invalid format or zone."""
    from pbs_fast.matching.zones import zone_table

    return backend.Matcher(formats, zone_table(zone))
