"""The log: every line parses and can't be forged, outputs that stall or break, reopening, reload, and the end."""
import json
import os
import re
import signal
import socket
import threading
import time

import pytest

from harness.pipe import Pipe
from harness.tap import merged, read_log, run_tool
from harness.util import free_port, listening, wait_until

TEXT = b"Subject: x\r\n\r\nbody\r\n"


def deliver(tap, address=None, **options):
    c = tap.client(address, **options)
    c.ehlo()
    assert c.deliver(TEXT).code == 250
    return c


# shape, forging


FORGE = [
    b'a"b', b"a\\b", b'","level":"error","x":"', b"a}{b", b"\\u0000", b"\\n", b"\xc3\x28", b"\xff\xfe", b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\xe2\x80\xa8", b"\xe2\x80\xae", b"\xf0\x9f\x93\xa7",
    b"<script>", b"%s%n%x", b"\x1b[31m", b"\x01\x02\x1f", b"\x7f", b"\xc2\x85", b"\t", b"'$(x)`", b"@cee: {}",
    b"x" * 1500, b"\xe2\x82" * 300, b"\xf0\x9f\x93\xa7" * 300, b'"' * 1500, b"\x01" * 1500,
]


@pytest.mark.parametrize("junk", FORGE, ids=lambda x: repr(x[:14])[2:-1])
def test_no_input_forges_a_record(tap, junk):
    """Every parse is strict: a duplicate key, a raw control character or invalid UTF-8 fails the test by itself."""
    c = tap.client(greet=False)
    c.reply()
    c.send(b"EHLO " + junk + b"\r\n")
    c.reply()
    c.send(b"EHLO ok.example\r\n")
    c.reply()
    for line in (b"NOOP " + junk, b"VRFY " + junk, junk, b"MAIL FROM:<" + junk + b"@x.example>",
                 b"MAIL FROM:<ok@x.example> ENVID=" + junk, b"RSET", b"MAIL FROM:<ok@x.example>",
                 b"RCPT TO:<" + junk + b"@x.example>", b"RCPT TO:<ok@x.example>", b"DATA"):
        c.send(line + b"\r\n")
        got = c.reply()
    if got.code == 354:
        c.send(b"Message-ID: <" + junk + b">\r\nFrom: " + junk + b" <a@b.example>\r\n\r\nx\r\n.\r\n")
        c.reply()
    c.quit()
    records = tap.session(c)
    assert not tap.log.bad, tap.log.bad
    assert all(r["level"] != "error" or r["tnx"] == "error" for r in records)


@pytest.mark.parametrize("junk", [b'x","tnx":"forged', b"\xff\xfe\xc3", b"\x01\x02", b"\t", b"\x1b[2J"], ids=repr)
def test_no_upstream_forges_a_record(world, junk):
    mta = world.mta(mail=b"250-2.1.0 " + junk + b"\r\n250 ok " + junk + b"\r\n",
                    end=b"250 2.0.0 queued as " + junk + b"\r\n",
                    greeting=b"220 " + junk + b"\r\n")
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    c.mail()
    c.rcpt()
    c.cmd("DATA", 354)
    c.send(TEXT + b".\r\n")
    c.reply()
    c.quit()
    tap.closed(c)
    assert not [r for r in tap.records() if r["tnx"] == "forged"] and not tap.log.bad


@pytest.mark.parametrize("n", [8, 40, 900])
def test_long_records_are_cut_visibly(world, n):
    tap = world.tap(world.mta())
    c = tap.client()
    c.ehlo()
    c.mail("s" * 1000 + "@x.example")
    for i in range(n):
        c.send(b"RCPT TO:<%d%s@x.example>\r\n" % (i, b"r" * 600))
    for i in range(n):
        c.expect(250)
    c.cmd("DATA", 354)
    c.cmd(TEXT + b".", 250)
    m = tap.message()
    assert m["truncated"] is True and m["truncated_fields"] and m["rcpt_count"] == n
    for key in ("cid", "tid", "status", "code", "queue_id", "seq"):
        assert key in m
    assert "\u2026" in json.dumps(m, ensure_ascii=False)


@pytest.mark.parametrize("size", [1024, 2048, 8000, 65536])
def test_max_record(world, size):
    tap = world.tap(world.mta(mail=b"250-" + b"m" * 3000 + b"\r\n250 2.1.0 x\r\n"), {"log": {"max_record": size}})
    c = tap.client()
    c.ehlo()
    c.mail("s" * 800 + "@x.example")
    for i in range(100):
        c.rcpt(f"{i}{'r' * 200}@x.example")
    c.cmd("DATA", 354)
    c.cmd(TEXT + b".", 250)
    c.quit()
    tap.closed(c)
    assert not tap.log.bad


@pytest.mark.parametrize("level, kinds", [
    ("error", {"error"}), ("info", {"listen", "connection", "rcpt", "message", "close", "error", "closing", "closed"}),
    ("debug", None)])
def test_levels(world, level, kinds):
    mta = world.mta(rcpt=b"550 5.1.1 no\r\n", ehlo=["PIPELINING"])
    path = world.path("log")
    tap = world.tap(mta, {"log": {"outputs": [{"type": "stdout", "level": "debug"},
                                              {"type": "file", "path": path, "level": level}]}})
    c = tap.client()
    c.ehlo()
    c.mail()
    c.cmd("RCPT TO:<a@b.example>", 550)
    c.quit()
    tap.closed(c)
    tap.stop()
    log = read_log(path)
    assert not log.bad
    seen = {r["tnx"] for r in log.list}
    if kinds:
        assert seen <= kinds
    else:
        assert {"command", "send", "caps"} <= seen
    if level == "info":
        assert {"listen", "connection", "message", "close", "closed"} <= seen
    seqs = [r["seq"] for r in log.list]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs))) if seqs else True


def test_component_and_time(world):
    tap = world.tap(world.mta(), {"log": {"component": "edge-\u00fc"}})
    before = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 1))
    deliver(tap).quit()
    after = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 1))
    for r in tap.records("message"):
        assert r["component"] == "edge-\u00fc" and before <= r["time"] <= after


def test_two_outputs_have_the_same_records(world):
    one, two = world.path("one"), world.path("two")
    tap = world.tap(world.mta(), {"log": {"outputs": [{"type": "stdout"}, {"type": "file", "path": one},
                                                      {"type": "file", "path": two, "level": "info"}]}})
    for _ in range(5):
        deliver(tap).quit()
    tap.stop()
    first, second = read_log(one), read_log(two)
    assert bytes(first.raw) == bytes(tap.log.raw)
    tap.check(log=first)
    key = lambda r: {k: v for k, v in r.items() if k != "seq"}
    assert [key(r) for r in second.list] == [key(r) for r in tap.log.list if r["level"] != "debug"]
    assert os.stat(one).st_mode & 0o777 == 0o640


@pytest.mark.parametrize("mode", ["0600", "0644"])
def test_mode_of_the_file(world, mode):
    path = world.path("log")
    world.tap(world.mta(), {"log": {"outputs": [{"type": "stdout"}, {"type": "file", "path": path, "mode": mode}]}})
    wait_until(lambda: os.path.exists(path), "the file")
    assert os.stat(path).st_mode & 0o777 == int(mode, 8)


def test_runs_are_told_apart(world):
    runs = set()
    for _ in range(3):
        tap = world.tap(world.mta())
        runs.add(tap.records("listen")[0]["run"])
        tap.stop()
    assert len(runs) == 3


def test_records_are_held_back_50_ms_at_most(world):
    tap = world.tap(world.mta())
    times = []
    for _ in range(5):
        c = tap.client()
        start = time.monotonic()
        tap.cid_of(c)
        times.append(time.monotonic() - start)
    assert sorted(times)[2] < 0.08, times


def test_ignored_clients_leave_no_record(world):
    mta = world.mta()
    tap = world.tap(mta, {"log": {"ignore_clients": ["127.0.0.8"]}})
    c = tap.client(source="127.0.0.8")
    c.unrecorded = True
    c.ehlo()
    mta.sessions[0].peer_port = None  # it has no record either
    assert c.deliver(TEXT).code == 250
    c.quit()
    deliver(tap).quit()
    tap.stop()
    assert len(tap.records("message")) == 1 and not tap.records(host="127.0.0.8")


# legs


def test_unix_sockets_on_both_legs(world):
    listen, upstream = world.path("in.sock"), world.path("out.sock")
    mta = world.mta(address="unix:" + upstream)
    tap = world.tap(mta, {"listeners": [{"address": "unix:" + listen, "name": "local"}]})
    c = tap.client(listen)
    c.ehlo()
    assert c.deliver(TEXT).code == 250
    c.quit()
    m = tap.message()
    assert m["host"] == "unix" and m["listener"] == "local" and m["status"] == "accepted"
    assert m["upstream"]["server"] == "unix:" + upstream
    tap.stop()


def test_unix_socket_cut_anywhere(world):
    listen = world.path("in.sock")
    tap = world.tap(world.mta(), {"listeners": [{"address": "unix:" + listen}]})
    batch = b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n"
    for cut in range(1, len(batch), 5):
        c = tap.client(listen, greet=False)
        c.send_cut(batch, cut)
        assert [c.reply().code for _ in range(7)] == [220, 250, 250, 250, 354, 250, 221]
        c.eof()


def test_ipv6_on_both_legs(world):
    mta = world.mta(address="::1")
    tap = world.tap(mta, {"listeners": [{"address": "[::1]:0"}]})
    c = tap.client(("::1", tap.port))
    assert b"[IPv6:::1]" in c.ehlo().lines[0] or b"[::1]" in c.ehlo().lines[0]
    assert c.deliver(TEXT).code == 250
    c.quit()
    m = tap.message()
    assert m["host"] == "::1" and m["upstream"]["host"] == "::1" and m["listener"] == "[::1]:0"


def test_v6_wildcard_takes_v6_alone(world):
    tap = world.tap(world.mta(), {"listeners": [{"address": "[::]:0"}]})
    assert listening(tap.port, "::1")
    assert not listening(tap.port, "127.0.0.1")


def test_several_listeners(world):
    one, two = world.mta(), world.mta()
    tap = world.tap(one, {"listeners": [{"address": "127.0.0.1:0", "name": "mx"},
                                        {"address": "127.0.0.2:0", "name": "submission", "hostname": "sub.example",
                                         "max_message_size": 1000,
                                         "upstream": {"servers": [two.address]}}]})
    places = {h: (h, p) for h, p in tap.addresses()}
    c = tap.client(places["127.0.0.1"])
    c.ehlo()
    assert c.deliver(TEXT).code == 250
    c = tap.client(places["127.0.0.2"])
    assert c.greeting.raw.startswith(b"220 sub.example ")
    assert b"SIZE 1000" in c.ehlo().lines
    assert c.deliver(TEXT).code == 250
    assert len(one.messages) == len(two.messages) == 1
    assert [m["listener"] for m in (tap.message(1), tap.message(2))] == ["mx", "submission"]


# outputs that stall


def stalled(world, overflow, mta, queue=65536, **log):
    pipe = Pipe(world)
    tap = world.tap(mta, {"workers": 1, "log": merged({"outputs": [{"type": "stdout"},
                                                                   {"type": "file", "path": pipe.path,
                                                                    "overflow": overflow, "queue_size": queue}]}, log)})
    return tap, pipe


def flood(tap, most=3000):
    """Sessions with one NOOP after the other until nothing moves; the number of replies."""
    c = tap.client()
    c.sock.settimeout(0.7)
    n = 0
    try:
        for n in range(most):
            c.cmd(b"NOOP " + b"x" * 400)
    except AssertionError:
        return c, n
    return c, n


def test_overflow_drop_loses_counts_and_tells(world):
    mta = world.mta()
    tap, pipe = stalled(world, "drop", mta)
    c, n = flood(tap, 2000)
    assert n == 1999, "the log held up the mail"
    c.ehlo()
    assert c.deliver(TEXT).code == 250
    pipe.read()
    dropped = pipe.log.wait("dropped")
    assert dropped["records"] > 0 and dropped["output"]
    c.quit()
    tap.stop()
    wait_until(lambda: pipe.log.list and pipe.log.list[-1]["tnx"] == "closed", "the last record in the pipe")
    assert not pipe.log.bad
    told = sum(r["records"] for r in pipe.log.list if r["tnx"] == "dropped")
    made = len(tap.log.list)
    written = len([r for r in pipe.log.list if r["tnx"] != "dropped"])
    assert written + told == made, f"{made} records were made, {written} written, {told} told to be lost"
    seq = [r["seq"] for r in pipe.log.list]
    assert seq == sorted(set(seq)) and seq[-1] - seq[0] + 1 > len(seq)


def test_overflow_block_holds_up_and_loses_nothing(world):
    mta = world.mta()
    tap, pipe = stalled(world, "block", mta, block_timeout="60s")
    c, n = flood(tap)
    assert n < 2999, "a full log did not hold up anything"
    pipe.read()
    c.sock.settimeout(10)
    c.expect(250)
    c.ehlo()
    assert c.deliver(TEXT).code == 250
    c.quit()
    tap.stop()
    wait_until(lambda: pipe.log.list and pipe.log.list[-1]["tnx"] == "closed", "the last record in the pipe")
    assert not pipe.log.bad and bytes(pipe.log.raw) == bytes(tap.log.raw)


def test_overflow_block_finishes_what_was_read(world):
    """Several sessions in the middle of transactions while the log is full: each has its records afterwards."""
    mta = world.mta()
    tap, pipe = stalled(world, "block", mta, block_timeout="60s")
    clients = [tap.client() for _ in range(8)]
    for i, c in enumerate(clients):
        c.ehlo()
        c.begin(f"s{i}@client.example")
    flood(tap)

    def finish(c):
        c.send(TEXT + b".\r\n")
        c.expect(250)

    threads = [threading.Thread(target=finish, args=(c,)) for c in clients]
    for t in threads:
        t.start()
    pipe.read()
    for t in threads:
        t.join()
    assert len(mta.messages) == 8
    tap.stop(check=False)
    wait_until(lambda: pipe.log.list and pipe.log.list[-1]["tnx"] == "closed", "the last record in the pipe")
    assert len(pipe.log.find("message", status="accepted")) == 8
    tap.check(log=pipe.log)


def test_overflow_block_becomes_tempfail(world):
    tap, pipe = stalled(world, "block", world.mta(), block_timeout="200ms")
    flood(tap)
    c = tap.client(greet=False)
    c.sock.settimeout(5)
    got = c.reply()
    if got.code == 220:
        assert c.cmd("EHLO x").code in (250, 421)
        got = c.cmd("MAIL FROM:<a@b.example>")
    assert (got.code, got.enhanced) in ((451, "4.3.0"), (421, "4.3.2"))
    pipe.read()

    def again():
        c = tap.client()
        c.ehlo()
        ok = c.cmd("MAIL FROM:<a@b.example>").code == 250
        c.close()
        return ok

    wait_until(again, "mail to be taken again once the log is read")
    tap.stop(check=False)


def test_overflow_tempfail(world):
    tap, pipe = stalled(world, "tempfail", world.mta())
    c, n = flood(tap, 2000)
    assert n == 1999
    c.sock.settimeout(5)
    c.ehlo()
    c.cmd("MAIL FROM:<a@b.example>", 451, "4.3.0")
    pipe.read()

    def again():
        got = c.cmd("MAIL FROM:<a@b.example>")
        assert got.code in (250, 451)
        return got.code == 250

    wait_until(again, "mail to be taken again once the log is read")
    tap.stop(check=False)
    assert not pipe.log.bad


def test_reader_that_is_slow_but_reads(world):
    """stdout is paused and goes on, again and again: nothing is lost or torn."""
    tap = world.tap(world.mta())
    reader = tap.readers[0]
    for _ in range(5):
        reader.flowing.clear()
        c = tap.client()
        c.ehlo()
        for _ in range(30):
            assert c.deliver(TEXT).code == 250
        reader.flowing.set()
        c.quit()
    tap.stop()
    assert len(tap.records("message")) == 150


def test_stdout_that_is_closed_ends_the_program(world):
    """With every output gone: drain and exit 1."""
    tap = world.tap(world.mta())
    tap.close_output(0)
    try:
        c = tap.client(greet=False)
        for _ in range(50):
            c.send(b"NOOP\r\n")
    except OSError:
        pass
    wait_until(lambda: tap.child.returncode is not None, "the end of the program")
    tap.stop(status=1, check=False)


# signals


def test_sigusr1_reopens(world):
    path = world.path("log")
    tap = world.tap(world.mta(), {"log": {"outputs": [{"type": "stdout"}, {"type": "file", "path": path}]}})
    deliver(tap).quit()
    wait_until(lambda: b'"tnx":"message"' in open(path, "rb").read(), "the first message in the file")
    os.rename(path, path + ".1")
    tap.send_signal(signal.SIGUSR1)
    wait_until(lambda: os.path.exists(path), "the new file")
    deliver(tap).quit()
    tap.stop()
    with open(path + ".1", "rb") as a, open(path, "rb") as b:
        old, new = a.read(), b.read()
    assert old.endswith(b"\n") and b'"tnx":"closed"' in new
    assert old + new == bytes(tap.log.raw), "records were lost or doubled between the files"


def test_sigusr1_under_load(world):
    path = world.path("log")
    tap = world.tap(world.mta(), {"log": {"outputs": [{"type": "stdout"}, {"type": "file", "path": path}]}})
    over = threading.Event()

    def busy():
        c = tap.client()
        c.ehlo()
        while not over.is_set():
            c.deliver(TEXT)
        c.quit()

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for t in threads:
        t.start()
    try:
        for i in range(1, 8):
            wait_until(lambda: os.path.exists(path) and os.path.getsize(path) > 0, "records in the file")
            os.rename(path, f"{path}.{i}")
            tap.send_signal(signal.SIGUSR1)
    finally:
        over.set()
        for t in threads:
            t.join()
    tap.stop()
    whole = b"".join(open(f"{path}.{i}", "rb").read() for i in range(1, 8)) + open(path, "rb").read()
    lines = whole.splitlines()
    seq = re.compile(rb',"seq":(\d+)}$')
    assert [int(seq.search(x).group(1)) for x in lines] == list(range(1, len(lines) + 1))
    # each output has its own order between sessions, and its own seq
    assert sorted(seq.sub(b"", x) for x in lines) == sorted(seq.sub(b"", x) for x in bytes(tap.log.raw).splitlines())


def change(tap, changes):
    tap.config = merged(tap.config, changes)
    tap.write_config()


def test_sighup_good(world):
    tap = world.tap(world.mta())
    old = tap.client()
    old.ehlo()
    change(tap, {"server": {"banner": "reloaded", "max_message_size": 1000}})
    tap.send_signal(signal.SIGHUP)
    assert tap.wait("reload")["ok"] is True
    c = tap.client()
    assert c.greeting.raw == b"220 tap.example ESMTP reloaded\r\n"
    assert b"SIZE 1000" in c.ehlo().lines
    assert old.deliver(b"x" * 70 * 100 + b"\r\n").code == 250, "an old session lost its settings"
    assert c.deliver(b"x" * 70 * 100 + b"\r\n").code == 552


@pytest.mark.parametrize("content, word", [("{", None), ('{"listeners": 3}', "listeners"),
                                           ('{"server": {"hostnam": "x"}}', "hostnam"), ("", None), (None, None)])
def test_sighup_bad(world, content, word):
    tap = world.tap(world.mta())
    if content is None:
        os.unlink(tap.path)
    else:
        with open(tap.path, "w") as f:
            f.write(content)
    tap.send_signal(signal.SIGHUP)
    record = tap.wait("reload")
    assert record["ok"] is False and record["err"]
    if word:
        assert word in json.dumps(record["err"])
    deliver(tap).quit()


def test_sighup_moves_listeners(world):
    first, second = free_port(), free_port()
    tap = world.tap(world.mta(), {"listeners": [{"address": f"127.0.0.1:{first}"}]})
    kept = tap.client()
    change(tap, {"listeners": [{"address": f"127.0.0.1:{first}"}, {"address": f"127.0.0.1:{second}"}]})
    tap.send_signal(signal.SIGHUP)
    reload = tap.wait("reload")
    if not reload["ok"] and "by a restart" in reload["err"]["message"]:
        pytest.skip(reload["err"]["message"])
    tap.wait("listen", port=second)
    deliver(tap, ("127.0.0.1", second)).quit()
    change(tap, {"listeners": [{"address": f"127.0.0.1:{second}"}]})
    tap.send_signal(signal.SIGHUP)
    tap.wait("reload", count=2)
    wait_until(lambda: not listening(first), "the old listener's end")
    kept.ehlo()
    assert kept.deliver(TEXT).code == 250
    deliver(tap, ("127.0.0.1", second)).quit()


def test_sighup_reopens_the_log(world):
    path = world.path("log")
    tap = world.tap(world.mta(), {"log": {"outputs": [{"type": "stdout"}, {"type": "file", "path": path}]}})
    wait_until(lambda: os.path.exists(path) and os.path.getsize(path), "the file")
    os.rename(path, path + ".1")
    tap.send_signal(signal.SIGHUP)
    wait_until(lambda: os.path.exists(path), "the new file")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_g7_drain(world, signum):
    mta = world.mta()
    tap = world.tap(mta, {"timeouts": {"shutdown": "8s"}})
    idle, ready, busy = tap.client(), tap.client(), tap.client()
    ready.ehlo()
    busy.ehlo()
    busy.begin()
    tap.send_signal(signum)
    idle.expect(421, "4.3.2")
    idle.eof()
    ready.expect(421, "4.3.2")
    ready.eof()
    tap.wait("closing")
    wait_until(lambda: not listening(tap.port), "the listener's end")
    busy.send(TEXT + b".\r\n")
    busy.expect(250)
    busy.expect(421, "4.3.2")
    busy.eof()
    tap.stop(signum=None)
    assert [m["status"] for m in tap.records("message")] == ["accepted"]
    assert tap.records("closing")[0]["pending"] >= 1
    assert {r["reason"] for r in tap.records("close", side="client")} == {"shutdown"}


def test_g7_drain_has_an_end(world):
    tap = world.tap(world.mta(), {"timeouts": {"shutdown": "300ms"}})
    c = tap.client()
    c.ehlo()
    c.begin()
    start = time.monotonic()
    tap.send_signal(signal.SIGTERM)
    c.expect(421, "4.3.2")
    c.eof()
    tap.stop(signum=None)
    assert 0.25 <= time.monotonic() - start < 5
    assert tap.records("message")[0]["status"] == "aborted"


def test_second_signal_ends_at_once(world):
    tap = world.tap(world.mta(), {"timeouts": {"shutdown": "30s"}})
    c = tap.client()
    c.ehlo()
    c.begin()
    tap.send_signal(signal.SIGTERM)
    tap.wait("closing")
    start = time.monotonic()
    tap.send_signal(signal.SIGTERM)
    wait_until(lambda: tap.child.returncode is not None, "the end")
    assert time.monotonic() - start < 5
    tap.stop(status=tap.child.returncode, signum=None, check=False)
    assert tap.child.returncode in (0, 1)


def test_shutdown_waits_for_the_upstreams_answer(world):
    go = threading.Event()
    world.defer(go.set)
    mta = world.mta(end=lambda s, line: (go.wait(10), None)[1])
    tap = world.tap(mta, {"timeouts": {"shutdown": "8s"}})
    c = tap.client()
    c.ehlo()
    c.begin()
    c.send(TEXT + b".\r\n")
    mta.wait_stage("dot")
    tap.send_signal(signal.SIGTERM)
    tap.wait("closing")
    go.set()
    c.expect(250)
    c.expect(421)
    c.eof()
    tap.stop(signum=None)
    assert tap.records("message")[0]["status"] == "accepted"


def test_sigpipe_and_sigterm_without_sessions(world):
    tap = world.tap(world.mta())
    tap.send_signal(signal.SIGPIPE)
    deliver(tap).quit()
    tap.stop()
    assert len(tap.records("closing")) == len(tap.records("closed")) == 1


# command line


def test_version_and_help():
    for args in (("version",), ("help",), ("help", "run")):
        r = run_tool(*args)
        assert r.returncode == 0 and (r.stdout or r.stderr)


@pytest.mark.parametrize("args", [(), ("nonsense",), ("run", "--nonsense"), ("run", "-c"), ("check",)])
def test_bad_usage(args):
    r = run_tool(*args)
    assert r.returncode == 2 and r.stderr and not r.stdout


def check(world, text, *more):
    path = world.path("c.json")
    with open(path, "w") as f:
        f.write(text)
    return run_tool("check", "-c", path, *more)


def test_check_reports_every_fault_with_its_line(world):
    r = check(world,
              '{\n "server": { "hostnam": "x" },\n "limits": { "max_connections": "many" },\n "upstream": { "tls": "on" },\n "workers": -1\n}\n')
    assert r.returncode == 1
    for line, word in ((2, "hostnam"), (3, "limits.max_connections"), (4, "upstream.tls"), (5, "workers")):
        assert any(f"c.json:{line}:" in x and word in x for x in r.stderr.splitlines()), (word, r.stderr)
    assert "hostname" in r.stderr, "the nearest known key is not named"


@pytest.mark.parametrize("text", ["{", "[]", "", "{} x", '{"workers": 1, "workers": 2}',
                                  '{"timeouts": {"command": "5 parsecs"}}', '{"listeners": [{"address": "nonsense"}]}',
                                  '{"log": {"outputs": []}}'])
def test_check_refuses(world, text):
    r = check(world, text)
    assert r.returncode == 1 and "c.json" in r.stderr


def test_check_accepts_comments_and_prints_what_it_would_read(world):
    r = check(world,
              '// a comment\n{ /* another */ "workers": 3, "upstream": {"servers": ["127.0.0.1:2500"], "identity": "none", "tls": "none"} }\n', "--print")
    assert r.returncode == 0, r.stderr
    shown = json.loads(r.stdout)
    assert shown["workers"] == 3 and shown["upstream"]["servers"] == ["127.0.0.1:2500"]
    again = check(world, r.stdout, "--print")
    assert again.returncode == 0 and json.loads(again.stdout) == shown


def test_run_refuses_a_bad_configuration(world):
    path = world.path("c.json")
    with open(path, "w") as f:
        f.write('{"server": {"nonsense": 1}}')
    r = run_tool("run", "-c", path)
    assert r.returncode == 1 and "nonsense" in r.stderr


def test_run_refuses_a_taken_address(world):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        r = run_tool("run", "-l", f"127.0.0.1:{s.getsockname()[1]}", "-u", "127.0.0.1:1")
        assert r.returncode == 1 and str(s.getsockname()[1]) in r.stderr


def test_run_by_flags_alone(world):
    mta = world.mta()
    tap = world.tap(mta, args=["-l", "127.0.0.1:0", "-u", mta.address])
    c = tap.client()
    c.ehlo()
    assert c.deliver(TEXT).code == 250
    assert mta.messages[0]["raw"].startswith(b"Received: from client.example")
    c.quit()


def test_flags_stand_before_the_file(world):
    mta = world.mta()
    tap = world.tap("127.0.0.1:1", {"listeners": [{"address": "127.0.0.1:1"}]}, ready=False, start=False)
    tap.args = ["-c", tap.path, "-l", "127.0.0.1:0", "-u", mta.address]
    tap.upstream = [mta]
    tap.start()
    tap.ready()
    deliver(tap).quit()
