"""Limits and timeouts: a bad peer costs bounded memory and time, is told why, and harms nobody else."""
import contextlib
import resource
import socket
import threading
import time

import pytest

from harness.client import SMALL
from harness.util import open_fds, status_kib, wait_until

QUICK = {"timeouts": {"command": "250ms", "data": "300ms", "greeting": "250ms"}}


def took(start, least, most=5):
    spent = time.monotonic() - start
    assert least <= spent < most, f"{spent:.3f} s"


# connections


@pytest.mark.parametrize("limit", [1, 3])
def test_g3_max_connections(world, limit):
    tap = world.tap(world.mta(), {"limits": {"max_connections": limit}})
    held = [tap.client() for _ in range(limit)]
    for _ in range(3):
        over = tap.client(greet=False)
        over.expect(421, "4.3.2")
        over.eof()
        assert tap.closed(over)["reason"] == "limit"
    held[0].quit()
    tap.closed(held[0])
    assert tap.client().greeting.code == 220


@pytest.mark.parametrize("own, other", [(1, 5), (2, 5)])
def test_g3_a_listener_has_its_own_count(world, own, other):
    tap = world.tap(world.mta(), {"listeners": [{"address": "127.0.0.1:0", "limits": {"max_connections": own}},
                                                {"address": "127.0.0.2:0"}],
                                  "limits": {"max_connections": other}})
    first = next(a for a in tap.addresses() if a[0] == "127.0.0.1")
    second = next(a for a in tap.addresses() if a[0] == "127.0.0.2")
    held = [tap.client(first) for _ in range(own)]
    over = tap.client(first, greet=False)
    over.expect(421, "4.3.2")
    over.eof()
    held += [tap.client(second) for _ in range(other - own)]
    over = tap.client(second, greet=False)
    over.expect(421, "4.3.2")
    over.eof()


def test_g4_connections_of_one_client(world):
    tap = world.tap(world.mta(), {"limits": {"max_connections_per_client": 2}})
    held = [tap.client() for _ in range(2)]
    over = tap.client(greet=False)
    over.expect(421, "4.7.0")
    over.eof()
    assert tap.client(source="127.0.0.3").greeting.code == 220
    held[0].quit()
    tap.closed(held[0])
    assert tap.client().greeting.code == 220


def test_g4_rate_of_one_client(world):
    tap = world.tap(world.mta(), {"limits": {"max_rate_per_client": 3}})
    for _ in range(3):
        tap.client().quit()
    over = tap.client(greet=False)
    over.expect(421, "4.7.0")
    over.eof()
    assert tap.client(source="127.0.0.4").greeting.code == 220


def test_memory_limit(world):
    """Sessions that hold input are counted; above the limit new ones are told to come back."""
    tap = world.tap(world.mta(), {"limits": {"memory": "1MiB"}})
    held = []
    for i in range(2000):
        c = tap.client(greet=False)
        got = c.reply()
        if got.code == 421:
            assert got.enhanced == "4.3.2"
            c.eof()
            break
        c.send(b"NOOP " + b"x" * 2000)
        held.append(c)
    else:
        pytest.fail("2000 sessions with half a line of 2 KiB fit into 1 MiB")
    for c in held:
        c.close()
    wait_until(lambda: len(tap.records("close", side="client")) >= len(held), "the sessions' end")
    assert tap.client().greeting.code == 220


# greet_delay


@pytest.mark.parametrize("early", [b"E", b"EHLO x\r\n", b"\r\n", b"GET / HTTP/1.1\r\n\r\n"])
def test_g2_early_talkers(world, early):
    tap = world.tap(world.mta(), {"server": {"greet_delay": "5s"}})
    c = tap.client(greet=False)
    c.send(early)
    c.expect(421, "4.7.0")
    c.eof()
    close = tap.closed(c)
    assert close["reason"] == "protocol"
    error = tap.wait("error", cid=close["cid"])
    assert error["err"]["code"] == "early_talker"


def test_g2_patience_is_rewarded(world):
    tap = world.tap(world.mta(), {"server": {"greet_delay": "200ms"}})
    start = time.monotonic()
    c = tap.client()
    took(start, 0.19)
    c.ehlo()
    assert c.deliver().code == 250


def test_g2_client_that_leaves_in_the_delay(world):
    tap = world.tap(world.mta(), {"server": {"greet_delay": "5s"}})
    c = tap.client(greet=False)
    tap.cid_of(c)
    c.close()
    assert tap.closed(c)["reason"] == "gone"


# limits in a session


@pytest.mark.parametrize("pipelined", [False, True])
def test_m11_max_recipients(world, pipelined):
    mta = world.mta()
    tap = world.tap(mta, {"limits": {"max_recipients": 3}})
    c = tap.client()
    assert b"LIMITS RCPTMAX=3" in c.ehlo().lines
    c.mail()
    lines = [b"RCPT TO:<r%d@x.example>\r\n" % i for i in range(5)]
    if pipelined:
        c.send(b"".join(lines))
    for i, line in enumerate(lines):
        if not pipelined:
            c.send(line)
        c.expect(250 if i < 3 else 452, None if i < 3 else "4.5.3")
    c.cmd("DATA", 354)
    c.cmd(SMALL + b".", 250)
    m = tap.message()
    assert (m["rcpt_count"], m["rcpt_accepted"], m["status"]) == (5, 3, "accepted")
    assert [x["status"] for x in m["recipients"]] == ["accepted"] * 3 + ["deferred"] * 2
    assert len(mta.messages[0]["rcpts"]) == 3


@pytest.mark.parametrize("limit, size", [("512", 512), ("4KiB", 4096)])
def test_c9_max_command_length(world, limit, size):
    value = int(limit) if limit.isdigit() else limit
    tap = world.tap(world.mta(), {"limits": {"max_command_length": value}})
    c = tap.client()
    c.send(b"NOOP " + b"x" * (size - 7) + b"\r\n")
    c.expect(250)
    c.send(b"NOOP " + b"x" * (size - 6) + b"\r\n")
    c.expect(500, "5.5.2")


@pytest.mark.parametrize("limit, hops, code", [(5, 5, 250), (5, 6, 554), (0, 200, 250), (100, 100, 250),
                                               (100, 101, 554)])
def test_r_loops(world, limit, hops, code):
    mta = world.mta()
    tap = world.tap(mta, {"limits": {"max_received": limit}})
    c = tap.client()
    c.ehlo()
    head = b"".join(b"Received: from h%d by h%d\r\n\tfolded; date\r\n" % (i, i + 1) for i in range(hops))
    got = c.deliver(head + b"Subject: x\r\n\r\n" + b"Received: in the body\r\n" * 200)
    assert got.code == code
    if code == 554:
        assert got.enhanced == "5.4.6" and not mta.messages
        m = tap.message()
        assert (m["status"], m["decided_by"], m["class"]) == ("rejected", "smtptap", "other")


# timeouts


@pytest.mark.parametrize("sent", [b"", b"NO", b"NOOP\r", b"EHLO x\r\nNOOP\r\nMAI"])
def test_i_command_timeout(world, sent):
    tap = world.tap(world.mta(), QUICK)
    c = tap.client()
    start = time.monotonic()
    c.send(sent)
    for _ in range(sent.count(b"\r\n")):
        c.expect(250)
    c.expect(421, "4.4.2")
    c.eof()
    took(start, 0.2)
    assert tap.closed(c)["reason"] == "timeout"


@contextlib.contextmanager
def dripping(c, piece, pause):
    """The client sends a piece after each pause, for as long as the connection takes it."""
    over = threading.Event()

    def drip():
        while not over.wait(pause):
            try:
                c.send(piece)
            except OSError:
                return

    t = threading.Thread(target=drip, daemon=True)
    t.start()
    try:
        yield
    finally:
        over.set()
        t.join()


def test_i_single_bytes_do_not_reset_the_command_timeout(world):
    tap = world.tap(world.mta(), QUICK)
    c = tap.client()
    start = time.monotonic()
    with dripping(c, b"x", 0.05):
        c.expect(421, "4.4.2")
    took(start, 0.2, 2)
    c.close()
    assert tap.closed(c)["reason"] == "timeout"


def test_i_timeout_in_a_transaction(world):
    tap = world.tap(world.mta(), QUICK)
    c = tap.client()
    c.ehlo()
    c.mail()
    c.rcpt()
    c.expect(421, "4.4.2")
    c.eof()
    m = tap.message()
    assert (m["status"], m["decided_by"]) == ("aborted", "client")


@pytest.mark.parametrize("sent", [b"", b"Subject: x\r\n", b"Subject: x\r\n\r\nx\r\n."])
def test_i_data_stall(world, sent):
    mta = world.mta()
    tap = world.tap(mta, {"timeouts": {"command": "5s", "data": "300ms"}})
    c = tap.client()
    c.ehlo()
    c.begin()
    start = time.monotonic()
    c.send(sent)
    c.expect(421, "4.4.2")
    c.eof()
    took(start, 0.25)
    assert mta.wait_ended() in ("fin", "rst") and not mta.messages
    m = tap.message()
    assert (m["status"], m["decided_by"]) == ("aborted", "client")
    assert tap.closed(c)["reason"] == "timeout"


def test_i_data_that_trickles_is_a_stall(world):
    """Under 1 KiB in `data`."""
    tap = world.tap(world.mta(), {"timeouts": {"data": "300ms"}})
    c = tap.client()
    c.ehlo()
    c.begin()
    with dripping(c, b"x\r\n", 0.03):
        c.expect(421, "4.4.2")
    assert tap.message()["status"] == "aborted"


def test_i_slow_but_steady_data_is_no_stall(world):
    tap = world.tap(world.mta(), {"timeouts": {"data": "300ms"}})
    c = tap.client()
    c.ehlo()
    c.begin()
    pause = threading.Event()
    for _ in range(12):
        c.send(b"y" * 2000 + b"\r\n")
        pause.wait(0.08)  # 2 KiB every 80 ms: the pace is what is tested
    c.cmd(b".", 250)


def test_i_reader_that_never_reads(world):
    """Replies pile up: reading stops, memory stays bounded, the timer ends it."""
    tap = world.tap(world.mta(), {"timeouts": {"command": "1s"}})
    c = tap.client(receive_buffer=2048)
    c.sock.settimeout(0.3)
    sent = 0
    try:
        while sent < 64 << 20:
            sent += c.sock.send(b"HELP\r\n" * 4096)
    except (socket.timeout, ConnectionError):
        pass
    assert sent < 32 << 20, "the program goes on reading from one who does not read"
    assert status_kib(tap.pid, "VmHWM") < 200 * 1024
    assert tap.closed(c)["reason"] in ("timeout", "gone")
    c.replies.clear()
    c.close()


def test_l_backpressure_from_a_slow_upstream(world):
    """The upstream does not read: the client is not read from either, beyond bounded buffers; others are served."""
    go = threading.Event()
    world.defer(go.set)
    mta = world.mta(body=lambda s, line: (go.wait(10), None)[1] if s is s.mta.sessions[0] else None, body_after=1)
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    c.begin()
    c.send(b"first line\r\n")
    mta.wait_stage("body")
    c.sock.settimeout(0.3)
    sent = 0
    try:
        while sent < 64 << 20:
            sent += c.sock.send(b"x" * 10000)
    except socket.timeout:
        pass
    assert sent < 32 << 20, "the message piles up in the program"
    other = tap.client()
    other.ehlo()
    assert other.deliver().code == 250
    go.set()
    c.sock.settimeout(10)
    c.send(b"\r\nend\r\n.\r\n")
    c.expect(250)
    assert tap.message(2)["status"] == "accepted"
    assert [m["size"] for m in tap.records("message")][1] > sent


def test_i_slow_clients_do_not_slow_others(world):
    tap = world.tap(world.mta(), {"workers": 1})
    slow = [tap.client() for _ in range(50)]
    for c in slow:
        c.send(b"EHLO slo")
    start = time.monotonic()
    c = tap.client()
    c.ehlo()
    for _ in range(20):
        assert c.deliver().code == 250
    took(start, 0)
    for c in slow:
        c.send(b"w\r\n")
        c.expect(250)


# close


@pytest.mark.parametrize("rest", [1, 1000, 60000])
def test_i_lingering_close(world, rest):
    """Unread input must not turn the last reply into a reset."""
    tap = world.tap(world.mta())
    c = tap.client()
    c.send(b"QUIT\r\n" + b"x" * rest)
    c.expect(221)
    c.eof()


@pytest.mark.parametrize("rest", [1000, 60000])
def test_i_lingering_close_after_refusal(world, rest):
    tap = world.tap(world.mta())
    c = tap.client()
    c.send(b"GET / HTTP/1.0\r\n")
    c.drained()
    try:
        c.send(b"y" * rest)
    except OSError:
        pass
    c.expect(421)
    c.eof()


def test_i_lingering_close_is_bounded(world):
    """A client that never closes its half does not keep the socket for ever."""
    tap = world.tap(world.mta())
    before = open_fds(tap.pid)
    c = tap.client()
    c.cmd("QUIT", 221)
    wait_until(lambda: open_fds(tap.pid) == before, lambda: f"descriptors {open_fds(tap.pid)} against {before}", 6)


def test_clients_that_vanish_leave_nothing(world):
    tap = world.tap(world.mta())
    tap.client().quit()
    wait_until(lambda: tap.records("close", side="client"), "the first close")
    before = open_fds(tap.pid)
    clients = [tap.client(greet=False) for _ in range(60)]
    for i, c in enumerate(clients):
        if i % 3 == 1:
            c.send(b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n")
        if i % 3 == 2:
            c.send(b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nhalf a mess")
    for i, c in enumerate(clients):
        c.reset() if i % 2 else c.close()
    wait_until(lambda: len(tap.records("close", side="client")) == 61, "all closes")
    wait_until(lambda: open_fds(tap.pid) == before, lambda: f"descriptors {open_fds(tap.pid)} against {before}")
    assert {m["status"] for m in tap.records("message")} <= {"aborted"}


def test_out_of_descriptors_is_survived(world):
    """accept() fails for want of descriptors: those who are served go on being served, and it heals by itself."""
    tap = world.tap(world.mta(), limit=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    first = tap.client()
    first.ehlo()
    more = []
    for _ in range(80):
        s = socket.create_connection(("127.0.0.1", tap.port))
        more.append(s)
    told = tap.wait("error", err=lambda e: e["code"] == "accept")
    assert told["listener"] == tap.config["listeners"][0]["address"] and told["err"]["message"] == "Too many open files"
    assert first.deliver().code == 250
    for s in more:
        s.close()

    def served():
        c = tap.client(greet=False)
        c.sock.settimeout(1)
        try:
            return c.reply().code == 220
        except AssertionError:
            return False
        finally:
            c.close()

    wait_until(served, "service after the shortage")
