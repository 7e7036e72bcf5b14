"""The log where things go on around it: rotation with others at the same file, what a reload can't change."""
import fcntl
import json
import os
import signal

import pytest

from harness.tap import merged, read_log
from harness.util import wait_until

TEXT = b"Subject: x\r\n\r\nbody\r\n"
KEY = b"0123456789abcdef0123456789abcdef\n"
ROTATE = 16384


def to_file(world, path, **more):
    return world.tap(world.mta(), {"log": {"outputs": [{"type": "stdout"}, dict({
        "type": "file", "path": path, "rotate_size": ROTATE, "rotate_keep": 9}, **more)]}})


def deliver(tap, count=1):
    for _ in range(count):
        c = tap.client()
        c.ehlo()
        assert c.deliver(TEXT).code == 250
        c.quit()
        tap.closed(c)


def is_free(path):
    """Nobody holds the lock that keeps a file from being rotated."""
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(fd)


def test_a_torn_end_and_a_rotation(world):
    """The line's end goes behind what is torn, not into the next file in place of a record's first octet."""
    path = world.path("log")
    with open(path, "w", encoding="utf-8") as f:
        f.write("x" * ROTATE + "\nnot of ours, and not ended")
    tap = to_file(world, path)
    deliver(tap)
    tap.stop()
    with open(path + ".1", encoding="utf-8") as f:
        assert f.read().endswith("\nnot of ours, and not ended\n")
    got = read_log(path)
    assert not got.bad and [r["seq"] for r in got.list] == [r["seq"] for r in tap.log.list]


def test_a_rotation_that_must_wait_keeps_the_lock(world):
    """Else the other process rotates, and leaves us in the old file."""
    path = world.path("log")
    tap = to_file(world, path)
    fd = os.open(path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    deliver(tap, 3)
    wait_until(lambda: deliver(tap) or os.path.getsize(path) > ROTATE + 2000)
    assert not os.path.exists(path + ".1")
    os.close(fd)
    assert not is_free(path)


def test_the_file_was_rotated_while_it_was_opened(world):
    """Another one has it alone when we start, and has moved it away when we get the lock."""
    path = world.path("log")
    with open(path, "w", encoding="utf-8"):
        pass
    fd = os.open(path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    tap = world.tap(world.mta(), {"log": {"outputs": [{"type": "stdout"}, {"type": "file", "path": path}]}}, ready=False)

    def opened():
        links = f"/proc/{tap.pid}/fd"
        try:
            return any(os.readlink(os.path.join(links, n)).startswith(path) for n in os.listdir(links))
        except OSError:
            return False

    wait_until(opened, lambda: "the file being opened")
    os.rename(path, path + ".1")
    os.close(fd)
    tap.ready()
    deliver(tap)
    tap.stop()
    assert len(read_log(path).list) == len(tap.log.list) and os.path.getsize(path + ".1") == 0


def test_what_was_not_moved_is_not_moved_back(world):
    """The file was taken away, and no new one can be made: older ones stay what they are."""
    path = world.path("log")
    tap = to_file(world, path)
    with open(path + ".1", "w", encoding="utf-8") as f:
        f.write("an older one\n")
    os.unlink(path)
    os.mkdir(path)
    wait_until(lambda: deliver(tap) or tap.records("error"))
    told = tap.records("error")[0]["err"]["message"]
    assert "it can't be rotated" in told and "Is a directory" in told, told
    with open(path + ".1", encoding="utf-8") as f:
        assert f.read() == "an older one\n"


def key_file(tmp_path, text=KEY):
    path = tmp_path / "key"
    path.write_bytes(text)
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize("before,after,named", [
    ({}, {"redact": {"addresses": "hash", "key_file": "KEY"}}, "log.redact"),
    ({"redact": {"addresses": "mask"}}, {"redact": {"addresses": "keep"}}, "log.redact"),
    ({"redact": {"addresses": "hash", "key_file": "KEY"}}, {"redact": {"addresses": "hash", "key_file": "KEY"}},
     "log.redact"),
    ({}, {"integrity": "chain", "integrity_key_file": "KEY"}, "log.integrity"),
], ids=["on", "off", "key", "chain"])
def test_a_reload_does_not_promise_what_it_does_not_do(world, tmp_path, before, after, named):
    """What is redacted and what is chained is so from a run's first record to its last."""
    def of(log):
        return json.loads(json.dumps(log).replace("KEY", str(tmp_path / "key")))

    key_file(tmp_path)
    path = world.path("log")
    tap = world.tap(world.mta(), {"log": merged({"outputs": [{"type": "stdout"}, {"type": "file", "path": path}]},
                                                of(before))})
    deliver(tap)
    if before == after:
        key_file(tmp_path, b"another key of enough bytes\n")
    tap.config = merged(tap.config, {"log": of(after)})
    tap.write_config()
    os.kill(tap.pid, signal.SIGHUP)
    told = tap.wait("reload")
    assert not told["ok"] and named in told["err"]["message"], told
    deliver(tap)
    first, second = tap.records("message")
    assert first["mail_from"] == second["mail_from"]
    tap.stop(check=False)
