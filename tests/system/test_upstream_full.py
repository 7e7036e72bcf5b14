"""An upstream that takes no more, and dies when all of the message is on its way to it."""
import socket
import threading

from harness.util import unread_bytes, wait_until


def was_read(c):
    """True: all that was sent has been read; False: it will not be for a while."""
    try:
        wait_until(lambda: unread_bytes(c.server_port, c.local_port) == 0, "reading", 0.4)
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
    taken.set()
    resets.wait(20)
    s.close()


def test_the_client_goes_on_where_the_upstream_dies_full(world):
    """For one of these sizes at least the end of the message is read when the upstream's buffers have just filled."""
    path = world.path("up.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(4)
    world.defer(listener.close)
    tap = world.tap("unix:" + path)
    line, tail = b"x" * 70 + b"\r\n", b"y" * 70 + b"\r\n"
    for size in range(60_000, 700_000, 40_000):
        taken, resets = threading.Event(), threading.Event()
        threading.Thread(target=greedy, args=(listener, taken, resets), daemon=True).start()
        c = tap.client()
        c.ehlo()
        c.begin()
        assert taken.wait(10)
        c.send(line * (size // len(line)))
        was_read(c)
        c.send(tail * (50_000 // len(tail)) + b".\r\n")
        was_read(c)
        resets.set()
        c.expect(451, "4.4.2")
        c.quit()
