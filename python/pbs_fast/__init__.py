"""pbs-fast: POP-before-SMTP for today's mail hubs.

A login in the mail log opens the relay for that client's address; `grace` seconds after the last
login it is shut again. See ARCHITECTURE.md for the parts and which way their imports run.
"""

from typing import TYPE_CHECKING

__version__: str

if not TYPE_CHECKING:

    def __getattr__(name: str) -> str:
        # Looked up when asked for: importlib.metadata takes 25 ms, a third of the start of a command.
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import version

        return version("pbs-fast")
