"""The real fail2ban on records of failed logins: it bans who failed, and nobody that a client could name."""
import json
import os
import re
import shutil
import subprocess

import pytest

from harness.util import Child, wait_until
from servers import DEPLOY, configured

FILTER = os.path.join(DEPLOY, "fail2ban", "filter.d", "smtptap-auth.conf")


def record(host="192.0.2.7", result="fail", username="alice", **more):
    head = {"time": "2026-03-03T10:30:15.100000Z", "level": "info", "component": "smtptap", "tnx": "auth",
            "cid": "0b1k2f9s8d7a6c5e"}
    tail = {"method": "PLAIN", "username": username, "result": result, "code": 535, "msg": "x", "run": "0b1k2f9s", "seq": 1}
    return json.dumps({**head, **({"user": more.pop("user")} if "user" in more else {}), "host": host, **tail, **more},
                      separators=(",", ":"), ensure_ascii=False)


def matched(lines, tmp_path):
    """The addresses and user names that fail2ban-regex finds."""
    path = str(tmp_path / "smtptap.json")
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    done = subprocess.run(["fail2ban-regex", "-o", "<ip> <F-USER>", path, FILTER], capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 255), done.stderr
    return [line for line in done.stdout.splitlines() if line and not line.startswith(("Running", "Results", "="))]


FORGED = 'x","host":"8.8.8.8","result":"fail'
CASES = [
    ("plain", record(), ["192.0.2.7 alice"]),
    ("IPv6", record(host="2001:db8::7"), ["2001:db8::7 alice"]),
    ("of a client with a user", record(user="bob"), ["192.0.2.7 alice"]),
    ("with an authzid", record().replace('"result"', '"authzid":"carol","result"'), ["192.0.2.7 alice"]),
    ("that names another host", record(username=FORGED), ["192.0.2.7 " + json.dumps(FORGED)[1:-1]]),
    ("of a user that names another host", record(user=FORGED), ["192.0.2.7 alice"]),
    ("in Unicode", record(username="Jürgen 漢"), ["192.0.2.7 Jürgen 漢"]),
    ("that went well", record(result="ok"), []),
    ("that went well, with a name that says it failed", record(result="ok", username=FORGED), []),
    ("that the server could not decide", record(result="tempfail"), []),
    ("of another kind", record().replace('"tnx":"auth"', '"tnx":"command"'), []),
    ("in a line of dialogue", json.dumps({"time": "2026-03-03T10:30:15.100000Z", "level": "debug", "component": "smtptap",
                                          "tnx": "command", "cid": "0b1k2f9s8d7a6c5e", "side": "client", "host": "192.0.2.1",
                                          "command": "?", "line": record()}, separators=(",", ":")), []),
    ("of a unix peer", record(host="unix"), []),
    ("no record", "Failed login from 192.0.2.1", []),
]


@pytest.mark.parametrize("line, want", [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_filter(line, want, tmp_path):
    assert matched([line], tmp_path) == want


def test_a_real_log(mail, tmp_path):
    """Its failed logins and nothing else."""
    want = [f"{r['host']} {r['username']}" for r in mail.records if r["tnx"] == "auth" and r["result"] == "fail"]
    assert sorted(matched(mail.lines, tmp_path)) == sorted(want) and len(set(want)) == 3


def test_jail_bans(tmp_path):
    """A private fail2ban-server: five failures in the log, one action, on the right address."""
    base = str(tmp_path)
    log, banned = os.path.join(base, "smtptap.json"), os.path.join(base, "banned")
    open(log, "w").close()
    shutil.copytree("/etc/fail2ban", os.path.join(base, "etc"))
    for name in ("jail.d", "filter.d"):
        shutil.copytree(os.path.join(DEPLOY, "fail2ban", name), os.path.join(base, "etc", name), dirs_exist_ok=True)
    jails = os.path.join(base, "etc", "jail.d")
    for name in os.listdir(jails):
        os.unlink(os.path.join(jails, name))
    configured("fail2ban/jail.d/smtptap-auth.conf", jails, ("/var/log/smtptap/smtptap.json", log),
               ("maxretry = 5", "maxretry = 5\nbanaction = told"))
    with open(os.path.join(base, "etc", "action.d", "told.conf"), "w") as f:
        f.write(f"[Definition]\nactionban = echo <ip> >> {banned}\n")
    with open(os.path.join(base, "etc", "fail2ban.local"), "w") as f:
        f.write("[Definition]\ndbfile = None\n")
    sock = os.path.join(base, "sock")
    argv = ["-c", os.path.join(base, "etc"), "-s", sock, "-p", os.path.join(base, "pid"), "--logtarget",
            os.path.join(base, "fail2ban.log")]
    server = Child(["fail2ban-server", "-f", *argv, "start"])

    def told():
        try:
            with open(os.path.join(base, "fail2ban.log")) as f:
                return f.read()[-2000:]
        except FileNotFoundError:
            return ""

    try:
        wait_until(lambda: "Jail 'smtptap-auth' started" in told(), told, 30)
        now = subprocess.run(["date", "-u", "+%Y-%m-%dT%H:%M:%S.000000Z"], capture_output=True, text=True).stdout.strip()
        with open(log, "a") as f:
            for host, count in (("192.0.2.7", 4), ("192.0.2.8", 5)):
                for _ in range(count):
                    f.write(re.sub("2026-03-03T[^Z]*Z", now, record(host=host)) + "\n")
        wait_until(lambda: os.path.exists(banned), told, 30)
        with open(banned) as f:
            assert f.read() == "192.0.2.8\n"
    finally:
        server.end()
