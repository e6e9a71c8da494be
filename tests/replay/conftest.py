from daemon.conftest import new_site

__all__ = ["new_site"]
