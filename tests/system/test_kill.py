"""kill -9 at any instant under load, with log.sync: no message that a client saw accepted lacks its record (design.md,
promise 4). With fsync, what was not written back is lost with the program, as in a crash of the machine (shim/disk.c).

All rounds write one file: each start heals what the one before has left."""
import json
import os
import random
import signal
import threading
import time

import pytest

from harness.client import Gone, RawClient
from harness.disk import Disk
from harness.records import Log
from harness.tap import read_log
from harness.util import wait_until

MANY = pytest.mark.parametrize("rounds", [12, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
SESSIONS = 6


class Load(threading.Thread):
    """One session after the other, until the program is gone; remembers what it saw accepted."""

    def __init__(self, tap, name):
        super().__init__(daemon=True)
        self.address, self.tag, self.seen, self.sent = tap.addresses()[0], name, [], []
        self.start()

    def run(self):
        n = 0
        try:
            while True:
                c = RawClient(self.address)
                c.ehlo()
                for _ in range(random.randrange(1, 8)):
                    n += 1
                    sender = f"{self.tag}.{n}@client.example"
                    c.begin(sender, f"to{n}@mta.example")
                    self.sent.append(sender)
                    c.send(b"Subject: x\r\n\r\n" + b"text\r\n" * random.randrange(200) + b".\r\n")
                    if c.reply().code == 250:
                        self.seen.append(sender)
                c.quit()
        except (Gone, OSError, AssertionError):
            pass


class File:
    """A log file that is read on from where its last whole line ended; `rest` is what stands behind that."""

    def __init__(self, path):
        self.path, self.at, self.rest, self.log = path, 0, b"", Log()

    def read(self):
        """The records that are new."""
        before = len(self.log.list)
        with open(self.path, "rb") as f:
            f.seek(self.at)
            data = f.read()
        whole = data[:data.rfind(b"\n") + 1]
        self.log.feed(whole)
        self.at += len(whole)
        self.rest = data[len(whole):]
        if self.log.bad:
            raise self.log.bad
        return self.log.list[before:]


def one_round(world, mta, path, sync, n, disk):
    tap = world.tap(mta, {"log": {"sync": sync, "outputs": [{"type": "stdout", "level": "info"},
                                                            {"type": "file", "path": path}]}},
                    env=disk.env if disk else None)
    load = [Load(tap, f"r{n}s{i}") for i in range(SESSIONS)]
    wait_until(lambda: any(x.seen for x in load), "the first message")
    time.sleep(random.random() * 0.15)
    tap.child.send_signal(signal.SIGKILL)
    tap.child.wait()
    for x in load:
        x.join(20)
    tap.kill()
    return {s for x in load for s in x.seen}, {s for x in load for s in x.sent}


def rounds_of_killing(world, sync, rounds, disk=None):
    file = File(world.path("log.json"))
    mta = world.mta()
    mta.sessions = Forgetful()
    accepted = 0
    for n in range(rounds):
        seen, sent = one_round(world, mta, file.path, sync, n, disk)
        recorded = [r["mail_from"] for r in file.read() if r["tnx"] == "message" and r["status"] == "accepted"]
        assert len(recorded) == len(set(recorded)), "a message has two records"
        missing = seen - set(recorded)
        assert not missing, f"round {n}: accepted for the client, and without a record: {sorted(missing)[:5]}"
        assert set(recorded) <= sent
        accepted += len(seen)
    assert accepted >= rounds
    world.tap(mta, {"log": {"outputs": [{"type": "stdout"}, {"type": "file", "path": file.path}]}}).stop()
    file.read()
    assert not file.rest
    check_runs(file.log)


def without_seq(r):
    return json.dumps({**r, "seq": 0}, sort_keys=True)


class Forgetful(list):
    """Sessions of the scripted upstream that nobody looks at later."""

    def append(self, session):
        pass


def check_runs(log):
    """Of each run, a beginning without a gap; the last one is whole."""
    runs = {}
    for r in log.list:
        runs.setdefault(r["run"], []).append(r["seq"])
    for run, seq in runs.items():
        assert seq == list(range(seq[0], seq[0] + len(seq))) and seq[0] <= 1, f"gaps in run {run}"
    assert log.list[-1]["tnx"] == "closed"


@MANY
def test_write(world, rounds):
    rounds_of_killing(world, "write", rounds)


@MANY
def test_fsync_and_a_disk_that_forgets(world, rounds):
    disk = Disk(world.dir, world.path("log.json"))
    disk.shadow = 1
    rounds_of_killing(world, "fsync", rounds, disk)
    assert disk.syncs


def test_the_disk_does_forget(world):
    """The test above can fail: with `write` alone, the same disk loses records of messages that were accepted."""
    disk = Disk(world.dir, world.path("log.json"))
    disk.shadow = 1
    path = world.path("log.json")
    tap = world.tap(world.mta(), {"log": {"sync": "write", "outputs": [{"type": "stdout"},
                                                                       {"type": "file", "path": path}]}}, env=disk.env)
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    tap.child.send_signal(signal.SIGKILL)
    tap.child.wait()
    assert os.path.getsize(path) == 0
    tap.kill()


def test_a_torn_line_is_healed(world):
    """As a crash of the machine may leave it: each possible end of the last record."""
    path = world.path("log.json")
    config = {"log": {"outputs": [{"type": "stdout"}, {"type": "file", "path": path}]}}
    tap = world.tap(world.mta(), config)
    tap.stop()
    with open(path, "rb") as f:
        whole = f.read()
    last = whole.rstrip(b"\n").rpartition(b"\n")[2]
    for cut in (1, 2, len(last) // 2, len(last) - 1, len(last)):
        with open(path, "wb") as f:
            f.write(whole + last[:cut])
        world.tap(world.mta(), config).stop()
        assert read_log(path).list[-1]["tnx"] == "closed" and not read_log(path).rest


def test_two_programs_on_one_file(world):
    """A restart: one drains while the other serves, both under load, with O_APPEND: no line is torn or lost."""
    path = world.path("log.json")
    mta = world.mta()
    config = {"log": {"sync": "write", "outputs": [{"type": "stdout"}, {"type": "file", "path": path}]},
              "timeouts": {"shutdown": "5s"}}
    taps = [world.tap(mta, config) for _ in range(2)]
    load = [Load(t, f"t{i}s{k}") for i, t in enumerate(taps) for k in range(4)]
    wait_until(lambda: all(len(x.seen) > 10 for x in load), "load on both", timeout=30)
    taps[0].send_signal(signal.SIGTERM)
    taps[0].stop(signum=None, check=False, timeout=20)
    before = [len(x.seen) for x in load[4:]]
    wait_until(lambda: all(len(x.seen) > b + 10 for x, b in zip(load[4:], before)), "load on the second", timeout=30)
    taps[1].stop(check=False, timeout=20)
    for x in load:
        x.join(20)
    log = read_log(path)
    assert not log.bad and not log.rest
    recorded = {r["mail_from"] for r in log.find("message", status="accepted")}
    assert {s for x in load for s in x.seen} <= recorded
    for tap in taps:
        run = tap.log.list[0]["run"]
        mine = [r for r in log.list if r["run"] == run]
        assert [r["seq"] for r in mine] == list(range(1, len(mine) + 1))
        assert sorted(map(without_seq, mine)) == sorted(map(without_seq, tap.log.list))
    mta.sessions.clear()
