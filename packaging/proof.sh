#!/bin/bash
# Sourced by deb-proof.sh and share-proof.sh, which set $way: how they say what holds. The first that does not ends them.

ok() { echo "ok: $*"; }
fail() {
    echo "FAILED: $*"
    pbs-fast list 2>&1 || true
    # shellcheck disable=SC2154  # of who sources this
    [ "$way" = plain ] || { systemctl status --no-pager --full pbs-fast; journalctl --no-pager -n 40; } 2>&1 || true
    exit 1
}
holds() { # holds SENTENCE COMMAND...
    local sentence=$1
    shift
    "$@" >/dev/null || fail "$sentence: $*"
    ok "$sentence"
}
soon() { # soon COMMAND...: within a minute
    local end=$((SECONDS + 60))
    while [ $SECONDS -lt $end ]; do "$@" >/dev/null 2>&1 && return; sleep 0.1; done
    return 1
}
is() { [ "$1" = "$2" ] || { echo "is '$1', should be '$2'"; return 1; }; }
not() { ! "$@"; }
line() { # line ADDRESS: what Dovecot says of a login
    echo "imap-login: Login: user=<ann>, method=PLAIN, rip=$1, lip=192.0.2.10, mpid=71, TLS, session=<9mVjWnQ7pQDLAHEF>"
}
to_file() { echo "$(date +%Y-%m-%dT%H:%M:%S%:z) hub dovecot: $(line "$1")" >>/var/log/mail.log; }
