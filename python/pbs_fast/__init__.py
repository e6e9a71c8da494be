"""pbs-fast: POP-before-SMTP for today's mail hubs.

A login in the mail log opens the relay for that client's address; `grace` seconds after the last
login it is shut again. See ARCHITECTURE.md for the parts and which way their imports run.
"""

from typing import TYPE_CHECKING

__version__: str

if not TYPE_CHECKING:

    def __getattr__(name: str) -> str:
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return _version()


def _version() -> str:
    """The installed version, as `importlib.metadata` finds it, whose import takes a tenth of the start of a command.

    The directory of an installation carries it in its name (the binary distribution format of packaging.python.org).
    """
    import os
    import re
    import sys
    from contextlib import suppress

    for entry in sys.path:
        names: list[str] = []
        with suppress(OSError):
            names = os.listdir(entry or ".")  # noqa: PTH208
        versions = [found[1] for name in names if (found := re.fullmatch(r"pbs_fast-([^-]+)\.dist-info", name))]
        if len(versions) == 1:
            return versions[0]
        if versions:
            break
    from importlib.metadata import version

    return version("pbs-fast")
