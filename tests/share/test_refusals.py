"""Whatever keeps this node from using a hub: the hub's threads and `pbs-fast doctor` name it, each in one line, and
doctor finds no hub in order that the daemon cannot use."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from mta import free_port, private_directory, unavailable, wait_for
from pbs_fast.config.read import read_file
from pbs_fast.config.settings import merge
from pbs_fast.doctor.share import check_hubs
from pbs_fast.doctor.site import Site
from pbs_fast.health.finding import Finding
from share.hubs import ACL, PASSWORD, SECRET, SITE, Hub, NewHub, hubs, programs
from share.threads import used

pytestmark = pytest.mark.system

COMMANDS = ACL.partition("-@all ")[2].replace("+", "").split()
KEYS = [word.format(site=SITE, node="pop1") for word in ACL.split() if word[0] in "%R" and "~" in word]
#: What neither is needed to share; doctor does without them.
SPARE = {"xrange", "hello", "auth", "acl|whoami"}


def looked(url: str, *, password: str = PASSWORD, ca: Path | None = None, trusts: str = "pop2") -> list[Finding]:
    """What doctor finds of a hub."""
    place = private_directory("doctor")
    try:
        for name, content in (("share.secret", SECRET), ("hub.password", password)):
            (place / name).touch(0o600)
            (place / name).write_text(content)
        keys = [f'hubs = ["{url}"]', f'site = "{SITE}"', 'node = "pop1"', f'from = ["{trusts}"]']
        keys += [f'ca = "{ca}"'] if ca else []
        (place / "pbs.toml").write_text("\n".join(["[share]", *keys]) + "\n")
        return list(check_hubs(Site(merge(read_file(str(place / "pbs.toml")), ()), [])))
    finally:
        shutil.rmtree(place)


def failures(findings: list[Finding]) -> str:
    return "\n".join(f"{each.evidence} | {each.advice}" for each in findings if each.level == "fail")


# -- what the administrator of a hub may have set: all on one hub --------------------


def users(hub: Hub, commands: list[str], keys: list[str]) -> None:
    rights = ["resetkeys", *keys, "-@all", *(f"+{each}" for each in commands)]
    hub.admin.execute_command("ACL", "SETUSER", "pop1", *rights)


def lacks(command: str) -> Callable[[Hub], object]:
    return lambda hub: users(hub, [each for each in COMMANDS if each != command], KEYS)


def without_keys(kind: str) -> Callable[[Hub], object]:
    return lambda hub: users(hub, COMMANDS, [each for each in KEYS if not each.startswith(kind)])


def holds_text(key: str) -> Callable[[Hub], object]:
    def change(hub: Hub) -> None:
        hub.admin.delete(key)
        hub.admin.set(key, "of another program")

    return change


def cannot_save(hub: Hub) -> None:
    """A disk that is full, or away."""
    gone = hub.place / "gone"
    gone.mkdir()
    hub.config("dir", str(gone))
    gone.rmdir()
    hub.config("save", "1 1")
    hub.admin.set("cache", 1)
    hub.admin.bgsave()
    wait_for("the failure", lambda: hub.admin.info("persistence")["rdb_last_bgsave_status"] != "ok")


REFUSALS: dict[str, tuple[Callable[[Hub], object], str]] = {
    **{f"no {each}": (lacks(each), "NOPERM: ") for each in COMMANDS if each not in SPARE},
    "may not write": (without_keys("%W"), "NOPERM: "),
    "may not read others": (without_keys("%R~"), "NOPERM: "),
    "may not know names": (without_keys("%RW"), "NOPERM: "),
    "a replica": (lambda hub: hub.admin.replicaof("127.0.0.1", 1), "READONLY: "),
    "too few replicas": (lambda hub: hub.config("min-replicas-to-write", "1"), "NOREPLICAS "),
    "full": (lambda hub: hub.config("maxmemory", "1"), "OOM: "),
    "a disk that fails": (cannot_save, "MISCONF "),
    "our stream is something else": (holds_text(f"pbs-fast:{{{SITE}}}:n:pop1"), "WRONGTYPE "),
    "the stream of another is something else": (holds_text(f"pbs-fast:{{{SITE}}}:n:pop2"), "WRONGTYPE "),
    "the names are something else": (holds_text(f"pbs-fast:{{{SITE}}}:nodes"), "WRONGTYPE "),
    "too many clients": (lambda hub: hub.config("maxclients", "1"), "max number of clients reached"),
}


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with hubs() as make:
        yield make(options=("enable-protected-configs yes",))


@pytest.mark.parametrize("what", REFUSALS)
def test_what_a_hub_refuses(hub: Hub, what: str) -> None:
    change, words = REFUSALS[what]
    hub.restart()
    url = hub.url("pop1")
    assert used(url) == []
    assert [each.level for each in looked(url)] == ["ok"]
    with hub.admin as admin:
        admin.ping()  # before there are too many
        change(SimpleNamespace(admin=admin, config=admin.config_set, place=hub.place))  # type: ignore[arg-type]
        said = used(url)
        assert any(each.startswith(words) for each in said), said
        assert words in failures(looked(url)), what


@pytest.mark.parametrize("command", sorted(SPARE))
def test_what_is_not_needed(hub: Hub, command: str) -> None:
    hub.restart()
    users(hub, [each for each in COMMANDS if each != command], KEYS)
    assert used(hub.url("pop1")) == []
    assert not failures(looked(hub.url("pop1")))


# -- servers that are no hub --------------------


def test_a_command_with_another_name(new_hub: NewHub) -> None:
    """What is refused is in nobody's log."""
    hub = new_hub(options=('rename-command XADD ""',))
    said = used(hub.url("pop1"))
    assert said == ["unknown command 'XADD'"], said
    assert "unknown command 'XADD'" in failures(looked(hub.url("pop1")))
    silent = new_hub(options=('rename-command HELLO ""',))
    assert used(silent.url("pop1")) == []
    assert [each.level for each in looked(silent.url("pop1"))] == ["note", "ok"]


def test_a_cluster_without_slots_and_one_with_all(new_hub: NewHub) -> None:
    hub = new_hub(acl=False, options=("cluster-enabled yes",))
    assert any(each.startswith("CLUSTERDOWN ") for each in used(hub.url()))
    assert "CLUSTERDOWN " in failures(looked(hub.url()))
    hub.admin.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    wait_for("the cluster", lambda: not used(hub.url()))
    assert not failures(looked(hub.url()))


def test_a_sentinel(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "sentinel.conf").write_text(f"port {port}\ndir {tmp_path}\n")
    process = subprocess.Popen(
        [programs()[0], str(tmp_path / "sentinel.conf"), "--sentinel"], stdout=subprocess.DEVNULL
    )
    try:
        url = f"valkey://127.0.0.1:{port}"
        wait_for("the Sentinel", lambda: "Connection refused" not in used(url))
        assert "unknown command 'XREVRANGE'" in used(url)
        assert "is a Sentinel" in failures(looked(url))
    finally:
        process.kill()
        process.wait()


# -- TLS --------------------


def test_tls(new_hub: NewHub, tmp_path: Path) -> None:
    hub, plain = new_hub(tls=True), new_hub()
    assert used(hub.url("pop1"), ca=hub.ca) == []
    assert [each.level for each in looked(hub.url("pop1"), ca=hub.ca)] == ["ok"]
    for url, words, advice in (
        (hub.url("pop1"), "TLS: self-signed certificate in certificate chain", ""),
        (hub.url("pop1").replace("valkeys:", "valkey:"), "reset by peer", "speaks TLS: write valkeys://"),
        (plain.url("pop1").replace("valkey:", "valkeys:"), "no answer in time", "does not speak TLS"),
    ):
        assert any(words in each for each in used(url)), url
        found = failures(looked(url))
        assert words in found
        assert advice in found
    (tmp_path / "empty.pem").touch()
    for ca, words in (
        (tmp_path / "none.pem", "none.pem: No such file or directory; name the certificate"),
        (tmp_path / "empty.pem", "empty.pem: no certificates in it: "),
    ):
        assert words in failures(looked(hub.url("pop1"), ca=ca))
    assert "share.ca: No such file or directory" in used(hub.url("pop1"), ca=tmp_path / "none.pem")


def test_a_certificate_that_has_expired(new_hub: NewHub) -> None:
    hub = new_hub(tls=True)
    signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "0", "-extfile", "hub.ext"]
    subprocess.run(
        ["openssl", "x509", "-req", "-in", "hub.csr", *signed, "-out", "hub.crt"],
        cwd=hub.place,
        check=True,
        capture_output=True,
    )
    hub.restart()
    assert "TLS: certificate has expired" in used(hub.url("pop1"), ca=hub.ca)
    assert "TLS: certificate has expired" in failures(looked(hub.url("pop1"), ca=hub.ca))


# -- names, addresses, passwords --------------------


def test_users_and_passwords_with_odd_characters(hub: Hub) -> None:
    hub.restart()
    user, password = "o@d:d/é%41", "pä%40:@/#?$&'\"\\ "
    hub.admin.execute_command("ACL", "SETUSER", user, "on", f">{password}", "~*", "+@all")
    url = f"valkey://{quote(user, safe='')}@127.0.0.1:{hub.port}"
    assert used(url, password=password) == []
    assert not failures(looked(url, password=password))
    assert used(f"unix://{quote(user, safe='')}@{hub.socket}", password=password) == []


def test_a_hub_with_an_ipv6_address(new_hub: NewHub) -> None:
    if not Path("/proc/net/if_inet6").exists():
        unavailable("there is no IPv6 here")
    hub = new_hub(bind="127.0.0.1 ::1")
    url = f"valkey://pop1@[::1]:{hub.port}"
    assert used(url) == []
    assert [each.level for each in looked(url)] == ["ok"]


def test_a_name_with_several_addresses_of_which_the_first_is_dead(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.restart()
    real = socket.getaddrinfo

    def found(host: str, *rest: object, **more: object) -> object:
        ips = ["127.0.0.2", "127.0.0.1"] if host == "hub.example.org" else [host]
        return [each for ip in ips for each in real(ip, *rest, **more)]  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    assert used(f"valkey://pop1@hub.example.org:{hub.port}") == []


def test_a_name_server_that_does_not_answer_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the hub's threads wait, and a stop does not wait for them."""
    asked, end = threading.Event(), threading.Event()

    def hangs(*_: object, **__: object) -> object:
        asked.set()
        end.wait(60)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    with ExitStack() as stack:
        stack.callback(end.set)
        assert used("valkey://pop1@hub.example.org", until=asked.is_set) == []
        end.set()
        said = used("valkey://pop1@hub.example.org")
        assert all(each.startswith("no address for hub.example.org: Temporary failure") for each in said), said
