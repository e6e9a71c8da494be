"""The tag under which this machine's Dovecot logs, which `instance_name` sets: asked of its own command `doveconf`."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Final

#: doveconf reads the configuration (4 ms); what takes longer waits for a dead network file system.
TIMEOUT_S: Final = 5.0
#: Dovecot's default.
DEFAULT: Final = "dovecot"
#: A name that is a tag without any doubt (docs/MATCHING.md, 3).
_TAG: Final = re.compile(r"[A-Za-z0-9._+@-]{1,64}")


def instance_name() -> str | None:
    """`instance_name` of the Dovecot that is installed here; None without one, or where it cannot be read.

    The setting is that of doveconf(1): the identifier in syslog is the instance's name (src/master/main.c).
    """
    if (program := shutil.which("doveconf")) is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - found on PATH, no shell
            [program, "-h", "instance_name"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    name = done.stdout.decode("utf-8", "replace").strip()
    return name if done.returncode == 0 and _TAG.fullmatch(name) else None
