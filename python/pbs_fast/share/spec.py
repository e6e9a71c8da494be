"""Where the hubs are and how they know us: URLs, the site's secret, the password, TLS.

A URL is in the configuration, which everybody may read, so it holds no password. Secrets are systemd credentials
(systemd.exec(5), LoadCredential=) or files that only their owner reads.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from pbs_fast.errors import ConfigError
from pbs_fast.util.admin_files import read_admin_file

#: Of Valkey and Redis; a TLS port has no number of its own.
DEFAULT_PORT: Final = 6379
#: Scheme -> with TLS.
_SCHEMES: Final = {"valkey": False, "redis": False, "valkeys": True, "rediss": True}
_UNIX: Final = "unix"
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9._-]{1,16})?")
_USER: Final = re.compile(r"[^\x00-\x20\x7f]{1,255}")
#: The name of the file, and of the credential, with the hubs' password.
PASSWORD: Final = "hub.password"  # noqa: S105 - a name
#: Next to the secret, the one that is accepted while it is changed on one node after the other.
OLD: Final = ".old"
#: Bytes of a secret: from those of a 128-bit key in hexadecimal digits up to what nobody mistypes a file name for.
SHORTEST, LONGEST = 16, 4096
_CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
_DEFAULT_DIRECTORY: Final = "/etc/pbs-fast"


class HubUrl(NamedTuple):
    """One server."""

    text: str
    """As configured."""
    tls: bool
    user: str | None
    host: str
    """"" with a path."""
    port: int
    path: str | None
    """Of a Unix socket."""
    database: int

    @property
    def place(self) -> str:
        """`HOST:PORT`, or the path of the socket."""
        if self.path is not None:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_hub(text: str) -> HubUrl:
    """`valkey[s]://[USER@]HOST[:PORT][/DATABASE]`, `redis[s]://…`, or `unix://[USER@]/PATH`.

    Raises ValueError; for a URL with a password too.
    """
    parts = urlsplit(text)
    if parts.query or parts.fragment or parts.password is not None:
        raise ValueError(text)
    user = None if parts.username is None else unquote(parts.username)
    if user is not None and not _USER.fullmatch(user):
        raise ValueError(text)
    if parts.scheme == _UNIX:
        if parts.hostname or not parts.path.startswith("/"):
            raise ValueError(text)
        return HubUrl(text, False, user, "", 0, unquote(parts.path), 0)
    if parts.scheme not in _SCHEMES:
        raise ValueError(text)
    tls = _SCHEMES[parts.scheme]
    return HubUrl(text, tls, user, _host(parts), parts.port or DEFAULT_PORT, None, _database(parts.path))


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if not _HOST.fullmatch(host):
        raise ValueError(host)
    return host


def _database(path: str) -> int:
    if path in ("", "/"):
        return 0
    if not re.fullmatch(r"/[0-9]{1,4}", path):
        raise ValueError(path)
    return int(path[1:])


class Secrets(NamedTuple):
    """What only the nodes of a site know."""

    keys: tuple[bytes, ...]
    """The first signs; all are accepted."""
    password: str | None
    """Of this node's user at the hubs."""


def read_secrets(name: str, config_file: str | None = None) -> Secrets:
    """The secret `name`, the old one `name.old` if there is one, and the password `hub.password` if there is one.

    `name` is a path, or one word: a credential of the unit, else a file next to the configuration. Raises ConfigError.
    """
    places = _places(name, config_file)
    current = _secret(places, Path(name).name)
    if current is None:
        raise ConfigError(
            f"share.secret: there is no {' and no '.join(str(place / Path(name).name) for place in places)}; make one "
            "(openssl rand -hex 32, mode 0600) and give it to all nodes (docs/SHARING.md)"
        )
    old = _secret(places, Path(name).name + OLD)
    password = _read(places, PASSWORD)
    return Secrets(
        (current,) if old is None else (current, old), None if password is None else _text(password, PASSWORD)
    )


def _places(name: str, config_file: str | None) -> list[Path]:
    """Where to look, in this order."""
    if "/" in name:
        return [Path(name).parent]
    beside = Path(config_file).parent if config_file else Path(_DEFAULT_DIRECTORY)
    credentials = os.environ.get(_CREDENTIALS)
    return [Path(credentials), beside] if credentials else [beside]


def _secret(places: list[Path], name: str) -> bytes | None:
    found = _read(places, name)
    if found is not None and not SHORTEST <= len(found) <= LONGEST:
        raise ConfigError(
            f"{name}: a secret has {SHORTEST} to {LONGEST} bytes, not {len(found)}; make one: openssl rand -hex 32"
        )
    return found


def _text(value: bytes, name: str) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    if not text.isprintable() or not text:
        raise ConfigError(f"{name}: a password is one line of printable text")
    return text


def _read(places: list[Path], name: str) -> bytes | None:
    """The content without the line feed at its end; None if there is no such file."""
    for place in places:
        path = place / name
        try:
            if str(place) != os.environ.get(_CREDENTIALS):
                _require_private(path)
            return read_admin_file(path, LONGEST + 2).removesuffix(b"\n").removesuffix(b"\r")
        except FileNotFoundError:
            continue
        except OSError as error:
            advice = f"make its owner the daemon's account: chown pbs-fast {path}"
            if error.errno not in (errno.EACCES, errno.EPERM):
                advice = "name a file with one line"
            raise ConfigError(f"{path}: {error.strerror}; {advice}") from None
    return None


def _require_private(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConfigError(f"{path}: its mode {mode:04o} lets others use it; chmod 0600 {path}, and change the secret")
