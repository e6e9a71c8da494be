"""What `match` and `bench` share: the options of a replay, and the matcher that they make.

Imports typer only; the parts it needs are imported when a command runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pbs_fast.formats import Format
    from pbs_fast.matching import Core as Twin
    from pbs_fast.matching import Matcher

Now = Annotated[
    str | None,
    typer.Option(
        "--now",
        metavar="ISO",
        help="Judge the year of stamps without one from this time, as in 2026-11-22T10:00:00Z; by default each file's"
        " time of last modification.",
        show_default=False,
    ),
]
ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration with formats of your own; by default /etc/pbs-fast/pbs-fast.toml, if there.",
        show_default=False,
    ),
]
LogTimezone = Annotated[
    str | None,
    typer.Option(
        "--log-timezone",
        metavar="ZONE",
        help="Time zone of stamps that name none, as in Europe/Berlin; by default local time.",
        show_default=False,
    ),
]
LogTime = Annotated[
    str | None,
    typer.Option(
        "--logtime",
        metavar="FORMAT",
        help="How the stamps at the lines' starts are written, where this is unusual: a strptime format, as in"
        " '%d/%b/%Y:%H:%M:%S %z', or a regular expression.",
        show_default=False,
    ),
]


class Site(NamedTuple):
    """What a configuration says about reading logs."""

    formats: tuple[Format, ...]
    log_timezone: str | None
    logtime: str | None


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
        raise UsageError(f"--now={text}: no time that can be read; write it as 2026-11-22T10:00:00Z") from error


def read_site(file: str | None, command: str, twin: Twin, zone: str | None, logtime: str | None) -> Site:
    """The formats and stamps of a configuration `file`, by default the daemon's if there; options win over it.

    What speaks against a site's own formats is said on standard error. Raises ConfigError.
    """
    from pbs_fast.config import load, merge
    from pbs_fast.matching.site import cost, site_formats

    settings = merge(load(file), ())
    found = site_formats(settings)
    for warning in (*found.warnings, *filter(None, [cost(twin, found)])):
        typer.echo(f"pbs-fast {command}: warning: {warning}", err=True)
    return Site(found.formats, zone or settings.config.log_timezone, logtime or settings.config.logtime)


def make_matcher(twin: Twin, formats: Sequence[Format], zone: str | None) -> Matcher:
    """The matcher of one twin. Raises PbsError for a format or zone that is unfit."""
    from pbs_fast.matching.zones import zone_table

    return twin.Matcher(formats, zone_table(zone))
