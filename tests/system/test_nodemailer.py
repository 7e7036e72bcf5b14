"""nodemailer as client: TLS and logins as its users configure them."""
import json
import os
import shutil
import subprocess

import pytest

from harness.mta import EHLO
from harness.tls import entry
from harness.util import DEADLINE

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = "/usr/share/nodejs:/usr/lib/nodejs"


def installed():
    return shutil.which("node") and any(os.path.isdir(os.path.join(d, "nodemailer")) for d in MODULES.split(":"))


pytestmark = pytest.mark.skipif(not installed(), reason="node-nodemailer is not installed")
USERS = {"alice": "wonderland"}
AUTH = [*EHLO, "AUTH PLAIN LOGIN CRAM-MD5 XOAUTH2"]
MECHANISMS = ["PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2"]


def nodemailer(port, mails, **transport):
    transport = {"host": "127.0.0.1", "port": port, "name": "node.example", "tls": {"rejectUnauthorized": False},
                 **transport}
    done = subprocess.run(["node", os.path.join(HERE, "peers", "nodemailer.js"),
                           json.dumps({"transport": transport, "mails": mails})], capture_output=True, text=True,
                          timeout=DEADLINE, env={**os.environ, "NODE_PATH": MODULES})
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def mail(**more):
    return {"from": "a@node.example", "to": "b@example.net", "subject": "Grüße", "text": "Hello\n.dot\n", **more}


def proxy(world, certs, mode="starttls", auth=None, **stages):
    mta = world.mta(ehlo=AUTH, users=USERS, **stages)
    return world.tap(mta, {"server": {"tls": mode}, "tls": {"certificates": [entry(certs.a)]},
                           "auth": {"mode": "optional", "mechanisms": MECHANISMS, **(auth or {})}})


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
def test_tls(world, certs, mode):
    tap = proxy(world, certs, mode)
    got, = nodemailer(tap.port, [mail()], secure=mode == "implicit", requireTLS=True)
    assert got["accepted"] == ["b@example.net"] and got["response"].startswith("250 ")
    message = tap.message()
    assert message["protocol"] == "ESMTPS" and message["status"] == "accepted" and message["tls"]["used"]


@pytest.mark.parametrize("method", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("password, ok", [("wonderland", True), ("looking-glass", False)])
def test_login(world, certs, method, password, ok):
    tap = proxy(world, certs, auth={"mode": "required"})
    got, = nodemailer(tap.port, [mail()], requireTLS=True, authMethod=method, auth={"user": "alice", "pass": password})
    auth = tap.wait("auth")
    assert (auth["method"], auth["username"], auth["result"]) == (method, "alice", "ok" if ok else "fail")
    if ok:
        assert got["accepted"] == ["b@example.net"]
        assert tap.message()["user"] == "alice" and tap.message()["protocol"] == "ESMTPSA"
    else:
        assert got["error"] == "EAUTH" and got["code"] == 535
    assert password not in tap.log.raw.decode()


def test_no_login_in_clear(world, certs):
    """No AUTH line in clear: the mail goes without a login; a client that logs in all the same is refused, unlogged."""
    tap = proxy(world, certs)
    login = {"ignoreTLS": True, "auth": {"user": "alice", "pass": "wonderland"}}
    got, = nodemailer(tap.port, [mail()], **login)
    assert got["accepted"] == ["b@example.net"] and "user" not in tap.message()
    got, = nodemailer(tap.port, [mail()], forceAuth=True, authMethod="PLAIN", **login)
    assert got["error"] == "EAUTH" and got["code"] == 538
    assert "wonderland" not in tap.log.raw.decode() and b64_of("wonderland") not in tap.log.raw.decode()


def b64_of(text):
    import base64
    return base64.b64encode(text.encode()).decode().rstrip("=")


def test_pool(world, certs):
    """Many mails over few connections, 8-bit and with DSN; each has its record."""
    tap = proxy(world, certs, mode="starttls")
    mails = [mail(subject=f"Nr. {i}", text="ä" * 500, dsn={"id": f"id{i}", "return": "headers", "notify": "success",
                                                           "recipient": "a@node.example"}) for i in range(30)]
    got = nodemailer(tap.port, mails, pool=True, maxConnections=3, requireTLS=True)
    assert [x["accepted"] for x in got] == [["b@example.net"]] * 30
    tap.message(count=30, status="accepted")
    assert len(tap.records("connection", side="client")) <= 3


@pytest.mark.parametrize("stage, reply, where", [
    ("mail", b"450 4.1.8 <a@node.example>: Sender address rejected\r\n", "MAIL FROM"),
    ("rcpt", b"550 5.1.1 <b@example.net>: User unknown\r\n", "RCPT TO"),
    ("end", b"554 5.7.1 Message rejected as spam\r\n", "DATA"),
])
def test_refusals_reach_the_sender_unchanged(world, certs, stage, reply, where):
    tap = proxy(world, certs, **{stage: reply})
    got, = nodemailer(tap.port, [mail()])
    assert got["code"] == int(reply[:3]) and got["response"] == reply.decode().strip() and got["command"] == where
    assert tap.message()["smtp_response"] == reply.decode().strip()
