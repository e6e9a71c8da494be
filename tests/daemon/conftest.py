"""A site a test: a directory that every user may pass through, removed with its daemons at the end."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest

from daemon.running import Site
from mta import private_directory

#: The types that a daemon changes in place, each under its own kind of lock.
IN_PLACE = ("hash", "lmdb")


@pytest.fixture
def new_site() -> Iterator[Callable[[str], Site]]:
    """Sites of the table type that is asked for."""
    sites: list[Site] = []

    def make(kind: str) -> Site:
        sites.append(Site(private_directory("daemon"), kind))
        return sites[-1]

    yield make
    for site in sites:
        site.close()
        shutil.rmtree(site.place)


@pytest.fixture
def site(new_site: Callable[[str], Site]) -> Site:
    """A site with an lmdb table."""
    return new_site("lmdb")


@pytest.fixture(params=IN_PLACE)
def any_site(request: pytest.FixtureRequest, new_site: Callable[[str], Site]) -> Site:
    """A site of each type in turn."""
    return new_site(request.param)
