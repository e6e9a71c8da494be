#!/usr/bin/env python3
"""Prints the import graph of the package between its rooms: boxes, arrows, circles and the sizes of modules.

    scripts/import_graph.py            # a summary
    scripts/import_graph.py --arrows   # and every arrow between rooms, with the number of imports behind it

A room is a folder of `python/pbs_fast`, or a module next to them. Every import counts, also one inside a function or
under TYPE_CHECKING. `tests/test_floors.py` uses the same functions.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "pbs_fast"
CORE = ROOT / "rust" / "core" / "src"

Graph = Mapping[str, frozenset[str]]


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Dotted name below the package ("" for the package itself) to file."""
    found = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def import_graph(package: Path = PACKAGE) -> dict[str, frozenset[str]]:
    """Which modules of the package each module imports; by dotted names below the package."""
    files = modules(package)
    return {name: frozenset(_imports(path, package.name, files) - {name}) for name, path in files.items()}


def _imports(path: Path, package: str, known: Mapping[str, Path]) -> set[str]:
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                named.add(inner if inner.removeprefix(f"{package}.") in known else node.module)
    return {name.removeprefix(package).lstrip(".") for name in named if name.split(".")[0] == package} & set(known)


_USE = re.compile(r"\bcrate::((?:\w+::)*\w+)")
_ONLY_TESTS = {"tests", "testing", "fuzzing"}


def rust_graph(core: Path = CORE) -> dict[str, frozenset[str]]:
    """Which modules of the Rust core each of them uses; `a::b` for a module in a folder. Tests are left out."""
    files = {}
    for path in core.rglob("*.rs"):
        parts = path.relative_to(core).with_suffix("").parts
        if parts != ("lib",) and not _ONLY_TESTS & set(parts):
            files["::".join(parts)] = path
    graph = {}
    for name, path in files.items():
        used = set()
        for match in _USE.finditer(path.read_text(encoding="utf-8").split("#[cfg(test)]")[0]):
            parts = match[1].split("::")
            known = ("::".join(parts[:length]) for length in range(len(parts), 0, -1))
            used.add(next((module for module in known if module in files), name))
        graph[name] = frozenset(used - {name})
    return graph


def room(module: str) -> str:
    """The box of the first level that a module lies in."""
    return module.split(".")[0] or "__init__"


def circles(graph: Graph) -> list[list[str]]:
    """Groups of nodes that import each other, directly or through others (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def between_rooms(graph: Graph) -> Counter[tuple[str, str]]:
    """Arrows between rooms, with how many imports each stands for."""
    pairs = ((room(module), room(other)) for module, others in graph.items() for other in others)
    return Counter((start, end) for start, end in pairs if start != end)


def _grouped(arrows: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    grouped: dict[str, set[str]] = {}
    for start, end in arrows:
        grouped.setdefault(start, set()).add(end)
    return {start: frozenset(ends) for start, ends in grouped.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--arrows", action="store_true", help="list every arrow between rooms")
    graph = import_graph()
    arrows = between_rooms(graph)
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in modules().values()]
    short = sum(1 for count in lines if count < 60)
    print(f"modules: {len(lines)}, {sum(lines)} lines, median {median(lines):.0f}, {short} under 60 lines")
    print(f"rooms:   {len({room(name) for name in graph})} boxes, {len(arrows)} arrows")
    for title, found in (("between modules", circles(graph)), ("between rooms", circles(_grouped(arrows)))):
        print(f"circles {title}: {len(found)}")
        for group in found:
            print(f"  {' '.join(group)}")
    found = circles(rust_graph())
    print(f"circles in the Rust core: {len(found)}")
    for group in found:
        print(f"  {' '.join(group)}")
    if parser.parse_args().arrows:
        for (start, end), count in sorted(arrows.items()):
            print(f"  {start} -> {end}  {count}")


if __name__ == "__main__":
    main()
