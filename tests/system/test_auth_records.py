"""Each AUTH command has exactly one `auth` record, which says what the client saw. That there is one, and that its code is
that of the reply behind it, is in the ledger of each test here; the tests show the rest of it."""
import threading
import time

import pytest

from harness.auth import b64, plain
from harness.mta import CLOSE, EHLO, Wait
from harness.tls import entry

AUTH = [*EHLO, "AUTH PLAIN LOGIN"]
OPEN = {"auth": {"mode": "optional", "require_tls": False}}
FILE = ["alice:{PLAIN}wonderland"]
PLAIN = plain("alice", "wonderland")


def opened(world, config=None, hello=True, **stages):
    mta = world.mta(ehlo=AUTH, users={"alice": "wonderland"}, **stages)
    tap = world.tap(mta, {**OPEN, **(config or {})})
    c = tap.client()
    if hello:
        c.ehlo()
    return mta, tap, c


def local(world, config=None):
    path = world.path("users")
    with open(path, "w") as f:
        f.writelines(line + "\n" for line in FILE)
    auth = {"mode": "optional", "require_tls": False, "backend": "file", "file": path}
    tap = world.tap(world.mta(), {"auth": auth, **(config or {})})
    c = tap.client()
    c.ehlo()
    return tap, c


def told(tap, c):
    """The auth records of a session that has ended, as far as they tell one end from another."""
    tap.closed(c)
    return [tuple(r.get(k) for k in ("method", "username", "result", "code", "reason")) for r in tap.records("auth")]


@pytest.mark.parametrize("line, code, method", [
    ("AUTH PLAIN !", 501, "PLAIN"), ("AUTH PLAIN AGE", 501, "PLAIN"), ("AUTH", 501, None), ("AUTH PLAIN a b", 501, "PLAIN"),
    ("AUTH NTLM", 504, "NTLM"), (f"AUTH {PLAIN}", 504, None), ("AUTH LOGIN " + "A" * 12290, 500, "LOGIN"),
    ("AUTH " + "A" * 12290, 500, None), (" AUTH PLAIN", 500, "PLAIN"), ("auth plain \0", 500, "PLAIN")])
def test_refused_at_once(world, line, code, method):
    mta, tap, c = opened(world)
    c.cmd(line, code)
    c.quit()
    assert told(tap, c) == [(method, None, "fail", code, None)]
    assert PLAIN[:18] not in bytes(tap.log.raw[tap.mark:]).decode()


def test_refused_for_the_order(world):
    mta, tap, c = opened(world, hello=False)
    c.cmd("AUTH LOGIN", 503)
    c.ehlo()
    c.mail()
    c.cmd("AUTH LOGIN", 503)
    c.cmd("RSET", 250)
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    c.cmd(f"AUTH PLAIN {PLAIN}", 503)
    c.quit()
    before = [("LOGIN", None, "fail", 503, None)] * 2
    assert told(tap, c) == [*before, ("PLAIN", "alice", "ok", 235, None), ("PLAIN", None, "fail", 503, None)]


def test_refused_in_clear(world, certs):
    mta = world.mta(ehlo=AUTH, users={"alice": "wonderland"})
    tap = world.tap(mta, {"tls": {"certificates": [entry(certs.mta)]}, "auth": {"mode": "optional"}})
    c = tap.client()
    c.ehlo()
    c.cmd(f"AUTH PLAIN {PLAIN}", 538)
    c.quit()
    assert told(tap, c) == [("PLAIN", None, "fail", 538, None)]


def test_off(world):
    tap = world.tap(world.mta(ehlo=AUTH))
    c = tap.client()
    c.ehlo()
    c.cmd(f"AUTH PLAIN {PLAIN}", 502)
    c.cmd("AUTH PLAIN " + "A" * 12290, 500)
    c.quit()
    assert told(tap, c) == [("PLAIN", None, "fail", 502, None), ("PLAIN", None, "fail", 500, None)]


@pytest.mark.parametrize("response, code", [("*", 501), ("not base64", 501), ("A" * 12290, 500), ("AUTH LOGIN", 501)])
@pytest.mark.parametrize("backend", [opened, local])
def test_broken_off(world, backend, response, code):
    tap, c = backend(world)[-2:]
    c.cmd("AUTH LOGIN", 334)
    c.cmd(b64("alice"), 334)
    c.cmd(response, code)
    c.quit()
    assert told(tap, c) == [("LOGIN", "alice", "fail", code, None)]


@pytest.mark.parametrize("backend", [opened, local])
def test_a_line_too_long_that_closes(world, backend):
    tap, c = backend(world)[-2:]
    c.cmd("A" * 2100, 500)
    c.cmd("AUTH LOGIN", 334)
    c.cmd("A" * 12290, 421)
    c.eof()
    assert told(tap, c) == [("LOGIN", None, "fail", 421, "limit")]


def test_a_bare_newline_that_closes(world):
    mta, tap, c = opened(world, {"server": {"bare_newline": "reject"}})
    c.cmd("AUTH LOGIN", 334)
    c.send(b"YWxpY2U=\n")
    c.expect(550)
    c.eof()
    assert told(tap, c) == [("LOGIN", None, "fail", 550, "protocol")]


@pytest.mark.parametrize("backend", [opened, local])
def test_the_last_failure_that_is_allowed(world, backend):
    tap, c = backend(world, {"limits": {"max_auth_failures": 2}})[-2:]
    wrong = plain("alice", "looking-glass")
    c.cmd(f"AUTH PLAIN {wrong}", 535)
    c.cmd(f"AUTH PLAIN {wrong}", 421)
    c.eof()
    assert told(tap, c) == [("PLAIN", "alice", "fail", 535, None), ("PLAIN", "alice", "fail", 421, "limit")]


@pytest.mark.parametrize("begun", [["AUTH LOGIN"], ["AUTH LOGIN", b64("alice")]])
@pytest.mark.parametrize("backend", [opened, local])
def test_the_client_goes(world, backend, begun):
    tap, c = backend(world)[-2:]
    for line in begun:
        c.cmd(line, 334)
    c.close()
    assert told(tap, c) == [("LOGIN", "alice" if len(begun) > 1 else None, "fail", None, "gone")]


@pytest.mark.parametrize("begun", [b"AUTH LOGIN " + b"A" * 13000, b"AUTH LOGIN\r\n" + b"A" * 13000])
def test_the_client_goes_in_a_line_too_long(world, begun):
    mta, tap, c = opened(world)
    c.send(begun)
    c.drained()
    c.close()
    assert told(tap, c) == [("LOGIN", None, "fail", None, "gone")]


def test_the_client_goes_while_the_upstream_thinks(world):
    go = threading.Event()
    mta, tap, c = opened(world, auth=[Wait(go), b"535 5.7.8 no\r\n"])
    c.send(f"AUTH PLAIN {PLAIN}\r\n".encode())
    tap.wait("command", side="upstream", command="AUTH")
    c.reset()
    assert told(tap, c) == [("PLAIN", "alice", "fail", None, "gone")]
    go.set()


@pytest.mark.parametrize("backend", [opened, local])
def test_a_time_out(world, backend):
    tap, c = backend(world, {"timeouts": {"command": "300ms"}})[-2:]
    c.cmd("AUTH LOGIN", 334)
    c.expect(421)
    c.eof()
    assert told(tap, c) == [("LOGIN", None, "fail", 421, "timeout")]


@pytest.mark.parametrize("backend", [opened, local])
def test_a_shutdown(world, backend):
    tap, c = backend(world)[-2:]
    c.cmd("AUTH LOGIN", 334)
    tap.send_signal(15)
    c.expect(421)
    c.eof()
    assert told(tap, c) == [("LOGIN", None, "tempfail", 421, "shutdown")]


def test_a_shutdown_that_can_not_wait(world):
    """The upstream never answers: the client is told when timeouts.shutdown has passed."""
    go = threading.Event()
    mta, tap, c = opened(world, {"timeouts": {"shutdown": "300ms"}}, auth=[Wait(go), CLOSE])
    c.send(f"AUTH PLAIN {PLAIN}\r\n".encode())
    tap.wait("command", side="upstream", command="AUTH")
    tap.send_signal(15)
    c.expect(421)
    assert told(tap, c) == [("PLAIN", "alice", "tempfail", 421, "shutdown")]
    go.set()


def test_the_upstream_is_lost(world):
    mta, tap, c = opened(world, auth=CLOSE)
    assert c.cmd(f"AUTH PLAIN {PLAIN}").code == 454
    c.quit()
    assert told(tap, c) == [("PLAIN", "alice", "tempfail", 454, None)]


def test_the_upstream_says_421(world):
    mta, tap, c = opened(world, auth=b"421 4.3.2 going down\r\n")
    c.cmd(f"AUTH PLAIN {PLAIN}", 421)
    c.eof()
    assert told(tap, c) == [("PLAIN", "alice", "tempfail", 421, None)]


@pytest.mark.parametrize("shutdown", ["500ms", "2s"])
def test_a_hash_that_does_not_end(world, shutdown):
    """The end doesn't wait for it: what is to be said is said, and the process goes."""
    path = world.path("users")
    with open(path, "w") as f:
        f.write("alice:$6$rounds=90000000$salt$" + "x" * 86 + "\n")
    auth = {"mode": "optional", "require_tls": False, "backend": "file", "file": path}
    tap = world.tap(world.mta(), {"auth": auth, "timeouts": {"shutdown": shutdown}})
    c = tap.client()
    c.ehlo()
    c.send(f"AUTH PLAIN {PLAIN}\r\n".encode())
    tap.wait("command", side="client", command="AUTH")
    began = time.monotonic()
    tap.send_signal(15)
    c.expect(421)
    assert told(tap, c) == [("PLAIN", "alice", "tempfail", 421, "shutdown")]
    tap.stop()
    assert time.monotonic() - began < 6
