"""SIGUSR2: a new process takes over the listening sockets, this one drains; nobody is refused in between. And sockets
that systemd passes (LISTEN_FDS)."""
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness.client import SMALL, Gone, RawClient
from harness.tap import BINARY, environment
from harness.util import Child, Reader, wait_until


class Restarted:
    """The processes of a program that restarts itself: all write one stdout; none outlives the test."""

    def __init__(self, world, tap):
        self.world, self.tap = world, tap
        world.defer(self.end)

    def runs(self):
        return list(dict.fromkeys(r["run"] for r in self.tap.log.list if r["tnx"] == "listen"))

    def pids(self):
        """Of its command line, which names a file that only this test has."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/cmdline", "rb") as f:
                    if self.tap.path.encode() in f.read().split(b"\0"):
                        found.append(int(name))
            except OSError:
                pass
        return found

    def restart(self, pid=None):
        """Returns the process that serves now."""
        before, old = len(self.runs()), set(self.pids())
        os.kill(pid or self.tap.pid, signal.SIGUSR2)
        wait_until(lambda: len(self.runs()) == before + 1, lambda: f"a new run; stderr {self.tap.errors()}")
        return wait_until(lambda: self.only(set(self.pids()) - old), "the new process alone")

    @staticmethod
    def only(pids):
        """The leak check of a sanitizer is a process for a moment, too."""
        return pids.pop() if len(pids) == 1 else None

    def end(self):
        for pid in self.pids():
            os.kill(pid, signal.SIGTERM)
        try:
            wait_until(lambda: not self.pids(), "the end of all processes")
        finally:
            for pid in self.pids():
                os.kill(pid, signal.SIGKILL)


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def books(tap):
    """Each run's records are whole: from the first to `closed`, without a gap."""
    wait_until(lambda: not tap.log.rest and all(
        any(r["tnx"] == "closed" for r in tap.log.list if r["run"] == run)
        for run in {r["run"] for r in tap.log.list}), "the last record of each run")
    assert not tap.log.bad
    for run in {r["run"] for r in tap.log.list}:
        seq = [r["seq"] for r in tap.log.list if r["run"] == run]
        assert seq == list(range(1, len(seq) + 1))


class Knocker(threading.Thread):
    """Connects and delivers, again and again: each time it must be served to the end."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.n, self.going, self.error = address, 0, True, None
        self.start()

    def run(self):
        try:
            while self.going:
                c = RawClient(self.address)
                c.ehlo()
                got = c.deliver(sender=f"n{self.n}@client.example")
                assert got.code == 250, got
                got = c.cmd("QUIT")
                assert got.code in (221, 421), got
                c.sock.close()
                self.n += 1
        except (Gone, OSError, AssertionError) as e:
            self.error = e


def served(knockers):
    """Each delivers some more."""
    before = [k.n for k in knockers]
    wait_until(lambda: all(k.n >= b + 5 or k.error for k, b in zip(knockers, before)), "deliveries", timeout=30)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_nobody_is_refused(world, workers):
    mta = world.mta()
    path = world.path("tap.socket")
    tap = world.tap(mta, {"workers": workers, "timeouts": {"shutdown": "10s"},
                          "listeners": [{"address": "127.0.0.1:0"}, {"address": "127.0.0.1:0"},
                                        {"address": "unix:" + path}]})
    family = Restarted(world, tap)
    first = [(r["host"], r["port"]) for r in tap.records("listen") if "port" in r]
    knockers = [Knocker(a) for a in [*first, path, *first]]
    served(knockers)
    serving = tap.pid
    for _ in range(3):
        old, serving = serving, family.restart(serving)
        served(knockers)
        wait_until(lambda: gone(old), "the end of the old process", timeout=20)
        assert not [k.error for k in knockers if k.error]
        tap.config["workers"] = workers = workers % 3 + 1  # the next one has another number of workers
        tap.write_config()
    served(knockers)
    for k in knockers:
        k.going = False
    for k in knockers:
        k.join(20)
        assert k.error is None, k.error
    assert tap.child.wait() == 0
    listens = tap.records("listen")
    assert {(r["host"], r.get("port")) for r in listens} == {(r["host"], r.get("port")) for r in listens[:3]}
    family.end()
    assert not os.path.exists(path)
    books(tap)
    delivered = sum(k.n for k in knockers)
    assert len(tap.records("message", status="accepted")) == delivered
    tap.stopped = True


def test_sessions_of_the_old_process(world):
    """Who is in a transaction finishes it; who has had one goes; who has just come may have one."""
    tap = world.tap(world.mta(), {"timeouts": {"shutdown": "10s"}})
    family = Restarted(world, tap)
    fresh, busy, done, early = (tap.client() for _ in range(4))
    fresh.ehlo()
    busy.ehlo()
    done.ehlo()
    assert done.deliver().code == 250
    busy.begin()
    family.restart()
    done.expect(421, "4.3.2")
    done.eof()
    early.ehlo()
    assert early.deliver().code == 250
    early.expect(421, "4.3.2")
    fresh.mail()
    busy.send(SMALL + b".\r\n")
    busy.expect(250)
    busy.expect(421, "4.3.2")
    fresh.rcpt()
    fresh.cmd("DATA", 354)
    fresh.send(SMALL + b".\r\n").expect(250)
    fresh.expect(421, "4.3.2")
    assert tap.child.wait() == 0
    late = tap.client()
    late.ehlo()
    assert late.deliver().code == 250
    late.quit()
    family.end()
    books(tap)
    tap.stopped = True


@pytest.mark.parametrize("content", ["{", '{"no_such_key": 1}', '{"log": {"outputs": [{"type": "file", "path": "/no/x"}]}}'])
def test_a_new_process_that_does_not_come_up(world, content):
    tap = world.tap(world.mta())
    good = tap.config
    with open(tap.path, "w") as f:
        f.write(content)
    tap.send_signal(signal.SIGUSR2)
    error = tap.wait("error")
    assert error["err"]["code"] == "restart"
    assert "smtptap.json" in tap.errors() or "/no/x" in tap.errors()
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    tap.config = good
    tap.write_config()
    family = Restarted(world, tap)
    family.restart()
    assert tap.child.wait() == 0
    family.end()
    books(tap)
    tap.stopped = True


def notified(world):
    path = world.path("notify")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(path)
    sock.settimeout(10)
    world.defer(sock.close)
    return path, sock


def test_systemd_is_told_which_process_is_the_main_one(world):
    path, sock = notified(world)
    tap = world.tap(world.mta(), env={"NOTIFY_SOCKET": path})
    family = Restarted(world, tap)
    assert sock.recv(1000) == b"READY=1"
    new = family.restart()
    assert {sock.recv(1000), sock.recv(1000)} == {b"READY=1", b"MAINPID=%d" % new}
    assert tap.child.wait() == 0
    os.kill(new, signal.SIGTERM)
    assert sock.recv(1000) == b"STOPPING=1"
    family.end()
    books(tap)
    tap.stopped = True


# systemd's sockets


def start_passed(world, names, sockets, listeners, pid=None):
    """A small shell sets LISTEN_PID, which only the process itself knows."""
    tap = world.tap(world.mta(), {"listeners": listeners}, ready=False, start=False)
    out_r, out_w = os.pipe()
    err_r, err_w = os.pipe()
    moved = " ".join(f"{3 + i}<&{100 + i} {100 + i}<&-" for i in range(len(sockets)))
    shell = ["bash", "-c", f'export LISTEN_PID={pid or "$$"}; exec "$@" {moved}', "-", BINARY, "run", "-c", tap.path]
    env = environment({"LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": ":".join(names)})

    def prepare():
        for i, s in enumerate(sockets):
            os.dup2(s.fileno(), 100 + i, inheritable=True)

    process = subprocess.Popen(shell, env=env, stdin=subprocess.DEVNULL, stdout=out_w, stderr=err_w, preexec_fn=prepare,
                               close_fds=False)
    os.close(out_w)
    os.close(err_w)
    child = Child.__new__(Child)
    child.process, child.pid, child.argv = process, process.pid, shell
    tap.child, tap.pid = child, process.pid
    tap.readers = [Reader(out_r, tap.log.feed), Reader(err_r, tap.stderr.extend)]
    return tap


def listening(family=socket.AF_INET, address=("127.0.0.1", 0)):
    s = socket.socket(family)
    s.bind(address)
    s.listen(64)
    return s


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_passed_socket(world, kind):
    path = world.path("passed.socket")
    s = listening() if kind == "tcp" else listening(socket.AF_UNIX, path)
    waiting = RawClient(s.getsockname(), greet=False)  # before the program runs
    tap = start_passed(world, ["mail"], [s], [{"address": "systemd:mail"}]).ready()
    waiting.expect(220)
    waiting.ehlo()
    assert waiting.deliver().code == 250
    tap.clients.append(waiting)
    record = tap.records("listen")[0]
    assert record["host"] == (path if kind == "unix" else "127.0.0.1")
    if kind == "tcp":
        assert record["port"] == s.getsockname()[1]
    assert tap.wait("connection", side="client")["listener"] == "systemd:mail"
    waiting.quit()
    tap.stop()
    if kind == "unix":
        assert os.path.exists(path), "the file is not ours"


def test_several_sockets_of_one_name_and_others(world):
    socks = [listening() for _ in range(3)]
    other = listening()
    tap = start_passed(world, ["mail", "mail", "other", "mail"], [socks[0], socks[1], other, socks[2]],
                       [{"address": "systemd:mail", "name": "mail"}, {"address": "127.0.0.1:0"}]).ready()
    for s in socks:
        c = tap.client(s.getsockname())
        c.ehlo()
        assert c.deliver().code == 250
        record = tap.wait("connection", side="client", port=c.local_port)
        assert record["local_port"] == s.getsockname()[1] and record["listener"] == "mail"
        c.quit()
    port = other.getsockname()[1]
    other.close()
    with pytest.raises(OSError):  # nobody's: the program has closed it
        socket.create_connection(("127.0.0.1", port), timeout=1)
    tap.stop()


def test_a_passed_socket_is_handed_on(world):
    s = listening()
    tap = start_passed(world, ["mail"], [s], [{"address": "systemd:mail"}]).ready()
    family = Restarted(world, tap)
    new = family.restart()
    assert tap.child.wait() == 0
    s.close()
    for _ in range(5):
        c = tap.client()
        c.ehlo()
        assert c.deliver().code == 250
        c.quit()
    assert not gone(new)
    family.end()
    books(tap)
    tap.stopped = True


@pytest.mark.parametrize("names, pid", [(["other"], None), (["mail"], "1")])
def test_a_socket_that_was_not_passed(world, names, pid):
    tap = start_passed(world, names, [listening()], [{"address": "systemd:mail"}], pid)
    assert tap.child.wait() == 1
    wait_until(lambda: "systemd:mail" in tap.errors(), "the fault")
    assert "no socket of this name was passed" in tap.errors()
    tap.kill()
