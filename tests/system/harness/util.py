"""Waiting for conditions, ports, and child processes that never outlive the tests."""
import ctypes
import os
import random
import pwd
import select
import signal
import socket
import struct
import subprocess
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
DEADLINE = float(os.environ.get("SMTPTAP_TEST_DEADLINE", "30"))
POLL = 0.003
_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


class Timeout(AssertionError):
    pass


def wait_until(condition, what="condition", timeout=None):
    """Returns the first true value of condition(); what may be a callable that tells how things stand."""
    end = time.monotonic() + (DEADLINE if timeout is None else timeout)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Timeout(f"waited in vain for {what() if callable(what) else what}")
        time.sleep(POLL)


def free_port(host="127.0.0.1"):
    """Below the range that the kernel gives to port 0 and to connections, so that nobody is given it by chance before its
    owner binds it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        ephemeral = int(f.read().split()[0])
    for _ in range(1000):
        port = random.SystemRandom().randrange(10240, ephemeral) if ephemeral > 12000 else 0
        with socket.socket(family) as s:
            try:
                s.bind((host, port))
                return s.getsockname()[1]
            except OSError:
                continue
    raise AssertionError("no free port")


def listening(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """A child process in a group of its own; the kernel kills it if the tests die."""

    def __init__(self, argv, env=None, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, limit=None, user=None):
        owner = pwd.getpwnam(user) if user else None

        def prepare():
            if owner:
                os.setgroups([])
                os.setgid(owner.pw_gid)
                os.setuid(owner.pw_uid)
            _die_with_parent()  # after a change of user, which would undo it
            if limit:
                limit()

        self.argv = argv
        self.process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                                        start_new_session=True, preexec_fn=prepare)
        self.pid = self.process.pid

    @property
    def returncode(self):
        return self.process.poll()

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=None):
        return self.process.wait(DEADLINE if timeout is None else timeout)

    def end(self, number=signal.SIGTERM, timeout=5):
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(timeout)
        return self.process.returncode


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))


def sanitized(tap):
    """Sanitizers multiply memory: limits in KiB say nothing there."""
    with open(f"/proc/{tap.pid}/maps") as f:
        return "san" in f.read()


def status_kib(pid, key):
    """VmRSS or VmHWM of a process."""
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(key + ":"))


def open_fds(pid):
    """What the process holds open, as sorted kinds: sockets are counted, not told apart."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue
        found.append(target.split(":")[0])
    return sorted(found)


def unread_bytes(server, client):
    """Bytes that the owner of the address server has not read yet from its TCP connection with client. The kernel is asked for
    this one socket; its table of all has thousands of lines after a few thousand connections."""
    found = _ask_kernel(server, client)
    return _ask_table(server[1], client[1]) if found is None else found


def _ask_kernel(server, client):
    """None: it doesn't tell (sock_diag is not there), or has no such connection."""
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    ends = b"".join(socket.inet_pton(family, address[0]).ljust(16, b"\0") for address in (server, client))
    ask = (struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, 0xffffffff)
           + struct.pack("!HH", server[1], client[1]) + ends + struct.pack("=III", 0, 0xffffffff, 0xffffffff))
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as netlink:
            netlink.settimeout(DEADLINE)
            netlink.send(struct.pack("=IHHII", 16 + len(ask), 20, 1, 1, 0) + ask)
            answer = netlink.recv(4096)
    except OSError:
        return None
    # struct nlmsghdr, then struct inet_diag_msg: a listener is what it finds where the connection has ended
    if struct.unpack_from("=H", answer, 4)[0] != 20 or struct.unpack_from("!H", answer, 22)[0] != client[1]:
        return None
    return struct.unpack_from("=I", answer, 72)[0]


def _ask_table(server_port, client_port):
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as f:
            next(f)
            for line in f:
                field = line.split(None, 5)
                if field[1].endswith(":%04X" % server_port) and field[2].endswith(":%04X" % client_port):
                    return int(field[4].split(":")[1], 16)
    return 0


class Reader(threading.Thread):
    """Reads a file descriptor to its end and hands the bytes on; can be told to pause, as a reader that stalls."""

    def __init__(self, fd, sink):
        super().__init__(daemon=True)
        self.fd, self.sink = fd, sink
        self.flowing = threading.Event()
        self.flowing.set()
        self._wake_r, self._wake_w = os.pipe()
        self.start()

    def run(self):
        while True:
            self.flowing.wait()
            ready, _, _ = select.select([self.fd, self._wake_r], [], [])
            if self._wake_r in ready:
                break
            try:
                data = os.read(self.fd, 1 << 16)
            except OSError:
                break
            if not data:
                break
            self.sink(data)

    def stop(self):
        self.flowing.set()
        os.write(self._wake_w, b"x")
        self.join(DEADLINE)
        os.close(self._wake_r)
        os.close(self._wake_w)
