"""Checks a configuration of rsyslog: it escapes control characters unless that is turned off.

Source of the facts: rsyslog's documentation of `$EscapeControlCharactersOnReceive` and of
`global(parser.escapeControlCharactersOnReceive=...)`, both `on` by default; measured in SECURITY.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pbs_fast.health.loggers.files import MOST_FILES, Finding, UnreadableError, is_mail_log, read_text, unknown

_CONFIGURATION = "etc/rsyslog.conf"
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
_SETTING = re.compile(
    r"^\s*\$EscapeControlCharactersOnReceive\s+(?P<old>\w+)"
    r"|\bparser\.escapeControlCharactersOnReceive\s*=\s*\"(?P<new>\w+)\"",
    re.IGNORECASE | re.MULTILINE,
)
_INCLUDE = re.compile(
    r"^\s*\$IncludeConfig\s+(?P<old>\S+)|\binclude\s*\(\s*file\s*=\s*\"(?P<new>[^\"]+)\"", re.IGNORECASE | re.MULTILINE
)
_PATH = re.compile(r"(?<![\w/])/[\w./-]+")


def rsyslog_findings(logs: Sequence[str], root: Path) -> list[Finding]:
    """The finding that escaping is switched off, where a mail log is written; none where it is on."""
    try:
        files = _files(root)
    except UnreadableError as error:
        return [unknown("rsyslog", error, logs)]
    off = ""
    for name, text in files.items():
        for setting in _SETTING.finditer(text):
            off = name if (setting["old"] or setting["new"]).lower() == "off" else ""
    written = [path for text in files.values() for path in _PATH.findall(text) if path in logs or is_mail_log(path)]
    if not off or not written:
        return []
    text = (
        f"{off}: EscapeControlCharactersOnReceive is off, so rsyslog writes line feeds in user names to {written[0]} "
        "and a stranger can forge logins there; remove the setting (SECURITY.md)"
    )
    return [Finding("rsyslog", off, written[0], tuple(log for log in logs if log in written), text)]


def _files(root: Path) -> dict[str, str]:
    """Name and text, without comments, of the configuration and what it includes. Raises UnreadableError."""
    files: dict[str, str] = {}
    waiting = [root / _CONFIGURATION]
    while waiting:
        path = waiting.pop(0)
        if str(path) in files or not path.exists():
            continue
        if len(files) >= MOST_FILES:
            raise UnreadableError(f"{path}: more than {MOST_FILES} files are included")
        text = _COMMENT.sub("", read_text(path))
        files[str(path)] = text
        for include in _INCLUDE.finditer(text):
            pattern = (include["old"] or include["new"]).lstrip("/")
            # Only what is named by its absolute path, as rsyslog's documentation wants it.
            waiting += sorted(root.glob(pattern.removesuffix("/") + "/*" if pattern.endswith("/") else pattern))
    return files
