"""An upstream that takes no more, and dies when all of the message is on its way to it.

Most of this is waiting: its place in the alphabet keeps it from being what all other workers wait for at the end."""
import fcntl
import socket
import struct
import termios
import threading

import pytest

from harness.util import wait_until


def was_read(c):
    """True: all that was sent has been read; False: it will not be for a while."""
    try:
        wait_until(c.was_read, "reading", 0.4)
        return True
    except AssertionError:
        return False


def greedy(listener, taken, resets):
    """Up to 354 it answers; then it reads no more, and resets when it is told to."""
    s, _ = listener.accept()
    f = s.makefile("rb")
    s.sendall(b"220 mta.example ESMTP\r\n")
    for line in f:
        verb = line[:4].upper()
        s.sendall(b"250-mta.example\r\n250 CHUNKING\r\n" if verb == b"EHLO" else b"354 go\r\n" if verb == b"DATA" else b"250 Ok\r\n")
        if verb == b"DATA":
            break
    taken.append(s)
    resets.wait(20)
    s.close()


@pytest.fixture
def trials(world):
    """Messages that fill the buffers of such an upstream to a little less, just, or more. Yields the client, what ends
    the upstream, the upstream's socket, and what was sent."""
    path = world.path("up.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(4)
    world.defer(listener.close)
    tap = world.tap("unix:" + path)
    line, tail = b"x" * 70 + b"\r\n", b"y" * 70 + b"\r\n"

    def run():
        for size in range(60_000, 700_000, 40_000):
            taken, resets = [], threading.Event()
            world.defer(resets.set)
            threading.Thread(target=greedy, args=(listener, taken, resets), daemon=True).start()
            c = tap.client()
            c.ehlo()
            c.begin()
            wait_until(lambda: taken, "354")
            head, end = line * (size // len(line)), tail * (50_000 // len(tail)) + b".\r\n"
            c.send(head)
            was_read(c)
            c.send(end)
            was_read(c)
            yield c, resets, taken[0], len(head + end)

    return run()


def test_the_client_goes_on_where_the_upstream_dies_full(trials):
    for c, resets, _, _ in trials:
        resets.set()
        c.expect(451, "4.4.2")
        c.quit()


def test_a_yes_before_the_end_has_left_is_none(trials, world):
    early = 0
    for c, resets, s, size in trials:
        has = struct.unpack("i", fcntl.ioctl(s, termios.FIONREAD, b"\0\0\0\0"))[0]
        s.sendall(b"250 2.0.0 Ok: queued as 4711\r\n")
        early += has < size
        c.expect(451 if has < size else 250)
        resets.set()
        c.quit()
        status = world.taps[0].wait("message", cid=world.taps[0].cid_of(c))["status"]
        assert status == ("deferred" if has < size else "accepted")
    assert early
