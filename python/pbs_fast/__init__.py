"""pbs-fast: POP-before-SMTP for today's mail hubs.

A login in the mail log opens the relay for that client's address; `grace` seconds after the last
login it is shut again. See ARCHITECTURE.md for the parts and which way their imports run.
"""

from importlib.metadata import version as _version

__version__ = _version("pbs-fast")
