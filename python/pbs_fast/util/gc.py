"""Keeps the cyclic garbage collector from repeatedly traversing rows, which are in no cycle."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: Collections of middle-aged objects between two of all: never, in a life of ours.
_NEVER: Final = 1_000_000_000
#: Young objects between two collections: a start makes 10⁵ objects, nearly all of which stay (Python's own: 700).
_YOUNG: Final = 20_000


@contextmanager
def rare_collections() -> Iterator[None]:
    """Collect rarely, and not when the process ends: for the whole of a program.

    Python collects at its end what the operating system frees anyway, by a walk over all objects; of a command of
    150 ms, that walk took 16 ms and the collections before it 8 (measured, Python 3.11).
    """
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
    try:
        yield
    finally:
        gc.freeze()


@contextmanager
def collector_aside() -> Iterator[None]:
    """No cyclic collection meanwhile; afterwards it is on or off as before.

    A replay makes 10⁵ rows, and the collector walks those that live again and again: with it the ledger of 138,000
    grants takes twice the time (measured, Python 3.11). What is no longer used goes by its count as ever.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            _grow_old()
            gc.enable()


def _grow_old() -> None:
    """Count all objects as old ones. The next collection, of the young, would walk every row that was made meanwhile:
    0.2 s for the logins of a day. Nothing changes where some are frozen, as they would not stay so."""
    if not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()


@contextmanager
def old_objects_aside() -> Iterator[None]:
    """Collect young objects only. A cycle that grew old before it became garbage stays; the main loop makes no cycles.

    A collection of all walks all old objects whenever their number has grown by a quarter: the rows above all. With
    34,000 of them that took 60 ms (measured, Python 3.11), in which no login is granted; with a million it is a second.
    """
    young, middle, old = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(young, middle, _NEVER)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)
        gc.unfreeze()
