"""What logrotate will do with a log: the file that it creates, by its configuration (logrotate(8)).

Pure but for reading `/etc/logrotate.conf` and what it includes. Raises nothing: what cannot be read says nothing.
"""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pbs_fast.util.admin_files import read_admin_file

_CONFIGURATION: Final = "etc/logrotate.conf"
#: Configuration files that are read.
_MOST_FILES: Final = 500
_SCRIPTS = ("prerotate", "postrotate", "firstaction", "lastaction", "preremove")
_OCTAL = re.compile(r"0?[0-7]{3,4}")

Way = Literal["create", "copytruncate", "nocreate"]


class Rotation(NamedTuple):
    """What becomes of a log."""

    file: str
    """The configuration file that names it."""
    way: Way
    mode: int | None = None
    """The new file's; None: as the old one's."""
    owner: str | None = None
    group: str | None = None

    @property
    def words(self) -> str:
        """`0640 root adm`; "" where all is as it was."""
        mode = None if self.mode is None else f"{self.mode:04o}"
        return " ".join(part for part in (mode, self.owner, self.group) if part)


class _Block(NamedTuple):
    file: str
    patterns: tuple[str, ...]
    way: Rotation | None
    """None: it says nothing."""


def rotation_of(log: str, root: Path = Path("/")) -> Rotation | None:
    """How logrotate treats this log (an absolute path); None where its configuration does not name it."""
    everybody: Rotation | None = None
    found: _Block | None = None
    for block in _blocks(root / _CONFIGURATION, root, []):
        if not block.patterns:
            everybody = block.way or everybody
        elif any(fnmatch.fnmatchcase(log, pattern) for pattern in block.patterns) and found is None:
            found = block
    if found is None:
        return None
    way = found.way or everybody
    return Rotation(found.file, "nocreate") if way is None else way._replace(file=found.file)


def _blocks(path: Path, root: Path, seen: list[Path]) -> Iterator[_Block]:
    if path in seen or len(seen) >= _MOST_FILES:
        return
    seen.append(path)
    try:
        text = read_admin_file(path).decode("utf-8", "replace")
    except OSError:
        return
    file = f"/{path.relative_to(root)}"
    patterns: list[str] = []
    inside, script = False, False
    way: Rotation | None = None
    for raw in text.splitlines():
        line = raw.strip()
        if script:
            script = line != "endscript"
        elif not line or line.startswith("#"):
            continue
        elif inside:
            if line.startswith("}"):
                yield _Block(file, tuple(patterns), way)
                patterns, inside, way = [], False, None
            else:
                word = line.split()[0]
                script = word in _SCRIPTS
                way = _way(line, file, way)
        elif line.startswith(("/", '"', "'", "{")) or line.endswith("{"):
            patterns += _words(line.removesuffix("{"))
            inside = line.endswith("{")
        elif line.startswith("include "):
            place = root / line.split(None, 1)[1].strip().lstrip("/")
            with suppress(OSError):
                for each in sorted(place.iterdir()) if place.is_dir() else [place]:
                    yield from _blocks(each, root, seen)
        elif (global_way := _way(line, file, None)) is not None:
            yield _Block(file, (), global_way)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def _way(line: str, file: str, before: Rotation | None) -> Rotation | None:
    """What the directive makes of the rotation; `before` where it is none of these."""
    name, *words = line.split()
    if name in ("copytruncate", "nocreate"):
        # copytruncate has precedence over create (logrotate(8)).
        return Rotation(file, "copytruncate" if name == "copytruncate" else "nocreate")
    if name != "create" or (before is not None and before.way == "copytruncate"):
        return before
    mode = int(words.pop(0), 8) if words and _OCTAL.fullmatch(words[0]) else None
    return Rotation(file, "create", mode, *[*words, None, None][:2])
