"""`smtptap tail` and a log that is rotated faster than it is read."""
import json
import os
import signal
import subprocess

import pytest

from harness.tap import BINARY, SANITIZER, environment
from harness.util import DEADLINE, wait_until

RUN = "0b1k2f9s"


class Tail:
    """Reads in steps: held() keeps it from looking while the log changes."""

    def __init__(self, log, *args, text="C.UTF-8", **env):
        self.process = subprocess.Popen([BINARY, "tail", *args, str(log)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={**environment(), "LC_ALL": text, **env})
        os.set_blocking(self.process.stdout.fileno(), False)
        self.text = ""

    def __enter__(self):
        self.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: self.state() == "T", "it is held")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)

    def state(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0]

    def until(self, what):
        def seen():
            self.text += (self.process.stdout.read() or b"").decode()
            return what in self.text
        wait_until(seen, lambda: f"{what!r} in {self.text!r}")

    def end(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(DEADLINE)
        errors = self.process.stderr.read().decode()
        assert not SANITIZER.search(errors), errors


class Log:
    """Written and rotated as smtptap does it."""

    def __init__(self, folder):
        self.path = folder / "log"
        self.seq = 0

    def __fspath__(self):
        return str(self.path)

    def __str__(self):
        return str(self.path)

    def put(self, n=1, run=RUN, **more):
        with open(self.path, "a") as f:
            for _ in range(n):
                self.seq += 1
                row = {"time": "2026-03-03T10:30:15.100000Z", "level": "debug", "tnx": "command", "cid": "c1",
                       "side": "client", "line": f"LINE {self.seq}.", "run": run, "seq": self.seq, **more}
                f.write(json.dumps(row) + "\n")

    def lose(self, n):
        self.seq += n

    def numbered(self, n):
        return self.path.with_name(f"log.{n}") if n else self.path

    def rotate(self, keep=9):
        gap = next((n for n in range(1, keep) if not self.numbered(n).exists()), keep)
        for n in range(gap, 0, -1):
            self.numbered(n - 1).rename(self.numbered(n))


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path)


@pytest.fixture
def tail(log):
    started = []

    def start(*args, **more):
        started.append(Tail(log, *args, **more))
        return started[-1]
    yield start
    for one in started:
        one.end()


def lines(text):
    """What was shown: numbers of records, and words about what was not."""
    shown = []
    for line in text.splitlines():
        if "LINE " in line:
            shown.append(int(line.split("LINE ")[1].rstrip(".")))
        elif line.startswith("…"):
            shown.append(line)
    return shown


def test_rotations_in_a_row_skip_nothing(log, tail):
    log.put(2)
    t = tail()
    t.until("LINE 2.")
    with t:
        log.put()
        for _ in range(4):
            log.rotate()
            log.put(3)
    t.until("LINE 15.")
    assert lines(t.text) == list(range(1, 16))
    log.put()
    t.until("LINE 16.")
    log.rotate()
    log.put()
    t.until("LINE 17.")
    assert lines(t.text) == list(range(1, 18))


def test_a_storm_of_rotations(log, tail):
    """Nobody is held: the files move while they are looked for."""
    log.put()
    t = tail()
    t.until("LINE 1.")
    for _ in range(250):
        log.rotate(keep=400)
        log.put(2)
    t.until("LINE 501.")
    assert lines(t.text) == list(range(1, 502))


def test_older_files_are_not_shown(log, tail):
    for _ in range(3):
        log.put(2)
        log.rotate()
    log.put()
    t = tail()
    t.until("LINE 7.")
    with t:
        log.rotate()
        log.put()
        log.rotate()
        log.put()
    t.until("LINE 9.")
    assert lines(t.text) == [7, 8, 9]


def test_a_row_with_a_gap(log, tail):
    """A crash between two steps of a rotation leaves one."""
    log.put()
    t = tail()
    t.until("LINE 1.")
    with t:
        for _ in range(3):
            log.rotate()
            log.put()
        log.numbered(3).rename(log.numbered(4))
        log.numbered(2).rename(log.numbered(3))
    t.until("LINE 4.")
    assert lines(t.text) == [1, 2, 3, 4]


@pytest.mark.parametrize("shift", [lambda log, aside: log.path.rename(aside), lambda log, aside: log.path.unlink()],
                         ids=["renamed", "removed"])
def test_a_file_that_left_the_row(log, tail, shift):
    for _ in range(2):
        log.put()
        log.rotate()
    os.utime(log.numbered(1), (1000, 1000))
    os.utime(log.numbered(2), (900, 900))
    log.put()
    os.utime(log.path, (2000, 2000))
    t = tail()
    t.until("LINE 3.")
    with t:
        shift(log, log.path.with_name("aside"))
        for _ in range(3):
            log.put()
            log.rotate()
        log.put()
    t.until("LINE 7.")
    assert lines(t.text) == [3, 4, 5, 6, 7]


def test_what_was_rotated_away_is_told(log, tail):
    log.put()
    t = tail("--color", "never")
    t.until("LINE 1.")
    with t:
        for _ in range(4):
            log.rotate(keep=2)
            log.put(2)
    t.until("LINE 9.")
    assert lines(t.text) == [1, "… 2 records are missing here", 4, 5, 6, 7, 8, 9]
    assert "\033" not in t.text


def test_what_was_cut_is_told(log, tail):
    log.put(9)
    t = tail("-n", "all", text="C")
    t.until("LINE 9.")
    with t:
        log.put()
        os.truncate(log, 0)
        log.put()
    t.until("LINE 11.")
    assert "... 1 record is missing here\n" in t.text


@pytest.mark.parametrize("args, shown", [(["--cid", "c2"], [3]), (["--level", "error"], []), (["--status", "accepted"], [])])
def test_a_filter_makes_no_gap(log, tail, args, shown):
    log.put()
    t = tail("-n", "all", *args)
    for cid in ("c1", "c2", "c1"):
        log.put(cid=cid)
    log.put(run="0b1k2f9t")
    log.lose(3)
    log.put(run="0b1k2f9t")
    t.until("missing")
    assert lines(t.text) == [*shown, "… 3 records are missing here"]


def test_dropped_records_are_told_once(log, tail):
    log.put()
    t = tail("-n", "all")
    t.until("LINE 1.")
    log.lose(3)
    log.put()
    log.put(tnx="dropped", records=3, level="error", msg="the log had no room")
    log.put()
    log.lose(5)
    log.put()
    log.put(tnx="dropped", records=4, level="error", msg="the log had no room")
    log.put()
    t.until("LINE 15.")
    told = [line for line in t.text.splitlines() if line.startswith("…")]
    assert told == ["… 3 records are missing here", "… so what is missing above was never written",
                    "… 5 records are missing here", "… so of the 5 records missing above 4 were never written"]
    assert t.text.count("3 records lost") == 1 and t.text.count("4 records lost") == 1


def test_colour_of_what_is_missing(log, tail):
    log.put()
    t = tail("-n", "all", "--color", "always")
    t.until("LINE 1.")
    log.lose(1)
    log.put()
    t.until("LINE 3.")
    assert "m… 1 record is missing here\033[" in t.text


def test_an_excerpt_has_no_gaps(log):
    """--no-follow shows what is in the file."""
    log.put()
    log.lose(1)
    log.put()
    r = subprocess.run([BINARY, "tail", "--no-follow", str(log)], capture_output=True, text=True, env=environment())
    assert "LINE 3." in r.stdout and "missing" not in r.stdout
