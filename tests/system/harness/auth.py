"""SASL for the tests: what clients say, and a scripted upstream that verifies."""
import base64
import hashlib
import hmac
import os


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def unb64(text):
    return base64.b64decode(text)


def plain(user, password, authzid=""):
    return b64(f"{authzid}\0{user}\0{password}")


def cram(user, password, challenge):
    digest = hmac.new(password.encode(), unb64(challenge), hashlib.md5).hexdigest()
    return b64(f"{user} {digest}")


class Scram:
    """A SCRAM client: first(), then final(challenge), then verify(challenge)."""

    def __init__(self, user, password, name="sha256", binding=None, authzid=""):
        self.user, self.password, self.name = user, password, name
        self.binding, self.authzid = binding, authzid
        self.nonce = b64(os.urandom(18))

    def first(self):
        kind = f"p={self.binding[0]}" if self.binding else "n"
        self.gs2 = f"{kind},{'a=' + self.authzid if self.authzid else ''},"
        self.bare = f"n={self.user},r={self.nonce}"
        return b64(self.gs2 + self.bare)

    def final(self, challenge):
        server = unb64(challenge).decode()
        parts = dict(x.split("=", 1) for x in server.split(","))
        assert parts["r"].startswith(self.nonce)
        salted = hashlib.pbkdf2_hmac(self.name, self.password.encode(), unb64(parts["s"]), int(parts["i"]))
        bound = self.gs2.encode() + (self.binding[1] if self.binding else b"")
        without = f"c={b64(bound)},r={parts['r']}"
        message = ",".join((self.bare, server, without)).encode()
        client = self.mac(salted, b"Client Key")
        signature = self.mac(hashlib.new(self.name, client).digest(), message)
        proof = bytes(a ^ b for a, b in zip(client, signature))
        self.expected = self.mac(self.mac(salted, b"Server Key"), message)
        return b64(f"{without},p={b64(proof)}")

    def verify(self, challenge):
        assert unb64(challenge) == b"v=" + b64(self.expected).encode(), challenge

    def mac(self, key, data):
        return hmac.new(key, data, self.name).digest()


FAILED = b"535 5.7.8 Error: authentication failed\r\n"
GOOD = b"235 2.7.0 Authentication successful\r\n"


def scram_login(session, first):
    """A SCRAM server with a salt of its own for each login."""
    mta = session.mta
    gs2, bare = unb64(first).decode().split(",,", 1)
    nonce = bare.split("r=", 1)[1] + "server"
    user = bare.split(",", 1)[0][2:]
    salt = b64(mta.salt or os.urandom(16))
    server_first = f"r={nonce},s={salt},i={mta.iterations}"
    final = session.ask(b64(server_first))
    if final is None:
        return b"501 5.7.0 cancelled\r\n"
    without, proof = unb64(final).decode().rsplit(",p=", 1)
    assert without == f"c={b64(gs2 + ',,')},r={nonce}", without
    client = Scram(user, mta.users.get(user, ""))
    client.nonce, client.gs2, client.bare = nonce, gs2 + ",,", bare
    if unb64(client.final(b64(server_first))).decode().rsplit(",p=", 1)[1] != proof:
        return FAILED
    return GOOD if session.ask(b64("v=" + b64(client.expected))) == "" else FAILED


def login(session, line):
    """What the scripted upstream answers to AUTH in the end; its `users` are name -> password."""
    words = line.decode().split(" ")
    mechanism, initial = words[1].upper(), words[2] if len(words) > 2 else None
    users = session.mta.users
    if mechanism not in session.mta.offered_mechanisms():
        return b"504 5.5.4 no such mechanism here\r\n"
    if mechanism == "PLAIN":
        got = initial if initial is not None else session.ask("")
        if got is None:
            return b"501 5.7.0 cancelled\r\n"
        _, user, password = unb64("" if got == "=" else got).split(b"\0")
        good = users.get(user.decode()) == password.decode()
    elif mechanism == "LOGIN":
        user = initial if initial is not None else session.ask(b64("Username:"))
        password = None if user is None else session.ask(b64("Password:"))
        if password is None:
            return b"501 5.7.0 cancelled\r\n"
        good = users.get(unb64(user).decode()) == unb64(password).decode()
    elif mechanism == "CRAM-MD5":
        challenge = b64("<12345.67@mta.example>")
        got = session.ask(challenge)
        if got is None:
            return b"501 5.7.0 cancelled\r\n"
        user = unb64(got).decode().split(" ")[0]
        good = user in users and got == cram(user, users[user], challenge)
    elif mechanism == "SCRAM-SHA-256":
        return scram_login(session, initial if initial is not None else session.ask(""))
    else:  # bearer tokens
        got = unb64(initial if initial is not None else session.ask("")).decode()
        good = any(f"auth=Bearer {token}\x01" in got for token in users.values())
        if not good:
            session.ask(b64('{"status":"401"}'))
    return GOOD if good else FAILED
