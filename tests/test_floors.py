"""The house: a module imports from its own floor or below, and nothing imports in a circle."""

from __future__ import annotations

import pytest
from import_graph import circles, import_graph, room, rust_graph

#: Ground first. A new room gets its place here.
FLOORS = [
    {"errors", "events", "_core", "__init__"},
    {"util", "log", "formats", "ledger", "serving"},
    {"sources", "tables", "config", "share", "caps", "metrics"},
    {"matching", "guards", "health"},
    {"daemon", "match", "replay", "bench", "legacy", "control", "doctor", "report"},
    {"cli"},
    {"__main__"},
]
FLOOR = {name: number for number, names in enumerate(FLOORS, 1) for name in names}


def test_every_room_has_a_floor() -> None:
    assert {room(module) for module in import_graph()} <= set(FLOOR)


def test_nothing_imports_upwards() -> None:
    upwards = [
        f"{module} (floor {FLOOR[room(module)]}) imports {other} (floor {FLOOR[room(other)]})"
        for module, others in import_graph().items()
        for other in others
        if FLOOR[room(module)] < FLOOR[room(other)]
    ]
    assert not upwards


@pytest.mark.parametrize("level", ["modules", "rooms", "rust"])
def test_nothing_imports_in_a_circle(level: str) -> None:
    graph = rust_graph() if level == "rust" else import_graph()
    assert len(graph) > 20
    if level == "rooms":
        rooms: dict[str, set[str]] = {}
        for module, others in graph.items():
            rooms.setdefault(room(module), set()).update(room(other) for other in others)
        graph = {name: frozenset(others - {name}) for name, others in rooms.items()}
    assert circles(graph) == []


def test_a_circle_would_be_noticed() -> None:
    assert circles({"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("a"), "d": frozenset("a")}) == [
        ["a", "b", "c"]
    ]
