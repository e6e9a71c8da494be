"""The catalogue's matcher, made once for all tests of a process: it takes the Python backend a tenth of a second."""

from __future__ import annotations

from functools import cache
from typing import Any

from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching.backends import load_backend
from pbs_fast.matching.zones import zone_table


@cache
def catalogue_matcher(backend: str) -> Any:
    """By the name of the backend; timestamps without a zone are in UTC. A matcher keeps nothing of what it has read."""
    return load_backend(backend).Matcher(load_catalogue(), zone_table("UTC"))
