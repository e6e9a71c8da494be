"""Runs a program's installed command and signals it while it starts: at each import, or at the first of one module.

python signalled.py SIGHUP|SIGTERM|SIGINT MODULE|each pbs-fast run OPTION...
"""

from __future__ import annotations

import os
import signal
import sys
from importlib.abc import MetaPathFinder
from importlib.metadata import entry_points

#: What has to be imported before anything can be noted.
FIRST = ("pbs_fast", "pbs_fast.__main__", "pbs_fast.util", "pbs_fast.util.early_signals")


class Signaller(MetaPathFinder):
    """Finds nothing, but is asked for each module first."""

    def __init__(self, number: signal.Signals, module: str) -> None:
        self._number, self._module = number, module

    def find_spec(self, name: str, path: object, target: object = None) -> None:  # noqa: ARG002
        ours = name.startswith("pbs_fast") and name not in FIRST
        if name == self._module or (self._module == "each" and (ours or name == "typer")):
            if self._module != "each":
                sys.meta_path.remove(self)
            os.kill(os.getpid(), self._number)


if __name__ == "__main__":
    number, module, program = signal.Signals[sys.argv[1]], sys.argv[2], sys.argv[3]
    sys.argv = sys.argv[3:]
    (command,) = entry_points(group="console_scripts", name=program)
    sys.meta_path.insert(0, Signaller(number, module))
    sys.exit(command.load()())
