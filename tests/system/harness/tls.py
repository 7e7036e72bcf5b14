"""TLS for the client and the upstream of the tests, over a socket that stays in our hands: so records can be cut, kept
back and followed by a FIN. And certificates, made by the openssl program in a directory."""
import os
import socket
import ssl
import subprocess
import threading


class TlsSocket:
    """Has of a socket's methods those that the harness uses."""

    def __init__(self, sock, context, server_side=False, name=None, session=None):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side, name, session)
        self.lock = threading.RLock()
        self.notified = False  # the peer has said close_notify
        self.sent_cipher = 0

    # the handshake

    def handshake(self):
        while True:
            try:
                self.tls.do_handshake()
                self.flush()
                return self
            except ssl.SSLWantReadError:
                self.flush()
                data = self.sock.recv(1 << 16)
                if not data:
                    raise ConnectionResetError("closed in the handshake") from None
                self.incoming.write(data)
            except ssl.SSLError:
                try:
                    self.flush()  # the alert
                except OSError:
                    pass
                raise

    def flush(self):
        data = self.outgoing.read()
        if data:
            self.sock.sendall(data)

    # data

    def seal(self, data):
        """The records that carry these bytes; the caller sends them."""
        with self.lock:
            view = memoryview(data)
            while view:
                view = view[self.tls.write(view):]
            return self.outgoing.read()

    def sendall(self, data):
        self.sock.sendall(self.seal(data))

    def recv(self, n):
        while True:
            with self.lock:
                try:
                    data = self.tls.read(n)
                    self.notified = not data
                    return data
                except ssl.SSLWantReadError:
                    self.flush()
                except ssl.SSLZeroReturnError:
                    self.notified = True
                    return b""
            data = self.sock.recv(1 << 16)
            if not data:
                return b""
            self.incoming.write(data)

    def notify(self):
        """Says close_notify."""
        with self.lock:
            try:
                self.tls.unwrap()
            except ssl.SSLWantReadError:
                pass
            self.flush()

    # what passes through

    def shutdown(self, how):
        self.sock.shutdown(how)

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)

    def setsockopt(self, *args):
        self.sock.setsockopt(*args)

    def getsockname(self):
        return self.sock.getsockname()

    def fileno(self):
        return self.sock.fileno()

    def close(self):
        self.sock.close()


def client_context(ca=None, version=None, alpn=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = ca is not None
    context.verify_mode = ssl.CERT_REQUIRED if ca else ssl.CERT_NONE
    if ca:
        context.load_verify_locations(ca)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def server_context(pair, version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


RSA = ("rsa", "-pkeyopt", "rsa_keygen_bits:2048")
EC = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")


class Certificates:
    """A CA and what it has signed; each certificate is a pair of paths (certificate, key)."""

    def __init__(self, directory):
        self.dir = directory
        self.ca = self.path("ca.pem")
        self.openssl("req", "-x509", "-newkey", *EC, "-nodes", "-keyout", self.path("ca.key"), "-out", self.ca, "-subj",
                     "/CN=The tests' CA", "-days", "2")
        self.a = self.make("a", ["a.example"], RSA)
        self.a_ec = self.make("a-ec", ["a.example"])
        self.b = self.make("b", ["b.example"])
        self.wild = self.make("wild", ["*.wild.example"])
        self.mta = self.make("mta", ["mta.example", "127.0.0.1", "localhost"])
        self.other = self.make("other", ["other.example"])
        self.expired = self.make("expired", ["mta.example", "127.0.0.1"], days=-1)
        self.own = self.make("own", ["mta.example", "127.0.0.1"], signed=False)

    def path(self, name):
        return os.path.join(self.dir, name)

    @staticmethod
    def openssl(*args):
        done = subprocess.run(["openssl", *args], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def make(self, name, names, key=EC, days=2, signed=True):
        cert, secret, request, extra = (self.path(f"{name}.{x}") for x in ("pem", "key", "csr", "ext"))
        with open(extra, "w") as f:
            kinds = (("IP" if n[0].isdigit() else "DNS") + ":" + n for n in names)
            f.write("subjectAltName=" + ",".join(kinds) + "\nbasicConstraints=CA:FALSE\n")
        self.openssl("req", "-new", "-newkey", *key, "-nodes", "-keyout", secret, "-out", request, "-subj",
                     f"/CN={names[0]}")
        signer = ("-CA", self.ca, "-CAkey", self.path("ca.key")) if signed else ("-signkey", secret)
        self.openssl("x509", "-req", "-in", request, *signer, "-days", str(days), "-extfile", extra, "-out", cert)
        return cert, secret


def entry(pair, **more):
    """For `tls.certificates`."""
    return {"cert": pair[0], "key": pair[1], **more}
