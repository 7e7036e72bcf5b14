"""Many messages, many sessions, large messages: the sums agree, and nothing is left over."""
import os
import re
import resource
import socket
import threading
import time

import pytest

from harness.client import RawClient
from harness.records import Ledger, Log
from harness.tools import SINK, SOURCE, smtp_sink, smtp_source
from harness.util import free_port, listening, open_fds, pss_kib, sanitized, status_kib, wait_until

needs_tools = pytest.mark.skipif(not (SOURCE and SINK), reason="smtp-source and smtp-sink (Postfix) are not installed")


class Sink:
    """smtp-sink and its counters."""

    def __init__(self, world, *more):
        self.port, self.path = free_port(), world.path(f"sink{len(world.children)}")
        self.out = open(self.path, "wb")
        world.defer(self.out.close)
        self.child = world.child(smtp_sink(self.port, self.out, *more))
        wait_until(lambda: listening(self.port), "smtp-sink")
        self.address = f"127.0.0.1:{self.port}"

    def messages(self):
        with open(self.path, "rb") as f:
            f.seek(max(0, os.path.getsize(self.path) - 300))
            found = re.findall(rb"mesg=(\d+)", f.read())
        return int(found[-1]) if found else 0


def file_log(world, level="debug"):
    path = world.path("load.log")
    return path, {"log": {"level": level, "outputs": [{"type": "stdout", "level": "info"},
                                                      {"type": "file", "path": path, "level": level}]}}


def settle(tap, fds, timeout=10):
    wait_until(lambda: open_fds(tap.pid) == fds, lambda: f"descriptors: {open_fds(tap.pid)}, before: {fds}", timeout)


def run_source(port, messages, timeout=120, **options):
    source = smtp_source(port, messages, **options)
    try:
        _, err = source.process.communicate(timeout=timeout)
    finally:
        source.end()
    assert source.returncode == 0, err.decode("utf-8", "replace")[-500:]


@needs_tools
@pytest.mark.parametrize("messages, sessions, per_connection", [
    (1000, 50, False), (1000, 50, True),
    pytest.param(20000, 50, False, marks=[pytest.mark.long, pytest.mark.timeout(300)]),
    pytest.param(20000, 50, True, marks=[pytest.mark.long, pytest.mark.timeout(300)])])
def test_sums_agree_and_nothing_is_left(world, messages, sessions, per_connection):
    sink = Sink(world)
    path, config = file_log(world)
    tap = world.tap(sink.address, config)
    tap.level = "info"  # of stdout
    run_source(tap.port, sessions, sessions=sessions)  # warm: buffers and stacks are there
    wait_until(lambda: len(tap.records("close", side="client")) >= 1, "sessions to end")
    fds = wait_until(lambda: quiet_fds(tap), "the warm-up's end")
    rss = status_kib(tap.pid, "VmRSS")
    run_source(tap.port, messages, sessions=sessions, per_connection=per_connection)
    tap.wait("message", count=messages + sessions, timeout=60)
    settle(tap, fds)
    grown = status_kib(tap.pid, "VmRSS") - rss
    assert sanitized(tap) or grown < 16 * 1024, f"{grown} KiB more than before"
    tap.stop(timeout=30)
    wait_until(lambda: sink.messages() == messages + sessions, lambda: f"sink has {sink.messages()}")
    log = Log()
    with open(path, "rb") as f:
        log.feed(f.read())
    Ledger(log).check()
    accepted = log.find("message", status="accepted")
    assert len(accepted) == messages + sessions == len(log.find("message"))
    assert len({m["tid"] for m in accepted}) == len(accepted)
    assert not log.find("error")


def quiet_fds(tap):
    """The descriptors once no session is open."""
    opened, ended = len(tap.records("connection")), len(tap.records("close"))
    if opened != ended:
        return None
    first = open_fds(tap.pid)
    tap.client().quit()
    wait_until(lambda: len(tap.records("close")) == len(tap.records("connection")) > opened, "one session's end")
    second = open_fds(tap.pid)
    return first if first == second else None


@needs_tools
def test_large_messages(world):
    sink = Sink(world)
    tap = world.tap(sink.address, level="info")
    run_source(tap.port, 16, sessions=8, length=4 << 20)
    tap.wait("message", count=16)
    assert all(m["size"] >= 4 << 20 for m in tap.records("message"))
    assert status_kib(tap.pid, "VmHWM") < 64 * 1024 or sanitized(tap)


@pytest.mark.long
@needs_tools
@pytest.mark.timeout(300)
def test_one_gib_in_bounded_memory(world):
    sink = Sink(world)
    tap = world.tap(sink.address, level="info")
    c = tap.client(timeout=60)
    c.ehlo()
    c.begin()
    block = (b"z" * 1022 + b"\r\n") * 1024
    for _ in range(1024):
        c.send(block)
    c.cmd(b".", 250)
    assert tap.message()["size"] == 1 << 30
    assert sanitized(tap) or status_kib(tap.pid, "VmHWM") < 64 * 1024, status_kib(tap.pid, "VmHWM")


@pytest.mark.long
@needs_tools
@pytest.mark.timeout(300)
@pytest.mark.parametrize("stage", ["greeting", "ehlo", "rcpt"])
def test_ten_thousand_idle_sessions(world, stage):
    count = 10000
    need = count * (2 if stage != "greeting" else 1) + 500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < need and hard != resource.RLIM_INFINITY:
        count = (hard - 500) // (2 if stage != "greeting" else 1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sink = Sink(world, "-m", "20000")
    tap = world.tap(sink.address, {"limits": {"max_connections": 20000, "max_connections_per_client": 0},
                                   "timeouts": {"command": "5m", "shutdown": "20s"}}, level="info")
    tap.client().quit()
    wait_until(lambda: tap.records("close", side="client"), "the first session's end")
    before, fds, held = pss_kib(tap.pid), open_fds(tap.pid), []
    try:
        for i in range(count):
            c = RawClient(("127.0.0.1", tap.port), source=f"127.0.1.{i % 200 + 1}", timeout=30)
            if stage != "greeting":
                c.ehlo()
            if stage == "rcpt":
                c.mail()
                c.rcpt()
            held.append(c)
        each_ = (pss_kib(tap.pid) - before) / count
        print(f"{stage}: {count} sessions, {each_:.2f} KiB each")
        assert sanitized(tap) or each_ < 8, f"{each_:.1f} KiB a session"
        c = tap.client()
        c.ehlo()
        assert c.deliver().code == 250
        c.quit()
    finally:
        for c in held:
            c.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_until(lambda: len(tap.records("close", side="client")) >= count + 2, "the sessions' end", 60)
    settle(tap, fds, 30)
    tap.stop(timeout=30)


@pytest.mark.parametrize("count, rounds", [(50, 40), pytest.param(1000, 120,
                                                                  marks=[pytest.mark.long, pytest.mark.timeout(300)])])
def test_slow_clients_and_others(world, count, rounds):
    """Clients at a byte a second (here: a byte a round) do not hold up those who come along."""
    mta = world.mta()
    tap = world.tap(mta, level="info")
    slow = [tap.client(timeout=30, greet=False) for _ in range(count)]
    script = b"EHLO slow.example\r\nMAIL FROM:<s@client.example>\r\nRCPT TO:<r@mta.example>\r\nDATA\r\nslow\r\n.\r\nQUIT\r\n"
    worst, pause, pace = 0.0, threading.Event(), (1.0 if rounds > 50 else 0.0)
    for i in range(min(rounds, len(script))):
        start = time.monotonic()
        for c in slow:
            c.send(script[i:i + 1])
        quick = time.monotonic()
        c = tap.client()
        c.ehlo()
        assert c.deliver().code == 250
        c.quit()
        worst = max(worst, time.monotonic() - quick)
        if pace:
            pause.wait(max(0.0, pace - (time.monotonic() - start)))
    assert worst < 2, f"a quick client took {worst:.2f} s"
    done = script[min(rounds, len(script)):]
    for c in slow:
        c.send(done)
    for c in slow:
        assert [c.reply().code for _ in range(7)] == [220, 250, 250, 250, 354, 250, 221]
    assert len([m for m in mta.messages if m["sender"].startswith(b"<s@")]) == count


def pump(tap, over, results):
    """A client that delivers until told to stop; each message has its own sender, and its fate is written down."""
    n = 0
    me = threading.get_ident()
    while not over.is_set():
        try:
            c = RawClient(tap.addresses()[0])
        except OSError:
            continue
        try:
            c.ehlo()
            while not over.is_set():
                n += 1
                name = f"m{me}-{n}@client.example"
                codes = []
                for line in (f"MAIL FROM:<{name}>", "RCPT TO:<r@mta.example>", "DATA", "Subject: x\r\n\r\nbody\r\n."):
                    codes.append(c.cmd(line).code)
                    if codes[-1] >= 400:
                        break
                results[name] = codes[-1] if len(codes) == 4 else 0
                if codes[-1] >= 400:
                    c.cmd("RSET")
        except (AssertionError, OSError):
            pass
        finally:
            c.close()


@pytest.mark.parametrize("seconds", [1.0, pytest.param(20.0, marks=[pytest.mark.long, pytest.mark.timeout(120)])])
def test_upstreams_that_die_under_load(world, seconds):
    """Servers are reset again and again while mail flows: no 2xx without theirs, one record a transaction."""
    mtas = [world.mta() for _ in range(3)]
    tap = world.tap(mtas, {"upstream": {"health": {"failures": 1000}}})
    over, results = threading.Event(), {}
    threads = [threading.Thread(target=pump, args=(tap, over, results)) for _ in range(6)]
    for t in threads:
        t.start()
    end, rounds = time.monotonic() + seconds, 0
    pause = threading.Event()
    while time.monotonic() < end:
        pause.wait(0.02)  # the pace of the killing
        rounds += 1
        for session in list(mtas[rounds % 3].sessions)[-4:]:
            try:
                session.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                session.sock.shutdown(socket.SHUT_RDWR) if rounds % 2 else session.sock.close()
            except OSError:
                pass
    over.set()
    for t in threads:
        t.join()
    tap.stop()
    upstream_has = {m["sender"].split(b">")[0].lstrip(b"<").decode(): m["code"] for x in mtas for m in x.messages}
    good = [name for name, code in results.items() if code == 250]
    assert good, "nothing was delivered at all"
    lost = [name for name in good if upstream_has.get(name) != 250]
    assert not lost, f"250 without the upstream's: {lost[:3]}"
    by_sender = {}
    for m in tap.records("message"):
        by_sender.setdefault(m["mail_from"], []).append(m)
    for name, code in results.items():
        assert len(by_sender.get(name, [])) == 1, f"{name}: {by_sender.get(name)}"
        assert (by_sender[name][0]["status"] == "accepted") == (code == 250)


@needs_tools
def test_smtp_source_is_not_held_up_by_split_replies(world):
    """smtp-source blocks on a reply that comes in pieces: a message must not take a delayed-ACK's 40 ms."""
    sink = Sink(world)
    tap = world.tap(sink.address, level="info")
    start = time.monotonic()
    run_source(tap.port, 200, sessions=1)
    each_ = (time.monotonic() - start) / 200
    assert each_ < 0.02, f"{each_ * 1000:.1f} ms a message"


def test_concurrent_sessions_have_their_own_cid(world):
    tap = world.tap(world.mta())
    count = 200
    clients = [tap.client(greet=False) for _ in range(count)]
    for c in clients:
        c.send(b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n")
    for c in clients:
        assert [c.reply().code for _ in range(7)] == [220, 250, 250, 250, 354, 250, 221]
    wait_until(lambda: len(tap.records("close", side="client")) == count, "the sessions' end")
    assert len({r["cid"] for r in tap.records("connection", side="client")}) == count
    assert len(tap.records("message", status="accepted")) == count
