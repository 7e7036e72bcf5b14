"""Real clients log in through smtptap at a real Postfix over TLS, which asks a real Dovecot; every mechanism of theirs
and ours, and what each end's log says."""
import smtplib
import subprocess

import pytest

from harness import dovecot
from harness.auth import Scram, b64, cram, plain
from harness.tls import client_context, entry
from harness.tools import installed
from harness.util import DEADLINE, wait_until

USERS = {"alice": "wonder land", "bob@box.example": "b\u00fcilder"}
PASSWORD = USERS["alice"]
MECHANISMS = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"]
SMALL_MESSAGE = b"Subject: hello\r\n\r\nHello\r\n"
SENDER, TO = "a@client.example", "alice@box.example"


@pytest.fixture(scope="module")
def sasl(postfix):
    if dovecot.why_not():
        pytest.skip(dovecot.why_not())
    one = dovecot.Dovecot(USERS, socket=postfix.sasl_socket)
    yield one.start()
    one.stop()


@pytest.fixture
def through(world, postfix, sasl, certs):
    """smtptap before Postfix, both legs with TLS."""
    return world.tap(postfix.address("sasl"), {
        "tls": {"certificates": [entry(certs.mta)]},
        "auth": {"mode": "required", "mechanisms": MECHANISMS},
        "upstream": {"tls": "required", "tls_ca": certs.ca, "tls_name": "mta.example"}})


def smtplib_send(tap, mechanism, certs, password):
    with smtplib.SMTP("127.0.0.1", tap.port, "client.example", timeout=DEADLINE) as s:
        s.starttls(context=client_context())
        s.ehlo()
        s.user, s.password = "alice", password
        method = getattr(s, "auth_" + mechanism.lower().replace("-", "_"))
        try:
            s.auth(mechanism, method, initial_response_ok=mechanism == "PLAIN")
        except smtplib.SMTPAuthenticationError as e:
            return e.smtp_code
        s.sendmail(SENDER, [TO], SMALL_MESSAGE)
    return 0


def run(argv, message=None):
    return subprocess.run(argv, input=message, capture_output=True, timeout=DEADLINE)


def swaks_send(tap, mechanism, certs, password):
    return run(["swaks", "--server", f"127.0.0.1:{tap.port}", "--from", SENDER, "--to", TO, "--tls", "--auth", mechanism,
                "--auth-user", "alice", "--auth-password", password, "--silent", "2"]).returncode


def curl_send(tap, mechanism, certs, password):
    if mechanism.startswith("SCRAM") and b"gsasl" not in run(["curl", "--version"]).stdout:
        pytest.skip("this curl has no SCRAM")
    path = certs.path("message")
    with open(path, "wb") as f:
        f.write(SMALL_MESSAGE)
    return run(["curl", "-q", "--silent", "--noproxy", "*", "--ssl-reqd", "--insecure", "--login-options",
                f"AUTH={mechanism}", "--user", f"alice:{password}", f"smtp://127.0.0.1:{tap.port}/client.example",
                "--mail-from", SENDER, "--mail-rcpt", TO, "--upload-file", path]).returncode


def msmtp_send(tap, mechanism, certs, password):
    done = run(["msmtp", "--file=/dev/null", "--host=127.0.0.1", f"--port={tap.port}", "--tls=on", "--tls-starttls=on",
                "--tls-certcheck=off", f"--auth={mechanism.lower()}", "--user=alice",
                f"--passwordeval=printf %s '{password}'", "--domain=client.example", f"--from={SENDER}", "--", TO],
               SMALL_MESSAGE.replace(b"\r\n", b"\n"))
    if b"not compiled in" in done.stderr or b"not supported" in done.stderr or b"need GNU SASL" in done.stderr:
        pytest.skip(done.stderr.decode())
    return done.returncode


CLIENTS = {"smtplib": smtplib_send, "swaks": swaks_send, "curl": curl_send, "msmtp": msmtp_send}
PAIRS = [(c, m) for c in CLIENTS for m in MECHANISMS if not (m == "SCRAM-SHA-256" and c in ("smtplib", "swaks"))]


@pytest.mark.parametrize("client, mechanism", PAIRS)
def test_clients(through, postfix, certs, client, mechanism):
    if not installed(client):
        pytest.skip(f"{client} is not installed")
    assert CLIENTS[client](through, mechanism, certs, PASSWORD) == 0
    message = through.message()
    assert message["user"] == "alice" and message["protocol"] == "ESMTPSA" and message["status"] == "accepted"
    assert through.wait("auth", result="ok")["method"] == mechanism
    postfix.entry(message["queue_id"])
    said = [x for x in postfix.maillog().splitlines() if message["queue_id"] in x and "sasl_username=alice" in x]
    assert said and f"sasl_method={mechanism}" in said[0]
    secret = [PASSWORD, b64(PASSWORD), plain("alice", PASSWORD)]
    assert not any(x.encode() in bytes(through.log.raw) for x in secret)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_wrong_password(through, certs, client):
    if not installed(client):
        pytest.skip(f"{client} is not installed")
    assert CLIENTS[client](through, "PLAIN", certs, "not-the-password") != 0
    failed = through.wait("auth", result="fail")
    assert failed["username"] == "alice" and failed["host"] == "127.0.0.1" and failed["code"] == 535
    assert not through.records("auth", result="ok") and b"not-the-password" not in bytes(through.log.raw)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_raw(through, mechanism):
    """Names and passwords with blanks and beyond ASCII, SCRAM's proof of the server too."""
    user, password = "bob@box.example", USERS["bob@box.example"]
    c = through.client()
    c.ehlo()
    c.starttls()
    assert [x for x in c.ehlo().lines if x.startswith(b"AUTH")] == [b"AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256"]
    if mechanism == "SCRAM-SHA-256":
        scram = Scram(user, password)
        final = scram.final(c.cmd(f"AUTH {mechanism} {scram.first()}", 334).lines[0].decode())
        scram.verify(c.cmd(final, 334).lines[0].decode())
        c.cmd("", 235)
    elif mechanism == "PLAIN":
        c.cmd(f"AUTH PLAIN {plain(user, password)}", 235)
    elif mechanism == "LOGIN":
        c.cmd(f"AUTH LOGIN {b64(user)}", 334)
        c.cmd(b64(password), 235)
    else:
        c.cmd(cram(user, password, c.cmd("AUTH CRAM-MD5", 334).lines[0].decode()), 235)
    assert c.deliver(sender=SENDER, to=TO).code == 250
    c.cmd("NOOP", 250)
    c.cmd("RSET", 250)
    assert c.deliver(sender=SENDER, to=TO).code == 250
    c.quit()
    assert through.message(count=2)["user"] == user


def test_without_login_postfix_would_refuse(through):
    c = through.client()
    c.ehlo()
    c.starttls()
    c.ehlo()
    c.cmd("MAIL FROM:<a@client.example>", 530, "5.7.0")
    c.quit()


def test_cancel(through):
    c = through.client()
    c.ehlo()
    c.starttls()
    c.ehlo()
    for mechanism in MECHANISMS:
        c.cmd("AUTH " + mechanism, 334)
        c.cmd("*", 501, "5.7.0")
    c.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}", 235)
    c.quit()


def test_openssl(through):
    """By hand, as administrators do."""
    lines = ["EHLO c.example", f"AUTH PLAIN {plain('alice', PASSWORD)}", f"MAIL FROM:<{SENDER}>", "QUIT"]
    child = subprocess.Popen(["openssl", "s_client", "-quiet", "-starttls", "smtp", "-connect",
                              f"127.0.0.1:{through.port}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)
    got = b""
    for line in lines:
        child.stdin.write(line.encode() + b"\r\n")
        child.stdin.flush()
        while True:
            said = child.stdout.readline()
            got += said
            if not said or said[3:4] == b" ":
                break
    child.stdin.close()
    got += child.stdout.read()
    child.wait(DEADLINE)
    assert b"235 2.7.0" in got
    wait_until(lambda: through.records("auth", result="ok"), "the login")


def test_implicit_tls(world, postfix, sasl, certs):
    tap = world.tap(postfix.address("sasl"), {
        "listeners": [{"address": "127.0.0.1:0", "tls": "implicit"}], "tls": {"certificates": [entry(certs.mta)]},
        "auth": {"mode": "required", "mechanisms": MECHANISMS},
        "upstream": {"tls": "required", "tls_ca": certs.ca, "tls_name": "mta.example"}})
    with smtplib.SMTP_SSL("127.0.0.1", tap.port, "client.example", context=client_context(), timeout=DEADLINE) as s:
        s.login("alice", PASSWORD)
        s.sendmail(SENDER, [TO], SMALL_MESSAGE)
    assert tap.message()["protocol"] == "ESMTPSA"


def test_own_login(world, postfix, sasl, certs):
    """Ours: the strongest of Postfix's mechanisms over TLS."""
    path = world.path("password")
    with open(path, "w") as f:
        f.write(PASSWORD + "\n")
    tap = world.tap(postfix.address("sasl"), {"upstream": {
        "tls": "required", "tls_ca": certs.ca, "tls_name": "mta.example", "username": "alice", "password_file": path}})
    c = tap.client()
    c.ehlo()
    assert c.deliver(sender=SENDER, to=TO).code == 250
    c.quit()
    queue_id = tap.message()["queue_id"]
    postfix.entry(queue_id)
    said = [x for x in postfix.maillog().splitlines() if queue_id in x and "sasl_username=alice" in x]
    assert said and "sasl_method=SCRAM-SHA-256" in said[0]
    assert PASSWORD.encode() not in bytes(tap.log.raw)
