"""docs/MTA-POSTFIX.md around its tables: block lists, a separate port, what is missing, a table that is left."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from daemon.running import PROGRAM, Site, login
from mta import free_port, wait_for
from mta.guide import DOCS, blocks
from mta.postfix import LOCAL, Session, require_postfix, running
from pbs_fast.tables import list_rows

GUIDE = "MTA-POSTFIX.md"
A, OTHER = "203.0.113.5", "203.0.113.99"


@pytest.fixture
def site(directory: Path) -> Iterator[Site]:
    site = Site(directory)
    site.spec = f"lmdb:{site.place}/relay"
    yield site
    site.close()


def grant(site: Site) -> None:
    require_postfix("lmdb")
    site.start()
    site.append(login(A))
    site.wait_rows(A)


def test_block_lists(site: Site) -> None:
    """By the guide's list a client in the table passes a block list; in the list that it warns of, it is refused."""
    grant(site)
    listed = site.place / "listed"
    listed.write_text("203.0.113.0/24 REJECT listed\n")
    lines = blocks(GUIDE, site.place)
    relay, recipient = lines["main.cf lmdb"], lines["main.cf block lists"]
    (rbl,) = (line for line in recipient if "reject_rbl_client" in line)
    block = f"check_client_access cidr:{listed}"
    with running("static:none", main_cf=[*relay, *recipient[: recipient.index(rbl)], f"    {block}"]) as postfix:
        assert postfix.rcpt(A).relayed
        assert postfix.rcpt(A, f"bob@{LOCAL}").code == 250
        assert "listed" in postfix.rcpt(OTHER, f"bob@{LOCAL}").text
        assert postfix.rcpt(OTHER).code == 554
    with running("static:none", main_cf=[*relay, f"smtpd_client_restrictions = {block}"]) as postfix:
        assert "listed" in postfix.rcpt(A).text


def test_a_port_of_its_own(site: Site) -> None:
    grant(site)
    lines, port = blocks(GUIDE, site.place), free_port()
    elsewhere = "permit_auth_destination, reject_unauth_destination"
    with running("", restrictions=elsewhere, main_cf=lines["main.cf port"], start=False) as postfix:
        master = postfix.config / "master.cf"
        service = "\n".join(lines["master.cf port"]).replace("2525 ", f"127.0.0.1:{port} ")
        assert str(port) in service
        master.write_text(f"{master.read_text()}{service}\n")
        postfix.start()
        assert postfix.rcpt(A).denied
        with Session(port, A) as session:
            assert session.rcpt().relayed
        with Session(port, OTHER) as session:
            assert session.rcpt().denied


def test_without_a_refusal_there_is_no_mail() -> None:
    """Not an open relay: smtpd stops, with the words that the guide quotes."""
    text = " ".join((DOCS / GUIDE).read_text().split())
    said = text.partition("stops with `fatal: ")[2].partition(", …`")[0]
    assert said.startswith("in parameter smtpd_relay_restrictions")
    require_postfix()
    with running("static:none", restrictions="permit_mynetworks, permit_auth_destination", start=False) as postfix:
        postfix.launch()

        def stopped() -> bool:
            with suppress(OSError), socket.create_connection(("127.0.0.1", postfix.port), timeout=5) as connection:
                connection.settimeout(5)
                # XCLIENT is only known once greeted; a recipient is what it stops at.
                for line in ("EHLO x", "MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>"):
                    connection.recv(4096)
                    connection.sendall(f"{line}\r\n".encode())
                connection.recv(4096)
            return said in postfix.logged()

        assert wait_for("its end", stopped)


def test_leaving_a_type(site: Site) -> None:
    first, second = (word.partition("=")[2] for word in blocks(GUIDE, site.place)["run both"][0].split()[2:])
    site.spec = first
    daemon = site.start(f"--table={second}")
    site.append(login(A))
    site.wait_rows(A)
    assert daemon.stop() == 0
    site.spec = second
    site.start()
    (line,) = blocks(GUIDE, site.place)["clear"]
    program, *words = line.split()
    assert program == "pbs-fast"
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list_rows(first) == []
    assert [key for key, _ in list_rows(second)] == [A]
