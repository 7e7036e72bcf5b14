"""Those who take log records: scripted receivers over TCP, TLS, UDP and unix sockets, a journal's socket, a private
rsyslogd. Each can be away, stall, be slow and die."""
import array
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

from .records import Log
from .util import DEADLINE, Child, wait_until

SYSLOG = re.compile(rb"<(\d{1,3})>1 (\S+) (\S+) (\S+) (\S+) (\S+) - (@cee: )?(\{.*\})", re.S)


class Message:
    """A syslog message, parsed strictly."""

    def __init__(self, raw):
        m = SYSLOG.fullmatch(raw)
        assert m, f"no RFC 5424 message: {raw[:300]!r}"
        self.priority = int(m[1])
        self.time, self.host, self.app, self.pid, self.msgid = (m[i].decode("ascii") for i in range(2, 7))
        self.cookie, self.json = bool(m[7]), m[8]


def octet_framed(data):
    """The frames of octet counting, and what is left."""
    frames = []
    while True:
        m = re.match(rb"([1-9]\d{0,8}) ", data)
        if not m:
            assert not data or re.fullmatch(rb"\d{1,9}", data), f"no length: {data[:80]!r}"
            return frames, data
        end = m.end() + int(m[1])
        if len(data) < end:
            return frames, data
        frames.append(data[m.end():end])
        data = data[end:]


def newline_framed(data):
    lines = data.split(b"\n")
    return lines[:-1], lines[-1]


class Connection:
    def __init__(self):
        self.dead, self.gone = "", threading.Event()


class StreamReceiver:
    """Listens on an address of its own, which it keeps over its deaths."""

    def __init__(self, family=socket.AF_INET, pair=None, ca=None, framing=newline_framed, path=None, start=True):
        self.family, self.path, self.framing = (socket.AF_UNIX if path else family), path, framing
        self.frames, self.connections, self.broken, self.errors = [], 0, [], []
        self.lock, self.flowing, self.live = threading.Lock(), threading.Event(), []
        self.flowing.set()
        self.pace = 0
        self.context = None
        if pair:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*pair)
            if ca:
                self.context.load_verify_locations(ca)
                self.context.verify_mode = ssl.CERT_REQUIRED
        self.port = 0
        self.listener = None
        if start:
            self.start()
        else:
            with self.bound() as s:
                self.port = s.getsockname()[1]

    def bound(self):
        s = socket.socket(self.family)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.path:
            if os.path.exists(self.path):
                os.unlink(self.path)
            s.bind(self.path)
        else:
            s.bind(("::1" if self.family == socket.AF_INET6 else "127.0.0.1", self.port))
        return s

    def start(self):
        self.listener = self.bound()
        if not self.path:
            self.port = self.listener.getsockname()[1]
        self.listener.listen(64)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()
        return self

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        one = Connection()
        with self.lock:
            self.connections += 1
            self.live.append(one)
        rest = b""
        try:
            sock.settimeout(5)
            if self.context:
                sock = self.context.wrap_socket(sock, server_side=True)
            sock.settimeout(0.02)
            while not one.dead:
                if not self.flowing.is_set():
                    self.flowing.wait(0.02)
                    continue
                try:
                    data = sock.recv(1 << 16 if not self.pace else 1000)
                except (TimeoutError, ssl.SSLWantReadError):
                    continue
                if not data:
                    break
                if self.pace:
                    time.sleep(self.pace)
                with self.lock:
                    frames, rest = self.framing(rest + data)
                    self.frames += frames
        except (OSError, ssl.SSLError, AssertionError) as e:
            self.errors.append(e)
        with self.lock:
            if rest:
                self.broken.append(rest)
            if one in self.live:
                self.live.remove(one)
        if one.dead == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif one.dead == "said":
            sock.shutdown(socket.SHUT_WR)
            time.sleep(0.01)
        sock.close()
        one.gone.set()

    @property
    def address(self):
        if self.path:
            return "unix:" + self.path
        return ("[::1]" if self.family == socket.AF_INET6 else "127.0.0.1") + f":{self.port}"

    def away(self):
        """Nobody listens any more; connections stay."""
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None

    def die(self, how="reset"):
        """Ends all connections, with what was not read: by a reset; by close() ("closed"); after saying that it ends
        ("said")."""
        self.away()
        with self.lock:
            live = list(self.live)
        for one in live:
            one.dead = how
        for one in live:
            assert one.gone.wait(DEADLINE)

    def stall(self):
        self.flowing.clear()

    def flow(self):
        self.flowing.set()

    def lines(self):
        with self.lock:
            return list(self.frames)

    def stop(self):
        self.flow()
        self.away()
        for one in list(self.live):
            one.dead = "closed"


class DatagramReceiver:
    def __init__(self, path=None, family=socket.AF_INET, start=True):
        self.path, self.family, self.port = path, socket.AF_UNIX if path else family, 0
        self.frames, self.lock, self.sock = [], threading.Lock(), None
        self.flowing = threading.Event()
        self.flowing.set()
        if start or not path:
            self.start()
            if not start:
                self.die()

    def start(self):
        self.sock = socket.socket(self.family, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        if self.path:
            if os.path.exists(self.path):
                os.unlink(self.path)
            self.sock.bind(self.path)
        else:
            self.sock.bind(("::1" if self.family == socket.AF_INET6 else "127.0.0.1", self.port))
            self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.run, args=(self.sock,), daemon=True).start()
        return self

    def run(self, sock):
        while True:
            self.flowing.wait()
            try:
                data = self.receive(sock)
            except OSError:
                return
            if data is None:
                return
            with self.lock:
                self.frames.append(data)

    def receive(self, sock):
        return sock.recv(1 << 20) or None

    @property
    def address(self):
        if self.path:
            return "unix:" + self.path
        return ("[::1]" if self.family == socket.AF_INET6 else "127.0.0.1") + f":{self.port}"

    def lines(self):
        with self.lock:
            return list(self.frames)

    def die(self):
        sock, self.sock = self.sock, None
        if sock:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def stop(self):
        self.flowing.set()
        self.die()


def journal_fields(entry):
    """The native protocol, strictly: a list of (name, value)."""
    fields = []
    while entry:
        end = entry.index(b"\n")
        name, equals, value = entry[:end].partition(b"=")
        assert re.fullmatch(rb"[A-Z][A-Z0-9_]{0,63}", name), name
        if equals:
            entry = entry[end + 1:]
        else:
            size = struct.unpack("<Q", entry[end + 1:end + 9])[0]
            value = entry[end + 9:end + 9 + size]
            assert len(value) == size and entry[end + 9 + size:end + 10 + size] == b"\n"
            entry = entry[end + 10 + size:]
        fields.append((name.decode(), value))
    assert len({n for n, _ in fields}) == len(fields), fields
    return dict(fields)


class JournalReceiver(DatagramReceiver):
    """Takes entries as datagrams, and as sealed files in memory."""

    def __init__(self, path):
        self.files = 0
        super().__init__(path)

    def receive(self, sock):
        data, ancillary, _, _ = sock.recvmsg(1 << 20, socket.CMSG_SPACE(16))
        for level, kind, payload in ancillary:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS) and not data
            fd = array.array("i", payload)[0]
            import fcntl
            assert fcntl.fcntl(fd, 1034) == 0xf, "the file is not sealed"  # F_GET_SEALS
            with os.fdopen(fd, "rb") as f:
                f.seek(0)
                data = f.read()
            self.files += 1
        return data or None

    def entries(self):
        return [journal_fields(x) for x in self.lines()]


def as_log(lines, max_record=8000):
    """Records from their lines, as a log that the ledger can look at."""
    log = Log(max_record)
    for line in lines:
        log.feed(line + b"\n")
    return log


RSYSLOGD = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin:/sbin:/bin")
RSYSLOG = """
global(workDirectory="{dir}" maxMessageSize="64k" {tls})
module(load="imuxsock" sysSock.use="off")
module(load="imudp")
module(load="imtcp" {driver})
template(name="raw" type="string" string="%PRI% %TIMESTAMP:::date-rfc3339% %HOSTNAME% %APP-NAME% %PROCID% %MSGID% %msg:::drop-last-lf%\\n")
ruleset(name="keep") {{ action(type="omfile" file="{out}" template="raw" fileCreateMode="0644") }}
{input}
"""


class Rsyslog:
    """A private rsyslogd with one input, writing what it has understood into a file."""

    def __init__(self, world, kind, port=None, path=None, certs=None):
        self.dir = world.workdir()
        self.out = os.path.join(self.dir, "out")
        tls = driver = ""
        if kind == "unix":
            given = f'input(type="imuxsock" Socket="{path}" ruleset="keep" usePIDFromSystem="off" ratelimit.interval="0" useSpecialParser="off" ParseHostname="on")'
        elif kind == "udp":
            given = f'input(type="imudp" address="127.0.0.1" port="{port}" ruleset="keep" rcvbufSize="4m")'
        else:
            given = f'input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="keep")'
        if kind == "tls":
            cert, key = certs.mta
            tls = (f'defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{certs.ca}" '
                   f'defaultNetstreamDriverCertFile="{cert}" defaultNetstreamDriverKeyFile="{key}"')
            driver = 'streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon"'
        conf = os.path.join(self.dir, "rsyslog.conf")
        with open(conf, "w") as f:
            f.write(RSYSLOG.format(dir=self.dir, out=self.out, tls=tls, driver=driver, input=given))
        self.errors = open(os.path.join(self.dir, "stderr"), "wb")
        self.argv = [RSYSLOGD, "-n", "-f", conf, "-i", os.path.join(self.dir, "pid")]
        self.world = world
        self.start()

    def start(self):
        self.child = self.world.child(Child(self.argv, stdout=self.errors, stderr=self.errors))

    def stop(self):
        """In order: what it has read is in its file afterwards."""
        self.child.end(signal.SIGTERM)

    def messages(self):
        """(priority, time, host, app, pid, msgid, JSON) of each."""
        if not os.path.exists(self.out):
            return []
        with open(self.out, "rb") as f:
            whole = f.read()
        return [tuple(line.split(b" ", 6)) for line in whole.split(b"\n")[:-1]]

    def wait(self, count):
        wait_until(lambda: len(self.messages()) >= count,
                   lambda: f"{count} messages in rsyslogd's file; it has {len(self.messages())}, and says "
                           f"{open(self.errors.name, 'rb').read()!r}")
        return self.messages()


JOURNALD = shutil.which("systemd-journald", path="/usr/lib/systemd:/lib/systemd")
PRIVATE_RUN = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal /run/log/journal && exec " + (JOURNALD or "")


class Journald:
    """A real systemd-journald, without systemd, with a /run of its own."""

    def __init__(self, world):
        self.child = world.child(Child(["unshare", "-m", "sh", "-c", PRIVATE_RUN]))
        root = f"/proc/{self.child.pid}/root/run"
        self.socket, self.store = root + "/systemd/journal/socket", root + "/log/journal"
        wait_until(lambda: os.path.exists(self.socket) or self.child.returncode is not None, "the journal's socket")
        self.runs = self.child.returncode is None

    def entries(self):
        """Of smtptap, in order."""
        done = subprocess.run(["journalctl", "-D", self.store, "--merge", "-o", "json", "--all", "SYSLOG_IDENTIFIER=smtptap"],
                              capture_output=True, text=True)
        assert done.returncode == 0 or "No journal files" in done.stderr, done.stderr
        return [json.loads(x) for x in done.stdout.splitlines()]
