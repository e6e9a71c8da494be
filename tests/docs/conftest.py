"""The documents' tests run daemons as tests/daemon does, in sites of the same kind."""

from daemon.conftest import new_site

__all__ = ["new_site"]
