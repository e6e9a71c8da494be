"""What of a configuration `run` cannot do, found at the start and at a reload. Imports config and formats."""

from __future__ import annotations

from collections.abc import Sequence

from pbs_fast.config import Settings
from pbs_fast.errors import ConfigError
from pbs_fast.formats import Format


def check(settings: Settings, catalogue: Sequence[Format]) -> None:
    """Raises ConfigError, with file and line, for a format that is not in the catalogue."""
    names = [each.name for each in catalogue]
    for key, origin in settings.origins.items():
        table, _, rest = key.partition(".")
        name = rest.partition(".")[0]
        if table == "formats" and name not in names:
            raise ConfigError(f'{origin}: no format has the name "{name}"{_nearest(name, names)}')


def _nearest(name: str, names: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, names, n=1, cutoff=0.4)
    return f'; nearest: "{near[0]}"' if near else "; they are listed by: pbs-fast formats"
