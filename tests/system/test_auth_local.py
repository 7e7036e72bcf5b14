"""Logins that are decided here (auth.backend file, dovecot), through the whole program."""
import subprocess

import pytest

from harness.auth import Scram, b64, cram, plain
from harness.mta import EHLO
from harness.tls import entry
from harness.util import wait_until
from test_auth import keywords, results

MECHANISMS = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"]


def file_backend(world, lines=("alice:{PLAIN}wonderland",), **more):
    path = world.path("users")
    with open(path, "w") as f:
        f.writelines(x + "\n" for x in lines)
    return {"auth": {"mode": "required", "backend": "file", "file": path, "require_tls": False,
                     "mechanisms": MECHANISMS, **more}}


def log_in(c, mechanism, user, password):
    if mechanism == "PLAIN":
        return c.cmd(f"AUTH PLAIN {plain(user, password)}")
    if mechanism == "LOGIN":
        c.cmd("AUTH LOGIN", 334)
        c.cmd(b64(user), 334)
        return c.cmd(b64(password))
    if mechanism == "CRAM-MD5":
        challenge = c.cmd("AUTH CRAM-MD5", 334).lines[0].decode()
        return c.cmd(cram(user, password, challenge))
    scram = Scram(user, password)
    challenge = c.cmd(f"AUTH {mechanism} {scram.first()}", 334).lines[0].decode()
    got = c.cmd(scram.final(challenge))
    if got.code == 334:
        scram.verify(got.lines[0].decode())
        got = c.cmd("")
    return got


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_file(world, mechanism):
    mta = world.mta(ehlo=[*EHLO, "AUTH PLAIN"])  # whose AUTH is no concern of anybody
    tap = world.tap(mta, file_backend(world))
    c = tap.client()
    assert keywords(c.ehlo()) == ["AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256"]
    assert log_in(c, mechanism, "alice", "wrong").raw == b"535 5.7.8 Authentication failed\r\n"
    assert log_in(c, mechanism, "nobody", "wrong").code == 535
    assert log_in(c, mechanism, "alice", "wonderland").raw == b"235 2.7.0 Authentication successful\r\n"
    assert c.deliver().code == 250
    c.quit()
    message = tap.message()
    assert message["user"] == "alice" and message["protocol"] == "ESMTPA"
    mta.wait_ended()
    assert b"AUTH" not in mta.sessions[0].wire
    tap.closed(c)
    assert results(tap) == [("alice", mechanism, "fail", 535), ("nobody", mechanism, "fail", 535),
                            ("alice", mechanism, "ok", 235)]


def test_malformed_and_cancelled(world):
    mta = world.mta()
    tap = world.tap(mta, file_backend(world))
    c = tap.client()
    c.ehlo()
    c.cmd(f"AUTH PLAIN {b64('no separators')}", 501, "5.5.2")
    for last in ("*", "bad base64"):
        c.cmd("AUTH LOGIN", 334)
        c.cmd(last, 501)
    c.cmd("AUTH SCRAM-SHA-256", 334)
    c.cmd(b64("nonsense"), 501)
    assert log_in(c, "LOGIN", "alice", "wonderland").code == 235
    c.quit()


def test_the_session_dies_in_an_exchange(world):
    mta = world.mta()
    slow = subprocess.run(["openssl", "passwd", "-6", "wonderland"], capture_output=True, text=True).stdout.strip()
    tap = world.tap(mta, file_backend(world, ["alice:" + slow], mechanisms=["PLAIN", "LOGIN"]))
    for line in ("AUTH LOGIN\r\n", f"AUTH PLAIN {plain('alice', 'x')}\r\n"):
        for _ in range(5):
            c = tap.client()
            c.ehlo()
            c.send(line.encode())
            c.drained()
            c.reset()
    tap.stop()


def test_bound_to_nothing(world):
    """A login that is decided here survives the upstream's connection."""
    mta = world.mta(end=[b"250 2.0.0 Ok: queued as 4ABCDEF\r\n"])
    tap = world.tap(mta, file_backend(world))
    c = tap.client()
    c.ehlo()
    log_in(c, "PLAIN", "alice", "wonderland")
    assert c.deliver().code == 250
    mta.sessions[0].sock.close()
    c.cmd("NOOP", 250)
    assert c.deliver().code == 250
    c.quit()
    assert b"NOOP" not in mta.sessions[0].wire


def test_starttls_offers_anew(world, certs):
    mta = world.mta()
    config = file_backend(world, require_tls=True, mechanisms=["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"])
    tap = world.tap(mta, {**config, "tls": {"certificates": [entry(certs.mta)]}})
    c = tap.client()
    assert not keywords(c.ehlo())
    c.cmd("AUTH PLAIN", 538)
    c.starttls()
    assert keywords(c.ehlo()) == ["AUTH PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS"]
    assert log_in(c, "SCRAM-SHA-256", "alice", "wonderland").code == 235
    assert not keywords(c.ehlo())
    c.quit()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_dovecot(world, make_dovecot, mechanism):
    dovecot = make_dovecot({"alice": "wonderland"})
    mta = world.mta()
    tap = world.tap(mta, {"auth": {"mode": "required", "backend": "dovecot", "socket": dovecot.address,
                                   "require_tls": False, "mechanisms": MECHANISMS}})
    c = tap.client()
    assert keywords(c.ehlo())[0].startswith("AUTH PLAIN LOGIN")
    assert log_in(c, mechanism, "alice", "wrong").code == 535
    assert log_in(c, mechanism, "alice", "wonderland").code == 235
    assert c.deliver().code == 250
    c.quit()
    tap.closed(c)
    assert tap.message()["user"] == "alice"
    assert [x[2:] for x in results(tap)] == [("fail", 535), ("ok", 235)]


def test_dovecot_gone(world, make_dovecot):
    dovecot = make_dovecot({"alice": "wonderland"})
    mta = world.mta()
    tap = world.tap(mta, {"auth": {"mode": "required", "backend": "dovecot", "socket": dovecot.address,
                                   "require_tls": False}})
    c = tap.client()
    c.ehlo()
    assert log_in(c, "PLAIN", "alice", "wonderland").code == 235
    c.quit()
    dovecot.stop(keep=True)
    c = tap.client()
    c.ehlo()
    assert log_in(c, "PLAIN", "alice", "wonderland").raw.startswith(b"454 4.7.0")
    c.cmd("NOOP", 250)
    dovecot.start()
    wait_until(lambda: log_in(c, "PLAIN", "alice", "wonderland").code == 235, "the login")
    c.quit()
    tap.closed(c)
    said = [x[2:] for x in results(tap)]
    assert said[:2] == [("ok", 235), ("tempfail", 454)] and said[-1] == ("ok", 235)
    assert set(said[2:-1]) <= {("tempfail", 454)}
