"""Installations of Postfix, sound and broken, in the shapes that people run; written anew, none is copied.

TABLE stands for our table `lmdb:DIR/relay`, PLACE for its path, DIR for the installation's directory. A shape is a
main.cf and a master.cf; a broken one also says what doctor must find.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from mta import unavailable
from pbs_fast.util.commands import find_program

DEBIAN_MASTER = """\
smtp      inet  n       -       y       -       -       smtpd
pickup    unix  n       -       y       60      1       pickup
cleanup   unix  n       -       y       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
"""
SUBMISSION = """\
submission inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o smtpd_recipient_restrictions=
"""
AMAVIS = """\
127.0.0.1:10025 inet n  -       y       -       -       smtpd
  -o content_filter=
  -o smtpd_client_restrictions=
  -o smtpd_relay_restrictions=permit_mynetworks,reject
  -o smtpd_recipient_restrictions=permit_mynetworks,reject
  -o mynetworks=127.0.0.0/8
"""
RELAY = """\
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, permit_auth_destination,
    check_client_access TABLE,
    reject_unauth_destination
"""
#: The two ways of the policy service, and the login in Postfix's log.
BEFORE = """\
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, permit_auth_destination,
    check_policy_service { unix:pbs/policy, timeout=5s, default_action=DUNNO },
    check_client_access TABLE,
    reject_unauth_destination
"""
ALONE_CLAUSE = "{ unix:pbs/policy, timeout=5s, { default_action = 451 4.3.0 relay check is not available } }"
ALONE = f"""\
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, permit_auth_destination,
    check_policy_service {ALONE_CLAUSE},
    reject_unauth_destination
"""
AT_DATA = "smtpd_data_restrictions = check_policy_service { unix:pbs/policy, timeout=5s, default_action=DUNNO }\n"
NETWORKS = "mynetworks = 127.0.0.0/8 [::1]/128\n"
MAIN = "compatibility_level = 3.6\n" + NETWORKS


@dataclass(frozen=True)
class Shape:
    """One installation."""

    main: str
    master: str = DEBIAN_MASTER
    expected: tuple[tuple[str, str, str], ...] = ()
    """Code, level and a part of the evidence of each finding that must be there, besides `ok` and `note`."""
    tables: tuple[str, ...] = ("TABLE",)
    others: tuple[tuple[str, str, str], ...] = field(default=())
    """Further instances: name of the directory, main.cf, master.cf."""
    notes: tuple[str, ...] = ()
    """Parts of the evidence of notes and what is in order that must be there."""


GOOD = {
    "Debian's default with our guide's lines": Shape(
        "compatibility_level = 3.6\nmydestination = $myhostname, localhost\nrelayhost =\n" + NETWORKS + RELAY
    ),
    "our guide's lines, the older order of lists": Shape(
        "compatibility_level = 3.5\n" + NETWORKS + RELAY + "smtpd_recipient_restrictions = reject_unknown_sender_domain"
    ),
    "a submission service that demands AUTH": Shape(
        MAIN + RELAY, DEBIAN_MASTER + SUBMISSION, notes=("submission/inet sets -o smtpd_relay_restrictions=",)
    ),
    "submission with lists of main.cf's own names": Shape(
        MAIN + RELAY + "mua_relay_restrictions = permit_sasl_authenticated, reject\n",
        DEBIAN_MASTER
        + "submissions inet n - y - - smtpd\n  -o smtpd_tls_wrappermode=yes\n  -o smtpd_sasl_auth_enable=yes\n"
        "  -o smtpd_relay_restrictions=$mua_relay_restrictions\n",
        notes=("submissions/inet sets",),
    ),
    "submission that asks our table too": Shape(
        MAIN + RELAY,
        DEBIAN_MASTER + "submission inet n - y - - smtpd\n  -o smtpd_tls_security_level=may\n",
        notes=("smtp/inet, submission/inet",),
    ),
    "a content filter on loopback": Shape(MAIN + RELAY, DEBIAN_MASTER + SUBMISSION + AMAVIS),
    "a port for the site's own programs": Shape(
        MAIN + RELAY,
        DEBIAN_MASTER + "2526 inet n - y - - smtpd\n  -o smtpd_client_restrictions=permit_mynetworks,reject\n",
        notes=("2526/inet sets -o smtpd_client_restrictions",),
    ),
    "postscreen in front": Shape(
        MAIN + RELAY,
        "smtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\ntlsproxy unix - - y - 0 tlsproxy\n" + SUBMISSION,
        notes=("smtpd/pass",),
    ),
    # mailcow: long list of recipient restrictions, postscreen, several submission services and internal ports.
    "mailcow-like": Shape(
        "compatibility_level = 3.6\nsmtpd_delay_reject = yes\nmynetworks_style = host\n"
        + NETWORKS
        + "smtpd_sasl_auth_enable = yes\n"
        + RELAY
        + "smtpd_recipient_restrictions = check_recipient_mx_access cidr:/dev/null, permit_sasl_authenticated,\n"
        "  permit_mynetworks, check_recipient_access regexp:/dev/null, reject_invalid_helo_hostname\n"
        "smtpd_sender_restrictions = reject_authenticated_sender_login_mismatch, permit_mynetworks,\n"
        "  permit_sasl_authenticated, reject_unlisted_sender, reject_unknown_sender_domain\n"
        "smtpd_data_restrictions = reject_unauth_pipelining, permit\n",
        "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\n"
        "  -o smtpd_helo_restrictions=permit_mynetworks,reject_non_fqdn_helo_hostname\n"
        "588 inet n - n - - smtpd\n  -o smtpd_client_restrictions=permit_mynetworks,permit_sasl_authenticated,reject\n"
        "  -o smtpd_tls_auth_only=no\n"
        "590 inet n - n - - smtpd\n  -o smtpd_client_restrictions=permit_mynetworks,reject\n"
        "  -o smtpd_tls_auth_only=no\n" + SUBMISSION,
        notes=("588/inet", "590/inet"),
    ),
    # docker-mailserver: permit_mynetworks early, a policy daemon, overrides with names of main.cf.
    "docker-mailserver-like": Shape(
        MAIN + "smtpd_helo_required = yes\nsmtpd_helo_restrictions = permit_mynetworks, reject_invalid_helo_hostname\n"
        "smtpd_sender_restrictions = permit_sasl_authenticated, permit_mynetworks, reject_unknown_sender_domain\n"
        + RELAY
        + "dms_recipient = permit_sasl_authenticated, permit_mynetworks, check_policy_service unix:private/spf\n"
        "smtpd_recipient_restrictions = $dms_recipient, reject_unauth_pipelining, reject_rbl_client bl.example.net\n"
        "smtpd_client_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_pipelining\n",
        "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\n" + SUBMISSION + AMAVIS.replace("y", "n", 1),
    ),
    # iRedMail: everything in the recipient list, its own policy daemon, relay list left to the same end.
    "iRedMail-like": Shape(
        MAIN + "smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, permit_auth_destination,\n"
        "  check_client_access TABLE, reject_unauth_destination\n"
        "smtpd_recipient_restrictions = reject_non_fqdn_recipient, reject_unlisted_recipient,\n"
        "  check_policy_service inet:127.0.0.1:7777, permit_mynetworks, permit_sasl_authenticated,\n"
        "  permit_auth_destination, check_client_access TABLE, reject_unauth_destination,\n"
        "  check_policy_service inet:127.0.0.1:12340\n"
        "smtpd_end_of_data_restrictions = check_policy_service inet:127.0.0.1:7777\n",
        DEBIAN_MASTER + SUBMISSION + AMAVIS,
    ),
    # Plesk: the relay list is empty, the recipient list decides, submission and smtps as services.
    "Plesk-like": Shape(
        MAIN
        + "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = permit_mynetworks, permit_sasl_authenticated,\n"
        "  permit_auth_destination, check_client_access TABLE, reject_unauth_destination\n"
        "smtpd_sender_restrictions = check_sender_access hash:/var/spool/postfix/plesk/blacklists,\n"
        "  permit_sasl_authenticated\n",
        DEBIAN_MASTER + "smtps inet n - - - - smtpd -o smtpd_tls_wrappermode=yes\nsubmission inet n - - - - smtpd\n"
        "  -o smtpd_enforce_tls=yes -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes\n"
        "  -o smtpd_client_restrictions=permit_sasl_authenticated,reject\n",
    ),
    "two instances, one for clients and one for outbound mail": Shape(
        MAIN + RELAY + "multi_instance_enable = yes\nmulti_instance_directories = DIR/out\n",
        others=(
            (
                "out",
                MAIN + "multi_instance_name = postfix-out\nmaster_service_disable = inet\n",
                "qmgr unix n - n 300 1 qmgr\n",
            ),
        ),
    ),
    "two instances, the second asks": Shape(
        MAIN
        + "smtpd_relay_restrictions = permit_auth_destination, reject\nmulti_instance_directories = DIR/mua\n"
        + "multi_instance_enable = yes\n",
        others=(("mua", MAIN + "multi_instance_name = postfix-mua\n" + RELAY, DEBIAN_MASTER),),
        notes=("mua: smtp/inet",),
    ),
    "behind a proxy on this machine": Shape(
        MAIN + "inet_interfaces = loopback-only\nsmtpd_upstream_proxy_protocol = haproxy\n" + RELAY,
    ),
    "words of a list in braces, in capitals and over lines": Shape(
        MAIN + "smtpd_relay_restrictions = PERMIT_MYNETWORKS permit_auth_destination\n"
        "  check_policy_service { inet:127.0.0.1:10023, timeout=5s, { default_action = 451 4.3.0 later, please } }\n"
        "  check_client_access TABLE\n  reject_unauth_destination\n"
    ),
    "a list put together from settings": Shape(
        MAIN + "ours = check_client_access TABLE\nsmtpd_relay_restrictions = permit_auth_destination ${ours} reject\n"
    ),
    "restriction classes that are not ours": Shape(
        MAIN
        + "smtpd_restriction_classes = greylist\ngreylist = check_policy_service inet:127.0.0.1:10023\n"
        + RELAY
        + "smtpd_recipient_restrictions = check_recipient_access hash:/dev/null\n"
    ),
    "warn_if_reject before a refusal": Shape(
        MAIN + "smtpd_relay_restrictions = permit_auth_destination, warn_if_reject reject,\n"
        "  check_client_access TABLE, reject_unauth_destination\n"
    ),
    "socketmap from a chroot, by a path below the queue": Shape(
        MAIN + RELAY.replace("TABLE", "socketmap:unix:pbs/sock:pbs"), tables=("socketmap:unix:pbs/sock:pbs",)
    ),
    "two tables while the type is changed": Shape(
        MAIN + RELAY.replace("TABLE", "hash:PLACE, check_client_access TABLE"), tables=("hash:PLACE", "TABLE")
    ),
    "the guide's three lines without anything else": Shape(RELAY),
    "policy service with caps in front of the table": Shape(
        MAIN + "smtpd_relay_restrictions = permit_auth_destination,\n"
        "  check_policy_service { unix:pbs/policy, timeout=5s, default_action=DUNNO },\n"
        "  check_client_access TABLE, reject_unauth_destination\n"
        "smtpd_data_restrictions = check_policy_service { unix:pbs/policy, timeout=5s, default_action=DUNNO }\n"
    ),
    "policy service with caps in front of the table, both ours": Shape(
        MAIN + BEFORE + AT_DATA,
        tables=("TABLE", "policy:unix:pbs/policy"),
        notes=("time limit and default action are",),
    ),
    "policy service in front of the table, which waits for it": Shape(
        MAIN + BEFORE.replace("default_action=DUNNO", "{ default_action = 451 4.3.0 later }"),
        tables=("TABLE", "policy:unix:pbs/policy"),
        notes=("while the service is down the table behind it is not asked",),
    ),
    "policy service alone": Shape(MAIN + ALONE + AT_DATA, tables=("policy:unix:pbs/policy?alone",)),
    "policy service alone, by Postfix's own default action": Shape(
        MAIN + "smtpd_policy_service_timeout = 5s\n" + ALONE.replace(ALONE_CLAUSE, "inet:127.0.0.1:9998"),
        tables=("policy:inet:127.0.0.1:9998?alone",),
    ),
    "policy service by its whole path, without chroot": Shape(
        MAIN + ALONE.replace("unix:pbs", "unix:/var/spool/postfix/pbs"),
        DEBIAN_MASTER.replace("-       y ", "-       n "),
        tables=("policy:unix:pbs/policy?alone",),
    ),
    "policy service that no smtpd asks yet": Shape(
        MAIN + RELAY,
        tables=("TABLE", "policy:unix:pbs/policy"),
        notes=("policy:unix:pbs/policy is served, and no smtpd asks it",),
    ),
}

_WIRED, _ORDER, _POLICY, _OTHER, _READ = (
    "postfix.wired", "postfix.order", "postfix.policy", "postfix.other", "table.read"
)  # fmt: skip


def _relay(text: str, **more: object) -> Shape:
    return Shape(MAIN + f"smtpd_relay_restrictions = {text}\n", **more)  # type: ignore[arg-type]


BROKEN = {
    "named nowhere": Shape(MAIN, expected=((_WIRED, "fail", "no smtpd asks"),)),
    "another type": Shape(MAIN + RELAY.replace("TABLE", "hash:PLACE"), expected=((_WIRED, "fail", "not hash:"),)),
    "another type besides": Shape(
        MAIN + RELAY.replace("TABLE", "hash:PLACE, check_client_access TABLE"),
        expected=((_WIRED, "warn", "whose rows nobody removes"),),
    ),
    "with the suffix that Postfix appends itself": Shape(
        MAIN + RELAY.replace("TABLE", "TABLE.lmdb"), expected=((_WIRED, "fail", "appends .lmdb itself"),)
    ),
    "another path": Shape(
        MAIN + RELAY.replace("TABLE", "lmdb:/etc/postfix/pop-before-smtp"),
        expected=((_WIRED, "fail", "no smtpd asks"),),
    ),
    "behind what refuses": _relay(
        "permit_mynetworks, permit_auth_destination, reject_unauth_destination, check_client_access TABLE",
        expected=((_WIRED, "fail", "ends at reject_unauth_destination, before it asks"),),
    ),
    "behind what refuses, and no word about our own domains": _relay(
        "permit_mynetworks, reject_unauth_destination, check_client_access TABLE",
        expected=((_WIRED, "fail", "ends at reject_unauth_destination, before it asks"),),
    ),
    "only in the recipient list, and the relay list refuses": Shape(
        MAIN + "smtpd_recipient_restrictions = permit_auth_destination, check_client_access TABLE, reject\n",
        expected=((_WIRED, "fail", "smtpd_relay_restrictions refuses them by defer_unauth_destination"),),
    ),
    "only in the relay list, and the recipient list refuses": Shape(
        MAIN + RELAY + "smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination\n",
        expected=((_WIRED, "fail", "smtpd_recipient_restrictions refuses them by reject_unauth_destination"),),
    ),
    "in the client list only": Shape(
        MAIN + "smtpd_client_restrictions = check_client_access TABLE\n",
        expected=((_WIRED, "fail", "only in smtpd_client_restrictions"), (_ORDER, "warn", "smtpd_client_restrictions")),
    ),
    "in the sender list besides": Shape(
        MAIN + RELAY + "smtpd_sender_restrictions = check_client_access TABLE\n",
        expected=((_ORDER, "warn", "smtpd_sender_restrictions asks"),),
    ),
    "asked by the recipient": _relay(
        "permit_auth_destination, check_recipient_access TABLE, reject",
        expected=((_WIRED, "fail", "by check_recipient_access"),),
    ),
    "bare, which means by the recipient": _relay(
        "permit_auth_destination, TABLE, reject", expected=((_WIRED, "fail", "by check_recipient_access"),)
    ),
    "before permit_auth_destination": _relay(
        "permit_mynetworks, check_client_access TABLE, reject_unauth_destination",
        expected=((_ORDER, "warn", "is asked before permit_auth_destination"),),
    ),
    "in mynetworks": Shape(
        MAIN.replace("[::1]/128", "[::1]/128 TABLE") + "smtpd_relay_restrictions = permit_mynetworks, reject\n",
        expected=((_ORDER, "warn", "mynetworks holds lmdb:"),),
    ),
    "open: nothing refuses behind it": Shape(
        MAIN + "smtpd_relay_restrictions =\n"
        "smtpd_recipient_restrictions = permit_mynetworks, permit_auth_destination, check_client_access TABLE\n",
        expected=((_ORDER, "fail", "open relay"),),
    ),
    "open: permit before the refusal": _relay(
        "permit_mynetworks, permit_auth_destination, check_client_access TABLE, permit, reject_unauth_destination",
        expected=((_ORDER, "fail", "open relay"),),
    ),
    "open: the refusal only warns": _relay(
        "permit_auth_destination, check_client_access TABLE, warn_if_reject reject_unauth_destination",
        expected=((_ORDER, "fail", "open relay"),),
    ),
    "open: everybody in mynetworks": Shape(
        MAIN.replace("127.0.0.0/8", "0.0.0.0/0") + RELAY, expected=((_OTHER, "fail", "open relay: mynetworks"),)
    ),
    "open: everybody by IPv6": Shape(
        MAIN.replace("[::1]/128", "[::]/0") + RELAY, expected=((_OTHER, "fail", "open relay: mynetworks"),)
    ),
    "port 25 overrides the list": Shape(
        MAIN + RELAY,
        DEBIAN_MASTER.replace("smtpd\n", "smtpd\n  -o smtpd_relay_restrictions=permit_auth_destination,reject\n")
        + "2525 inet n - y - - smtpd\n",
        expected=((_WIRED, "fail", "smtp/inet sets -o smtpd_relay_restrictions"),),
    ),
    "a port without AUTH overrides the list": Shape(
        MAIN + RELAY,
        DEBIAN_MASTER + "2525 inet n - y - - smtpd\n  -o { smtpd_relay_restrictions = permit_mynetworks, reject }\n",
        expected=((_WIRED, "warn", "2525/inet sets"),),
    ),
    "the list about clients refuses": Shape(
        MAIN + RELAY + "smtpd_client_restrictions = permit_mynetworks, permit_sasl_authenticated, defer\n",
        expected=((_WIRED, "fail", "smtpd_client_restrictions refuses them by defer"),),
    ),
    "only postscreen's smtpd overrides": Shape(
        MAIN + RELAY,
        "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd -o smtpd_relay_restrictions=reject\n"
        "2525 inet n - n - - smtpd\n",
        expected=((_WIRED, "fail", "smtpd/pass sets"),),
    ),
    "a type that Postfix cannot read": Shape(
        MAIN + RELAY.replace("TABLE", "sdbm:PLACE"),
        expected=((_WIRED, "fail", "not sdbm:"),),
    ),
    "through proxymap": Shape(
        MAIN + RELAY.replace("TABLE", "proxy:TABLE"), expected=((_OTHER, "fail", "through proxymap"),)
    ),
    "a class chooses our table": Shape(
        MAIN + "smtpd_restriction_classes = roaming\nroaming = check_client_access TABLE, reject\n"
        "smtpd_relay_restrictions = permit_auth_destination, check_sender_access hash:/dev/null, reject\n",
        expected=((_WIRED, "skip", "cannot tell"),),
    ),
    "a class in the list itself": Shape(
        MAIN + "smtpd_restriction_classes = roaming\nroaming = check_client_access TABLE, reject\n"
        "smtpd_relay_restrictions = permit_auth_destination, roaming\nsmtpd_recipient_restrictions =\n",
        expected=((_WIRED, "skip", "cannot tell"), (_ORDER, "skip", "cannot tell")),
    ),
    "a table made of tables": _relay(
        "permit_auth_destination, check_client_access unionmap:{TABLE,static:no}, reject",
        expected=((_WIRED, "skip", "cannot tell"),),
    ),
    "socketmap by an absolute path from a chroot": Shape(
        MAIN + RELAY.replace("TABLE", "socketmap:unix:/run/pbs/sock:pbs"),
        tables=("socketmap:unix:/run/pbs/sock:pbs",),
        expected=((_OTHER, "fail", "chroot"),),
    ),
    "socketmap below another queue": Shape(
        MAIN + "queue_directory = /srv/queue\n" + RELAY.replace("TABLE", "socketmap:unix:pbs/sock:pbs"),
        tables=("socketmap:unix:pbs/sock:pbs",),
        expected=((_OTHER, "fail", "/srv/queue/pbs/sock"),),
    ),
    "no instance asks": Shape(
        MAIN + "multi_instance_directories = DIR/out\n",
        others=(("out", MAIN + "multi_instance_name = postfix-out\n", DEBIAN_MASTER),),
        expected=((_WIRED, "fail", "no smtpd asks"),),
    ),
    "policy: default action in braces of its own": _relay(
        "permit_auth_destination, check_policy_service { unix:pbs/policy, timeout=5s, default_action={451 4.3.0 no} },"
        " check_client_access TABLE, reject",
        expected=((_POLICY, "fail", "syntax error"),),
    ),
    "policy: everybody relays while it is down": _relay(
        "permit_auth_destination, check_policy_service { unix:pbs/policy, timeout=5s, default_action=OK },"
        " check_client_access TABLE, reject",
        expected=((_POLICY, "fail", "everybody may relay while the service is down"),),
    ),
    "policy: no time limit": _relay(
        "permit_auth_destination, check_policy_service unix:pbs/policy, check_client_access TABLE, reject",
        expected=((_POLICY, "warn", "100s"),),
    ),
    "policy: at DATA only": Shape(
        MAIN
        + RELAY
        + "smtpd_data_restrictions = check_policy_service { unix:pbs/policy, timeout=5s, default_action=DUNNO }\n",
        expected=((_POLICY, "warn", "caps do nothing"),),
    ),
    "policy: in front of a table, by a table of ours": Shape(
        MAIN + BEFORE.replace("timeout=5s, ", ""),
        tables=("TABLE", "policy:unix:pbs/policy"),
        expected=((_POLICY, "warn", "100s"),),
    ),
    "policy: alone, and DUNNO while it is down": Shape(
        MAIN + ALONE.replace("{ default_action = 451 4.3.0 relay check is not available }", "default_action=DUNNO"),
        tables=("policy:unix:pbs/policy?alone",),
        expected=((_POLICY, "fail", "while the service is down users get a permanent refusal"),),
    ),
    "policy: alone without the option": Shape(
        MAIN + ALONE,
        tables=("policy:unix:pbs/policy",),
        expected=((_POLICY, "warn", "while the daemon starts users get a permanent refusal"),),
    ),
    "policy: in front of a table that smtpd does not come to": Shape(
        MAIN + BEFORE.replace("check_client_access TABLE,\n    reject_unauth_destination", "reject"),
        tables=("TABLE", "policy:unix:pbs/policy"),
        expected=(
            (_POLICY, "warn", "while the daemon starts users get a permanent refusal"),
            (_POLICY, "fail", "while the service is down users get a permanent refusal"),
        ),
    ),
    "policy: asked twice for a recipient": Shape(
        MAIN + ALONE + ALONE.replace("relay_restr", "recipient_restr"),
        tables=("policy:unix:pbs/policy?alone",),
        expected=((_POLICY, "warn", "each recipient is counted twice"),),
    ),
    "policy: named nowhere": Shape(
        MAIN,
        tables=("policy:unix:pbs/policy?alone",),
        expected=((_WIRED, "fail", "no smtpd asks policy:unix:pbs/policy"),),
    ),
    "policy: in the client list only": Shape(
        MAIN + f"smtpd_client_restrictions = check_policy_service {ALONE_CLAUSE}\n",
        tables=("policy:unix:pbs/policy?alone",),
        expected=(
            (_WIRED, "fail", "is only in smtpd_client_restrictions, which lets nobody relay"),
            (_ORDER, "warn", "smtpd_client_restrictions asks policy:unix:pbs/policy too"),
        ),
    ),
    "policy: before permit_auth_destination": Shape(
        MAIN + ALONE.replace("permit_auth_destination,\n", "\n").replace("} },", "} }, permit_auth_destination,"),
        tables=("policy:unix:pbs/policy?alone",),
        expected=((_ORDER, "warn", "is asked before permit_auth_destination"),),
    ),
    "policy: by its whole path from a chroot": Shape(
        MAIN + ALONE.replace("unix:pbs", "unix:/var/spool/postfix/pbs"),
        tables=("policy:unix:pbs/policy?alone",),
        expected=((_OTHER, "fail", "runs in a chroot and finds no /var/spool/postfix/pbs/policy there"),),
    ),
    "policy: below another queue": Shape(
        MAIN + "queue_directory = /srv/queue\n" + ALONE,
        tables=("policy:unix:pbs/policy?alone",),
        expected=((_OTHER, "fail", "/srv/queue/pbs/policy"),),
    ),
}


def build(shape: Shape, directory: Path) -> tuple[str, list[str]]:
    """Write the files; the postconf command that reads them, and the tables."""
    postconf = find_program("postconf")
    if postconf is None:
        unavailable("Postfix is not installed (no postconf)")
    place = f"{directory}/relay"

    def filled(text: str) -> str:
        return text.replace("TABLE", f"lmdb:{place}").replace("PLACE", place).replace("DIR", str(directory))

    for name, main, master in (("", shape.main, shape.master), *shape.others):
        config = directory / name
        config.mkdir(exist_ok=True)
        (config / "main.cf").write_text(filled(main))
        (config / "master.cf").write_text(filled(master))
        os.utime(config / "main.cf", (0, 0))
        # A shape that Postfix itself cannot read proves nothing.
        subprocess.run([postconf, "-c", config, "-n"], check=True, capture_output=True)
    return f"{postconf} -c {directory}", [filled(table) for table in shape.tables]
