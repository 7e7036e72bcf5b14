"""What clients send as secrets, in every shape, is in no output, on neither leg, and not in the program's memory once it
was handled (protocol.md A15, design.md promise 5)."""
import array
import os
import subprocess

import pytest

from harness.auth import GOOD, b64, plain
from harness.client import Gone
from harness.mta import EHLO
from harness.tls import entry, server_context
from harness.util import wait_until

OFFER = [*EHLO, "AUTH PLAIN LOGIN"]


def secret(n):
    return f"Ys3cr3t{n:02d}zQ7kLm"


def shapes(n):
    """What may stand for the n-th secret: as it is, and what base64 makes of it wherever it begins."""
    raw = secret(n).encode()
    out = [raw]
    for shift in range(3):
        text = b64(b"\0" * shift + raw)
        out.append(text[4 if shift else 0:len(text) // 4 * 4 - 4].encode())
    return out


PAGE, STRIDE = os.sysconf("SC_PAGESIZE"), 1 << 16


def touched(pagemap, begin, end):
    """The parts of this range of which the kernel has a page in memory or in swap: all else was never written, or is
    still a file's."""
    run = None
    for at in range(begin, end, STRIDE):
        pages = (min(at + STRIDE, end) - at) // PAGE
        entries = array.array("Q", os.pread(pagemap, pages * 8, at // PAGE * 8))
        there = len(entries) < pages or any(entry >> 62 for entry in entries)
        if there and run is None:
            run = at
        if not there and run is not None:
            yield run, at
            run = None
    if run is not None:
        yield run, end


def image(pid):
    """The writable memory of a process, part by part."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem, \
            open(f"/proc/{pid}/pagemap", "rb", 0) as pagemap:
        for line in maps:
            span, mode, *_ = line.split()
            begin, end = (int(x, 16) for x in span.split("-"))
            if "w" not in mode or "r" not in mode or end - begin > 1 << 30:  # a sanitizer's shadow is larger
                continue
            for first, last in touched(pagemap.fileno(), begin, end):
                try:
                    mem.seek(first)
                    yield mem.read(last - first)
                except OSError:
                    break


STEMS = [os.path.commonprefix(pair) for pair in zip(shapes(0), shapes(99))]  # to look for all at once


def found_in_memory(pid, secrets):
    found = set()
    for part in image(pid):
        if any(stem in part for stem in STEMS):
            found |= {(n, text) for n in secrets for text in shapes(n) if text in part}
    return found


class Sessions:
    """One client after the other; each is refused or let in, and ends in order."""

    def __init__(self, tap, secured, names):
        self.tap, self.secured, self.n = tap, secured, names
        self.used = []

    def new(self):
        c = self.tap.client()
        c.ehlo()
        if self.secured:
            c.starttls()
            c.ehlo()
        return c

    def take(self):
        self.used.append(next(self.n))
        return secret(self.used[-1])

    def all(self):
        for name in sorted(x for x in dir(self) if x.startswith("say_")):
            c = self.new()
            getattr(self, name)(c)
            try:
                c.send(b"QUIT\r\n")
                while True:
                    c.reply()
            except (Gone, OSError, AssertionError):
                pass
            c.close()

    def say_good_login(self, c):
        c.cmd(f"AUTH PLAIN {plain('alice', self.take())}", 235)
        assert c.deliver().code == 250
        c.cmd(self.take(), 500)  # the session is under suspicion until it ends

    def say_continued(self, c):
        c.cmd("AUTH LOGIN", 334)
        c.cmd(b64("alice"), 334)
        c.cmd(b64(self.take()), 235)

    def say_failed(self, c):
        c.cmd(f"AUTH PLAIN {plain('mallory', self.take())}", 535)
        c.cmd("AUTH LOGIN", 334)
        c.cmd(b64("mallory"), 334)
        c.cmd(b64(self.take()), 535)

    def say_broken_base64(self, c):
        c.cmd(f"AUTH PLAIN {self.take()}!", 501)
        c.cmd("AUTH PLAIN", 334)
        c.cmd(f"{self.take()} {self.take()}", 501)
        c.cmd("AUTH PLAIN", 334)
        c.cmd(b"\0" + self.take().encode() + b"\xff", 501)

    def say_other_case(self, c):
        c.cmd(f"aUtH pLaIn {plain('alice', self.take())}", 235)

    def say_not_quite(self, c):
        for line in (f" AUTH PLAIN {plain('alice', self.take())}", f"AUTHPLAIN {self.take()}", f"\tauth {self.take()}",
                     f"authenticate {self.take()}", f"AUTH\tPLAIN\t{plain('mallory', self.take())}",
                     f"AUTH NTLM {self.take()}", f"AUTH PLAIN {self.take()} {self.take()}"):
            c.cmd(line)

    def say_split(self, c):
        data = f"AUTH PLAIN {plain('alice', self.take())}\r\n{self.take()}\r\n".encode()
        c.send_cut(data, 3, 9, 20, len(data) - 5)
        c.expect(235)
        c.expect(500)

    def say_responses_to_a_refusal(self, c):
        c.send(f"AUTH SCRAM-SHA-1\r\n{b64(self.take())}\r\n{self.take()} x\r\n\r\n{self.take()}\r\n".encode())
        for code in (504, 500, 500, 500, 500):
            c.expect(code)

    def say_too_long(self, c):
        c.cmd("AUTH PLAIN " + (self.take() * 1000)[:14000], 500)

    def say_too_long_response(self, c):
        c.cmd("AUTH PLAIN", 334)
        c.cmd((self.take() * 1000)[:14000], 500)

    def say_cancelled(self, c):
        c.cmd("AUTH LOGIN", 334)
        c.cmd(b64("alice"), 334)
        c.cmd("*", 501)
        c.cmd(self.take(), 500)

    def say_unfinished(self, c):
        c.send(f"AUTH PLAIN {plain('alice', self.take())}".encode())
        c.drained()
        c.close()

    def say_unfinished_response(self, c):
        c.cmd("AUTH LOGIN", 334)
        c.cmd(b64("alice"), 334)
        c.send(b64(self.take()).encode())
        c.drained()
        c.reset()

    def say_behind_the_end(self, c):
        c.send(f"QUIT\r\nAUTH PLAIN {plain('alice', self.take())}\r\n{self.take()}\r\n".encode())
        c.expect(221)

    def say_many_at_once(self, c):
        c.send(("NOOP\r\n" * 30 + f"AUTH PLAIN {plain('mallory', self.take())}\r\n" + "NOOP\r\n" * 30 +
                f"AUTH PLAIN {plain('alice', self.take())}\r\n" + "NOOP\r\n" * 5).encode())
        for code in [250] * 30 + [535] + [250] * 30 + [235] + [250] * 5:
            c.expect(code)


def log_of(tap):
    return bytes(tap.log.raw) + bytes(tap.stderr)


def check(tap, used):
    wait_until(lambda: len(tap.records("close", side="client")) >= len(tap.records("connection", side="client")), "closes")
    assert len(used) > 20
    assert not [(n, t) for n in used for t in shapes(n) if t in log_of(tap)]
    assert not found_in_memory(tap.pid, used)


def user_file(world, users):
    path = world.path("users")
    with open(path, "w") as f:
        for name, password in users.items():
            done = subprocess.run(["openssl", "passwd", "-6", "-salt", "saltsalt", "-stdin"], input=password,
                                  capture_output=True, text=True, check=True)
            f.write(f"{name}:{done.stdout}")
    return path


def accepted(session, line):
    """Whoever is alice is let in, whatever the password."""
    words = line.split(b" ")
    if words[1] == b"LOGIN":
        user = session.ask(b64("Username:"))
        if user is None or session.ask(b64("Password:")) is None:
            return b"501 5.7.0 cancelled\r\n"
        return GOOD if user == b64("alice") else b"535 5.7.8 no\r\n"
    got = words[2].decode() if len(words) > 2 else session.ask("")
    if got is None:
        return b"501 5.7.0 cancelled\r\n"
    return GOOD if b64("\0alice\0")[:8] == got[:8] else b"535 5.7.8 no\r\n"


@pytest.mark.skipif(not os.access("/proc/self/mem", os.R_OK), reason="needs /proc")
@pytest.mark.parametrize("secured", [False, True])
@pytest.mark.parametrize("level", ["debug", "info"])
def test_relayed(world, certs, secured, level):
    mta = world.mta(ehlo=OFFER, auth=accepted, context=server_context(certs.mta) if secured else None)
    config = {"auth": {"mode": "optional", "require_tls": False}, "limits": {"max_auth_failures": 20,
                                                                             "max_unrecognized_commands": 50},
              "tls": {"certificates": [entry(certs.mta)]}, "workers": 1}
    if secured:
        config["upstream"] = {"tls": "required", "tls_ca": certs.ca}
    tap = world.tap(mta, config, level=level)
    sessions = Sessions(tap, secured, iter(range(100)))
    sessions.all()
    check(tap, sessions.used)


@pytest.mark.parametrize("secured", [False, True])
def test_behind_starttls(world, certs, secured):
    """What is said in clear behind STARTTLS is thrown away, and wiped."""
    tap = world.tap(world.mta(ehlo=OFFER), {"auth": {"mode": "optional", "require_tls": False}, "workers": 1,
                                            "tls": {"certificates": [entry(certs.mta)]}})
    c = tap.client()
    c.ehlo()
    c.send(f"STARTTLS\r\nAUTH PLAIN {plain('alice', secret(1))}\r\n{secret(2)}\r\n".encode())
    c.expect(220)
    if secured:
        c.secure()
        c.ehlo()
        c.quit()
    else:
        c.close()
    tap.closed(c)
    assert not [t for n in (1, 2) for t in shapes(n) if t in log_of(tap)]
    assert not found_in_memory(tap.pid, (1, 2))


def test_auth_is_off(world):
    """Clients that don't look at what is offered."""
    tap = world.tap(world.mta(), {"limits": {"max_unrecognized_commands": 50}, "workers": 1})
    c = tap.client()
    c.ehlo()
    for n, line in enumerate((f"AUTH PLAIN {plain('alice', secret(0))}", secret(1), f"auth login {b64(secret(2))}",
                              f"{secret(3)} {secret(4)}")):
        c.cmd(line)
    c.quit()
    tap.closed(c)
    assert not [t for n in range(5) for t in shapes(n) if t in log_of(tap)]
    assert not found_in_memory(tap.pid, range(5))


@pytest.mark.parametrize("backend", ["file", "dovecot"])
def test_decided_here(world, certs, request, backend):
    users = {"alice": secret(90)}
    auth = {"mode": "optional", "backend": backend, "mechanisms": ["PLAIN", "LOGIN"], "require_tls": False}
    if backend == "dovecot":
        auth["socket"] = request.getfixturevalue("make_dovecot")(users).address
    else:
        auth["file"] = user_file(world, users)
    tap = world.tap(world.mta(), {"auth": auth, "workers": 1, "limits": {"max_auth_failures": 99},
                                  "tls": {"certificates": [entry(certs.mta)]}})
    many = 2 if backend == "dovecot" else 8  # which takes its time over each
    for tls in (False, True):
        c = tap.client()
        c.ehlo()
        if tls:
            c.starttls()
            c.ehlo()
        for n in range(many):
            c.cmd(f"AUTH PLAIN {plain('alice', secret(n))}", 535)
            c.cmd("AUTH LOGIN", 334)
            c.cmd(b64("bob"), 334)
            c.cmd(b64(secret(10 + n)), 535)
        c.cmd(f"AUTH PLAIN {plain('alice', secret(90))}", 235)
        c.quit()
        tap.closed(c)
    used = [*range(many), *range(10, 10 + many), 90]
    assert not [t for n in used for t in shapes(n) if t in log_of(tap)]
    assert not found_in_memory(tap.pid, used)


def test_records_in_the_queue(world):
    """With an output that takes nothing the records lie in the queue: there is no secret in them either."""
    tap = world.tap(world.mta(ehlo=OFFER, auth=accepted), {"auth": {"mode": "optional", "require_tls": False}, "workers": 1,
                                                                  "limits": {"max_auth_failures": 9}})
    tap.readers[0].flowing.clear()
    c = tap.client()
    c.ehlo()
    for n in range(3):
        c.cmd(f"AUTH PLAIN {plain('mallory', secret(n))}"[:60 + n])
    filler = "x" * 400
    for _ in range(400):  # more than a pipe holds
        c.cmd(f"NOOP {filler}", 250)
    assert any(filler.encode() in part for part in image(tap.pid))
    assert not found_in_memory(tap.pid, range(3))
    tap.readers[0].flowing.set()
    c.quit()


def test_the_search_finds_what_is_there(world):
    """The oracle itself: a line that is no secret is found where it was read."""
    tap = world.tap(world.mta(), {"workers": 1})
    c = tap.client()
    c.ehlo()
    c.send(f"NOOP {secret(1)}".encode())
    c.drained()
    assert found_in_memory(tap.pid, [1])
    c.close()
