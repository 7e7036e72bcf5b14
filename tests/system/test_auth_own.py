"""Our own login at the upstream: upstream.username and password_file (protocol.md H9, U1, M8)."""
import hashlib
import os
import threading
import time

import pytest

from harness.auth import b64, plain, unb64
from harness.mta import CLOSE, EHLO, each
from harness.tap import run_tool
from harness.tls import server_context
from test_auth_file import seconds

USERS = {"proxy": "s3cr3t-of-the-proxy"}
SECRET = USERS["proxy"]


def configured(world, password=SECRET + "\n", **more):
    path = world.path("password")
    with open(path, "w") as f:
        f.write(password)
    os.chmod(path, 0o600)
    return {"upstream": {"username": "proxy", "password_file": path, **more}}


def no_trace(tap):
    raw = bytes(tap.log.raw) + bytes(tap.stderr)
    for secret in (SECRET, b64(SECRET), plain("proxy", SECRET), b64(f"\0proxy\0{SECRET}")):
        assert secret.encode() not in raw


@pytest.mark.parametrize("offered, said", [
    ("PLAIN LOGIN CRAM-MD5", ["AUTH CRAM-MD5", "*"]), ("PLAIN LOGIN", ["AUTH PLAIN *"]),
    ("CRAM-MD5 SCRAM-SHA-256 PLAIN", ["AUTH SCRAM-SHA-256 *", "*", "*"]), ("LOGIN", ["AUTH LOGIN", "*", "*"]), ("LOGIN GSSAPI PLAIN", ["AUTH PLAIN *"])])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_strongest(world, offered, said, end):
    mta = world.mta(ehlo=[*EHLO, "AUTH " + offered], users=USERS)
    tap = world.tap(mta, configured(world, SECRET + end))
    c = tap.client()
    assert not any(b"AUTH" in x for x in c.ehlo().lines)
    assert c.deliver().code == 250
    assert c.deliver().code == 250
    c.quit()
    tap.closed(c)
    up = [r for r in tap.session(c) if r["tnx"] == "command" and r["side"] == "upstream"]
    assert [r["line"] for r in up][1:1 + len(said)] == said
    assert not tap.records("auth") and not any("user" in r for r in tap.session(c))
    assert len(mta.sessions) == 1 and tap.message()["protocol"] == "ESMTP"
    no_trace(tap)


def test_over_tls(world, certs):
    mta = world.mta(ehlo=[*EHLO, "AUTH PLAIN"], users=USERS, context=server_context(certs.mta))
    tap = world.tap(mta, configured(world, tls="required", tls_ca=certs.ca))
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    assert mta.sessions[0].commands[3].startswith(b"AUTH PLAIN ")
    no_trace(tap)


@pytest.mark.parametrize("auth", [b"535 5.7.8 no\r\n", b"454 4.7.0 later\r\n", b"421 4.7.0 go\r\n", CLOSE,
                                  b"250 fine\r\n", b"334 !!!\r\n", b"535 5.7.8 s3cr3t-of-the-proxy is wrong\r\n"])
def test_u1_next_server(world, auth):
    """A server that doesn't let us in is a failed one; the next is asked."""
    first = world.mta(ehlo=[*EHLO, "AUTH PLAIN"], users=USERS, auth=auth)
    second = world.mta(ehlo=[*EHLO, "AUTH PLAIN"], users=USERS)
    tap = world.tap([first, second], configured(world))
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    error = tap.wait("error", stage="auth")
    assert error["host"] == first.address and len(second.messages) == 1
    no_trace(tap)


SCRAM = [*EHLO, "AUTH SCRAM-SHA-256"]


def together(clients, line):
    for c in clients:
        c.sock.settimeout(60)
        c.send(line)
    over, codes = threading.Event(), []

    def wait_for_all():
        try:
            codes.extend(c.reply().code for c in clients)
        finally:
            over.set()

    waiter = threading.Thread(target=wait_for_all)
    waiter.start()
    return waiter, over, codes


def test_hashes_stall_nobody(world):
    """Logins by SCRAM with as many iterations as we do: the one worker serves another session meanwhile."""
    mta = world.mta(ehlo=SCRAM, users=USERS)
    tap = world.tap(mta, {**configured(world), "workers": 1})
    other = tap.client()
    other.ehlo()
    one = seconds(lambda: hashlib.pbkdf2_hmac("sha256", b"x", b"y", 600000))
    mta.iterations = 600000
    clients = [tap.client() for _ in range(5)]
    waiter, over, codes = together(clients, b"EHLO x\r\n")
    taken = []
    while not over.is_set():
        taken.append(seconds(lambda: other.cmd("NOOP", 250)))
        time.sleep(0.005)
    waiter.join()
    assert codes == [250] * 5 and len(taken) > 20
    worst = sorted(taken)[len(taken) * 9 // 10:]
    assert worst[0] < one / 4 and worst[len(worst) // 2] < one / 2, (worst, one)
    for c in clients:
        assert c.deliver().code == 250
        c.quit()
    no_trace(tap)


def test_one_hash_for_all_that_come_together(world):
    """The server asks each for the same."""
    mta = world.mta(ehlo=SCRAM, users=USERS)
    mta.iterations, mta.salt = 600000, b"salt"
    tap = world.tap(mta, {**configured(world), "workers": 1})
    clients = [tap.client() for _ in range(8)]
    waiter, over, codes = together(clients, b"EHLO x\r\n")
    waiter.join()
    assert codes == [250] * 8
    for c in clients:
        c.quit()


def test_gone_while_a_hash_is_under_way(world):
    mta = world.mta(ehlo=SCRAM, users=USERS)
    mta.iterations = 600000
    tap = world.tap(mta, configured(world, timeouts={"prepare": "20s"}))
    clients = []
    for n in range(6):
        c = tap.client()
        clients.append(c)
        c.send(b"EHLO x\r\n")
        mta.wait(lambda m: sum(len(s.commands) >= 2 for s in m.sessions) > n, "a challenge")
        c.reset()
    for c in clients:
        tap.closed(c)
    mta.iterations = 4096
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    no_trace(tap)


def challenge_and_bye(session, line):
    nonce = unb64(line.decode().split(" ")[2]).decode().split("r=")[1]
    return f"334 {b64(f'r={nonce}server,s=c2FsdA==,i=600000')}\r\n421 4.3.2 bye\r\n".encode()


def test_the_server_is_lost_while_a_hash_is_under_way(world):
    """It says good-bye behind its challenge."""
    first = world.mta(ehlo=SCRAM, users=USERS, auth=challenge_and_bye)
    second = world.mta(ehlo=[*EHLO, "AUTH PLAIN"], users=USERS)
    tap = world.tap([first, second], configured(world))
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    assert tap.wait("error", stage="auth")["host"] == first.address and len(second.messages) == 1
    no_trace(tap)


@pytest.mark.parametrize("said, code", [("535 5.7.8 {} is wrong", 535), ("354 {}", 354),
                                        ("235 2.7.0 Ok\r\n421 4.7.0 {} is old", 421)])
def test_a_server_that_repeats_the_password(world, said, code):
    """It was never sent, by CRAM-MD5: the server knows it anyhow."""
    def auth(session, line):
        session.ask(b64("<1.2@mta.example>"))
        return said.format(SECRET).encode() + b"\r\n"

    tap = world.tap(world.mta(ehlo=[*EHLO, "AUTH CRAM-MD5"], auth=auth), configured(world))
    c = tap.client()
    c.send(b"EHLO x\r\nQUIT\r\n")
    c.reply()
    tap.wait("close", side="upstream")
    assert tap.records("send", side="upstream", code=code)[-1]["lines"] == ["*"]
    no_trace(tap)


@pytest.mark.parametrize("ehlo", [EHLO, [*EHLO, "AUTH GSSAPI"]])
def test_no_mechanism(world, ehlo):
    mta = world.mta(ehlo=list(ehlo))
    tap = world.tap(mta, configured(world))
    c = tap.client()
    c.cmd("EHLO x", 421, "4.4.1")
    c.eof()
    error = tap.wait("error", stage="auth")
    assert error["err"]["code"] == "upstream_auth" and "mechanism" in error["err"]["message"]


def test_a_probe_does_not_log_in(world):
    mta = world.mta(ehlo=[*EHLO, "AUTH PLAIN"], users={}, auth=b"535 5.7.8 no\r\n")
    tap = world.tap(mta, configured(world, health={"failures": 1, "rest": "100ms", "probe": "50ms"}))
    c = tap.client()
    c.cmd("EHLO x", 421, "4.4.1")
    mta.wait(lambda m: sum(s.commands[-1:] == [b"QUIT"] for s in m.sessions) >= 1, "a probe")
    assert any(b"AUTH" not in s.wire for s in mta.sessions)
    tap.upstream = []  # probes make no records


def test_m8(world):
    """Nobody vouches for what a stranger says."""
    mta = world.mta(ehlo=[*EHLO, "AUTH PLAIN"], users=USERS, mail=each(None))
    tap = world.tap(mta, configured(world))
    c = tap.client()
    c.ehlo()
    for params in ("", " AUTH=<>", " AUTH=alice@x.example BODY=8BITMIME"):
        c.mail(params=params)
        c.cmd("RSET", 250)
    c.quit()
    mta.wait_ended()
    mails = [x for x in mta.sessions[0].commands if x.startswith(b"MAIL")]
    assert [x.count(b"AUTH=<>") for x in mails] == [1, 1, 1] and not any(b"alice" in x for x in mails)
    assert mails[2] == b"MAIL FROM:<a@client.example> BODY=8BITMIME AUTH=<>"


def test_connect_connection(world):
    mta = world.mta(ehlo=[*EHLO, "AUTH PLAIN"], users=USERS)
    tap = world.tap(mta, configured(world, connect="connection"))
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()


def test_check_and_print(world, tmp_path):
    tap = world.tap("192.0.2.1:25", configured(world), ready=False, start=False)
    done = run_tool("check", "-c", tap.path)
    assert done.returncode == 1 and 'upstream.tls: "none" would send passwords in clear' in done.stderr
    tap.config["upstream"]["tls"] = "opportunistic"
    tap.write_config()
    done = run_tool("check", "--print", "-c", tap.path)
    assert done.returncode == 0 and SECRET not in done.stdout + done.stderr
    assert '"tls_verify": true' in done.stdout and '"username": "proxy"' in done.stdout
    os.chmod(tap.config["upstream"]["password_file"], 0o644)
    assert "everybody on this machine can read" in run_tool("check", "-c", tap.path).stderr
