"""The units under the real systemd as process 1 of a private machine (boot.sh): what the hardening leaves works.

One boot for all tests, about half a minute; the tests look at what its script wrote. With a systemd before 254 it is
Type=notify; test_reload.py has the drop-in with Type=notify-reload in any case.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pbs_fast
from mta import alone, private_directory, require, unavailable
from packages import PACKAGING, tool
from packages.test_units import version

_SCRIPT = r"""
exec 9>>/out/said; BASH_XTRACEFD=9; set -x
login() {
    echo "$(date -u +%Y-%m-%dT%H:%M:%S+00:00) hub dovecot: imap-login: Login: user=<ann>, method=PLAIN," \
        "rip=$1, lip=192.0.2.10, mpid=71, TLS, session=<9mVjWnQ7pQDLAHEF>" >>/var/log/mail.log
}
# What the table itself holds, whatever the daemon says.
rows() { pbs-fast list --dbfile=/var/lib/pbs-fast/relay; }
until_in_table() {
    for _ in $(seq 1200); do rows | grep -qw "$1" && return; sleep 0.05; done
}
until_said() {
    for _ in $(seq 1200); do journalctl -q -u pbs-fast | grep -qF "$1" && return; sleep 0.05; done
}
note() { "$@" >/out/$name 2>&1; echo $? >/out/$name.status; }
show() { systemctl show pbs-fast "$@"; }
main_pid() { show -P MainPID; }

systemctl start systemd-journald.service
# What a distribution gives: a mail log that adm may read, a Postfix whose networks are those of its interfaces.
: >/var/log/mail.log; chown root:adm /var/log/mail.log; chmod 0640 /var/log/mail.log
printf 'compatibility_level = 3.6\nmynetworks_style = subnet\n' >/etc/postfix/main.cf
postconf -h mynetworks >/out/networks

login 203.0.113.1
name=start note systemctl start pbs-fast
name=list note pbs-fast list
login 203.0.113.2
until_in_table 203.0.113.2
sleep 2.5
name=shown note show -p Type -p ActiveState -p StatusText -p NRestarts -p WatchdogUSec
name=doctor note pbs-fast doctor --json
stat -c '%a %U %G %n' /var/lib/pbs-fast /var/lib/pbs-fast/* /var/log/pbs-fast >/out/modes
cat /proc/$(main_pid)/status >/out/process
name=files note nsenter -t $(main_pid) -m touch /var/lib/pbs-fast/may /etc/may-not /var/log/may-not
rm -f /var/lib/pbs-fast/may

# Who may do what on which socket, each as a client of its own account.
cat >/tmp/ask.py <<'PYTHON'
import json, os, socket, sys
who, name, do, *rest = sys.argv[1:]
uid, groups = {"root": (0, [0]), "own": (OWN, [OWN]), "adm": (65534, [65534, ADM]), "stranger": (65534, [65534])}[who]
os.setgroups(groups), os.setresgid(*[groups[0]] * 3), os.setresuid(uid, uid, uid)
with socket.socket(socket.AF_UNIX) as client:
    client.settimeout(20)
    try:
        client.connect(f"/run/pbs-fast/{name}")
        client.sendall(json.dumps({"v": 1, "id": 1, "do": do, **json.loads("".join(rest) or "{}")}).encode() + b"\n")
        reply = json.loads(client.makefile("rb").readline())
        print(who, name, do, reply["error"]["code"] if "error" in reply else "ok")
    except PermissionError:
        print(who, name, do, "EACCES")
PYTHON
sed -i "s/OWN/$(id -u pbs-fast)/g; s/ADM/$(getent group adm | cut -d: -f3)/" /tmp/ask.py
ask() { /opt/python/bin/python3 /tmp/ask.py "$@"; }
stat -c '%a %U %G %n' /run/pbs-fast/* >/out/sockets
for socket in control status; do
    for who in root own adm stranger; do
        ask $who $socket ping; ask $who $socket undo '{"user": "nobody"}'
    done
done >/out/rights 2>&1
# Whoever gets to the socket of changes, because somebody opened its mode, is still refused.
chmod 0666 /run/pbs-fast/control
for who in root own adm stranger; do ask $who control status; done >/out/peers 2>&1
ask root control grant '{"ip": "203.0.113.99", "for": 3600, "reason": "by hand"}' >/out/granted
ask root control revoke '{"ip": "203.0.113.2"}' >>/out/granted
name=restart_manual note systemctl restart pbs-fast
name=list_manual note rows
ask root status status >>/out/granted

name=reap note systemctl start pbs-fast-reap
echo 'what = "is this"' >/etc/pbs-fast/deny.toml
name=reload_bad note systemctl reload pbs-fast
# The unit's kill may be over before a busy machine let us say that we reload, and systemd before 253 then waits for
# nothing: the file is to be there until it was read.
until_said 'deny.toml'
rm /etc/pbs-fast/deny.toml
name=reload note systemctl reload pbs-fast

# A log of its own, debug lines in it, and the networks as postconf gave them inside.
sed -i 's|^#logto|logto|; s|^#debug = false|debug = true|' /etc/pbs-fast/pbs-fast.toml
systemctl restart pbs-fast
login 203.0.113.3
login "$(sed 's/.* \([0-9.]*\)\.0\/[0-9]* .*/\1.77/' /out/networks)"
until_in_table 203.0.113.3
cat /var/log/pbs-fast/pbs-fast.log >/out/log
stat -c '%a %U %n' /var/log/pbs-fast/pbs-fast.log >>/out/modes

# The other two places for our own log.
for target in journal syslog; do
    sed -i "s|^logto = .*|logto = \"$target\"|" /etc/pbs-fast/pbs-fast.toml
    systemctl restart pbs-fast
    login 203.0.113.$((${#target} + 100))
    until_in_table 203.0.113.$((${#target} + 100))
done

# Today's default: no mail log but the journal.
sed -i 's|^#watchlog = .*|watchlog = ["journal:"]|; s|^logto|#logto|; s|^debug = true|debug = false|' \
    /etc/pbs-fast/pbs-fast.toml
# logger must live until journald has looked at its process, or journald does not learn the unit.
printf '[Service]\nType=oneshot\nExecStart=/bin/sh -c "(echo %s; sleep 2; journalctl --sync) | logger -t dovecot"\n' \
    "'imap-login: Login: user=<eve>, method=PLAIN, rip=203.0.113.90, lip=192.0.2.10, mpid=7, TLS, session=<9mVj>'" \
    >/run/systemd/system/dovecot.service
systemctl daemon-reload
systemctl restart pbs-fast
systemctl start dovecot
until_in_table 203.0.113.90
name=list_journal note rows
pgrep -a journalctl >/out/children

# A loop that hangs: systemd must miss the sign of life, kill, and start it again.
mkdir -p /run/systemd/system/pbs-fast.service.d
printf '[Service]\nWatchdogSec=4s\n' >/run/systemd/system/pbs-fast.service.d/soon.conf
systemctl daemon-reload
systemctl restart pbs-fast
sleep 5
name=watched note show -p NRestarts -p ActiveState
kill -STOP $(main_pid)
for _ in $(seq 1200); do [ "$(show -P NRestarts)" = 1 ] && break; sleep 0.05; done
for _ in $(seq 1200); do [ "$(show -P ActiveState)" = active ] && break; sleep 0.05; done
name=hung note show -p NRestarts -p ActiveState
name=list_hung note rows

# The policy service: enabled, the next start of the daemon brings its socket. Questions during a restart wait.
cat >/tmp/policy.py <<'PYTHON'
import os, pwd, socket, sys, time
who, seconds = pwd.getpwnam(sys.argv[1]), float(sys.argv[2])
os.setgroups([who.pw_gid]), os.setresgid(*[who.pw_gid] * 3), os.setresuid(*[who.pw_uid] * 3)
end, answers = time.monotonic() + seconds, []
while True:
    with socket.socket(socket.AF_UNIX) as smtpd:
        smtpd.settimeout(60)
        try:
            smtpd.connect("/var/spool/postfix/pbs/policy")
            smtpd.sendall(b"request=smtpd_access_policy\nprotocol_state=RCPT\n")
            smtpd.sendall(b"instance=1\nclient_address=%b\n\n" % sys.argv[3].encode())
            answers.append(smtpd.recv(4096).decode().strip() or "closed")
        except OSError as error:
            answers.append(type(error).__name__)
    if time.monotonic() > end:
        break
    time.sleep(0.02)
print(*sorted(set(answers)), sep="\n")
PYTHON
policy() { /opt/python/bin/python3 /tmp/policy.py "$@"; }
sed -i 's|^#table = .*|table = ["policy:unix:pbs/policy?alone"]|' /etc/pbs-fast/pbs-fast.toml
systemctl enable pbs-fast-policy.socket
systemctl restart pbs-fast
stat -c '%a %U %G %n' /var/spool/postfix/pbs /var/spool/postfix/pbs/* >/out/policy
name=policy_asked note policy postfix 0 203.0.113.90
name=policy_unknown note policy postfix 0 203.0.113.91
name=policy_stranger note policy nobody 0 203.0.113.90
name=policy_restart note policy postfix 6 203.0.113.90 &
sleep 1
systemctl restart pbs-fast
wait $!
sed -i 's|^table = .*|#table = []|' /etc/pbs-fast/pbs-fast.toml

name=stop note systemctl stop pbs-fast
name=policy_stopped note ls /var/spool/postfix/pbs
name=sockets_stopped note ls /run/pbs-fast
name=stopped note show -p ActiveState -p Result
name=list_stopped note rows
echo 'grce = 1' >/etc/pbs-fast/pbs-fast.toml
name=start_bad note systemctl start pbs-fast
sleep 3
name=refused note show -p NRestarts -p ActiveState -p ExecMainStatus
journalctl --sync
journalctl -o json --no-pager >/out/journal
kill -s RTMIN+13 1
"""


#: What the package for a newer systemd has in it, too.
SINCE_254 = """
mkdir -p /etc/systemd/system/pbs-fast.service.d
cp /opt/packaging/systemd/since-254.conf /etc/systemd/system/pbs-fast.service.d/
systemctl daemon-reload
"""


class Machine:
    """What the boot left behind."""

    def __init__(self, out: Path) -> None:
        self._out = out

    def text(self, name: str) -> str:
        return (self._out / name).read_text()

    def status(self, name: str) -> int:
        return int(self.text(f"{name}.status"))

    def shown(self, name: str) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.text(name).splitlines())

    def entries(self, unit: str) -> list[dict[str, str]]:
        """What the unit's processes wrote to the journal."""
        entries = [json.loads(line) for line in self.text("journal").splitlines()]
        return [entry for entry in entries if entry.get("_SYSTEMD_UNIT") == f"{unit}.service"]

    def about(self, unit: str) -> list[str]:
        """What systemd wrote about the unit."""
        entries = [json.loads(line) for line in self.text("journal").splitlines()]
        return [str(entry["MESSAGE"]) for entry in entries if entry.get("UNIT") == f"{unit}.service"]

    def of_systemd(self) -> list[str]:
        """All that systemd itself wrote."""
        entries = [json.loads(line) for line in self.text("journal").splitlines()]
        return [str(entry["MESSAGE"]) for entry in entries if entry.get("_PID") == "1"]

    def journal(self, unit: str) -> list[tuple[int, str]]:
        """The same as priority and text."""
        return [(int(entry["PRIORITY"]), entry["MESSAGE"]) for entry in self.entries(unit)]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return boot(_SCRIPT if version() < 254 else SINCE_254 + _SCRIPT, tmp_path_factory)


def boot(text: str, tmp_path_factory: pytest.TempPathFactory, newer: str = "") -> Machine:
    """Boot, let the script run, and keep what it wrote; `newer` is the directory of another systemd."""
    require("postconf", "Postfix")
    tool("systemd")
    tool("systemd-sysusers")
    place, out = private_directory("boot"), private_directory("booted")
    script = place.with_name(place.name + ".script")
    package = Path(pbs_fast.__file__).parent
    site = next(path for path in sys.path if path.endswith("site-packages"))
    script.write_text(text)
    unshare = [tool("unshare"), "--mount", "--pid", "--fork", "--cgroup", "--ipc", "--uts", "--kill-child"]
    possible = subprocess.run(
        [*unshare, "sh", "-c", f"mount --make-rprivate / && mount -t cgroup2 cgroup2 {place}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if possible.returncode:
        unavailable(f"no systemd of our own can be booted here: {possible.stderr.strip()}")
    words = [
        "sh",
        Path(__file__).with_name("boot.sh"),
        place,
        out,
        PACKAGING,
        sys.base_prefix,
        package.parent,
        site,
        script,
    ]
    # `timeout` outside of Python: what was written until then is worth more than an exception.
    command = [tool("timeout"), "--signal=KILL", "200", *unshare, *map(str, words)]
    try:
        environment = {**os.environ, "NEWER": newer}
        # Two would call control groups of one parent by the same names.
        with alone("boot"):
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        said = (out / "said").read_text() if (out / "said").exists() else ""
        assert (out / "journal").exists(), f"{done.stdout}{done.stderr}{said}"
        kept = Path(shutil.copytree(out, tmp_path_factory.mktemp("booted") / "out"))
    finally:
        script.unlink()
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(out, ignore_errors=True)
    return Machine(kept)


def test_started_means_that_the_tables_are_in_order(machine: Machine) -> None:
    assert machine.status("start") == 0, machine.journal("pbs-fast")
    assert [line.split()[0] for line in machine.text("list").splitlines()] == ["ADDRESS", "203.0.113.1"]


def test_the_state_is_shown(machine: Machine) -> None:
    shown = machine.shown("shown")
    assert shown["Type"] == ("notify" if version() < 254 else "notify-reload")
    assert (shown["ActiveState"], shown["NRestarts"], shown["WatchdogUSec"]) == ("active", "0", "2min")
    assert shown["StatusText"].startswith("2 addresses may relay")


def test_the_sandbox_is_shut(machine: Machine) -> None:
    process = dict(line.split(":", 1) for line in machine.text("process").splitlines())
    assert int(process["CapEff"], 16) == int(process["CapBnd"], 16) == 0
    assert process["NoNewPrivs"].strip() == "1"
    assert process["Seccomp"].strip() == "2"
    assert "0" not in process["Uid"].split()
    said = machine.text("files")
    assert "/etc/may-not" in said
    assert "/var/log/may-not" in said
    assert "Read-only file system" in said
    assert "/var/lib/pbs-fast/may" not in said


def test_modes(machine: Machine) -> None:
    modes = {name: mode for mode, _, name in (line.rpartition(" ") for line in machine.text("modes").splitlines())}
    table = next(
        mode for name, mode in modes.items() if name.startswith("/var/lib/pbs-fast/relay") and "own" not in name
    )
    assert table == "644 pbs-fast pbs-fast", "the MTA reads it"
    assert modes["/var/lib/pbs-fast"] == "755 pbs-fast pbs-fast"
    assert modes["/var/log/pbs-fast"] == "750 pbs-fast pbs-fast"
    assert modes["/var/log/pbs-fast/pbs-fast.log"] == "640 pbs-fast"


def test_nothing_is_missing_inside(machine: Machine) -> None:
    """No warning at all but those that the script provokes: neither /proc nor postconf nor a log is out of reach."""
    warnings = [text for priority, text in machine.journal("pbs-fast") if priority <= 4]
    # The journal is younger than the mail log, and this Postfix asks no table.
    provoked = ("deny.toml", "grce", "rows that no log explains are kept", "no smtpd asks", "by the guard deny")
    assert [text for text in warnings if not any(each in text for each in provoked)] == []


def test_postconf_inside_sees_this_machines_networks(machine: Machine) -> None:
    """The last login came from the network of an interface, which `mynetworks_style = subnet` makes local."""
    networks = machine.text("networks").split()
    assert len(networks) > 1, networks
    assert "ignoring local-net ip=" in machine.text("log")
    assert "203.0.113.3 to DB" in machine.text("log")


def test_reload_is_waited_for_and_a_bad_one_goes_on(machine: Machine) -> None:
    assert machine.status("reload_bad") == machine.status("reload") == 0
    (warning,) = [text for priority, text in machine.journal("pbs-fast") if priority == 4 and "deny.toml" in text]
    assert "the previous settings stay in force" in warning


def test_reap_leaves_an_owned_table_and_writes_nothing_about_it(machine: Machine) -> None:
    """288 times a day: neither its own line nor systemd's three."""
    assert machine.status("reap") == 0
    assert machine.entries("pbs-fast-reap") == machine.about("pbs-fast-reap") == []
    assert machine.about("pbs-fast"), "systemd's lines are in the journal"


def test_systemd_takes_every_line_of_the_units(machine: Machine) -> None:
    """A complaint begins with file and line; what the kernel refuses on a busy machine has no line."""
    complaints = [text for text in machine.of_systemd() if re.search(r"pbs-fast\S*:\d+: ", text)]
    assert complaints == []


def test_a_loop_that_hangs_is_restarted(machine: Machine) -> None:
    assert machine.shown("watched") == {"NRestarts": "0", "ActiveState": "active"}, "one that turns is not"
    assert machine.shown("hung") == {"NRestarts": "1", "ActiveState": "active"}
    assert "203.0.113.1" in machine.text("list_hung")


def test_the_journal_can_be_followed_from_inside(machine: Machine) -> None:
    assert "203.0.113.90\n" in machine.text("list_journal")
    assert "journalctl" in machine.text("children")


@pytest.mark.parametrize("target", ["journal", "syslog"])
def test_our_own_log_in_the_journal_and_by_syslog(target: str, machine: Machine) -> None:
    """journald is the syslog daemon here; it says by which way an entry came, and splits ours into its fields."""
    ip = f"203.0.113.{len(target) + 100}"
    said = [each for each in machine.entries("pbs-fast") if each["MESSAGE"].startswith(f"added {ip} to DB ")]
    (entry,) = [each for each in said if each["_TRANSPORT"] == target]
    assert entry["SYSLOG_IDENTIFIER"] == "pbs-fast"
    assert (entry["SYSLOG_FACILITY"], entry["PRIORITY"]) == ("2", "6")
    debug = [each for each in machine.entries("pbs-fast") if each["PRIORITY"] == "7" and each["_TRANSPORT"] == target]
    assert debug, "debug = true"


def test_the_sockets_are_those_of_the_units(machine: Machine) -> None:
    assert machine.text("sockets") == "600 root root /run/pbs-fast/control\n660 root adm /run/pbs-fast/status\n"
    said = [text for _, text in machine.journal("pbs-fast")]
    assert any("control sockets from systemd in /run/pbs-fast: control, status" in text for text in said)


def test_who_may_do_what(machine: Machine) -> None:
    """The table of SECURITY.md: the mode decides on `status`, which only reads; `control` is root's."""
    rights = {(who, name, do): result for who, name, do, result in map(str.split, machine.text("rights").splitlines())}
    assert rights == {
        (who, name, do): result
        for who, on_control, on_status in (
            ("root", ("ok", "unknown"), ("ok", "denied")),
            ("own", ("EACCES", "EACCES"), ("EACCES", "EACCES")),
            ("adm", ("EACCES", "EACCES"), ("ok", "denied")),
            ("stranger", ("EACCES", "EACCES"), ("EACCES", "EACCES")),
        )
        for name, results in (("control", on_control), ("status", on_status))
        for do, result in zip(("ping", "undo"), results, strict=True)
    }


def test_the_uid_decides_on_control_whatever_its_mode_says(machine: Machine) -> None:
    """PrivateUsers=yes shows everybody but root and us as one uid, which is neither."""
    assert machine.text("peers").splitlines() == [
        "root control status ok",
        "own control status ok",
        "adm control status denied",
        "stranger control status denied",
    ]


def test_a_restart_keeps_what_was_done_by_hand(machine: Machine) -> None:
    assert machine.text("granted").splitlines() == [
        "root control grant ok",
        "root control revoke ok",
        "root status status ok",
    ]
    assert machine.status("restart_manual") == 0
    assert machine.text("list_manual") == "The database holds 2 IPs:\n\t203.0.113.1\n\t203.0.113.99\n"


def test_the_policy_service_on_its_socket(machine: Machine) -> None:
    """Without any drop-in: the unit may not write there, nor give a socket to Postfix's group."""
    assert (
        machine.text("policy")
        == "755 root root /var/spool/postfix/pbs\n660 root postfix /var/spool/postfix/pbs/policy\n"
    )
    assert machine.text("policy_asked") == "action=OK\n"
    assert machine.text("policy_unknown") == "action=DUNNO\n"
    assert machine.text("policy_stranger") == "PermissionError\n"
    assert machine.text("policy_stopped") == ""


def test_questions_during_a_restart_wait(machine: Machine) -> None:
    """But for those that meet the moment in which systemd listens anew, because the socket is part of the service, and
    those under way when the daemon ends: Postfix asks them again a second later (smtpd_policy_service_try_limit)."""
    answers = machine.text("policy_restart").splitlines()
    assert "action=OK" in answers
    slow = "action=DEFER 4.3.0 the log is still being read"  # where a start takes three seconds
    again = {"closed", "ConnectionResetError", "ConnectionRefusedError", "PermissionError", "FileNotFoundError"}
    assert set(answers) <= {"action=OK", slow, *again}


def test_a_stop_takes_the_sockets_with_it(machine: Machine) -> None:
    """Else the next question would start the daemon again."""
    assert machine.text("sockets_stopped") == ""


def test_a_stop_is_a_clean_end_and_keeps_the_rows(machine: Machine) -> None:
    assert machine.status("stop") == 0
    assert machine.shown("stopped") == {"ActiveState": "inactive", "Result": "success"}
    assert machine.text("list_stopped") == machine.text("list_hung")


def test_a_refused_configuration_is_not_tried_again(machine: Machine) -> None:
    assert machine.status("start_bad") == 1
    assert machine.shown("refused") == {"NRestarts": "0", "ActiveState": "failed", "ExecMainStatus": "2"}
    assert any("grce" in text for _, text in machine.journal("pbs-fast"))


def test_doctor_looks_as_the_service_and_at_its_unit(machine: Machine) -> None:
    """On a machine whose Postfix does not ask the table yet, and whose timer nobody enabled."""
    found = json.loads(machine.text("doctor"))
    levels = {(each["code"], each["level"]): each["evidence"] for each in found["findings"]}
    assert machine.status("doctor") == 1
    assert [code for code, level in levels if level == "fail"] == ["postfix.wired"], found
    assert "/var/log/mail.log: pbs-fast reads it" in levels["log.read", "ok"]
    assert "pbs-fast.service is active" in levels["unit", "ok"]
    assert "pbs-fast-reap.timer is inactive" in levels["table.owner", "warn"]
    assert " as postfix: " in levels["table.read", "ok"]
    assert levels["daemon", "ok"]
