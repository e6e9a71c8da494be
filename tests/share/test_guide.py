"""docs/SHARING.md is done: certificate, hubs, users, nodes, commands; and each fault that it names is tested."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from daemon.running import PROGRAM, Daemon, login
from mta import free_port, unavailable, wait_for
from mta.guide import DOCS, blocks
from pbs_fast.doctor import unit
from pbs_fast.share.spec import PASSWORD, parse_hub
from share.hubs import ACL, in_turn
from share.nodes import Node, nodes

GUIDE = blocks("SHARING.md")
A = "203.0.113.5"
#: As an administrator has put one in; a new node's line is made from that user's.
AT_SMTP1 = "0e55c1f2"
SYSTEM = pytest.mark.system

# What each row of the table is held by: file and test.
HELD = {
    "one of two hubs is dead": "test_hub_faults.test_one_of_several_hubs_is_enough",
    "all hubs are dead": "test_hub_faults.test_all_hubs_dead",
    "a hub hangs": "test_hub_faults.test_one_of_several_hubs_is_enough",
    "a hub is slow": "test_hub_faults.test_a_slow_hub_makes_new_grants_late_and_messages_long",
    "a hub is flushed, or restarts empty": "test_hub_faults.test_what_a_hub_lost_is_sent_again",
    "a failover behind the URL loses writes": "test_hub_faults.test_what_a_hub_lost_is_sent_again",
    "a full hub evicts our streams (`allkeys-*`)": "test_hub_faults.test_what_a_hub_lost_is_sent_again",
    "a full hub evicts others' keys (`volatile-*`)": "test_hub_faults.test_a_hub_that_lost_nothing_gets_nothing_again",
    "a hub takes nothing (`OOM`, `READONLY`)": "test_hub_faults.test_a_hub_that_takes_nothing_is_down_with_its_words",
    "a hub refuses us (password, rights, TLS name)": "test_flow.test_a_hub_that_refuses_is_a_state_with_its_words",
    "a node is cut off": "test_partitions.test_a_node_alone",
    "two halves with a hub each": "test_partitions.test_two_halves_with_a_hub_each",
    "a node's clock is wrong or is set": "test_node_faults.test_a_node_whose_clock_is_wrong_and_is_set",
    "a hub's clock is set by an hour": "test_node_faults.test_hubs_whose_clocks_are_set_by_an_hour",
    "a node restarts, or is killed": "test_node_faults.test_a_node_that_is_killed_and_started_again",
    "a node is gone for good": "test_flow.test_a_node_that_is_gone_is_silent_and_can_be_forgotten",
    "two daemons with one name": "test_node_faults.test_two_daemons_with_one_name",
    "root on a node is hostile": "test_node_faults.test_a_poisoned_node",
    "a stranger writes to the hub": "test_node_faults.test_a_stranger_who_writes_to_the_hub",
    "a hub's password is stolen, the secret is not": "test_hub_faults.test_what_a_hub_lost_is_sent_again",
    "secret and password are stolen": "test_node_faults.test_the_secret_is_changed_without_a_gap",
    "all nodes reconnect at once": "test_link.test_the_pause_grows_at_random_up_to_its_bound",
}


def test_each_fault_of_the_table_is_tested() -> None:
    table = (DOCS / "SHARING.md").read_text().partition("## What each fault costs\n")[2]
    rows = re.findall(r"(?m)^\| ([^|]+) \|", table.partition("\n\n")[0])
    assert rows[1:] == list(HELD)
    for held in HELD.values():
        file, _, name = held.partition(".")
        tree = ast.parse(Path(__file__).with_name(f"{file}.py").read_text())
        assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}, held


class Place:
    """The guide's two hubs and its nodes on loopback, all files in one directory."""

    def __init__(self, top: Path, stack: ExitStack) -> None:
        self.top, self.ports = top, [free_port(), free_port()]
        self._stack, self._new_node = stack, stack.enter_context(nodes())
        self._programs = in_turn()

    def on(self, lines: list[str], number: int = 0, etc: str = "pbs-fast") -> str:
        """A block for this machine: a hub's port and directory, a node's directory."""
        text = "\n".join(lines)
        for hub in (0, 1):
            text = text.replace(f"10.0.0.1{hub + 1}:6380", f"127.0.0.1:{self.ports[hub]}")
        text = text.replace("10.0.0.11", "127.0.0.1").replace("6380", str(self.ports[number]))
        text = text.replace("/etc/redis", f"{self.top}/hub{number}").replace("-o pbs-fast ", "")
        text = text.replace("-o redis -g redis ", "")
        return text.replace("/etc/pbs-fast", f"{self.top}/{etc}")

    def run(self, lines: list[str], number: int = 0, etc: str = "pbs-fast") -> str:
        """A block of commands with `pbs-fast` of this checkout and the node's configuration; what they print."""
        text = self.on(lines, number, etc)
        text = re.sub(r"(?m)^pbs-fast (.*)$", rf"{PROGRAM} \1 --config={self.top}/{etc}/pbs.toml", text)
        done = subprocess.run(
            ["sh", "-c", text], cwd=self.top, capture_output=True, text=True, check=False, timeout=120
        )
        told = done.stderr.replace("-----\n", "")  # of openssl
        assert not told or "writing new private key" in told or "signature ok" in told.lower(), done
        return done.stdout + done.stderr

    def start_hub(self, number: int) -> None:
        """As its block says."""
        place = self.top / f"hub{number}"
        place.mkdir()
        (self.top / "users.acl").write_text("\n".join(GUIDE["users"]).replace("PASSWORD-OF-SMTP1", AT_SMTP1) + "\n")
        self.run(GUIDE["certificate"], number)
        self.run(["openssl verify -x509_strict -CAfile hub-ca.pem hub.crt"])  # as Python 3.13 does
        self.run(GUIDE["hub files"], number)
        text = self.on(GUIDE["hub"], number)
        (place / "redis.conf").write_text(f"{text}\ndir {place}\nlogfile {place}/log\n")
        process = subprocess.Popen([next(self._programs), str(place / "redis.conf")], stdout=subprocess.DEVNULL)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)

    def node(self, name: str, lines: list[str]) -> tuple[Node, Daemon]:
        """One with the guide's part of the configuration, secrets as the unit hands them over, started."""
        node: Node = self._new_node(name, [], logs=name != "smtp1")
        etc = self.top / name
        etc.symlink_to(node.place)
        keys = tomllib.loads(self.on(lines, etc=name))
        assert (name == "smtp1") == (keys.get("watchlog") == ["none:"])
        share = self.on([line for line in lines if not line.startswith("watchlog")], etc=name)
        node.configure("")
        text = re.sub(r"(?m)^share\..*\n", "", node.config.read_text())
        node.config.write_text(f"{text}{share}\n")
        for file in ("share.secret", PASSWORD):
            (node.place / file).unlink()
        (node.place / PASSWORD).touch(0o600)
        (node.place / PASSWORD).write_text(f"{AT_SMTP1 if name == 'smtp1' else 'PASSWORD-OF-POP1'}\n")
        (node.place / "share.secret").touch(0o600)
        shutil.copy(self.top / "pbs-fast" / "share.secret", node.place / "share.secret")
        shutil.copy(self.top / "pbs-fast" / "hub-ca.pem", node.place)
        return node, node.start()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    for tool in ("openssl", "redis-cli"):
        if shutil.which(tool) is None:
            unavailable(f"{tool} is not installed")
    with ExitStack() as stack:
        yield Place(tmp_path, stack)


@SYSTEM
def test_the_guide(place: Place) -> None:
    (place.top / "pbs-fast").mkdir()
    place.run(GUIDE["authority"])
    place.run(GUIDE["secrets"])
    assert (place.top / "pbs-fast" / PASSWORD).stat().st_mode & 0o777 == 0o600
    for number in (0, 1):
        place.start_hub(number)
    (pop, _), (smtp, _) = place.node("pop1", GUIDE["pop1"]), place.node("smtp1", GUIDE["smtp1"])
    pop.append(login(A, "mallory@example.org"))
    smtp.wait_rows(A)
    for node in (pop, smtp):
        node.wait_up()
    wait_for("the other", lambda: smtp.status()["nodes"] and smtp.status()["nodes"][0]["heard"])
    looked = place.run(GUIDE["look"], etc="smtp1")
    assert looked.count(" up") >= 2, looked
    for number in (0, 1):
        assert f"valkeys://smtp1@127.0.0.1:{place.ports[number]} serves this node, and lets it write" in " ".join(
            looked.split()
        ), looked
    undone = place.run(GUIDE["revoke"], etc="smtp1")
    assert "in force on 2 of 2 nodes" in undone, undone
    pop.wait_rows()
    for number in (0, 1):
        assert place.run(GUIDE["add"], number).endswith("OK\n")
        assert (
            "user pop2 on >PASSWORD-OF-POP2 %W~pbs-fast:{example}:n:pop2 "
            in (place.top / f"hub{number}/users.acl").read_text()
        )
    forgotten = place.run(GUIDE["forget"], etc="smtp1")
    assert 'DEL "pbs-fast:{example}:n:pop2"' in forgotten, forgotten


@SYSTEM
def test_the_rounds_of_a_change_of_the_secret(place: Place) -> None:
    """What the nodes do with these files: test_node_faults."""
    etc = place.top / "pbs-fast"
    etc.mkdir()
    old, new = "old-secret-of-the-site", "new-secret-of-the-site"
    (place.top / "NEW").write_text(new)
    (etc / "share.secret").write_text(old)
    found = []
    for number, lines in enumerate((GUIDE["first round"], GUIDE["second round"], GUIDE["third round"])):
        place.run(lines)
        found.append({file.name: file.read_text() for file in etc.iterdir()})
        assert all(file.stat().st_mode & 0o777 == 0o600 for file in etc.iterdir() if number)
    assert found == [
        {"share.secret": old, "share.secret.old": new},
        {"share.secret": new, "share.secret.old": old},
        {"share.secret": new},
    ]


def test_the_drop_in_lets_the_unit_do_it() -> None:
    keys: dict[str, list[str]] = {}
    for line in GUIDE["unit"][1:]:
        key, _, value = line.partition("=")
        keys.setdefault(key, []).append(value)
    urls = tomllib.loads("\n".join(GUIDE["pop1"]))["share"]["hubs"]
    properties = {"IPAddressDeny": "0.0.0.0/0 ::/0", "IPAddressAllow": keys["IPAddressAllow"][0]}
    assert not list(unit._talks(properties, [parse_hub(url) for url in urls]))
    assert keys["LoadCredential"] == [f"{name}:/etc/pbs-fast/{name}" for name in ("share.secret", PASSWORD)]


def test_the_users_are_those_of_the_tests() -> None:
    """Each may do what the tests' users may, and no more."""
    for name in ("pop1", "smtp1"):
        line = ACL.format(node=name, password=f"PASSWORD-OF-{name.upper()}", site="example")
        assert line in GUIDE["users"]
