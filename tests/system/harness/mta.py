"""An upstream that does what a script says, at every stage, and remembers every byte that it was sent.

A script maps a stage (connect, greeting, ehlo, helo, starttls, handshake, xclient, xforward, mail, rcpt, data, bdat, body, chunk, end, rset,
noop, quit, other; bdat: its octets are still to come; chunk: they are read) to what is done there: bytes are sent as they are; CLOSE, RST, HANG; Split(bytes) sends them one by one; Wait(event); a list does one
after the other; a callable gets (session, line) and returns any of these; None means the default. each(a, b, ...) gives
the first session or command that comes by a, the next b, and the last to all that follow."""
import re
import socket
import ssl
import struct
import threading

from . import auth
from .tls import TlsSocket
from .util import DEADLINE, Timeout

EHLO = ("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN")
CODED = re.compile(rb"<?c([245]\d\d)[.@]", re.I)


class _Word:
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return self.name


CLOSE, RST, HANG = _Word("CLOSE"), _Word("RST"), _Word("HANG")


class Split:
    def __init__(self, data):
        self.data = data


class Wait:
    def __init__(self, event):
        self.event = event


class Each:
    def __init__(self, *actions):
        self.actions, self.n, self.lock = actions, 0, threading.Lock()

    def take(self):
        with self.lock:
            self.n += 1
            return self.actions[min(self.n, len(self.actions)) - 1]


def each(*actions):
    return Each(*actions)


class _End(Exception):
    pass


def enhanced(code):
    return {2: "2.0.0", 4: "4.2.0", 5: "5.1.1"}[code // 100]


def coded(path, good):
    """Addresses such as c550@x ask for that code."""
    m = CODED.match(path)
    if not m:
        return good
    code = int(m.group(1))
    return b"%d %s asked for by the address\r\n" % (code, enhanced(code).encode())


class Session(threading.Thread):
    def __init__(self, mta, sock, peer):
        super().__init__(daemon=True)
        self.mta, self.sock = mta, sock
        self.peer_port = peer[1] if peer else None
        self.wire = bytearray()
        self.commands = []
        self.secrets = set()  # which of the commands are responses of AUTH
        self.messages = []
        self.sent = bytearray()
        self.ended = None  # how: "fin", "rst" by the peer, "quit", "us"
        self.data_taken = []  # of each DATA, whether it got 354
        self.hung = False
        self.pending = None  # the message whose reply is still to be sent
        self._in = b""
        self._pos = 0
        self.sender, self.rcpts, self.raw = None, [], None
        self.chunked = None  # the octets of BDAT so far
        self.chunks = []  # where they stand in `wire`
        self.secured, self.shaking, self.lmtp, self.failed, self.body_done = False, False, False, False, False
        self.resumed = None
        self.header = None  # of PROXY

    def run(self):
        try:
            self.dialogue()
        except _End:
            pass
        except ssl.SSLError:
            self.ended = self.ended or "tls"
        except (ConnectionError, OSError):
            self.ended = self.ended or "rst"
        finally:
            self.ended = self.ended or "us"
            try:
                self.sock.close()
            except OSError:
                pass
            self.mta.tell()

    @property
    def unread(self):
        return self._in

    def fill(self):
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionResetError:
            self.ended = "rst"
            raise _End from None
        if not data:
            self.ended = "fin"
            raise _End
        if not self.shaking:
            self.wire += data
        self._in += data
        self.mta.tell()

    def read_octets(self, n):
        """The next n, as they come; the `body` stage when body_after of the message are here."""
        begin = len(self.wire) - len(self._in)
        self.chunks.append([begin, begin + n])
        while n > 0:
            if not self._in:
                self.fill()
            take, self._in = self._in[:n], self._in[n:]
            n -= len(take)
            self.chunked += take
            if not self.body_done and len(self.chunked) >= self.mta.body_after:
                self.body_done = True
                if "body" in self.mta.script:
                    self.stage("body", b"", None)

    def read_line(self):
        while True:
            i = self._in.find(b"\r\n")
            if i >= 0:
                line, self._in = self._in[:i], self._in[i + 2:]
                return line
            self.fill()

    def send(self, data):
        """A message counts from just before its reply leaves, so that who has read the reply finds it counted."""
        self.sent += data
        if self.pending and re.search(rb"(?:^|\n)\d{3}(?: [^\n]*)?\r\n$", self.sent):
            self.messages.append(dict(self.pending, code=self.last_code()))
            self.pending = None
        self.sock.sendall(data)

    def do(self, action, line):
        """True if the action took the place of the default."""
        if isinstance(action, Each):
            action = action.take()
        if callable(action):
            action = action(self, line)
        if action is None:
            return False
        if isinstance(action, bytes):
            self.send(action)
        elif isinstance(action, Split):
            for i in range(len(action.data)):
                self.send(action.data[i:i + 1])
        elif isinstance(action, Wait):
            self.mta.tell()
            action.event.wait(DEADLINE)
        elif action is CLOSE:
            self.sock.shutdown(socket.SHUT_WR)
            raise _End
        elif action is RST:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise _End
        elif action is HANG:
            self.hung = True
            while True:
                self.fill()
        else:
            for one in action:
                self.do(one, line)
        return True

    def stage(self, name, line, default):
        self.mta.note(name)
        if not self.do(self.mta.script.get(name), line) and default:
            self.send(default)

    def last_code(self):
        lines = bytes(self.sent).split(b"\r\n")
        return int(lines[-2][:3]) if len(lines) > 1 and lines[-2][:3].isdigit() else 0

    def handshake(self):
        self.shaking = True
        if self.do(self.mta.script.get("handshake"), b""):
            return
        early, self._in = self._in, b""
        assert self.mta.implicit or not early, f"sent behind STARTTLS in clear: {early!r}"
        self.sock = TlsSocket(self.sock, self.mta.context, True)
        if early:
            self.wire.clear()
        self.sock.incoming.write(early)  # a ClientHello in the segment of a PROXY header
        self.sock.handshake()
        self.secured, self.resumed = True, self.sock.tls.session_reused
        self.shaking = False
        self.mta.note("secured")

    def dialogue(self):
        self.stage("connect", b"", None)
        if self.mta.proxy:
            self.proxy_header()
        if self.mta.implicit:
            self.handshake()
        self.stage("greeting", b"", b"220 mta.example ESMTP\r\n")
        while True:
            line = self.read_line()
            self.commands.append(line)
            verb = line.split(b" ", 1)[0].upper()
            handler = getattr(self, "on_" + verb.decode("latin-1").lower(), None)
            if handler:
                handler(line)
            else:
                self.stage("other", line, b"502 5.5.1 unknown to this mta\r\n")
            self.mta.tell()

    def on_ehlo(self, line):
        words = ["mta.example", *self.mta.ehlo]
        if self.mta.context and not self.secured:
            words.append("STARTTLS")
        reply = "".join(f"250{' ' if i == len(words) - 1 else '-'}{w}\r\n" for i, w in enumerate(words))
        self.stage("ehlo", line, reply.encode())

    def on_starttls(self, line):
        if not self.mta.context or self.secured:
            self.send(b"502 5.5.1 no\r\n")
            return
        self.stage("starttls", line, b"220 2.0.0 Go ahead\r\n")
        if self.last_code() == 220:
            self.handshake()

    def on_lhlo(self, line):
        self.lmtp = True
        self.on_ehlo(line)

    def on_xclient(self, line):
        self.stage("xclient", line, b"220 mta.example ESMTP\r\n")

    def on_xforward(self, line):
        self.stage("xforward", line, b"250 2.0.0 Ok\r\n")

    def proxy_header(self):
        """What stands before everything else."""
        while len(self._in) < 16 and not self._in.startswith(b"PROXY "):
            self.fill()
        while self._in.startswith(b"PROXY ") and b"\r\n" not in self._in:
            self.fill()
        n = self._in.find(b"\r\n") + 2
        if not self._in.startswith(b"PROXY "):
            n = 16 + int.from_bytes(self._in[14:16], "big")
            while len(self._in) < n:
                self.fill()
        self.header, self._in = self._in[:n], self._in[n:]
        del self.wire[:n]

    def on_helo(self, line):
        self.stage("helo", line, b"250 mta.example\r\n")

    def on_mail(self, line):
        self.sender, self.rcpts, self.chunked, self.failed, self.body_done = line[10:], [], None, False, False
        self.stage("mail", line, coded(line[10:], b"250 2.1.0 Ok\r\n"))

    def on_rcpt(self, line):
        self.stage("rcpt", line, coded(line[8:], b"250 2.1.5 Ok\r\n"))
        if self.last_code() // 100 == 2:
            self.rcpts.append(line[8:])

    def on_data(self, line):
        m = re.search(rb"c(\d{3})data", self.sender or b"")
        self.stage("data", line, b"354 go ahead\r\n" if not m else b"%s 5.0.0 no data\r\n" % m.group(1))
        self.data_taken.append(self.last_code() == 354)
        if self.data_taken[-1]:
            self.body()

    def body(self):
        self.raw = bytearray()
        fired = False
        while True:
            if not fired and len(self.raw) >= self.mta.body_after and "body" in self.mta.script:
                fired = True
                self.stage("body", b"", None)
            line = self.read_line()
            if line == b".":
                break
            self.raw += line + b"\r\n"
        self.mta.note("dot")
        self.take(bytes(self.raw), False)

    def take(self, raw, chunked):
        """The whole message is there; LMTP answers for each recipient."""
        queue = self.mta.next_queue_id()
        m = re.search(rb"c(\d{3})end", self.sender or b"")
        good = b"250 2.0.0 Ok: queued as %s\r\n" % queue.encode()
        message = {"sender": self.sender, "rcpts": list(self.rcpts), "raw": raw, "queue_id": queue,
                   "chunked": chunked}
        answers = list(self.rcpts) if self.lmtp else [None]
        for i, rcpt in enumerate(answers):
            self.pending = message if i == len(answers) - 1 else None
            own = re.match(rb"<?e([245]\d\d)[.@]", rcpt or b"") or m
            bad = own and b"%s %s no\r\n" % (own.group(1), enhanced(int(own.group(1))).encode())
            self.stage("end", rcpt or b"", bad or good)
        self.pending = None
        self.mta.note("message")

    def on_bdat(self, line):
        words = line.split()
        last = len(words) == 3
        first = self.chunked is None
        self.chunked = bytearray() if first else self.chunked
        self.mta.note("bdat")
        self.do(self.mta.script.get("bdat"), line)
        self.read_octets(int(words[1]))
        if self.failed or not self.rcpts:
            self.send(b"503 5.5.1 no chunk is wanted\r\n")
            return
        if last:
            self.mta.note("dot")
            self.take(bytes(self.chunked), True)
            self.rcpts = []
            return
        self.stage("chunk", line, b"250 2.0.0 %d octets\r\n" % int(words[1]))
        self.failed = self.last_code() // 100 != 2

    def ask(self, challenge):
        """Sends a 334; returns the response, or None if it is "*"."""
        self.send(b"334 " + (challenge if isinstance(challenge, bytes) else challenge.encode()) + b"\r\n")
        line = self.read_line()
        self.secrets.add(len(self.commands))
        self.commands.append(line)
        self.mta.tell()
        return None if line == b"*" else line.decode("latin-1")

    def on_auth(self, line):
        self.mta.note("auth")
        if not self.do(self.mta.script.get("auth"), line):
            self.send(auth.login(self, line))

    def on_rset(self, line):
        self.rcpts = []
        self.stage("rset", line, b"250 2.0.0 Ok\r\n")

    def on_noop(self, line):
        self.stage("noop", line, b"250 2.0.0 Ok\r\n")

    def on_quit(self, line):
        self.stage("quit", line, b"221 2.0.0 Bye\r\n")
        self.ended = "quit"
        raise _End

    def unfinished(self):
        """The body that has begun and not ended, or None."""
        done = len(self.messages)
        started = sum(1 for c in self.commands if c.upper() == b"DATA") if self.raw is not None else 0
        return bytes(self.raw) if started > done else None


class ScriptedMta:
    def __init__(self, script=None, ehlo=EHLO, address="127.0.0.1", body_after=0, context=None, implicit=False,
                 users=None, proxy=False, **stages):
        """ehlo: keywords (strings), or an action like those of the other stages. context: of TLS, by STARTTLS or
        implicit. users: name -> password, for AUTH where ehlo has it."""
        self.context, self.implicit, self.users = context, implicit, users or {}
        self.proxy = proxy
        self.iterations, self.salt = 4096, None  # of SCRAM; None: another one for each login
        self.script = dict(script or {}, **stages)
        if not isinstance(ehlo, (list, tuple)) or any(not isinstance(x, str) for x in ehlo):
            self.script["ehlo"], ehlo = ehlo, EHLO
        self.ehlo, self.body_after = ehlo, body_after
        self.sessions, self.counts = [], {}
        self._cond = threading.Condition()
        self._queue = 0
        if address.startswith("unix:"):
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(address[5:])
            self.address, self.port = address, None
        else:
            self.listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((address, 0))
            self.host, self.port = address, self.listener.getsockname()[1]
            self.address = f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"
        self.listener.listen(512)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = Session(self, sock, peer if sock.family != socket.AF_UNIX else None)
            with self._cond:
                self.sessions.append(session)
                self._cond.notify_all()
            session.start()

    def offered_mechanisms(self):
        return [w for line in self.ehlo if re.match("AUTH[ =]", line) for w in line[5:].upper().split()]

    def next_queue_id(self):
        with self._cond:
            self._queue += 1
            return "%X%08X" % (self._queue % 15 + 1, 0x5A000000 + self._queue)

    def note(self, stage):
        with self._cond:
            self.counts[stage] = self.counts.get(stage, 0) + 1
            self._cond.notify_all()

    def tell(self):
        with self._cond:
            self._cond.notify_all()

    def wait(self, condition, what="the upstream's condition", timeout=None):
        with self._cond:
            if not self._cond.wait_for(lambda: condition(self), DEADLINE if timeout is None else timeout):
                raise Timeout(f"{what}: counts {self.counts}, commands {[s.commands for s in self.sessions][-3:]}")
        return self

    def wait_stage(self, stage, count=1):
        return self.wait(lambda m: m.counts.get(stage, 0) >= count, f"stage {stage} {count} times")

    def wait_ended(self, index=0):
        self.wait(lambda m: len(m.sessions) > index and m.sessions[index].ended, f"the end of session {index}")
        return self.sessions[index].ended

    @property
    def messages(self):
        return [m for s in self.sessions for m in s.messages]

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for s in self.sessions:
            try:
                s.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._thread.join(DEADLINE)
        for s in self.sessions:
            s.join(DEADLINE)


def unstuff(raw):
    return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in raw.split(b"\r\n"))


VERBS = {b"EHLO", b"HELO", b"LHLO", b"MAIL", b"RCPT", b"DATA", b"BDAT", b"RSET", b"NOOP", b"QUIT", b"ETRN",
         b"STARTTLS", b"AUTH", b"XCLIENT", b"XFORWARD"}


def lenient_reading(wire, accepted_data):
    """How a server that takes LF for a line end, and LF . LF for the end of data, would read the wire."""
    lines = re.split(rb"\r?\n", bytes(wire))
    if lines and lines[-1] == b"":
        lines.pop()
    commands, bodies, body = [], [], None
    answers = iter(accepted_data)
    for line in lines:
        if body is not None:
            if line == b".":
                bodies.append(b"".join(x + b"\r\n" for x in body))
                body = None
            else:
                body.append(line)
        else:
            commands.append(line)
            if line.upper() == b"DATA" and next(answers, False):
                body = []
    return commands, bodies


def assert_one_reading(session):
    """Nobody can read the bytes that went upstream in another way than the strict reader did."""
    wire = bytearray(session.wire)
    for begin, end in reversed(session.chunks):  # counted octets: nobody looks for lines in them
        del wire[begin:end]
    wire = bytes(wire)
    stray = re.search(rb"(?<!\r)\n|\r(?!\n)", wire[:-1] if wire.endswith(b"\r") else wire)
    assert not stray, f"CR or LF alone at {stray.start()}: {wire[max(0, stray.start() - 40):stray.start() + 40]!r}"
    for i, command in enumerate(session.commands):
        if i in session.secrets:
            assert re.fullmatch(rb"[A-Za-z0-9+/]*={0,2}|\*", command), f"no response of AUTH: {command!r}"
            continue
        assert command.split(b" ", 1)[0].upper() in VERBS, f"the upstream was sent {command!r} as a command"
    if session.hung or b"\r\n" in session.unread or len(session.data_taken) < session.commands.count(b"DATA"):
        return
    commands, bodies = lenient_reading(wire[:wire.rfind(b"\r\n") + 2], session.data_taken)
    assert commands == session.commands, f"a lenient reader sees {commands}, a strict one {session.commands}"
    strict = [m["raw"] for m in session.messages if not m.get("chunked")]
    assert bodies[:len(strict)] == strict, f"a lenient reader sees the bodies {bodies}, a strict one {strict}"
    assert len(bodies) - len(strict) in (0, 1)  # one more: its reply was never sent
