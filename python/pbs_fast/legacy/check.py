"""`import-config --check`: what a log grants with the imported configuration, compared with the old program.

Both replay the whole log with each line's timestamp as the current time and write nothing: `pbs-fast run --reprocess
--once --nowrite` and `pop-before-smtp --reprocess --nowrite`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pbs_fast.errors import ConfigError
from pbs_fast.legacy.convert import Conversion
from pbs_fast.legacy.evaluate import Old

#: Where distributions put the Perl program, before what PATH says: our own second program has its name.
_OLD_PROGRAMS = ("/usr/sbin/pop-before-smtp", "/usr/local/sbin/pop-before-smtp", "/usr/bin/pop-before-smtp")
_ADDED = re.compile(r"(?:added|found ip=) ?([0-9A-Fa-f:.]+)")
#: Seconds that the old program is given for the log; it says at its end that it has reached it.
_PATIENCE = 3600
_END = "reached end of log file"


def compare(old: Old, found: Conversion, log: str, say: Callable[[str], object]) -> int:
    """Say which addresses are granted by whom; the exit status: 3 when the two differ.

    Raises ConfigError when the imported configuration does not work, or the old program fails.
    """
    if not os.access(log, os.R_OK):
        raise ConfigError(f"cannot read the log {log}; give one that is there, to --check")
    ours = _ours(found, log)
    say(f"{log}: {len(ours)} addresses would be granted under the imported configuration")
    program = next((path for path in _OLD_PROGRAMS if _is_perl(path)), None)
    if program is None:
        for ip in sorted(ours):
            say(f"  {ip}")
        say("the old program is not installed here, so there is nothing to compare with")
        return 0
    theirs = _theirs(program, old.path, log)
    say(f"{program} grants {len(theirs)}")
    for ip in sorted(ours - theirs):
        say(f"  only pbs-fast: {ip}")
    for ip in sorted(theirs - ours):
        say(f"  only the old program: {ip}")
    return 3 if ours != theirs else 0


def _ours(found: Conversion, log: str) -> set[str]:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "pbs-fast.toml")
        file.write_text(found.toml)
        command = [sys.executable, "-m", "pbs_fast", "run", f"--config={file}", f"--watchlog={log}", "--dbfile=null:"]
        done = subprocess.run(  # noqa: S603 - ourselves
            [*command, "--debug", "--nowrite", "--reprocess", "--once", "--logto=-"],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise ConfigError(f"the imported configuration does not work yet: {said}")
    return set(_ADDED.findall(done.stdout))


def _theirs(program: str, config: str, log: str) -> set[str]:
    """The old program goes on following when it has reached the end, so it is ended then."""
    command = [program, f"--config={config}", "--nowrite", "--debug", "--reprocess", f"--watchlog={log}", "--logto=-"]
    granted: set[str] = set()
    output: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    with subprocess.Popen(command, **output) as old:  # noqa: S603 - the program that the administrator has run so far
        assert old.stdout is not None  # noqa: S101 - a pipe was asked for
        limit = threading.Timer(_PATIENCE, old.kill)
        limit.start()
        try:
            for line in old.stdout:
                granted.update(_ADDED.findall(line))
                if _END in line:
                    old.terminate()
                    return granted
        finally:
            limit.cancel()
    raise ConfigError(
        f"{program} ended before it had read {log}, or took more than {_PATIENCE} s; run it by hand: "
        f"{' '.join(command)}"
    )


def _is_perl(path: str) -> bool:
    found = shutil.which(path)
    return found is not None and b"perl" in Path(found).read_bytes()[:100]
