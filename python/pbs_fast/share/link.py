"""One connection to a hub by valkey-py, which talks to Valkey and Redis, and a hub's faults in one line of words.

The library is imported here and only when a connection is made: it takes 0.1 s. What it does by default and we do not:
its TLS does not check the host name, and it tells the hub its own version, which our ACL does not allow.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pbs_fast.errors import ConfigError, PbsError
from pbs_fast.util.text import printable

if TYPE_CHECKING:
    from valkey import Valkey

    from pbs_fast.share.spec import HubUrl

#: Seconds that a connection may take to come about.
CONNECT: Final = 3.0
#: TCP asks an idle peer that may be gone after so many seconds, so often.
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
#: Bytes of an exchange that are sent in one piece: more than the messages of one turn have.
_AT_ONCE: Final = 1 << 20
#: What the drop-in must hold: systemd's filter of addresses (systemd.resource-control(5)) answers EPERM, or, as the TCP
#: of Linux 6 does not pass that on, leaves us waiting.
DROP_IN: Final = "[Service] and IPAddressAllow={host}"
#: Systemd sets this variable for each service (systemd.exec(5)).
_SERVICE: Final = "INVOCATION_ID"
#: Characters of a hub's words that are shown: a server's have 200 at most.
_LONGEST: Final = 400
#: What follows in the server's words are the arguments: rows, perhaps.
_ARGUMENTS: Final = ", with args beginning with"
#: Streams are trimmed by time (XADD MINID) from this version of Redis on; every Valkey does.
OLDEST_USABLE: Final = (6, 2)
#: The library's class -> the server's own word, which the library takes off.
_WORDS: Final = {
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "NoPermissionError": "NOPERM",
    "BusyLoadingError": "LOADING",
    "AuthenticationError": "WRONGPASS",
}


class MissingLibraryError(PbsError):
    """valkey is not installed."""


def require_library() -> None:
    """Raise MissingLibraryError if no hub could be reached."""
    try:
        import valkey  # noqa: F401 - is it there?
    except ImportError as error:  # also of a library that it needs itself
        raise MissingLibraryError(
            f"sharing grants needs the library valkey ({error}): pip install 'pbs-fast[share]', or leave share.hubs "
            "empty"
        ) from None


class TooOldError(PbsError):
    """The hub lacks what sharing needs."""


class About(NamedTuple):
    """What a hub tells of itself."""

    server: str
    """`redis` or `valkey`; "" where it tells nothing."""
    version: str
    mode: str
    """`standalone`, `cluster`, or `sentinel`."""

    @property
    def number(self) -> tuple[int, ...] | None:
        """The version of a Redis, as far as it can be compared: those of Valkey are all new enough."""
        parts = self.version.split(".")[:2]
        return tuple(map(int, parts)) if self.server == "redis" and all(map(str.isdecimal, parts)) else None


def check_ca(file: str) -> None:
    """Raise ConfigError if share.ca is no file of certificates that we can read."""
    import ssl

    try:
        ssl.create_default_context(cafile=file)
    except ssl.SSLError as error:
        raise ConfigError(f"share.ca: {file}: no certificates in it: {error.reason}") from None
    except OSError as error:
        raise ConfigError(f"share.ca: {file}: {error.strerror}; name the certificate of the hubs' authority") from None


def about(client: Any) -> About:
    """Ask a hub what it is (HELLO). Raises what the library raises, also where the hub does not know the question."""
    # With the version of the protocol: Redis 6.0 does not answer without.
    answer = client.execute_command("HELLO", 2)
    told: dict[str, str] = {}
    if isinstance(answer, list):
        told = {_text(key): _text(value) for key, value in zip(answer[::2], answer[1::2], strict=False)}
    return About(told.get("server", ""), told.get("version", ""), told.get("mode", ""))


def require_usable(client: Any) -> None:
    """Raise TooOldError for a hub whose answers to what we write would not tell that it is too old."""
    from valkey.exceptions import ResponseError

    try:
        found = about(client)
    except ResponseError:
        return  # it does not let us ask, and need not
    if found.number is not None and found.number < OLDEST_USABLE:
        raise TooOldError(f"Redis {found.version} is too old; sharing needs 7.0 or newer, or Valkey")


def connect(url: HubUrl, password: str | None, ca: str | None, timeout: float, name: str) -> Valkey:
    """A client with one connection, opened by its first command; each of its answers may take `timeout` seconds.

    `ca` names a file of certificates by which the hub's must be signed (besides those of the system); `name` is what
    the hub's CLIENT LIST shows.
    """
    from valkey import Valkey
    from valkey.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection

    from pbs_fast.share.answers import BoundedParser

    class AtOnce:
        """Sends an exchange in one piece. The library's own way, a call of the system before and after each string of
        6 KB, is half of what writing a message costs."""

        def _construct_command_packer(self, packer: Any) -> Any:
            self._buffer_cutoff = _AT_ONCE
            return super()._construct_command_packer(packer)  # type: ignore[misc]

    class OverTcp(AtOnce, Connection):
        pass

    class OverTls(AtOnce, SSLConnection):
        pass

    class OverSocket(AtOnce, UnixDomainSocketConnection):
        pass

    options: dict[str, Any] = {
        "db": url.database,
        # With the password alone, a hub whose default user has none would refuse it.
        "username": url.user or (password and "default"),
        "password": password,
        "socket_timeout": timeout,
        "socket_connect_timeout": CONNECT,
        "client_name": name,
        "lib_name": None,
        "lib_version": None,
        "parser_class": BoundedParser,
    }
    kind: type[Connection] | type[UnixDomainSocketConnection] = OverSocket
    if url.path is not None:
        options["path"] = url.path
    else:
        kind = OverTls if url.tls else OverTcp
        keepalive = {getattr(socket, name): n for name, n in _KEEPALIVE.items() if hasattr(socket, name)}
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Or the system goes on sending what a connection had that we gave up, and the hub takes it later than what
            # the next connection wrote (tcp(7)).
            keepalive[socket.TCP_USER_TIMEOUT] = int(timeout * 1000)
        options |= {"host": url.host, "port": url.port, "socket_keepalive": True}
        options["socket_keepalive_options"] = keepalive
    if url.tls:
        options |= {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_ca_certs": ca}
    # A pool of one: a second connection would mean that the first is still used.
    pool = ConnectionPool(connection_class=kind, max_connections=1, **options)
    # `close` of a client that was only given a pool leaves the connection to the garbage collector.
    return Valkey.from_pool(pool)


def words(error: BaseException, url: HubUrl, *, reached: bool = True) -> str:
    """What is wrong with a hub, for the log and `status`: the server's own words, or the system's, in one printable
    line of some length. `reached`: this process had an answer of it before."""
    return printable(_words(error, url, reached)[:_LONGEST])


def _words(error: BaseException, url: HubUrl, reached: bool) -> str:
    import ssl  # here, because a daemon that shares nothing starts sooner without it

    cause = _system_error(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"TLS: {cause.verify_message or cause.reason}"
    if isinstance(cause, ssl.SSLError):
        return f"TLS: {cause.reason or cause}"
    if isinstance(cause, socket.gaierror):
        where = "the unit's sandbox has no name server; give the hub's address"
        return f"no address for {url.host}: {cause.strerror} ({where})"
    if isinstance(cause, PermissionError) and cause.errno == errno.EPERM:
        return (
            f"{url.place} is closed to us by the sandbox of our unit; systemctl edit pbs-fast: "
            f"{DROP_IN.format(host=url.host)}"
        )
    if isinstance(cause, TimeoutError) or type(error).__name__ == "TimeoutError":
        if reached or url.path is not None or _SERVICE not in os.environ:
            return "no answer in time"
        drop_in = DROP_IN.format(host=url.host)
        return f"no answer in time, perhaps because of the sandbox of our unit; systemctl edit pbs-fast: {drop_in}"
    if isinstance(cause, FileNotFoundError) and url.tls:
        return f"share.ca: {cause.strerror}"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    name = type(error).__name__
    text = " ".join(str(error).partition(_ARGUMENTS)[0].split()).removesuffix(".") or name
    if name == "AuthenticationError" and text.startswith("Authentication required"):
        return f"NOAUTH: {text}"
    if name in _WORDS:
        return f"{_WORDS[name]}: {text}"
    is_known = isinstance(error, PbsError) or type(error).__module__.startswith("valkey")
    return text if is_known else f"{name}: {text} (this is a bug; please report it)"


def _system_error(error: BaseException) -> BaseException | None:
    """The system's error within one of the library's, which raises its own while handling it."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, OSError):
        seen = seen.__cause__ or seen.__context__
    return seen


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
