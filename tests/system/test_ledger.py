"""The books of a busy program: what clients saw, what the upstream has and what the log says are the same set, under mixed
load (accepted, refused at each stage, lost clients, lost upstreams, reloads, rotations), for each overflow policy.

Three outputs: stdout is the reference; a file that is rotated by size and by hand; and a pipe whose reader stalls now
and then, with the policy in question."""
import contextlib
import collections
import os
import random
import re
import signal
import threading
import time

import pytest

from harness.client import Gone, RawClient
from harness.mta import CLOSE, RST
from harness.pipe import Pipe
from harness.records import Ledger, Log
from harness.util import wait_until

SECONDS = pytest.mark.parametrize("seconds", [4, pytest.param(120, marks=[pytest.mark.long, pytest.mark.timeout(400)])])
POLICY = pytest.mark.parametrize("overflow", ["block", "drop", "tempfail"])
SESSIONS = 8
QUEUE = 65536


class Upstream:
    """Refuses and vanishes as the sender's address asks, which has a word and a number of its own: word.n@x.example."""

    def __init__(self, world):
        self.mta = world.mta(mail=self.by("mail"), rcpt=self.by("rcpt"), data=self.by("data"), end=self.by("end"))

    @staticmethod
    def by(stage):
        def act(session, line):
            word = re.match(rb"<?([a-z0-9]*)", session.sender or b"").group(1).decode()
            if word == "lost" + stage:
                return CLOSE
            if word == "rst" + stage:
                return RST
            if word in ("4" + stage, "5" + stage):
                code = int(word[0]) * 100 + 50 + 4 * (stage in ("data", "end") and word[0] == "5")
                return b"%d %s.0.0 no\r\n" % (code, word[0].encode())
            return None
        return act

    def took(self):
        return collections.Counter(sender_of(m["sender"].decode()) for s in self.mta.sessions for m in s.messages
                                   if m["code"] == 250)


def sender_of(text):
    return re.match(r"<?([^>]*)", text).group(1)


WORDS = ["ok"] * 12 + [k + s for k in ("4", "5", "lost", "rst") for s in ("mail", "rcpt", "data", "end")]
OURS = ["reset", "quit", "gonercpt", "gonedata", "gonebody", "goneend", "badcommand"]


class Person(threading.Thread):
    """Sessions with a few transactions each. saw: sender -> (stage, code) of the reply that decided, None: it did not wait."""

    def __init__(self, address, name, stop):
        super().__init__(daemon=True)
        self.address, self.tag, self.stop_at = address, name, stop
        self.saw, self.n, self.error = {}, 0, None
        self.start()

    def run(self):
        try:
            while time.monotonic() < self.stop_at:
                self.session()
        except BaseException as e:
            self.error = e

    def session(self):
        try:
            c = RawClient(self.address, timeout=60)
        except (OSError, Gone):
            return
        try:
            if c.greeting.code != 220 or c.cmd("EHLO client.example").code != 250:
                return
            for _ in range(random.randrange(1, 6)):
                if not self.transaction(c):
                    return
            c.cmd("QUIT")
        except Gone:
            pass
        finally:
            c.close()

    def transaction(self, c):
        """False: the session is over."""
        self.n += 1
        word = random.choice(WORDS + OURS)
        sender = f"{word}.{self.tag}.{self.n}@x.example"
        if word == "badcommand":
            return c.cmd("FOO").code != 421
        self.saw[sender] = ("lost", None)

        def decided(stage, code):
            self.saw[sender] = (stage, code)
            return code

        if decided("mail", c.cmd(f"MAIL FROM:<{sender}>").code) != 250:
            return self.saw[sender][1] != 421
        if decided("rcpt", c.cmd("RCPT TO:<to@y.example>").code) == 421:
            return False
        if word == "gonercpt":
            self.saw[sender] = ("lost", None)
            return False
        if word in ("reset", "quit") or self.saw[sender][1] != 250:
            return c.cmd("QUIT" if word == "quit" else "RSET").code == 250
        self.saw[sender] = ("lost", None)
        if decided("data", c.cmd("DATA").code) != 354:
            code = self.saw[sender][1]
            return code != 421 and c.cmd("RSET").code == 250
        self.saw[sender] = ("lost", None)
        if word == "gonedata":
            return False
        c.send(b"Subject: x\r\n\r\n" + b"text of the message\r\n" * random.randrange(100))
        if word == "gonebody":
            c.reset()
            return False
        c.send(b".\r\n")
        if word == "goneend":
            return False
        return decided("end", c.reply().code) != 421


def run_load(world, tap, pipe, file, seconds):
    """Reloads, rotations, stalls, while people send."""
    end = time.monotonic() + seconds
    people = [Person(tap.addresses()[0], f"p{i}", end) for i in range(SESSIONS)]
    turn = 0
    while time.monotonic() < end:
        turn += 1
        pipe.reader.flowing.clear()
        time.sleep(0.4)
        tap.send_signal(signal.SIGHUP)
        with contextlib.suppress(FileNotFoundError):  # it is being rotated by size just now
            os.rename(file, f"{file}.by-hand.{turn:04}")
        tap.send_signal(signal.SIGUSR1)
        pipe.reader.flowing.set()
        wait_until(lambda: os.path.exists(file), "the file that is opened again")
        time.sleep(0.2)
    pipe.reader.flowing.set()
    for p in people:
        p.join(70)
        assert not p.is_alive(), "a session hangs"
        if p.error:
            raise p.error
    return {sender: saw for p in people for sender, saw in p.saw.items()}


def files_of(file):
    """All parts of it, as one log in the order of seq."""
    whole, parts = Log(), []
    for name in os.listdir(os.path.dirname(file)):
        if name.startswith(os.path.basename(file)):
            with open(os.path.join(os.path.dirname(file), name), "rb") as f:
                data = f.read()
            assert not data or data.endswith(b"\n"), f"{name} is torn"
            parts.append(data)
    lines = sorted((line for data in parts for line in data.split(b"\n")[:-1]),
                   key=lambda line: int(re.search(rb'"seq":(\d+)}$', line).group(1)))
    whole.feed(b"".join(line + b"\n" for line in lines))
    return whole, len(parts)


def check_clients(saw, messages):
    """What a person saw, against the record of that transaction."""
    for sender, (stage, code) in saw.items():
        record = messages.get(sender)
        assert record, f"{sender}: no message record; the client saw {stage} {code}"
        status = record["status"]
        if (stage, code) == ("end", 250):
            assert status == "accepted" and record["client_replied"], (sender, record)
        elif code is not None and code >= 400:
            told = {4: ("deferred", "indeterminate"), 5: ("rejected",)}[code // 100]
            assert status in told and record["code"] == code, (sender, stage, code, record)
        elif code is None:
            assert status in ("aborted", "accepted", "indeterminate", "deferred", "rejected"), (sender, record)
        else:
            assert status in ("reset", "deferred", "aborted"), (sender, stage, code, record)
    for sender, record in messages.items():
        assert sender in saw, f"a record of nobody's message: {record}"


def check_policy(overflow, log, reference):
    """Of the output that stalled."""
    made = len(reference.list)
    written = [r for r in log.list if r["tnx"] != "dropped"]
    told = sum(r["records"] for r in log.list if r["tnx"] == "dropped")
    assert len(written) + told == made, f"{made} made, {len(written)} written, {told} told as lost"
    seq = [r["seq"] for r in log.list]
    assert seq == sorted(set(seq)) and seq[-1] - len(seq) == told, "the gaps in seq are not what was told"
    if overflow == "block":
        assert told == 0
    if overflow in ("block", "tempfail"):
        there = {r["tid"] for r in written if r["tnx"] == "message"}
        lacking = [r for r in reference.find("message") if r["tid"] not in there]
        assert not [r for r in lacking if r["status"] == "accepted"], "the record of an accepted message is lost"
        assert not lacking or overflow == "tempfail"
    return told


@SECONDS
@POLICY
def test_three_sets_are_one(world, overflow, seconds):
    upstream = Upstream(world)
    pipe, file = Pipe(world).read(), world.path("file.json")
    size = 65536 * (1 + seconds // 10)  # all parts are kept, also of a long and fast run
    outputs = [{"type": "stdout"}, {"type": "file", "path": file, "rotate_size": size, "rotate_keep": 1000},
               {"type": "file", "path": pipe.path, "overflow": overflow, "queue_size": QUEUE}]
    tap = world.tap(upstream.mta, {"log": {"outputs": outputs, "block_timeout": "30s"},
                                   "upstream": {"health": {"failures": 1000000}}, "timeouts": {"shutdown": "5s"}})
    saw = run_load(world, tap, pipe, file, seconds)
    tap.stop(check=False, timeout=20)
    wait_until(lambda: pipe.log.list and pipe.log.list[-1]["tnx"] == "closed", "the last record in the pipe")
    ledger = Ledger(tap.log)
    ledger.check()
    for session in upstream.mta.sessions:
        ledger.check_upstream(session, upstream.mta.port)

    records = {sender_of(r["mail_from"]): r for r in tap.records("message")}
    assert len(records) == len(tap.records("message"))
    check_clients(saw, records)
    took = upstream.took()
    assert set(took.values()) <= {1}, "a message came twice"
    assert set(took) == {s for s, r in records.items() if r["status"] == "accepted"}
    assert {s for s, (stage, code) in saw.items() if (stage, code) == ("end", 250)} <= set(took)

    rotated, parts = files_of(file)
    assert not rotated.bad and 2 < parts < 1000

    def by_place(log):
        return sorted((r["time"], r["msg"], r["tnx"], r.get("cid", "")) for r in log.list)

    assert by_place(rotated) == by_place(tap.log)
    told = check_policy(overflow, pipe.log, tap.log)
    assert told or overflow == "block", "the pipe did not overflow: nothing was tried"
    tap.upstream, tap.clients = [], []
