"""Hubs and nodes that end with the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from share.hubs import NewHub, hubs
from share.nodes import NewNode, nodes


@pytest.fixture
def new_hub() -> Iterator[NewHub]:
    with hubs() as make:
        yield make


@pytest.fixture
def new_node() -> Iterator[NewNode]:
    with nodes() as make:
        yield make
