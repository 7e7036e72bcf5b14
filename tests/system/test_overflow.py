"""log.overflow, word by word, against readers that stall and disks that are full: what is answered, what is lost and
told, and that the sums agree, also at the end of the program. stdout is the reference: it has all that was made."""
import os
import re
import resource
import subprocess

import pytest

from harness.client import SMALL
from harness.pipe import Pipe
from harness.tap import read_log
from harness.util import wait_until

POLICIES = pytest.mark.parametrize("overflow", ["block", "drop", "tempfail"])


def with_output(world, path, overflow, mta=None, queue=65536, limit=None, **log):
    return world.tap(mta or world.mta(), {"workers": 1, "log": {"outputs": [
        {"type": "stdout"}, {"type": "file", "path": path, "overflow": overflow, "queue_size": queue}], **log}},
        limit=limit)


def noops(c, most):
    """Until nothing moves; how many were answered."""
    c.sock.settimeout(0.7)
    for n in range(most):
        try:
            c.cmd(b"NOOP " + b"x" * 400)
        except AssertionError:
            return n
    return most


def sums(log, reference, unwritten=0):
    """Written, told and untold are all that was made; the gaps in seq are what was told."""
    assert not log.bad and not log.rest
    made = len(reference.list)
    told = sum(r["records"] for r in log.list if r["tnx"] == "dropped")
    written = len([r for r in log.list if r["tnx"] != "dropped"])
    assert written + told + unwritten == made, (made, written, told, unwritten)
    seq = [r["seq"] for r in log.list]
    assert seq == sorted(set(seq))
    if not unwritten:
        assert (seq[-1] if seq else 0) - len(seq) == told
    return told


def unwritten_of(tap):
    found = re.search(r"(\d+) records were not written", tap.errors())
    return int(found.group(1)) if found else 0


@POLICIES
def test_the_end_with_a_reader_that_never_reads(world, overflow):
    """Exit 1, with the number of what was not written; whole lines are in the pipe."""
    pipe = Pipe(world)
    tap = with_output(world, pipe.path, overflow, block_timeout="60s")
    noops(tap.client(), 1500)
    tap.stop(status=1, check=False)
    pipe.read_to_the_end()
    assert len(pipe.log.raw) > 4000 and unwritten_of(tap) > 10
    sums(pipe.log, tap.log, unwritten_of(tap))


@POLICIES
def test_the_end_with_a_reader_that_reads_late(world, overflow):
    pipe = Pipe(world)
    tap = with_output(world, pipe.path, overflow, block_timeout="60s")
    c = tap.client()
    n = noops(c, 1500)
    assert (n < 1500) == (overflow == "block")
    pipe.read()
    c.sock.settimeout(10)
    if overflow == "block":
        c.expect(250)
    c.quit()
    tap.stop(check=False)
    wait_until(lambda: pipe.log.list and pipe.log.list[-1]["tnx"] == "closed", "the last record")
    told = sums(pipe.log, tap.log)
    assert (told > 0) == (overflow != "block")


def test_drop_loses_dialogue_first(world):
    """Every other record of a busy time is there, though most of the dialogue is not."""
    pipe = Pipe(world)
    tap = with_output(world, pipe.path, "drop", queue="256KiB")
    c = tap.client()
    c.ehlo()
    for _ in range(20):
        for _ in range(40):
            c.cmd(b"NOOP " + b"x" * 400, 250)
        assert c.deliver().code == 250
    pipe.read()
    c.quit()
    tap.stop(check=False)
    wait_until(lambda: pipe.log.list and pipe.log.list[-1]["tnx"] == "closed",
               lambda: f"the last record; the pipe ends with {pipe.log.list[-3:]}, bad: {pipe.log.bad}")
    assert sums(pipe.log, tap.log) > 500

    def others(log):
        return sorted((r["time"], r["msg"]) for r in log.list
                      if r["tnx"] not in ("command", "send", "data", "dropped", "caps"))

    assert others(pipe.log) == others(tap.log)


@pytest.mark.parametrize("overflow", ["block", "tempfail"])
def test_each_command_is_answered_451(world, overflow):
    """MAIL, RCPT, DATA and BDAT, also those of transactions that were begun before; what was accepted stays told."""
    pipe = Pipe(world)
    mta = world.mta(ehlo=("PIPELINING", "CHUNKING", "SIZE", "8BITMIME"))
    tap = with_output(world, pipe.path, overflow, mta, block_timeout="500ms")
    fresh, mailed, ready, chunks, body = (tap.client(timeout=20) for _ in range(5))
    for c in (fresh, mailed, ready, chunks, body):
        c.ehlo()
    for c in (mailed, ready, chunks):
        c.mail()
    for c in (ready, chunks):
        c.rcpt()
    body.begin()
    noops(tap.client(), 1500)
    fresh.cmd("MAIL FROM:<a@b.example>", 451, "4.3.0")
    mailed.cmd("RCPT TO:<a@b.example>", 451, "4.3.0")
    ready.cmd("DATA", 451, "4.3.0")
    chunks.chunk(b"text\r\n", last=True).expect(451, "4.3.0")
    body.send(SMALL + b".\r\n").expect(250)
    assert len(mta.messages) == 1
    pipe.read()
    wait_until(lambda: fresh.cmd("MAIL FROM:<a@b.example>").code == 250, "mail to be taken again")
    tap.stop(check=False)
    wait_until(lambda: pipe.log.list and pipe.log.list[-1]["tnx"] == "closed", "the last record")
    sums(pipe.log, tap.log)
    assert len(pipe.log.find("message", status="accepted")) == 1
    assert tap.wait("error", err=lambda e: e["code"] == "log_blocked")["output"] == pipe.path


def test_block_accepts_and_reads_nothing(world):
    """No connection is accepted and no command is read, but what was read before is answered."""
    pipe = Pipe(world)
    tap = with_output(world, pipe.path, "block", block_timeout="60s")
    old = tap.client()
    old.ehlo()
    noops(tap.client(), 1500)
    new = tap.client(greet=False)
    new.silent(0.3)
    old.send(b"NOOP\r\n").silent(0.3)
    pipe.read()
    new.expect(220)
    old.expect(250)
    new.quit()
    old.quit()
    tap.stop(check=False)
    wait_until(lambda: pipe.log.list and pipe.log.list[-1]["tnx"] == "closed", "the last record")
    assert sums(pipe.log, tap.log) == 0


@POLICIES
def test_a_file_that_may_not_grow(world, overflow):
    """RLIMIT_FSIZE: a disk's end. No half of a record stands in the file."""
    path = world.path("short.json")
    size = 100000

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    tap = with_output(world, path, overflow, limit=limit, block_timeout="60s")
    n = noops(tap.client(), 1500)
    assert (n < 1500) == (overflow == "block")
    assert tap.wait("error", err=lambda e: e["code"] == "log_write")["output"] == path
    tap.stop(status=1, check=False)
    log = read_log(path)
    assert 90000 < len(log.raw) <= size
    sums(log, tap.log, unwritten_of(tap))


@pytest.fixture
def small_disk(world):
    """A file system of 1 MiB."""
    where = world.path("disk")
    os.mkdir(where)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", where],
                                           capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted")
    world.defer(lambda: subprocess.run(["umount", "-l", where], check=True))
    return where


@POLICIES
def test_a_disk_that_is_full_and_then_is_not(world, small_disk, overflow):
    ballast = os.path.join(small_disk, "ballast")
    path = os.path.join(small_disk, "log.json")
    with open(ballast, "wb") as f:
        f.write(bytes(800000))
    tap = with_output(world, path, overflow, block_timeout="60s")
    c = tap.client()
    n = noops(c, 2500)
    assert (n < 2500) == (overflow == "block")
    tap.wait("error", err=lambda e: e["code"] == "log_write")
    log = read_log(path)
    assert not log.rest, "half a record stands on the full disk"
    os.unlink(ballast)
    c.sock.settimeout(10)
    if overflow == "block":
        c.expect(250)
    c.ehlo()
    wait_until(lambda: c.cmd("MAIL FROM:<a@b.example>").code == 250, "mail to be taken again")
    c.quit()
    tap.stop(check=False)
    log = read_log(path)
    assert log.list[-1]["tnx"] == "closed"
    assert (sums(log, tap.log) > 0) == (overflow != "block")
