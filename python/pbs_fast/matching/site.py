"""What a site's configuration makes of the catalogue: the formats in force, and warnings about custom ones."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pbs_fast.errors import ConfigError, FormatError
from pbs_fast.formats.loader import extend, load_catalogue, only_marked
from pbs_fast.matching.zones import zone_table
from pbs_fast.util.doveconf import instance_name

if TYPE_CHECKING:
    from pbs_fast.config import Settings
    from pbs_fast.formats import Format
    from pbs_fast.formats.custom import Table
    from pbs_fast.matching.backends import Backend

#: What most lines of a mail log are, to measure with: none of them carries an event.
_LINES = (
    b"Mar  4 07:12:09 mx postfix/smtpd[2151]: connect from mail.example.org[203.0.113.41]",
    b"Mar  4 07:12:09 mx postfix/cleanup[733]: 4ZpX1c2Jz7: message-id=<20260304071209.7F2A1@mail.example.org>",
    b"Mar  4 07:12:10 mx postfix/qmgr[812]: 4ZpX1c2Jz7: from=<otto@example.org>, size=11830, nrcpt=1 (queue active)",
    b"Mar  4 07:12:10 mx dovecot: lmtp(815): Connect from local",
    b"Mar  4 07:12:11 mx rspamd[911]: <a51f2c>; task; rspamd_task_write_log: id: <x@example.org>, from: <otto@example>",
    b"Mar  4 07:12:12 mx postfix/lmtp[734]: 4ZpX1c2Jz7: to=<lena@example.com>, relay=mx[private/lmtp], status=sent",
)
_REPEAT = 2_000
#: The name of its format.
_DOVECOT = "dovecot"
_ROUNDS = 3


class Site(NamedTuple):
    """The formats in force and warnings about them."""

    formats: tuple[Format, ...]
    warnings: tuple[str, ...]
    slow: tuple[str, ...]
    """Names of custom formats that cost more than a tag's look-up."""


def _in_force(catalogue: Sequence[Format], tags: Mapping[str, Sequence[str]], tables: Sequence[Table]) -> Site:
    """The formats of the site and the catalogue's. Raises FormatError."""
    if not tables:
        return Site(extend(catalogue, tags), (), ())
    # Only here: what checks custom formats takes 10 ms to import.
    from pbs_fast.formats.custom import in_force

    own = in_force(catalogue, tags, tables)
    return Site(own.formats, own.warnings, own.slow)


def site_formats(settings: Settings) -> Site:
    """The formats of a configuration. Raises ConfigError, with file and line, for those that cannot be and for none."""
    catalogue = load_catalogue()
    chosen = settings.config.catalogue
    _check_names(settings, [each.name for each in catalogue])
    try:
        if chosen is False:
            own = _in_force((), {}, settings.config.format)
        else:
            catalogue = only_marked(catalogue, settings.config.only_marked)
            own = _in_force(catalogue, _tags(settings, catalogue), settings.config.format)
    except FormatError as error:
        raise ConfigError(str(error)) from None
    if not isinstance(chosen, bool):
        # Left out only now, so that no format of the site's own takes the name of one of the catalogue.
        out = {each.name for each in catalogue} - set(chosen)
        own = own._replace(formats=tuple(each for each in own.formats if each.name not in out))
    if not own.formats and chosen is False:
        raise ConfigError(
            f"{settings.origin('catalogue')}: catalogue is false and there is no [[format]], so no line would be read; "
            "write one, or leave catalogue out"
        )
    if not own.formats:
        empty = f"{settings.origin('catalogue')}: catalogue is empty and there is no [[format]], so nothing is granted"
        return Site((), (*own.warnings, empty), own.slow)
    return Site(own.formats, own.warnings, own.slow)


def _tags(settings: Settings, catalogue: Sequence[Format]) -> dict[str, tuple[str, ...]]:
    """The tags that the configuration adds, and that of a Dovecot which is installed here under a name of its own.

    Only the machine's own setting can tell: any program may have any tag, and its lines may hold anybody's text.
    """
    tags = dict(settings.config.program_tags)
    known = {tag for each in catalogue for tag in (*each.program, *each.tls_program)}.union(*tags.values())
    if _DOVECOT in {each.name for each in catalogue} and (name := instance_name()) is not None and name not in known:
        tags[_DOVECOT] = (*tags.get(_DOVECOT, ()), name)
    return tags


def _check_names(settings: Settings, known: Sequence[str]) -> None:
    """Raises ConfigError, with file and line, for a `[formats.NAME]`, or in `catalogue`, that is not in `known`."""
    chosen = settings.config.catalogue
    for name in () if isinstance(chosen, bool) else chosen:
        if name not in known:
            raise ConfigError(f'{settings.origin("catalogue")}: no format has the name "{name}"{_nearest(name, known)}')
    for key, origin in settings.origins.items():
        table, _, rest = key.partition(".")
        name = rest.partition(".")[0]
        if table == "formats" and name not in known:
            raise ConfigError(f'{origin}: no format has the name "{name}"{_nearest(name, known)}')


def cost(core: Backend, site: Site) -> str | None:
    """What a site's slow formats cost on this machine, in words; None where there is none. Takes some milliseconds."""
    if not site.slow:
        return None
    without = _nanoseconds(core, [each for each in site.formats if each.name not in site.slow])
    with_them = _nanoseconds(core, site.formats)
    return (
        f"format {' and '.join(site.slow)}: tried on lines that tags would rule out; a line takes {with_them:.0f} ns "
        f"with it and {without:.0f} ns without (measured now, {core.name} matcher)"
    )


def _nanoseconds(core: Backend, formats: Sequence[Format]) -> float:
    """Time to scan one line, the best of some rounds."""
    matcher = core.Matcher(formats, zone_table("UTC"))
    data = b"\n".join(_LINES * _REPEAT) + b"\n"
    best = float("inf")
    for _ in range(_ROUNDS):
        started = time.perf_counter_ns()
        matcher.scan(data, reference=0)
        best = min(best, (time.perf_counter_ns() - started) / (len(_LINES) * _REPEAT))
    return best


def _nearest(name: str, names: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, names, n=1, cutoff=0.4)
    return f'; nearest: "{near[0]}"' if near else "; they are listed by: pbs-fast formats"
