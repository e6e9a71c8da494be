"""A site a test: a directory that every user may pass through, removed with its daemons at the end."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from daemon.running import Site
from mta import private_directory

#: The types that a daemon changes in place, each under its own kind of lock.
IN_PLACE = ("hash", "lmdb")


@contextmanager
def a_place(kind: str) -> Iterator[Site]:
    """A site of this table type; its daemons end with the block."""
    site = Site(private_directory("daemon"), kind)
    try:
        yield site
    finally:
        site.close()
        shutil.rmtree(site.place)


@pytest.fixture
def new_site() -> Iterator[Callable[[str], Site]]:
    """Sites of the table type that is asked for."""
    with ExitStack() as stack:
        yield lambda kind: stack.enter_context(a_place(kind))


@pytest.fixture
def site(new_site: Callable[[str], Site]) -> Site:
    """A site with an lmdb table."""
    return new_site("lmdb")


@pytest.fixture(params=IN_PLACE)
def any_site(request: pytest.FixtureRequest, new_site: Callable[[str], Site]) -> Site:
    """A site of each type in turn."""
    return new_site(request.param)
