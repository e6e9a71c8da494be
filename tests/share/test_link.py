"""What a hub's fault is called, whichever class of error it comes as; and the pause after it."""

from __future__ import annotations

import errno
import socket
import ssl
import subprocess
import sys

import pytest
from valkey import exceptions

from pbs_fast.share.hub import LONGEST, SHORTEST, Pause
from pbs_fast.share.link import words
from pbs_fast.share.spec import parse_hub

URL = parse_hub("valkeys://pop1@10.0.0.11:6380")


def wrapped(cause: OSError) -> Exception:
    """As the library raises it: its own error, while it handles the system's."""
    try:
        try:
            raise cause
        except OSError:
            raise exceptions.ConnectionError("Error 1 connecting") from None
    except exceptions.ConnectionError as error:
        return error


def tls(verify_message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = verify_message
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (wrapped(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")), "Connection refused"),
        (wrapped(TimeoutError("timed out")), "no answer in time"),
        (exceptions.TimeoutError("Timeout reading from socket"), "no answer in time"),
        # An SSLError's errno 1 is no EPERM.
        (wrapped(tls("IP address mismatch")), "TLS: IP address mismatch"),
        (
            wrapped(PermissionError(errno.EPERM, "Operation not permitted")),
            "10.0.0.11:6380 is closed to us by the sandbox of our unit; systemctl edit pbs-fast: [Service] and "
            "IPAddressAllow=10.0.0.11",
        ),
        (
            wrapped(socket.gaierror(-3, "Temporary failure in name resolution")),
            "no address for 10.0.0.11: Temporary failure in name resolution (the unit's sandbox has no name server; "
            "give the hub's address)",
        ),
        (exceptions.OutOfMemoryError("command not allowed"), "OOM: command not allowed"),
        (exceptions.ReadOnlyError("You can't write\nagainst a read only replica."), None),
        (exceptions.AuthenticationError("Authentication required."), "NOAUTH: Authentication required"),
        (exceptions.AuthenticationError("invalid username-password pair"), "WRONGPASS: invalid username-password pair"),
        (exceptions.BusyLoadingError("Valkey is loading"), "LOADING: Valkey is loading"),
        (exceptions.NoPermissionError("this user has no permissions"), "NOPERM: this user has no permissions"),
        (exceptions.ConnectionError("Connection closed by server."), "Connection closed by server"),
        (KeyError("x"), "KeyError: 'x' (this is a bug; please report it)"),
    ],
)
def test_words(error: Exception, expected: str | None) -> None:
    assert words(error, URL) == (expected or "READONLY: You can't write against a read only replica")


def test_a_hub_that_never_answered_may_be_behind_our_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    late = wrapped(TimeoutError("timed out"))
    monkeypatch.delenv("INVOCATION_ID", raising=False)
    assert words(late, URL, reached=False) == "no answer in time"
    monkeypatch.setenv("INVOCATION_ID", "0" * 32)
    assert words(late, URL, reached=True) == "no answer in time"
    assert words(late, parse_hub("unix:///run/hub.sock"), reached=False) == "no answer in time"
    assert words(late, URL, reached=False) == (
        "no answer in time, perhaps because of the sandbox of our unit; systemctl edit pbs-fast: [Service] and "
        "IPAddressAllow=10.0.0.11"
    )


def test_the_pause_grows_at_random_up_to_its_bound() -> None:
    least, most = Pause(lambda: 0.0), Pause(lambda: 1.0)
    assert [least.next() for _ in range(12)] == [SHORTEST] * 12
    pauses = [most.next() for _ in range(12)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (2 * SHORTEST, LONGEST)
    most.reset()
    assert most.next() == 2 * SHORTEST


def test_a_daemon_that_shares_nothing_starts_without_the_libraries() -> None:
    code = "import sys; sys.modules.update(valkey=None, _ssl=None, ssl=None); import pbs_fast.daemon.assemble"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_library_that_the_library_needs_is_named() -> None:
    code = (
        "import sys; sys.modules['valkey.connection'] = None\n"
        "from pbs_fast.share.link import MissingLibraryError, require_library\n"
        "try: require_library()\n"
        "except MissingLibraryError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert "valkey.connection" in done.stdout
