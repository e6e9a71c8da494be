"""Chooses the backend: Rust if it is installed, Python if it is not, an error if it is broken.

A broken native module is never ignored silently: the fallback is an order of magnitude slower, and users would not know
why. A backend is imported only when it is chosen.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import pbs_fast
from pbs_fast.errors import CoreError, UsageError

if TYPE_CHECKING:
    from pbs_fast.guards.answers import Near
    from pbs_fast.matching import protocol
    from pbs_fast.share.message import Native
    from pbs_fast.share.own_rows import Doubtful, Lists

#: Environment variable that holds the default choice.
VARIABLE = "PBS_FAST_CORE"

CHOICES = ("auto", "rust", "python")

_NATIVE = "pbs_fast._core"


@dataclass(frozen=True, slots=True)
class Backend:
    """One backend, ready for use, and why it was chosen."""

    name: Literal["rust", "python"]
    Matcher: type[protocol.Matcher]
    Stream: type[protocol.Stream]
    PostfixLines: type[protocol.PostfixLines]
    unusual_begins: protocol.UnusualBegins
    shared_rows: Native | None
    """What reads other nodes' messages of rows; None where `share.message` does it alone."""
    own_rows: tuple[Lists, Doubtful] | None
    """What writes our own (`share.own_rows.NativeRows`); None where `share.own_rows` does it alone."""
    near_addresses: Near | None
    """What tells which addresses begin like a network; None where `guards.answers` does it alone."""
    profile: str
    """How it was built or what runs it: `release`, `debug`, or the interpreter's name and version."""
    reason: str
    """Why this backend, in a few words for `version`, the log and the benchmark's record."""


def load_backend(choice: str | None = None) -> Backend:
    """The backend that `choice` (auto, rust, python) names; by default that of PBS_FAST_CORE, else auto.

    Raises UsageError for an unknown choice, and CoreError if the native module is broken or of another version, or if
    it is requested but not installed.
    """
    choice, asked = _choice(choice)
    if choice == "python":
        return _python(asked)
    if importlib.util.find_spec(_NATIVE) is not None:
        return _rust(asked)
    if choice == "rust":
        raise CoreError(
            f"{asked}: this installation has no Rust backend ({_NATIVE}); install a wheel made for this machine"
            " (pip install --force-reinstall pbs-fast), or use --core=auto"
        )
    return _python("this installation has no Rust backend")


def _choice(choice: str | None) -> tuple[str, str]:
    """The choice, and where it comes from."""
    if choice is None:
        choice = os.environ.get(VARIABLE) or "auto"
        asked = f"{VARIABLE}={choice}"
    else:
        asked = f"--core={choice}"
    if choice not in CHOICES:
        nearest = difflib.get_close_matches(choice.lower(), CHOICES, n=1, cutoff=0)[0]
        raise UsageError(f"{asked}: no such core; did you mean {nearest}? ({', '.join(CHOICES)})")
    return choice, asked if choice != "auto" else "auto: the Rust backend is installed"


def _rust(reason: str) -> Backend:
    remedy = f"reinstall pbs-fast, or set {VARIABLE}=python to use the slower Python backend"
    try:
        core = importlib.import_module(_NATIVE)
        version = core.VERSION
    except (ImportError, AttributeError, SystemError) as error:
        cause = " ".join(str(error).split())
        raise CoreError(f"{_NATIVE}: the Rust backend is installed but cannot be loaded ({cause}); {remedy}") from error
    if version != pbs_fast.__version__:
        raise CoreError(
            f"{_NATIVE}: the Rust backend has version {version}, the package {pbs_fast.__version__}; {remedy}"
        )
    from pbs_fast.matching import rust as native

    classes = native.Matcher, native.Stream, native.PostfixLines, core.unusual_begins
    own_rows = core.shared_lists, core.doubtful_rows
    return Backend("rust", *classes, core.shared_rows, own_rows, core.near_addresses, core.PROFILE, reason)


def _python(reason: str) -> Backend:
    from pbs_fast.matching.python import engine_check

    # Before anything is compiled that a faulty engine would misread.
    engine_check.check()
    from pbs_fast.matching.python.begins import unusual_begins
    from pbs_fast.matching.python.catalogue import Matcher
    from pbs_fast.matching.python.postfix import PostfixLines
    from pbs_fast.matching.python.stream import Stream

    profile = f"{platform.python_implementation()} {platform.python_version()}"
    # Its Stream takes only the Matcher and the Scans of its own backend, which the protocol cannot express.
    classes = Matcher, cast("type[protocol.Stream]", Stream), PostfixLines, unusual_begins
    return Backend("python", *classes, None, None, None, profile, reason)
