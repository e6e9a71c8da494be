"""nginx as a mail proxy in front of Dovecot, through syslog; it asks itself over HTTP who may log in.

`nohostname`, as nginx's documentation says for a local /dev/log: otherwise it writes a host name before its tag.
"""

from __future__ import annotations

from mta.netns import SERVER, SERVER6
from servers import dovecot
from servers.clients import deeds
from servers.held import hold
from servers.stage import PEM, USERS, Stage, stage

_BACKEND = "127.0.0.2"
_CONF = """
daemon off;
user nobody nogroup;
load_module /usr/lib/nginx/modules/ngx_mail_module.so;
pid /run/nginx.pid;
error_log syslog:server=unix:/dev/log,facility=mail,nohostname info;
events { }
http {
  access_log off;
  error_log /run/nginx.http;
  map "$http_auth_user:$http_auth_pass" $taken {
    default "Invalid login or password";
    include /etc/nginx/taken;
  }
  map $http_auth_protocol $port { imap 143; pop3 110; }
  server {
    listen 127.0.0.1:8080;
    location / {
      add_header Auth-Status $taken;
      add_header Auth-Server @backend;
      add_header Auth-Port $port;
      return 200;
    }
  }
}
mail {
  auth_http 127.0.0.1:8080/;
  ssl_certificate @pem;
  ssl_certificate_key @pem;
  starttls on;
  server { listen @4:143; listen [@6]:143; protocol imap; }
  server { listen @4:110; listen [@6]:110; protocol pop3; }
  server { listen @4:993 ssl; listen [@6]:993 ssl; protocol imap; starttls off; }
  server { listen @4:995 ssl; listen [@6]:995 ssl; protocol pop3; starttls off; }
}
"""


def start(here: Stage) -> None:
    """Start Dovecot and nginx."""
    dovecot.start(here, _BACKEND, log="/run/dovecot.log")
    conf = _CONF
    for name, value in {"@4": SERVER, "@6": SERVER6, "@backend": _BACKEND, "@pem": PEM}.items():
        conf = conf.replace(name, value)
    here.write("/etc/nginx/nginx.conf", conf)
    here.write("/etc/nginx/taken", "".join(f'"{user}:{word}" OK;\n' for user, word in USERS.items()))
    here.sh("mkdir -p /var/lib/nginx")
    here.start("nginx")
    here.wait_for_ports(110, 143, 993, 995)


def test_nginx() -> None:
    dovecot.version()
    with stage("nginx") as here:
        start(here)
        hold(here, deeds(), ["nginx"])
