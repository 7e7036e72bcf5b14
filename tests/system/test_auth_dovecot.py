"""auth.backend `dovecot`: logins by a real Dovecot's auth socket, its restart, its silence (config.md `auth`)."""
import json
import os
import signal
import socket
import threading
import time

import pytest

from harness.auth import Scram, b64, cram, plain
from harness.tap import run_tool
from harness.tls import entry
from harness.util import wait_until

USERS = {"alice": "wonderland", "bob@b.example": "builder"}
ALL = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "XOAUTH2", "OAUTHBEARER", "EXTERNAL"]


def config(address, certs=None, limits=None, **auth):
    out = {"auth": {"mode": "required", "backend": "dovecot", "socket": address, "mechanisms": ALL, **auth},
           "limits": {"max_unauthenticated_commands": 0, **(limits or {})}, "workers": 1}
    if certs:
        out["server"] = {"tls": "starttls"}
        out["tls"] = {"certificates": [entry(certs.a)]}
    else:
        out["auth"]["require_tls"] = False
    return out


def start(world, dovecot, **more):
    world.up = world.mta()
    world.proxy = world.tap(world.up, config(getattr(dovecot, "address", dovecot), **more))
    return world.proxy


def connect(tap, **options):
    c = tap.client(**options)
    c.offer = c.ehlo()
    return c


def offered(c):
    lines = [x.decode() for x in c.offer.lines if x.split(b" ")[0] == b"AUTH"]
    return set(lines[0].split(" ")[1:]) if lines else set()


def known(tap):
    """Dovecot has told what it can do."""
    def answered():
        c = connect(tap)
        c.quit()
        return "OAUTHBEARER" not in offered(c)

    wait_until(answered, "Dovecot's mechanisms")


def log_in(c, mechanism, user, password, code=235):
    if mechanism == "PLAIN":
        return c.cmd(f"AUTH PLAIN {plain(user, password)}", code)
    if mechanism == "PLAIN, later":
        assert c.cmd("AUTH PLAIN", 334).raw == b"334 \r\n"
        return c.cmd(plain(user, password), code)
    if mechanism == "LOGIN":
        assert c.cmd("AUTH LOGIN", 334).raw == b"334 VXNlcm5hbWU6\r\n"
        assert c.cmd(b64(user), 334).raw == b"334 UGFzc3dvcmQ6\r\n"
        return c.cmd(b64(password), code)
    if mechanism == "LOGIN, at once":
        assert c.cmd(f"AUTH LOGIN {b64(user)}", 334).raw == b"334 UGFzc3dvcmQ6\r\n"
        return c.cmd(b64(password), code)
    if mechanism == "CRAM-MD5":
        challenge = c.cmd("AUTH CRAM-MD5", 334).lines[0].decode()
        return c.cmd(cram(user, password, challenge), code)
    scram = Scram(user, password)
    got = c.cmd(f"AUTH {mechanism} {scram.first()}")
    if got.code == 334:
        got = c.cmd(scram.final(got.lines[0].decode()))
    if got.code == 334:
        scram.verify(got.lines[0].decode())
        got = c.cmd("")
    assert got.code == code, got
    return got


def results(tap):
    return [(r["method"], r.get("username"), r["result"], r["code"]) for r in tap.records("auth")]


MECHANISMS = ["PLAIN", "PLAIN, later", "LOGIN", "LOGIN, at once", "CRAM-MD5", "SCRAM-SHA-256"]


@pytest.fixture(scope="module")
def dovecot():
    """One for all that do it no harm."""
    from harness import dovecot as private
    if private.why_not():
        pytest.skip(private.why_not())
    one = private.Dovecot(USERS).start()
    yield one
    one.stop()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_logins(world, dovecot, mechanism):
    tap = start(world, dovecot, limits={"max_auth_failures": 10})
    known(tap)
    c = connect(tap)
    assert offered(c) == {"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"}
    name = mechanism.split(",")[0]
    assert log_in(c, mechanism, "alice", "wrong", 535).enhanced == "5.7.8"
    log_in(c, mechanism, "nobody", "wonderland", 535)
    c.cmd("MAIL FROM:<a@client.example>", 530, "5.7.0")
    assert log_in(c, mechanism, "bob@b.example", "builder").enhanced == "2.7.0"
    assert c.deliver().code == 250
    c.quit()
    message = tap.message(status="accepted")
    assert message["protocol"] == "ESMTPA" and message["user"] == "bob@b.example"
    assert results(tap) == [(name, "alice", "fail", 535), (name, "nobody", "fail", 535),
                            (name, "bob@b.example", "ok", 235)]
    text = bytes(tap.log.raw).decode()
    assert "builder" not in text and b64("builder") not in text
    assert not tap.records("error")


def test_inside_tls(world, dovecot, certs):
    tap = start(world, dovecot, certs=certs)
    known_offer = {"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"}
    c = connect(tap)
    assert offered(c) == set()
    c.cmd("AUTH PLAIN " + plain("alice", "wonderland"), 538, "5.7.11")
    c.starttls()

    def learnt():
        c.offer = c.ehlo()
        return offered(c) == known_offer

    wait_until(learnt, "Dovecot's mechanisms")
    log_in(c, "SCRAM-SHA-256", "alice", "wonderland")
    assert c.deliver().code == 250
    c.quit()
    assert tap.message()["protocol"] == "ESMTPSA"


def test_what_dovecot_lacks_is_not_offered(world, make_dovecot):
    tap = start(world, make_dovecot(USERS, mechanisms="plain"))
    known(tap)
    c = connect(tap)
    assert offered(c) == {"PLAIN"}
    c.cmd("AUTH LOGIN", 504, "5.5.4")
    log_in(c, "PLAIN", "alice", "wonderland")
    c.quit()


def test_many_at_once(world, dovecot):
    """On one connection: everybody gets the answer to what they said."""
    tap = start(world, dovecot)
    known(tap)
    clients = [connect(tap) for _ in range(30)]
    for i, c in enumerate(clients):
        password = "wonderland" if i % 3 else "wrong"
        c.send(f"AUTH PLAIN {plain('alice', password)}\r\n".encode())
    for i, c in enumerate(clients):
        c.expect(235 if i % 3 else 535)
    for c in clients:
        c.quit()


def test_cancelled(world, dovecot):
    tap = start(world, dovecot)
    known(tap)
    c = connect(tap)
    c.cmd("AUTH LOGIN", 334)
    c.cmd("*", 501, "5.7.0")
    c.cmd("AUTH LOGIN", 334)
    c.cmd(b64("alice"), 334)
    c.reset()
    tap.closed(c)
    c = connect(tap)
    c.cmd("AUTH PLAIN " + b64("garbage"), 535)
    log_in(c, "PLAIN", "alice", "wonderland")
    c.quit()


def test_failures_are_limited(world, dovecot):
    tap = start(world, dovecot, limits={"max_auth_failures": 2})
    known(tap)
    c = connect(tap)
    log_in(c, "LOGIN", "alice", "wrong", 535)
    assert log_in(c, "LOGIN", "alice", "wrong", 421).enhanced == "4.7.0"
    c.eof()
    assert tap.closed(c)["reason"] == "limit"


# Dovecot is not there


def test_never_there(world):
    """AUTH is offered and fails for now: a client tries again later, where one without AUTH gives up."""
    path = world.path("nobody")
    tap = start(world, "unix:" + path)
    error = tap.wait("error")
    assert error["err"]["code"] == "auth_server" and error["host"] == path and error["stage"] == "auth"
    c = connect(tap)
    assert {"PLAIN", "LOGIN"} <= offered(c)
    assert log_in(c, "PLAIN", "alice", "wonderland", 454).enhanced == "4.7.0"
    c.cmd("MAIL FROM:<a@client.example>", 530)
    assert c.cmd("AUTH LOGIN").code == 454
    c.quit()
    tap.closed(c)
    assert [x[2:] for x in results(tap)] == [("tempfail", 454)] * 2
    assert len(tap.records("error")) == 1


def test_comes_later_and_goes_and_comes(world, make_dovecot):
    path = world.path("auth")
    tap = start(world, "unix:" + path)
    c = connect(tap)
    log_in(c, "PLAIN", "alice", "wonderland", 454)
    os.chmod(world.dir, 0o777)
    one = make_dovecot(USERS, socket=path)

    def works():
        return c.cmd(f"AUTH PLAIN {plain('alice', 'wonderland')}").code == 235

    wait_until(works, "Dovecot to be found")
    c.quit()
    one.stop(keep=True)
    c = connect(tap)
    log_in(c, "PLAIN", "alice", "wonderland", 454)
    one.start()
    wait_until(works, "Dovecot to be found again")
    assert c.deliver().code == 250
    c.quit()
    tap.message()
    assert {r["err"]["code"] for r in tap.records("error")} == {"auth_server"}


def test_lost_in_an_exchange(world, make_dovecot):
    """Killed between two steps: 454, and the session goes on."""
    one = make_dovecot(USERS)
    tap = start(world, one)
    known(tap)
    c = connect(tap)
    c.cmd("AUTH LOGIN", 334)
    one.stop(keep=True)
    tap.wait("error")
    c.cmd(b64("alice"), 454, "4.7.0")
    c.cmd("NOOP", 250)
    one.start()

    def works():
        return c.cmd(f"AUTH PLAIN {plain('alice', 'wonderland')}").code == 235

    wait_until(works, "Dovecot to be found again")
    c.quit()


def test_the_client_goes_while_dovecot_is_silent(world, make_dovecot):
    one = make_dovecot(USERS)
    tap = start(world, one)
    known(tap)
    one.signal(signal.SIGSTOP)
    try:
        c, other = connect(tap), connect(tap)
        c.send(b"AUTH PLAIN " + plain("alice", "wonderland").encode() + b"\r\n")
        c.drained()
        c.reset()
        tap.closed(c)
        other.cmd("NOOP", 250)
    finally:
        one.signal(signal.SIGCONT)
    log_in(other, "PLAIN", "alice", "wonderland")
    other.quit()


@pytest.mark.long
def test_a_silent_dovecot_is_waited_for_30_seconds(world, make_dovecot):
    one = make_dovecot(USERS)
    tap = start(world, one)
    known(tap)
    one.signal(signal.SIGSTOP)
    try:
        c = connect(tap)
        c.sock.settimeout(60)
        began = time.monotonic()
        log_in(c, "PLAIN", "alice", "wonderland", 454)
        assert 28 < time.monotonic() - began < 45
    finally:
        one.signal(signal.SIGCONT)
    log_in(c, "PLAIN", "alice", "wonderland")
    c.quit()


def test_delay_is_dovecots(world, make_dovecot):
    """Its refusals come late, and hold up nobody else."""
    tap = start(world, make_dovecot(USERS, delay="3 secs"))
    known(tap)
    slow, quick = connect(tap), connect(tap, source="127.0.0.2")  # which it makes the address wait for
    slow.send(b"AUTH PLAIN " + plain("alice", "wrong").encode() + b"\r\n")
    slow.drained()
    began = time.monotonic()
    log_in(quick, "PLAIN", "alice", "wonderland")
    assert time.monotonic() - began < 1.5
    slow.expect(535)
    for c in (slow, quick):
        c.quit()


# what Dovecot says is not all believed


class Scripted:
    """Says the handshake to everybody who connects, and to each AUTH what `answer` makes of its id."""

    def __init__(self, world, answer, mechanisms=("PLAIN", "LOGIN")):
        self.path = world.path("scripted")
        self.answer, self.lines = answer, []
        self.hello = "VERSION\t1\t2\n" + "".join(f"MECH\t{m}\n" for m in mechanisms) + "SPID\t1\nDONE\n"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        world.defer(self.end)

    @property
    def address(self):
        return "unix:" + self.path

    def end(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)

    def serve(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(sock,), daemon=True).start()

    def talk(self, sock):
        with sock, sock.makefile("rwb", buffering=0) as f:
            f.write(self.hello.encode())
            for line in f:
                words = line.decode().rstrip("\n").split("\t")
                self.lines.append(words)
                if words[0] == "AUTH":
                    f.write(self.answer(words[1]).encode())


@pytest.mark.parametrize("answer, code", [
    ("OK\t{}\tuser=alice\tnologin\n", 535), ("OK\t{}\tuser=alice\tnologin=y\treason=later\n", 535),
    ("OK\t{}\tuser=alice\tproxy\thost=192.0.2.1\n", 535), ("OK\t{}\n", 454), ("OK\t{}\tuser=alice\n", 235),
    ("FAIL\t{}\tuser=alice\tcode=temp_fail\n", 454), ("FAIL\t{}\ttemp\n", 454),
    ("FAIL\t{}\tuser=alice\tcode=user_disabled\n", 535), ("FAIL\t{}\tcode=pass_expired\treason=hunter2\n", 535),
    ("OK\t99{}\tuser=alice\nFAIL\t{}\n", 535), ("nonsense\nOK\t{}\tuser=alice\n", 235), ("OK\n", 454)])
def test_answers(world, answer, code):
    peer = Scripted(world, lambda i: answer.replace("{}", i))
    tap = start(world, peer)
    known(tap)
    c = connect(tap)
    got = log_in(c, "PLAIN", "alice", "x", code)
    assert "hunter2" not in got.raw.decode()
    if code != 235:
        c.cmd("MAIL FROM:<a@client.example>", 530)
    c.quit()


def test_what_dovecot_is_told(world, certs):
    peer = Scripted(world, lambda i: f"OK\t{i}\tuser=alice\n")
    tap = start(world, peer, certs=certs)
    c = connect(tap)
    port = c.local_port
    c.starttls()
    c.ehlo()
    log_in(c, "PLAIN", "alice", "x")
    c.quit()
    line = next(words for words in peer.lines if words[0] == "AUTH")
    assert line[2:5] == ["PLAIN", "service=smtp", "secured=tls"]
    assert {"lip=127.0.0.1", f"lport={tap.port}", "rip=127.0.0.1", f"rport={port}"} <= set(line)
    assert line[-1] == "resp=" + plain("alice", "x") and f"session={tap.cid_of(c)}" in line


# check


def check(world, address):
    path = world.path("check.json")
    with open(path, "w") as f:
        json.dump({"listeners": [{"address": "127.0.0.1:0"}], **config(address)}, f)
    return run_tool("check", "-c", path)


def test_check_looks_at_the_socket(world):
    got = check(world, "unix:" + world.path("nobody"))
    assert got.returncode == 0 and "auth.socket" in got.stderr and "No such file" in got.stderr
    with open(world.path("file"), "w"):
        pass
    got = check(world, "unix:" + world.path("file"))
    assert got.returncode == 1 and "is not a socket" in got.stderr
    assert check(world, "127.0.0.1:1").returncode == 1
