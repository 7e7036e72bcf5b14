"""log.integrity: the chain over restarts, rotation, reopening, two processes and kill -9; and what verify says of what was done to a log."""
import json
import os
import re
import shutil
import signal

import pytest

from harness.tap import run_tool
from harness.util import wait_until


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(b"0123456789abcdef0123456789abcdef\n")
    path.chmod(0o600)
    return str(path)


def config(key, path, **more):
    return {"log": {"integrity": "chain", "integrity_key_file": key,
                    "outputs": [{"type": "stdout"}, dict({"type": "file", "path": str(path)}, **more)]}}


def deliver(tap, n=1):
    for _ in range(n):
        c = tap.client()
        c.ehlo()
        assert c.deliver(b"Subject: x\r\n\r\nx\r\n").code == 250
        c.quit()
        tap.closed(c)


def run(world, key, path, n=1, **more):
    tap = world.tap(world.mta(), config(key, path, **more))
    deliver(tap, n)
    tap.stop()
    return tap


def verify(key, *files, status=0, options=()):
    got = run_tool("verify", "--key-file", key, *options, *map(str, files))
    assert got.returncode == status, (got.returncode, got.stdout, got.stderr)
    return got


def lines(path):
    with open(path, "rb") as f:
        return f.read().splitlines(keepends=True)


def write(path, what):
    with open(path, "wb") as f:
        f.write(b"".join(what))


@pytest.mark.parametrize("form", ["native", "ecs"])
def test_every_record_is_of_the_chain(world, tmp_path, key, form):
    path = tmp_path / "log"
    run(world, key, path, format=form)
    records = [json.loads(line) for line in lines(path)]
    name, prev = ("hash", "prev") if form == "native" else ("smtptap.hash", "smtptap.prev")
    assert all(re.fullmatch("[0-9a-f]{64}", r[name]) for r in records)
    assert [r.get(prev) for r in records] == ["0" * 64] + [None] * (len(records) - 1)
    got = verify(key, path)
    assert f"{len(records)} records of 1 runs in 1 file: the chain is whole" in got.stdout and not got.stderr
    assert all(len(line) <= 8000 for line in lines(path))
    assert os.stat(f"{path}.head").st_mode & 0o777 == 0o640


def test_restarts_are_linked(world, tmp_path, key):
    path = tmp_path / "log"
    for _ in range(10):  # more than the head has slots
        run(world, key, path)
    records = [json.loads(line) for line in lines(path)]
    firsts = [i for i, r in enumerate(records) if "prev" in r]
    assert len(firsts) == 10 and all(records[i]["prev"] == records[i - 1]["hash"] for i in firsts[1:])
    assert "of 10 runs" in verify(key, path).stdout


def test_rotated_sets(world, tmp_path, key):
    path = tmp_path / "log"
    run(world, key, path, 12, rotate_size=16384, rotate_keep=50)
    run(world, key, path, 3, rotate_size=16384, rotate_keep=50)
    rotated = sorted(int(p.name[4:]) for p in tmp_path.glob("log.[0-9]*"))
    assert len(rotated) > 3
    got = verify(key, path)
    assert f"in {len(rotated) + 1} files: the chain is whole" in got.stdout and not got.stderr
    in_order = [f"{path}.{n}" for n in reversed(rotated)] + [str(path)]
    assert "whole" in verify(key, *in_order).stdout
    # a whole file gone, in the middle; then the oldest, as rotate_keep does it
    shutil.move(f"{path}.2", tmp_path / "kept")
    assert "missing" in verify(key, path, status=1).stderr
    shutil.move(tmp_path / "kept", f"{path}.2")
    os.unlink(f"{path}.{rotated[-1]}")
    assert "note: " in verify(key, path).stderr


def test_reopened(world, tmp_path, key):
    path = tmp_path / "log"
    tap = world.tap(world.mta(), config(key, path))
    deliver(tap)
    os.rename(path, f"{path}.1")
    tap.send_signal(signal.SIGUSR1)
    wait_until(lambda: path.exists(), "the new file")
    deliver(tap)
    tap.stop()
    verify(key, path)


def test_two_processes_on_one_file(world, tmp_path, key):
    path = tmp_path / "log"
    one, two = (world.tap(world.mta(), config(key, path)) for _ in range(2))
    for _ in range(5):
        deliver(one)
        deliver(two)
    one.stop()
    deliver(two)
    two.stop()
    assert "of 2 runs" in verify(key, path).stdout
    kept = lines(path)
    write(path, kept[:-3])
    assert "cut off" in verify(key, path, status=1).stderr


def test_killed(world, tmp_path, key):
    path = tmp_path / "log"
    for _ in range(3):
        tap = world.tap(world.mta(), config(key, path))
        deliver(tap, 3)
        tap.stop(status=-signal.SIGKILL, check=False, signum=signal.SIGKILL)
        verify(key, path)
    with open(path, "ab") as f:
        f.write(b'{"time":"2026-01-01T00:00:00.000000Z","lev')
    assert "note: this line is not complete" in verify(key, path).stderr
    run(world, key, path)
    verify(key, path)


def test_while_it_is_written(world, tmp_path, key):
    path = tmp_path / "log"
    tap = world.tap(world.mta(), config(key, path))
    for _ in range(5):
        deliver(tap)
        verify(key, path)
    tap.stop()


TAMPER = {
    "edited": (lambda k: k[:7] + [k[7].replace(b"127.0.0.1", b"127.0.0.9")] + k[8:], r":8: this record was edited"),
    "missing": (lambda k: k[:7] + k[9:], r":8: records are missing before this one"),
    "inserted": (lambda k: k[:7] + [k[3]] + k[7:], r":8: this line was inserted"),
    "foreign": (lambda k: k[:7] + [b'{"time":"x"}\n'] + k[7:], r":8: this line was inserted or edited"),
    "cut off": (lambda k: k[:-4], r": the end is cut off behind this record"),
    "emptied": (lambda k: [], r"no record of a chain"),
    "turned": (lambda k: k[:7] + [k[8], k[7]] + k[9:], r":8: this line was inserted(.|\n)*:10: records are missing"),
}


@pytest.mark.parametrize("how", TAMPER)
def test_what_was_done_is_told(world, tmp_path, key, how):
    path = tmp_path / "log"
    run(world, key, path)
    change, told = TAMPER[how]
    write(path, change(lines(path)))
    got = verify(key, path, status=1)
    assert re.search(told, got.stderr), got.stderr
    assert "the chain is broken" in got.stdout or how == "emptied"


def test_a_log_and_its_head_turned_back_together(world, tmp_path, key):
    """Without the key nobody makes a head for another record."""
    path = tmp_path / "log"
    run(world, key, path)
    kept = lines(path)
    last, cut = json.loads(kept[-1]), json.loads(kept[-4])
    write(path, kept[:-3])
    with open(f"{path}.head", "rb") as f:
        head = f.read()
    with open(f"{path}.head", "wb") as f:
        f.write(head.replace(last["hash"].encode(), cut["hash"].encode())
                .replace(b"%020d" % last["seq"], b"%020d" % cut["seq"]))
    assert "log.head: this was edited" in verify(key, path, status=1).stderr
    os.unlink(f"{path}.head")
    assert "looks whole" in verify(key, path, status=1).stderr
    verify(key, path, options=["--no-head"])


@pytest.mark.parametrize("empty", [b"", bytes(2048)], ids=["emptied", "zeros"])
def test_a_head_that_says_nothing(world, tmp_path, key, empty):
    """It is no better than none: a log that was cut off would look whole."""
    path = tmp_path / "log"
    run(world, key, path)
    write(path, lines(path)[:-4])
    with open(f"{path}.head", "wb") as f:
        f.write(empty)
    assert "it knows nothing of run" in verify(key, path, status=1).stderr


def test_starts_that_come_to_nothing(world, tmp_path, key):
    """Each takes a slot of the head; the end is known all the same."""
    path = tmp_path / "log"
    run(world, key, path)
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"listeners": [{"address": "127.0.0.1:0"}], "log": {
        "integrity": "chain", "integrity_key_file": key,
        "outputs": [{"type": "file", "path": str(path)}, {"type": "file", "path": "/nowhere/log"}]}}))
    for _ in range(9):
        assert run_tool("run", "-c", str(other)).returncode == 1
    verify(key, path)
    whole = lines(path)
    write(path, whole[:-1])
    assert "the end is cut off" in verify(key, path, status=1).stderr
    write(path, whole)
    run(world, key, path)
    verify(key, path)


def test_another_key(world, tmp_path, key):
    path, other = tmp_path / "log", tmp_path / "other"
    run(world, key, path)
    other.write_text("another key of enough bytes")
    assert "edited" in verify(str(other), path, status=1).stderr


def test_key_from_the_configuration(world, tmp_path, key):
    path = tmp_path / "log"
    tap = run(world, key, path)
    got = run_tool("verify", "-c", tap.path, str(path))
    assert got.returncode == 0, got.stderr


@pytest.mark.parametrize("args,status,told", [
    ([], 2, "which file?"), (["LOG"], 2, "the key comes from"), (["--key-file", "KEY", "/nowhere/log"], 1, "No such file"),
    (["--key-file", "/nowhere/key", "LOG"], 1, "/nowhere/key"), (["--bogus", "LOG"], 2, "bogus"),
])
def test_usage(tmp_path, key, args, status, told):
    log = tmp_path / "log"
    log.write_text("")
    got = run_tool("verify", *[{"LOG": str(log), "KEY": key}.get(a, a) for a in args])
    assert got.returncode == status and told in got.stderr, got.stderr


@pytest.mark.parametrize("log,fault", [
    ({"integrity": "chain", "outputs": [{"type": "file", "path": "P"}]}, "log.integrity_key_file: this key is needed"),
    ({"integrity": "chain", "integrity_key_file": "KEY"}, "a chain needs an output of type file"),
])
def test_faults(tmp_path, key, log, fault):
    path = tmp_path / "c.json"
    text = json.dumps({"log": log}).replace('"KEY"', json.dumps(key)).replace('"P"', json.dumps(str(tmp_path / "log")))
    path.write_text(text)
    got = run_tool("check", "-c", str(path))
    assert got.returncode == 1 and fault in got.stderr, got.stderr
