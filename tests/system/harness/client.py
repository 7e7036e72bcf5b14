"""A client that sends exactly the bytes it is told to, cut where it is told to, and reads replies strictly."""
import fcntl
import re
import socket
import struct
import termios

from .tls import TlsSocket, client_context
from .util import DEADLINE, unread_bytes, wait_until

ENHANCED = re.compile(rb"([245]\.\d{1,3}\.\d{1,3})(?: |$)")
SMALL = b"Subject: hello\r\n\r\nHello\r\n"


class Gone(AssertionError):
    """The other side closed."""


class Reply:
    def __init__(self, raw_lines):
        self.raw = b"".join(raw_lines)
        codes = {line[:3] for line in raw_lines}
        assert len(codes) == 1, f"mixed codes: {raw_lines}"
        assert all(line[3:4] == b"-" for line in raw_lines[:-1]), f"malformed reply {raw_lines}"
        self.code = int(raw_lines[0][:3])
        self.lines = [line[4:-2] for line in raw_lines]
        m = ENHANCED.match(self.lines[0])
        self.enhanced = m.group(1).decode() if m else None
        self.text = (self.lines[0][m.end():] if m else self.lines[0]).decode("utf-8", "replace")

    def __repr__(self):
        return repr(self.raw[:300])


class RawClient:
    def __init__(self, address, timeout=None, source=None, receive_buffer=None, greet=True, tls=None, name=None,
                 session=None, prelude=b"", port=None):
        """prelude: sent first, in the segment of what follows. port: of the client's records, where they name another.
        tls: a context, or True, for implicit TLS with this name and session."""
        self.timeout = DEADLINE if timeout is None else timeout
        self.replies, self.unrecorded, self._in = [], False, b""
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX)
            self.local = self.server = self.local_port = None
        else:
            self.sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if receive_buffer:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if source:
                self.sock.bind((source, 0))
        self.sock.settimeout(self.timeout)
        self.sock.connect(address)
        if not isinstance(address, str):
            self.local, self.server = self.sock.getsockname(), self.sock.getpeername()
            self.local_port = self.local[1]
        self.record_port = self.local_port if port is None else port
        if prelude:
            self.sock.sendall(prelude, socket.MSG_MORE if tls else 0)
        if tls:
            self.secure(None if tls is True else tls, name, session)
        self.greeting = self.reply() if greet else None

    @property
    def raw_tail(self):
        return self._in

    # TLS

    def secure(self, context=None, name=None, session=None):
        """The handshake, now."""
        self.sock = TlsSocket(self.sock, context or client_context(), False, name, session).handshake()
        return self

    def starttls(self, context=None, name=None, session=None):
        self.cmd("STARTTLS", 220, "2.0.0")
        assert not self._in, f"in clear behind the 220: {self._in!r}"
        return self.secure(context, name, session)

    @property
    def tls(self):
        """The SSLObject."""
        return self.sock.tls

    # out

    def send(self, data):
        self.sock.sendall(data)
        return self

    def send_cut(self, data, *cuts):
        """Sends data cut at these offsets; each piece leaves when the one before has been read by the program."""
        edges = [0, *sorted(c for c in cuts if 0 < c < len(data)), len(data)]
        for a, b in zip(edges, edges[1:]):
            self.sock.sendall(data[a:b])
            if b != len(data):
                self.drained()
        return self

    def was_read(self):
        """All that was sent has been read by the program."""
        if self.local is None:
            waiting = fcntl.ioctl(self.sock, termios.TIOCOUTQ, b"\0\0\0\0")
            return struct.unpack("i", waiting)[0] == 0
        return unread_bytes(self.server, self.local) == 0

    def drained(self):
        wait_until(self.was_read, "the program to read what was sent")
        return self

    # in

    def read_line(self):
        while b"\n" not in self._in:
            try:
                data = self.sock.recv(1 << 16)
            except socket.timeout:
                raise AssertionError(f"no reply in {self.timeout} s; had {self._in!r}, before it {self.replies[-3:]}") from None
            except ConnectionResetError:
                raise Gone(f"reset by the program; before it {self.replies[-3:]}") from None
            if not data:
                raise Gone(f"closed by the program; had {self._in!r}, before it {self.replies[-3:]}")
            self._in += data
        line, self._in = self._in.split(b"\n", 1)
        line += b"\n"
        assert line.endswith(b"\r\n") and b"\r" not in line[:-2], f"line end in {line!r}"
        assert re.match(rb"[2-5][0-9][0-9](?:[ -]|\r\n)", line), f"malformed reply line {line!r}"
        return line

    def reply(self):
        lines = [self.read_line()]
        while lines[-1][3:4] == b"-":
            lines.append(self.read_line())
        got = Reply(lines)
        self.replies.append(got)
        return got

    def expect(self, code, enhanced=None):
        got = self.reply()
        assert got.code == code, f"expected {code} {enhanced or ''}, got {got}"
        assert enhanced is None or got.enhanced == enhanced, f"expected {code} {enhanced}, got {got}"
        return got

    def cmd(self, line, code=None, enhanced=None):
        self.send((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        return self.reply() if code is None else self.expect(code, enhanced)

    def eof(self):
        """The program closes in order: FIN, no RST, nothing more to read."""
        assert not self._in, f"unread: {self._in!r}"
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionResetError:
            raise AssertionError("reset instead of an orderly close") from None
        except socket.timeout:
            raise AssertionError("the program did not close") from None
        assert not data, f"instead of the end: {data!r}"
        self.sock.close()
        return self

    def silent(self, seconds=0.05):
        """Nothing to read for this long: a negative can't be awaited otherwise. Use where silence is what is tested."""
        self.sock.settimeout(seconds)
        try:
            data = self.sock.recv(1 << 16)
        except socket.timeout:
            return self
        finally:
            self.sock.settimeout(self.timeout)
        raise AssertionError(f"expected silence, got {data!r}")

    # dialogue

    def ehlo(self, name="client.example"):
        return self.cmd(f"EHLO {name}", 250)

    def mail(self, sender="a@client.example", params=""):
        return self.cmd(f"MAIL FROM:<{sender}>{params}", 250)

    def rcpt(self, to="b@mta.example"):
        return self.cmd(f"RCPT TO:<{to}>", 250)

    def begin(self, sender="a@client.example", to="b@mta.example"):
        """MAIL, RCPT and DATA up to the 354."""
        self.mail(sender)
        self.rcpt(to)
        self.cmd("DATA", 354)
        return self

    def deliver(self, body=SMALL, sender="a@client.example", to="b@mta.example"):
        self.begin(sender, to)
        self.send(body + b".\r\n")
        return self.reply()

    def chunk(self, octets, last=False):
        self.send(b"BDAT %d%s\r\n" % (len(octets), b" LAST" if last else b"") + octets)
        return self

    def quit(self):
        self.cmd("QUIT", 221)
        self.eof()

    # end

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def reset(self):
        """Closes with a RST, as a client that was killed."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()
