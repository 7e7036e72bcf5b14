"""log.sync: the 2xx that takes a message leaves only when its record is written, or on the disk (design.md, promise 4).

Where a disk must misbehave, a preloaded library stands between the program and it (shim/disk.c)."""
import errno
import json
import os
import signal
import threading
import time

import pytest

from harness.client import SMALL, Gone
from harness.disk import Disk
from harness.mta import CLOSE, Wait
from harness.records import parse_line
from harness.tap import read_log, run_tool
from harness.util import wait_until

BOTH = pytest.mark.parametrize("sync", ["write", "fsync"])


def synced(world, mta, sync, name="log.json", **options):
    path = world.path(name)
    log = {"sync": sync, "outputs": [{"type": "stdout"}, {"type": "file", "path": path}]}
    log.update(options.pop("log", {}))
    tap = world.tap(mta, {"log": log, **options.pop("config", {})}, **options)
    tap.file = path
    return tap


def on_disk(tap, tnx="message"):
    """What the file has at this moment; a line without its end does not count."""
    with open(tap.file, "rb") as f:
        whole = f.read().rpartition(b"\n")[0]
    return [r for r in map(parse_line, whole.split(b"\n")) if r["tnx"] == tnx] if whole else []


@BOTH
def test_the_record_is_there_before_the_reply(world, sync):
    tap = synced(world, world.mta(), sync)
    c = tap.client()
    c.ehlo()
    for n in range(1, 30):
        assert c.deliver().code == 250
        assert len(on_disk(tap)) == n
    c.quit()
    tap.stop()
    tap.check(log=read_log(tap.file))
    assert {r["client_replied"] for r in tap.records("message")} == {True}


@BOTH
def test_chunks_and_what_is_pipelined_behind_the_end(world, sync):
    tap = synced(world, world.mta(ehlo=("PIPELINING", "CHUNKING", "8BITMIME")), sync)
    c = tap.client()
    c.ehlo()
    for n in range(1, 10):
        c.mail()
        c.rcpt()
        c.chunk(b"one\r\n").expect(250)
        c.chunk(b"two\r\n", last=True).send(b"MAIL FROM:<a@b.example>\r\nRSET\r\n")
        c.expect(250)
        assert sum(r["status"] == "accepted" for r in on_disk(tap)) == n
        c.expect(250)
        c.expect(250)
    c.quit()
    tap.stop()
    tap.check(log=read_log(tap.file))


@BOTH
def test_each_reply_of_lmtp_waits(world, sync):
    gate = threading.Event()

    def end(session, line):
        return [Wait(gate), b"250 2.0.0 Ok\r\n"] if b"slow" in line else None

    tap = synced(world, world.mta(end=end), sync,
                 config={"server": {"protocol": "lmtp"}, "upstream": {"protocol": "lmtp"}})
    c = tap.client()
    c.cmd("LHLO x", 250)
    c.mail()
    for to in ("e550@mta.example", "good@mta.example", "e450@mta.example", "slow@mta.example"):
        c.rcpt(to)
    c.cmd("DATA", 354)
    c.send(SMALL + b".\r\n")
    c.expect(550)  # needs no record
    c.silent(0.3)
    assert on_disk(tap) == []
    gate.set()
    c.expect(250)
    assert len(on_disk(tap)) == 1
    c.expect(450)
    c.expect(250)
    c.quit()
    assert on_disk(tap)[0]["status"] == "accepted"


@BOTH
def test_421_behind_an_acceptance_of_lmtp(world, sync):
    def end(session, line):
        return b"421 4.3.2 no more\r\n" if b"bad" in line else None

    tap = synced(world, world.mta(end=end), sync,
                 config={"server": {"protocol": "lmtp"}, "upstream": {"protocol": "lmtp"}})
    c = tap.client()
    c.cmd("LHLO x", 250)
    c.mail()
    c.rcpt("good@mta.example")
    c.rcpt("bad@mta.example")
    c.cmd("DATA", 354)
    c.send(SMALL + b".\r\n")
    c.expect(250)
    c.expect(421)
    c.eof()


@pytest.mark.parametrize("code", [450, 550])
def test_a_refusal_needs_no_record(world, code):
    tap = synced(world, world.mta(), "fsync")
    c = tap.client()
    c.ehlo()
    assert c.deliver(sender=f"c{code}end@x.example").code == code
    c.quit()
    assert tap.message()["status"] in ("deferred", "rejected")


def test_many_sessions_share_a_write(world):
    """Group commit: fewer writes than messages, and no wait of the batching's 20 ms for each."""
    tap = synced(world, world.mta(), "fsync", log={"level": "info"}, level="info")
    each, sessions = 30, 8

    def work():
        c = tap.client()
        c.ehlo()
        for _ in range(each):
            assert c.deliver().code == 250
        c.quit()

    threads = [threading.Thread(target=work) for _ in range(sessions)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(on_disk(tap)) == each * sessions


@BOTH
def test_ignored_clients_wait_for_nothing(world, sync):
    tap = synced(world, world.mta(), sync, log={"ignore_clients": ["127.0.0.0/8"]})
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    tap.stop(check=False)
    assert on_disk(tap) == []


def test_a_second_file_counts_too_and_others_do_not(world):
    """Each file has the record before the reply; an output that is no file, stalled here, holds up nothing."""
    second = world.path("second.json")
    tap = synced(world, world.mta(), "write", log={"outputs": [
        {"type": "stdout", "overflow": "drop"}, {"type": "file", "path": world.path("log.json"), "level": "info"},
        {"type": "file", "path": second, "format": "ecs"}]})
    tap.readers[0].flowing.clear()
    c = tap.client()
    c.ehlo()
    for n in range(1, 10):
        assert c.deliver().code == 250
        assert len(on_disk(tap)) == n
        with open(second, "rb") as f:
            assert f.read().count(b'"event.action":"message"') == n
    c.quit()
    tap.readers[0].flowing.set()


@pytest.mark.parametrize("log", [
    {"sync": "write"},
    {"sync": "fsync", "outputs": [{"type": "stdout"}]},
    {"sync": "fsync", "outputs": [{"type": "file", "path": "/tmp/x", "level": "error"}]},
    {"sync": "yes", "outputs": [{"type": "file", "path": "/tmp/x"}]},
])
def test_check_refuses(world, log):
    path = world.path("bad.json")
    with open(path, "w") as f:
        json.dump({"log": log}, f)
    got = run_tool("check", "-c", path)
    assert got.returncode == 1 and "log.sync" in got.stderr


# a disk that misbehaves


def with_disk(world, sync, mta=None, **options):
    disk = Disk(world.dir, world.path("log.json"))
    tap = synced(world, mta or world.mta(), sync, env=disk.env, **options)
    return tap, disk


def send_one(tap, **options):
    """A message up to its end of data, whose reply is awaited for longer than the program's own patience."""
    c = tap.client(timeout=20)
    c.ehlo()
    c.begin(**options)
    c.send(SMALL + b".\r\n")
    return c


@pytest.mark.parametrize("sync, fault", [("write", "hang_write"), ("fsync", "hang_write"), ("fsync", "hang_sync")])
def test_a_disk_that_stalls_holds_up_the_reply(world, sync, fault):
    tap, disk = with_disk(world, sync)
    setattr(disk, fault, 1)
    others = [send_one(tap) for _ in range(3)]
    tap.message(count=3)
    for c in others:
        c.silent(0.2)
    setattr(disk, fault, 0)
    for c in others:
        c.expect(250)
        c.quit()
    tap.stop()
    assert not tap.records("error")
    assert {r["client_replied"] for r in tap.records("message")} == {True}


@pytest.mark.parametrize("sync, fault, value", [("write", "write_errno", errno.ENOSPC), ("fsync", "sync_errno", errno.EIO),
                                                ("write", "hang_write", 1)])
def test_after_ten_seconds_the_reply_leaves_and_that_is_told(world, sync, fault, value):
    """And what a failed fsync left open is not called safe by the next one that goes well."""
    tap, disk = with_disk(world, sync)
    setattr(disk, fault, value)
    begin = time.monotonic()
    c = send_one(tap)
    if sync == "fsync":
        wait_until(lambda: disk.failed_syncs, "an fsync")
        disk.sync_errno = 0
        other = send_one(tap)
        other.expect(250)
        assert time.monotonic() - begin < 8
        other.quit()
    c.expect(250)
    assert 9.5 < time.monotonic() - begin < 15
    error = tap.wait("error", err=lambda e: e["code"] == "sync_failed")
    message = tap.message(cid=error["cid"])
    assert error["tid"] == message["tid"] and error["stage"] == "end"
    setattr(disk, fault, 0)
    wait_until(lambda: message["tid"] in [r["tid"] for r in on_disk(tap)], "the late record")
    c.quit()


def test_a_client_that_does_not_wait(world):
    """It is lost while its reply waits: the record was made before, and stays as it is."""
    tap, disk = with_disk(world, "fsync")
    disk.hang_sync = 1
    c = send_one(tap)
    message = tap.message()
    assert (message["status"], message["client_replied"]) == ("accepted", True)
    c.reset()
    assert tap.wait("close", side="client")["messages"] == 1
    disk.hang_sync = 0
    other = send_one(tap)
    other.expect(250)
    other.quit()
    tap.stop()
    assert len(tap.records("message")) == 2 and not tap.records("error")


def test_shutdown_keeps_the_promise(world):
    tap, disk = with_disk(world, "fsync")
    disk.hang_sync = 1
    c = send_one(tap)
    tap.message()
    tap.send_signal(signal.SIGTERM)
    tap.wait("closing")
    c.silent(0.2)
    disk.hang_sync = 0
    c.expect(250)
    c.expect(421, "4.3.2")
    c.eof()
    tap.stop(signum=None)


def test_the_end_of_the_programs_time(world):
    """A second mail would be worse: what waits is answered when nothing can wait any longer, and told as such."""
    tap, disk = with_disk(world, "write", config={"timeouts": {"shutdown": "700ms"}})
    disk.hang_write = 1
    c = send_one(tap)
    tap.message()
    tap.send_signal(signal.SIGTERM)
    c.expect(250)
    c.expect(421)
    assert tap.wait("error")["err"]["code"] == "sync_failed"
    tap.stop(status=1, signum=None)
    assert "records were not written" in tap.errors()


def test_the_upstreams_end_while_the_reply_waits(world):
    tap, disk = with_disk(world, "fsync", world.mta(end=[b"250 2.0.0 taken\r\n", CLOSE]))
    disk.hang_sync = 1
    c = send_one(tap)
    tap.message()
    tap.wait("close", side="upstream")
    c.silent(0.1)
    disk.hang_sync = 0
    c.expect(250)
    c.quit()


def until_refused(c, recipients):
    """Messages until one is refused at its end, or before it."""
    rcpt = "RCPT TO:<" + "a" * 60 + "@" + "b" * 60 + ".example>"
    for _ in range(500):
        for line in ("RSET", "MAIL FROM:<a@b.example>", *[rcpt] * recipients, "DATA", SMALL + b"."):
            if c.cmd(line).code == 451:
                return
    raise AssertionError("the room has no end")


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("overflow", ["tempfail", "drop"])
def test_no_end_of_data_without_room_on_the_disk(world, overflow, chunked):
    mta = world.mta(ehlo=("PIPELINING", "CHUNKING", "SIZE", "8BITMIME"))
    tap, disk = with_disk(world, "write", mta, log={"overflow": overflow, "outputs": [
        {"type": "stdout", "overflow": "block"}, {"type": "file", "path": world.path("log.json")}]})
    c, other = tap.client(), tap.client()
    c.ehlo()
    other.ehlo()
    c.mail()
    c.rcpt()
    if chunked:
        c.chunk(b"one\r\n").expect(250)
    else:
        c.cmd("DATA", 354)
        c.send(SMALL)
    disk.allocate_errno = errno.ENOSPC
    until_refused(other, 40)
    until_refused(other, 1)
    taken = len(mta.messages)
    if chunked:
        c.chunk(b"two\r\n", last=True)
    else:
        c.send(b".\r\n")
    c.expect(451, "4.3.0")
    message = tap.message(cid=tap.cid_of(c))
    assert (message["status"], message["decided_by"], message["stage"]) == ("deferred", "smtptap", "transfer")
    assert mta.counts["dot"] == len(mta.messages) == taken
    disk.allocate_errno = 0

    lines = ("RSET", "MAIL FROM:<a@b.example>", "RCPT TO:<a@b.example>", "DATA", SMALL + b".")
    wait_until(lambda: all(other.cmd(line).code < 400 for line in lines), "mail to be taken again")
    tap.stop(check=False)


def test_room_that_was_secured_is_given_back(world):
    """The file takes no more of the disk than its lines need, once it is closed; and readers never see the room."""
    tap = synced(world, world.mta(), "write")
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    assert os.stat(tap.file).st_blocks * 512 >= 1 << 20
    c.quit()
    tap.stop()
    assert os.stat(tap.file).st_blocks * 512 <= os.path.getsize(tap.file) + 65536
    tap.check(log=read_log(tap.file))


def test_rotation_loses_no_fsync(world):
    """A file that is rotated away is written back before it is closed: what waited for it is safe."""
    disk = Disk(world.dir, world.path("log.json"))
    tap = synced(world, world.mta(), "fsync", env=disk.env, log={"outputs": [
        {"type": "stdout"}, {"type": "file", "path": world.path("log.json"), "rotate_size": 16384, "rotate_keep": 100}]})
    c = tap.client()
    c.ehlo()
    for _ in range(60):
        assert c.deliver().code == 250
    c.quit()
    tap.stop()
    names = [n for n in os.listdir(world.dir) if n.startswith("log.json")]
    assert len(names) > 5 and disk.syncs >= 60 + len(names) - 1
