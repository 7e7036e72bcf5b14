"""TLS on both legs (protocol.md T, G5, G6, H8, H9, I; config.md `tls`, `upstream.tls*`; events.md `sni`, `starttls`)."""
import itertools
import os
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import threading

import pytest

from harness.client import SMALL, Gone
from harness.mta import CLOSE, HANG, RST, each, unstuff
from harness.tls import TlsSocket, client_context, entry, server_context
from harness.tools import _file
from harness.util import DEADLINE, wait_until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def settings(certs, mode="starttls", server=None, upstream=None, tls=None, **more):
    pairs = (certs.a, certs.a_ec, certs.b, certs.wild)
    return {"server": {"tls": mode, **(server or {})}, "tls": {"certificates": [entry(p) for p in pairs], **(tls or {})},
            "upstream": upstream or {}, **more}


@pytest.fixture
def plain(world, certs):
    """A listener with STARTTLS before an upstream in clear."""
    world.up = world.mta()
    world.proxy = world.tap(world.up, settings(certs))
    return world.proxy


@pytest.fixture
def implicit(world, certs):
    world.up = world.mta()
    world.proxy = world.tap(world.up, settings(certs, "implicit"))
    return world.proxy


@pytest.fixture
def strict(world, certs):
    """Nothing goes without TLS."""
    world.up = world.mta(ehlo=["PIPELINING", "8BITMIME", "CHUNKING", "ETRN", "ENHANCEDSTATUSCODES"])
    world.proxy = world.tap(world.up, settings(certs, server={"require_tls": True}))
    return world.proxy


def words(reply):
    return {x.split()[0] for x in reply.lines[1:]}


def secure(tap, **options):
    c = tap.client(**options)
    c.ehlo()
    c.starttls()
    c.ehlo()
    return c


# T


def test_t1_starttls_and_a_message(plain, world):
    c = plain.client()
    assert b"STARTTLS" in words(c.ehlo())
    c.starttls(name="a.example")
    assert b"STARTTLS" not in words(c.ehlo())
    assert c.deliver().code == 250
    c.quit()
    m = plain.message()
    version, cipher = c.tls.version(), c.tls.cipher()[0]
    assert m["status"] == "accepted" and m["protocol"] == "ESMTPS"
    assert m["tls"] == {"used": True, "version": version, "cipher": cipher}
    assert m["upstream"]["tls"] == {"used": False}
    records = plain.session(c)
    one, = [r for r in records if r["tnx"] == "starttls"]
    assert (one["side"], one["version"], one["cipher"], one["resumed"]) == ("client", version, cipher, False)
    assert one["servername"] == "a.example" and "implicit" not in one and one["ms"] >= 0
    sni, = [r for r in records if r["tnx"] == "sni"]
    assert sni["servername"] == "a.example" and sni["matched"] is True
    kinds = [r["tnx"] for r in records if r.get("side") != "upstream"]
    i = kinds.index("starttls")
    assert kinds[i - 3:i + 3] == ["command", "send", "sni", "starttls", "command", "send"]
    assert plain.closed(c)["reason"] == "quit"


def test_t2_argument(plain):
    c = plain.client()
    c.ehlo()
    c.cmd("STARTTLS now", 501, "5.5.4")
    c.starttls()
    c.ehlo()


def test_t3_not_offered(world):
    tap = world.tap(world.mta())
    c = tap.client()
    assert b"STARTTLS" not in words(c.ehlo())
    c.cmd("STARTTLS", 502, "5.5.1")


def test_t3_disabled(world, certs):
    tap = world.tap(world.mta(), settings(certs, server={"disabled_commands": ["STARTTLS"]}))
    c = tap.client()
    assert b"STARTTLS" not in words(c.ehlo())
    c.cmd("STARTTLS", 502, "5.5.1")


def test_t3_hidden_is_honoured(world, certs):
    tap = world.tap(world.mta(), settings(certs, server={"hide_extensions": ["STARTTLS"]}))
    c = tap.client()
    assert b"STARTTLS" not in words(c.ehlo())
    c.starttls()
    c.ehlo()


def test_t4_already(plain):
    secure(plain).cmd("STARTTLS", 503, "5.5.1")


def test_t5_in_a_transaction(plain):
    c = plain.client()
    c.ehlo()
    c.mail()
    c.cmd("STARTTLS", 503, "5.5.1")
    c.rcpt()
    c.cmd("STARTTLS", 503, "5.5.1")
    c.cmd("RSET", 250)
    c.starttls()


def test_h4_starttls_before_ehlo(plain):
    c = plain.client()
    c.cmd("STARTTLS", 503, "5.5.1")
    c.ehlo()
    c.starttls()


def test_starttls_after_helo(plain):
    """What HELO says offers nothing, but is no reason to refuse."""
    c = plain.client()
    c.cmd("HELO old.example", 250)
    c.starttls()
    c.cmd("HELO old.example", 250)
    assert c.deliver().code == 250


INJECTED = [b"MAIL FROM:<evil@client.example>\r\nRCPT TO:<b@mta.example>\r\n", b"RSET\r\n", b"EHLO evil.example\r\n",
            b"NOOP\r\n" * 200, b"QUIT\r\n", b"XYZZY\r\n", b"half a li", b"\r\n", b"\0\xff\n\r" * 10, b"GET / HTTP/1.0\r\n",
            b"STARTTLS\r\n"]


@pytest.mark.parametrize("behind", INJECTED, ids=lambda x: x[:12].decode("latin-1").strip() or "ends")
def test_t7_injection(plain, world, behind):
    c = plain.client()
    c.ehlo()
    c.send(b"STARTTLS\r\n" + behind)
    c.expect(220, "2.0.0")
    assert not c.raw_tail
    c.secure()
    c.cmd("MAIL FROM:<a@client.example>", 503, "5.5.1")
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    lines = [(r["command"], r["line"]) for r in plain.session(c) if r["tnx"] == "command" and r["side"] == "client"]
    assert [x for x, _ in lines] == ["EHLO", "STARTTLS", "MAIL", "EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    assert b"evil" not in bytes(plain.log.raw) and not any(b"evil" in bytes(s.wire) for s in world.up.sessions)


def test_t7_pipelined_before_and_behind(plain, world):
    """What stands before STARTTLS is answered, what stands behind it is not."""
    c = plain.client()
    c.send(b"EHLO client.example\r\nNOOP\r\nSTARTTLS\r\nNOOP evil\r\n")
    c.expect(250), c.expect(250), c.expect(220)
    c.secure()
    c.ehlo()
    c.quit()
    assert b"evil" not in bytes(plain.log.raw)


def test_t7_refused_starttls_discards_nothing(plain):
    """Without a 220 the rest is ordinary input."""
    c = plain.client()
    c.ehlo()
    c.send(b"STARTTLS x\r\nNOOP\r\n")
    c.expect(501), c.expect(250)


def test_t7_much_behind_starttls(plain):
    """More than a read; what still travels when the 220 leaves reaches the handshake, which fails, or was thrown away."""
    c = plain.client()
    c.ehlo()
    c.send(b"STARTTLS\r\n" + b"NOOP evil\r\n" * 40000)
    c.expect(220)
    try:
        c.secure()
        c.ehlo()
    except (ssl.SSLError, OSError):
        pass
    c.close()
    close = plain.closed(c)
    assert close["reason"] in ("tls", "gone")
    assert b"evil" not in bytes(plain.log.raw)


def test_t8_all_is_forgotten(plain, world):
    c = plain.client()
    c.ehlo("before.example")
    c.starttls()
    for line in ("MAIL FROM:<a@client.example>", "RCPT TO:<b@mta.example>", "DATA", "STARTTLS"):
        c.cmd(line, 503, "5.5.1")
    assert b"STARTTLS" not in words(c.ehlo("after.example"))
    assert c.deliver().code == 250
    c.quit()
    good = plain.message(status="accepted")
    assert good["helo"] == "after.example"


ALLOWED = [("EHLO x.example", 250), ("HELO x.example", 250), ("NOOP", 250), ("RSET", 250), ("HELP", 214)]
REFUSED = ["MAIL FROM:<a@client.example>", "RCPT TO:<b@mta.example>", "DATA", "AUTH PLAIN AGEAYg==", "AUTH LOGIN", "VRFY x",
           "ETRN x.example", "EXPN x"]


@pytest.mark.parametrize("line, code", ALLOWED)
@pytest.mark.parametrize("greeted", (False, True))
def test_t9_allowed(strict, line, code, greeted):
    c = strict.client()
    if greeted:
        c.ehlo()
    c.cmd(line, code)


@pytest.mark.parametrize("line", REFUSED)
@pytest.mark.parametrize("greeted", (False, True))
def test_t9_refused(strict, world, line, greeted):
    c = strict.client()
    if greeted:
        c.ehlo()
    c.cmd(line, 530 if not line.startswith("EXPN") else None, "5.7.0" if not line.startswith("EXPN") else None)
    assert c.replies[-1].code in (530, 502)
    c.ehlo()
    c.starttls()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    assert b"AGEAYg" not in bytes(strict.log.raw)
    refused = [m for m in strict.session(c) if m["tnx"] == "message" and m["status"] != "accepted"]
    assert len(refused) == (1 if line.startswith("MAIL") else 0)
    for m in refused:
        assert (m["status"], m["stage"], m["code"], m["decided_by"], m["class"]) == ("rejected", "mail", 530, "smtptap",
                                                                                    "tls")
        assert m["tls"] == {"used": False}


def test_t9_bdat_is_swallowed(strict):
    c = strict.client()
    c.ehlo()
    c.send(b"BDAT 12 LAST\r\nQUIT\r\nRSET\r\nNOOP\r\n")
    c.expect(530, "5.7.0"), c.expect(250, "2.0.0")
    c.starttls()
    c.ehlo()
    assert c.deliver().code == 250


def test_t9_group(strict):
    """A client that doesn't look, PIPELINING: each is refused, and the text it sends behind DATA is masked."""
    c = strict.client()
    c.ehlo()
    c.send(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@mta.example>\r\nDATA\r\nSubject: secret-subject\r\n\r\nsecret\r\n.\r\n")
    for _ in range(3):
        c.expect(530, "5.7.0")
    for _ in range(4):
        c.expect(500)
    c.close()
    plain_log = strict.closed(c) and bytes(strict.log.raw)
    assert b"secret" not in plain_log


def test_t9_starttls_keyword_alone_opens(strict):
    c = secure(strict)
    assert c.deliver().code == 250
    c.cmd("VRFY x", 252)


# the handshake


def test_g5_implicit(implicit):
    c = implicit.client(tls=True, name="b.example")
    assert c.greeting.code == 220
    assert b"STARTTLS" not in words(c.ehlo())
    c.cmd("STARTTLS", 503, "5.5.1")
    assert c.deliver().code == 250
    c.quit()
    assert implicit.records("listen")[0]["secure"] is True
    r = implicit.wait("starttls")
    assert r["implicit"] is True and r["servername"] == "b.example"
    assert implicit.message()["protocol"] == "ESMTPS"
    assert c.sock.notified, "no close_notify"


@pytest.mark.parametrize("limits, enhanced", [({"max_connections": 1}, "4.3.2"),
                                              ({"max_connections_per_client": 1}, "4.7.0")])
def test_g5_a_limit_is_told_inside_tls(world, certs, limits, enhanced):
    tap = world.tap(world.mta(), settings(certs, "implicit", limits=limits))
    first = tap.client(tls=True, name="b.example")
    over = tap.client(tls=True, name="b.example", greet=False)
    over.expect(421, enhanced)
    over.eof()
    records = tap.session(over)
    assert [r["tnx"] for r in records if r["tnx"] != "sni"] == ["connection", "starttls", "send", "close"]
    assert records[-1]["reason"] == "limit"
    first.quit()


def test_g5_those_far_over_the_limit_are_closed_without_a_handshake(world, certs):
    """A handshake is dear: refused clients that make none must not hold more of them than there is room for."""
    tap = world.tap(world.mta(), settings(certs, "implicit", limits={"max_connections": 8}, timeouts={"greeting": "60s"}))
    held = [tap.client(tls=True, name="b.example") for _ in range(8)]
    for _ in range(40):
        tap.client(greet=False)
    tap.wait("close", count=31, side="client", reason="limit")
    held[0].ehlo()
    assert held[0].deliver().code == 250


def test_g5_plain_client(implicit):
    """Never a word in clear: an alert at the most."""
    c = implicit.client(greet=False)
    c.send(b"EHLO client.example\r\n")
    data = b""
    try:
        while got := c.sock.recv(1000):
            data += got
    except ConnectionResetError:
        pass
    assert not data or data[:1] == b"\x15"
    assert implicit.closed(c)["reason"] == "tls"
    e = implicit.wait("error")
    assert e["err"]["code"] == "tls_handshake" and e["side"] == "client"
    assert not [r for r in implicit.session(c) if r["tnx"] in ("send", "command")]


@pytest.mark.parametrize("where", ("implicit", "starttls"))
def test_g5_no_common_version(world, certs, where):
    tap = world.tap(world.mta(), settings(certs, where, tls={"min_version": "1.3"}))
    c = tap.client(greet=where != "implicit")
    if where == "starttls":
        c.ehlo()
        c.cmd("STARTTLS", 220)
    with pytest.raises(ssl.SSLError):
        c.secure(client_context(version=V12))
    assert tap.closed(c)["reason"] == "tls"
    e = tap.wait("error")
    assert e["err"]["code"] == "tls_handshake" and e["err"]["message"]


@pytest.mark.parametrize("where", ("implicit", "starttls"))
@pytest.mark.parametrize("said", (b"", b"\x16\x03\x01\x02\x00\x01\x00"))
def test_handshake_never_completed(world, certs, where, said):
    tap = world.tap(world.mta(), settings(certs, where, timeouts={"greeting": "300ms"}))
    c = tap.client(greet=where != "implicit")
    if where == "starttls":
        c.ehlo()
        c.cmd("STARTTLS", 220)
    c.send(said)
    try:
        assert c.sock.recv(100) == b""
    except ConnectionResetError:
        pass
    assert tap.closed(c)["reason"] == "timeout"


def test_handshake_byte_by_byte(world, certs):
    """The time for it is absolute: single bytes don't move it."""
    tap = world.tap(world.mta(), settings(certs, "implicit", timeouts={"greeting": "500ms"}))
    c = tap.client(greet=False)
    tls = TlsSocket(c.sock, client_context())
    with pytest.raises(ssl.SSLWantReadError):
        tls.tls.do_handshake()
    hello, stop = tls.outgoing.read(), threading.Event()
    trickle = iter(hello)
    while not tap.records("close") and not stop.wait(0.03):
        try:
            c.send(bytes([next(trickle)]))
        except OSError:
            break
    close = tap.closed(c)
    assert close["reason"] == "timeout" and 400 < close["duration_ms"] < 3000


@pytest.mark.parametrize("where", ("implicit", "starttls"))
@pytest.mark.parametrize("how", ("fin", "rst"))
def test_client_leaves_in_the_handshake(world, certs, where, how):
    tap = world.tap(world.mta(), settings(certs, where))
    c = tap.client(greet=where != "implicit")
    if where == "starttls":
        c.ehlo()
        c.cmd("STARTTLS", 220)
    c.send(b"\x16\x03\x01\x02\x00\x01\x00")
    c.reset() if how == "rst" else c.close()
    assert tap.closed(c)["reason"] in ("tls", "gone")


@pytest.mark.parametrize("where", ("implicit", "starttls"))
def test_shutdown_in_the_handshake(world, certs, where):
    tap = world.tap(world.mta(), settings(certs, where))
    c = tap.client(greet=where != "implicit")
    if where == "starttls":
        c.ehlo()
        c.cmd("STARTTLS", 220)
    tap.wait("connection")
    tap.stop()
    assert tap.records("close", side="client")[0]["reason"] == "shutdown"


@pytest.mark.parametrize("cut", (1, 2, 5, 6, 100))
def test_hello_in_pieces(plain, cut):
    c = plain.client()
    c.ehlo()
    c.cmd("STARTTLS", 220)
    tls = TlsSocket(c.sock, client_context())
    with pytest.raises(ssl.SSLWantReadError):
        tls.tls.do_handshake()
    c.send_cut(tls.outgoing.read(), cut)
    c.sock = tls.handshake()
    c.ehlo()
    assert c.deliver().code == 250


def test_g6_hello_on_a_plain_port(plain):
    c = plain.client()
    with pytest.raises((ssl.SSLError, OSError)):
        c.secure()
    assert plain.closed(c)["reason"] == "protocol"
    assert plain.records("send", code=421)[0]["enhanced"] == "4.7.0"


# bytes

BODIES = {"empty": b"", "1k": b"Subject: x\r\n\r\n" + b"x" * 62 + b"\r\n" * 15,
          "70k": b"Subject: x\r\n\r\n" + b"".join(b"%060d\r\n" % i for i in range(1150)),
          "3m": b"Subject: x\r\n\r\n" + b"".join(b".%098d\r\n" % i for i in range(30000))}


@pytest.fixture(scope="module")
def both(request, certs):
    """Every pair of TLS in front and TLS behind, each with one accepting upstream."""
    from harness.world import World
    w = World()
    w.pairs = {}
    for front, behind in itertools.product(("none", "starttls", "implicit"), repeat=2):
        if (front, behind) == ("none", "none"):
            continue
        mta = w.mta(context=server_context(certs.mta) if behind != "none" else None, implicit=behind == "implicit")
        up = {"tls": {"none": "none", "starttls": "required", "implicit": "implicit"}[behind]}
        if behind != "none":
            up["tls_ca"] = certs.ca
        w.pairs[front, behind] = w.tap(mta, settings(certs, front, upstream=up)), mta
    yield w
    w.end(False)


def connect(tap, front):
    if front == "implicit":
        c = tap.client(tls=True)
        c.ehlo()
        return c
    c = tap.client()
    c.ehlo()
    if front == "starttls":
        c.starttls()
        c.ehlo()
    return c


PAIRS = [x for x in itertools.product(("none", "starttls", "implicit"), repeat=2) if x != ("none", "none")]


@pytest.mark.parametrize("front, behind", PAIRS)
@pytest.mark.parametrize("size", BODIES)
def test_messages(both, front, behind, size):
    tap, mta = both.pairs[front, behind]
    c = connect(tap, front)
    body = BODIES[size]
    before = len(mta.messages)
    sent = b"".join(b"." + x if x.startswith(b".") else x for x in body.splitlines(True))
    assert c.deliver(sent).code == 250
    assert c.deliver(sent).code == 250  # again on the same connections
    c.quit()
    for m in mta.messages[before:]:
        assert unstuff(m["raw"]) == body
    assert len(mta.messages) - before == 2
    m = [r for r in tap.session(c) if r["tnx"] == "message"][-1]
    assert m["size"] == len(body)
    assert m["tls"]["used"] is (front != "none") and m["upstream"]["tls"]["used"] is (behind != "none")
    if behind != "none":
        up = [r for r in tap.session(c) if r["tnx"] == "starttls" and r["side"] == "upstream"]
        assert len(up) == 1 and up[0]["verified"] is True and up[0]["peer"]["subject"]
        assert up[0].get("implicit", False) is (behind == "implicit")
        assert m["upstream"]["tls"]["version"] == "TLSv1.3"
        assert mta.sessions[-1].secured


@pytest.mark.parametrize("version", (V12, V13))
def test_cut_anywhere(both, version):
    """A pipelined session, its TLS records cut at every 7th byte; then many records in one segment."""
    tap, mta = both.pairs["starttls", "starttls"]
    group = (b"EHLO client.example\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<b@mta.example>\r\nDATA\r\n" + SMALL +
             b".\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<c550@mta.example>\r\nRSET\r\nQUIT\r\n")
    codes = [250, 250, 250, 354, 250, 250, 550, 250, 221]
    for cut in range(1, len(group) + 60, 7):
        c = tap.client()
        c.ehlo()
        c.starttls(client_context(version=version))
        sealed = c.sock.seal(group)
        c.sock.sock.sendall(sealed[:cut])
        if cut % 3 == 0:
            c.drained()
        c.sock.sock.sendall(sealed[cut:])
        assert [c.reply().code for _ in codes] == codes
        c.eof()
    c = tap.client()
    c.ehlo()
    c.starttls(client_context(version=version))
    sealed = b"".join(c.sock.seal(group[i:i + 1]) for i in range(len(group)))
    c.sock.sock.sendall(sealed)
    assert [c.reply().code for _ in codes] == codes
    c.eof()


def test_half_a_record_and_silence(world, certs):
    tap = world.tap(world.mta(), settings(certs, timeouts={"command": "300ms"}))
    c = secure(tap)
    c.sock.sock.sendall(c.sock.seal(b"NOOP\r\n")[:-3])
    c.expect(421, "4.4.2")
    c.eof()
    assert tap.closed(c)["reason"] == "timeout"


def test_half_a_record_in_the_body(world, certs):
    up = world.mta(context=server_context(certs.mta))
    tap = world.tap(up, settings(certs, upstream={"tls": "required", "tls_ca": certs.ca}, timeouts={"data": "300ms"}))
    c = secure(tap)
    c.begin()
    c.sock.sock.sendall(c.sock.seal(SMALL + b".\r\n")[:-1])
    c.expect(421, "4.4.2")
    c.eof()
    assert tap.message()["status"] == "aborted" and tap.closed(c)["reason"] == "timeout"
    up.wait_ended()
    assert not up.messages


@pytest.mark.parametrize("how", ("fin", "rst", "notify"))
@pytest.mark.parametrize("behind", ("none", "starttls"))
def test_client_vanishes_in_the_body(both, how, behind):
    tap, mta = both.pairs["starttls", behind]
    before, sessions = len(mta.messages), len(mta.sessions)
    c = connect(tap, "starttls")
    c.begin()
    c.send(b"Subject: x\r\n\r\n" + b"y" * 70000)
    c.drained()
    if how == "rst":
        c.reset()
    elif how == "notify":
        c.sock.notify()
        c.close()
    else:
        c.close()
    m = tap.wait("message", cid=tap.cid_of(c))
    assert m["status"] == "aborted" and m["stage"] == "transfer"
    mta.wait_ended(sessions)
    assert len(mta.messages) == before and mta.sessions[sessions].unfinished() is not None


def test_close_notify_is_half_a_close(plain, world):
    """What came before it is answered (protocol.md L)."""
    c = secure(plain)
    c.send(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@mta.example>\r\nDATA\r\n" + SMALL + b".\r\n")
    c.sock.notify()
    c.half_close()
    for code in (250, 250, 354, 250):
        c.expect(code)
    c.eof()
    assert plain.message()["status"] == "accepted"


@pytest.mark.parametrize("said, why", ((b"NOOP\r\n" * 10, ""), (b"\x17\x03\x03\x00\x20" + b"B" * 32, "bad record mac")))
@pytest.mark.parametrize("in_data", (False, True))
def test_garbage_in_tls(plain, said, why, in_data):
    c = secure(plain)
    if in_data:
        c.mail()
        c.rcpt()
        c.cmd("DATA", 354)
        c.send(b"Subject: half\r\n")
    c.sock.sock.sendall(said)
    with pytest.raises((Gone, ssl.SSLError)):
        while True:
            c.reply()
    assert plain.closed(c)["reason"] == "tls"
    e, = [r for r in plain.session(c) if r["tnx"] == "error"]
    assert (e["side"], e["err"]["code"]) == ("client", "tls_broken") and why in e["err"]["message"]
    if in_data:
        assert plain.message()["status"] not in ("accepted", "rejected")


def test_reset_in_tls_is_gone(plain):
    c = secure(plain)
    c.reset()
    assert plain.closed(c)["reason"] == "gone"
    assert not plain.records("error")


def test_client_that_does_not_read(world, certs):
    """Replies pile up in TLS; memory is bounded, and all come once it reads."""
    tap = world.tap(world.mta(), settings(certs))
    c = tap.client(receive_buffer=4096)
    c.ehlo()
    c.starttls()
    c.ehlo()
    n = 5000
    sender = threading.Thread(target=c.send, args=(b"NOOP\r\n" * n,), daemon=True)
    sender.start()
    for _ in range(n):
        c.expect(250)
    sender.join()
    c.quit()
    tap.closed(c)


# certificates


@pytest.mark.parametrize("name, common, matched", (
    ("a.example", "a.example", True), ("A.Example", "a.example", True), ("b.example", "b.example", True),
    ("x.wild.example", "*.wild.example", True), ("x.y.wild.example", "a.example", False),
    ("wild.example", "a.example", False), ("other.example", "a.example", False), (None, "a.example", None)))
def test_sni(plain, certs, name, common, matched):
    context = client_context(certs.ca)
    context.check_hostname = False
    c = plain.client()
    c.ehlo()
    c.starttls(context, name)
    subject = dict(x[0] for x in c.tls.getpeercert()["subject"])
    assert subject["commonName"] == common
    c.ehlo()
    c.quit()
    records = [r for r in plain.session(c) if r["tnx"] == "sni"]
    assert [r["matched"] for r in records] == ([matched] if name else [])


@pytest.mark.parametrize("sigalgs, kind", (("rsa_pss_rsae_sha256", "RSA"), ("ecdsa_secp256r1_sha256", "EC")))
def test_key_types(plain, sigalgs, kind):
    address = plain.addresses()[0]
    done = subprocess.run(["openssl", "s_client", "-starttls", "smtp", "-connect", f"{address[0]}:{address[1]}",
                           "-sigalgs", sigalgs, "-servername", "a.example", "-name", "client.example"],
                          input=b"QUIT\r\n", capture_output=True, timeout=DEADLINE)
    assert (b"Peer signature type: RSA" if kind == "RSA" else b"Peer signature type: ECDSA") in done.stdout


@pytest.mark.parametrize("version", (V12, V13))
def test_resumption(world, certs, version):
    """Tickets serve on every worker."""
    tap = world.tap(world.mta(), settings(certs), )
    context, session = client_context(version=version), None
    for i in range(12):
        c = tap.client()
        c.ehlo()
        c.starttls(context, "a.example", session)
        c.ehlo()
        assert c.tls.session_reused is (i > 0)
        session = c.tls.session
        c.quit()
        one, = [r for r in tap.session(c) if r["tnx"] == "starttls"]
        assert one["resumed"] is (i > 0) and one["servername"] == "a.example"


def test_no_tickets(world, certs):
    tap = world.tap(world.mta(), settings(certs, tls={"session_tickets": False}))
    context, session = client_context(version=V12), None
    for _ in range(3):
        c = tap.client()
        c.ehlo()
        c.starttls(context, "a.example", session)
        assert c.tls.session_reused is False
        session = c.tls.session
        c.ehlo()
        c.quit()


def serial_of(c):
    return ssl.DER_cert_to_PEM_cert(c.tls.getpeercert(True))


def pem_of(pair):
    with open(pair[0]) as f:
        text = f.read()
    return text[text.index("-----BEGIN"):]


def one_certificate(world, certs):
    pair = [shutil.copy(p, world.path(os.path.basename(p))) for p in certs.a]
    config = settings(certs)
    config["tls"]["certificates"] = [entry(pair)]
    return world.tap(world.mta(), config), pair


def test_reload_of_a_certificate(world, certs):
    tap, pair = one_certificate(world, certs)
    old = secure(tap)
    waiting = tap.client()
    waiting.ehlo()
    for a, b in zip(certs.b, pair):
        shutil.copy(a, b)
    tap.send_signal(signal.SIGHUP)
    assert tap.wait("reload")["ok"] is True
    new = secure(tap)
    assert serial_of(old) == pem_of(certs.a) and serial_of(new) == pem_of(certs.b)
    waiting.starttls()  # it began before: its settings are its own
    assert serial_of(waiting) == pem_of(certs.a)
    waiting.ehlo()
    for c in (old, new, waiting):
        assert c.deliver().code == 250
        c.quit()


@pytest.mark.parametrize("fault", ("garbage", "another", "missing"))
def test_reload_with_a_bad_key(world, certs, fault):
    tap, pair = one_certificate(world, certs)
    if fault == "garbage":
        with open(pair[1], "w") as f:
            f.write("no key")
    elif fault == "another":
        shutil.copy(certs.b[1], pair[1])
    else:
        os.unlink(pair[1])
    tap.send_signal(signal.SIGHUP)
    assert tap.wait("reload")["ok"] is False
    c = secure(tap)
    assert serial_of(c) == pem_of(certs.a)
    assert c.deliver().code == 250
    c.quit()


def test_received_tells_of_tls(world, certs):
    up = world.mta()
    tap = world.tap(up, settings(certs, server={"received_header": "on"}))
    c = secure(tap)
    assert c.deliver().code == 250
    c.quit()
    head = up.messages[0]["raw"].split(b"Subject")[0]
    assert re.search(rb"\(using TLSv1\.3 with cipher [A-Z0-9_]+\)", head) and b"with ESMTPS id" in head


# upstream


def upstream(world, certs, mode, pair=None, version=None, config=None, **stages):
    """One scripted upstream; verified against the tests' CA where that is the default, and a program before it."""
    context = server_context(pair or certs.mta, version) if pair != () else None
    up = world.mta(context=context, implicit=mode == "implicit", **stages)
    settings_ = {"tls": mode, "tls_ca": certs.ca, **(config or {})}
    if mode == "none":
        del settings_["tls_ca"]
    return up, world.tap(up, {"upstream": settings_})


def test_upstream_none_stays_in_clear(world, certs):
    up, tap = upstream(world, certs, "none")
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    assert b"STARTTLS" not in up.sessions[0].commands


@pytest.mark.parametrize("mode", ("opportunistic", "required", "implicit"))
@pytest.mark.parametrize("version", (V12, V13))
def test_upstream_tls(world, certs, mode, version):
    up, tap = upstream(world, certs, mode, version=version)
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    assert up.wait_ended() == "quit"
    assert up.sessions[0].secured and len(up.sessions) == 1
    commands = [x.split()[0] for x in up.sessions[0].commands]
    assert commands == ([b"EHLO"] if mode == "implicit" else [b"EHLO", b"STARTTLS", b"EHLO"]) + [b"MAIL", b"RCPT", b"DATA",
                                                                                                b"QUIT"]
    r = tap.wait("starttls")
    assert r["side"] == "upstream" and r["resumed"] is False and r.get("implicit", False) is (mode == "implicit")
    assert r["version"] == ("TLSv1.2" if version is V12 else "TLSv1.3")
    assert "mta.example" in r["peer"]["subject"] and "CA" in r["peer"]["issuer"] and r["peer"]["not_after"]
    if mode != "opportunistic":
        assert r["verified"] is True
    assert tap.message()["upstream"]["tls"]["version"] == r["version"]


def garbage(session, line):
    """Answers the ClientHello with something else; behind the 220 it would be a residue."""
    session.fill()
    return [b"no TLS here\r\n", CLOSE]


BAD = {  # pair, further settings of the upstream, stages of the script
    "unknown-ca": ("own", {}, {}), "wrong-name": ("other", {}, {}), "expired": ("expired", {}, {}),
    "tls-name": ("mta", {"tls_name": "else.example"}, {}),
    "no-starttls": (None, {}, {}),
    "refused": ("mta", {}, {"starttls": b"454 4.7.0 not now\r\n"}),
    "refused-5": ("mta", {}, {"starttls": b"554 5.7.0 never\r\n"}),
    "refused-421": ("mta", {}, {"starttls": [b"421 4.3.2 no\r\n", CLOSE]}),
    "closes-at-starttls": ("mta", {}, {"starttls": CLOSE}),
    "drops": ("mta", {}, {"handshake": CLOSE}), "resets": ("mta", {}, {"handshake": RST}),
    "garbage": ("mta", {}, {"handshake": garbage}),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("mode", ("required", "implicit"))
def test_t10_required_fails(world, certs, mode, case):
    pair, more, stages = BAD[case]
    if mode == "implicit" and (pair is None or "starttls" in stages):
        pytest.skip("there is no STARTTLS in implicit TLS")
    up, tap = upstream(world, certs, mode, getattr(certs, pair) if pair else (), config=more, **stages)
    c = tap.client()
    c.cmd("EHLO client.example", 421, "4.4.1")
    c.eof()
    assert tap.closed(c)["reason"] == "upstream"
    tap.wait("error")
    errors = tap.records("error")
    assert errors and all(e["side"] == "upstream" for e in errors)
    assert all(not x.startswith((b"MAIL", b"RCPT")) for s in up.sessions for x in s.commands)
    codes = {e["err"]["code"] for e in errors}
    if pair is None or "refused" in case:
        assert codes == {"upstream_no_tls"}
        said = stages.get("starttls", b"The upstream offers no TLS, which is required\r\n")
        said = said if isinstance(said, bytes) else said[0]
        assert [e["err"]["message"] for e in errors] == [said.decode().strip()]
    elif case == "closes-at-starttls":
        assert codes <= {"upstream_lost", "tls_handshake"}, codes
    else:
        if mode == "implicit" and case in ("drops", "resets"):  # it may be gone before a byte of ours has left
            assert codes <= {"tls_handshake", "upstream_connect"}
            return
        assert codes == {"tls_handshake"} and errors[0]["stage"] == "starttls"
        assert errors[0]["err"]["message"]


@pytest.mark.parametrize("case", BAD)
def test_t10_opportunistic_goes_on(world, certs, case):
    """Certificates are not looked at; what fails is logged and the mail goes in clear."""
    pair, more, stages = BAD[case]
    up, tap = upstream(world, certs, "opportunistic", getattr(certs, pair) if pair else (), config=more, **stages)
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    m = tap.message()
    secured = pair is not None and not stages
    assert m["upstream"]["tls"]["used"] is secured
    if secured:
        r = tap.wait("starttls")
        assert r["verified"] is False and r["peer"]["err"]
        assert not tap.records("error")
    elif pair is not None:
        e = tap.wait("error")
        assert e["err"]["code"] in ("tls_handshake", "upstream_no_tls", "upstream_lost") and e["stage"] == "starttls"
        if case.startswith("refused"):
            said = stages["starttls"] if isinstance(stages["starttls"], bytes) else stages["starttls"][0]
            assert e["err"]["message"] == said.decode().strip()
        assert up.sessions[-1].commands[0].startswith(b"EHLO")


@pytest.mark.parametrize("mode", ("opportunistic", "required"))
def test_t10_opportunistic_verify_set(world, certs, mode):
    """With tls_verify a bad certificate fails there too."""
    up, tap = upstream(world, certs, mode, certs.own, config={"tls_verify": mode == "opportunistic"})
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    assert tap.message()["upstream"]["tls"]["used"] is (mode == "required")


RESIDUE = [b"250 injected\r\n", b"250-half", b"2", b"\r\n", b"421 4.3.2 bye\r\n", b"250-mta.example\r\n250 PIPELINING\r\n"]


@pytest.mark.parametrize("behind", RESIDUE)
@pytest.mark.parametrize("mode", ("opportunistic", "required"))
def test_t7_upstream_residue(world, certs, mode, behind):
    """Bytes behind the 220 could pass for the server's in TLS."""
    up, tap = upstream(world, certs, mode, starttls=b"220 2.0.0 go\r\n" + behind)
    c = tap.client()
    c.cmd("EHLO client.example", 421, "4.4.1")
    c.eof()
    assert not any(s.secured for s in up.sessions)
    assert tap.wait("error")["err"]["code"] == "upstream_tls_residue"


def test_t10_next_server(world, certs):
    first = world.mta()
    second = world.mta(context=server_context(certs.mta))
    tap = world.tap([first, second], {"upstream": {"tls": "required", "tls_ca": certs.ca}})
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    m = tap.message()
    assert m["upstream"]["port"] == second.port and m["upstream"]["attempts"] == 2
    assert not first.messages


@pytest.mark.parametrize("mode", ("opportunistic", "required", "implicit"))
def test_upstream_hangs_in_the_handshake(world, certs, mode):
    up, tap = upstream(world, certs, mode, handshake=HANG, config={"timeouts": {"prepare": "400ms"}})
    c = tap.client()
    c.cmd("EHLO client.example", 421, "4.4.1")
    c.eof()
    assert tap.wait("error")["side"] == "upstream"


def test_upstream_that_hangs_in_the_handshake_is_left(world, certs):
    """A server that never goes on in the handshake costs `connect`, and then the mail goes in clear."""
    up, tap = upstream(world, certs, "opportunistic", handshake=HANG, config={"timeouts": {"connect": "300ms"}})
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    assert tap.message()["upstream"]["tls"]["used"] is False


def test_upstream_resumption(world, certs):
    up, tap = upstream(world, certs, "required", version=V13, config={"health": {"failures": 3}})
    for _ in range(12):
        c = tap.client()
        c.ehlo()
        assert c.deliver().code == 250
        c.quit()
        tap.closed(c)
    assert [s.resumed for s in up.sessions].count(True) >= 8
    assert [r["resumed"] for r in tap.records("starttls")] == [s.resumed for s in up.sessions]
    assert all(r["verified"] for r in tap.records("starttls"))


def test_upstream_offers_other_things_in_tls(world, certs):
    """The last EHLO counts (H9)."""
    def ehlo(session, line):
        if session.secured:
            return b"250-mta.example\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n250 8BITMIME\r\n"
        return b"250-mta.example\r\n250-DSN\r\n250 STARTTLS\r\n"

    up, tap = upstream(world, certs, "required", ehlo=ehlo)
    got = words(tap.client().ehlo())
    assert {b"SMTPUTF8", b"8BITMIME"} <= got and b"DSN" not in got


def test_upstream_offers_starttls_in_tls_too(world, certs):
    """A server that goes on offering it is not asked twice."""
    up, tap = upstream(world, certs, "required", ehlo=lambda s, l: b"250-mta.example\r\n250 STARTTLS\r\n")
    c = tap.client()
    assert b"STARTTLS" not in words(c.ehlo())
    assert c.deliver().code == 250
    c.quit()
    assert up.sessions[0].commands.count(b"STARTTLS") == 1


@pytest.mark.parametrize("stage", ("mail", "rcpt", "data", "body", "end"))
@pytest.mark.parametrize("how", (CLOSE, RST))
def test_upstream_lost_in_tls(world, certs, stage, how):
    up, tap = upstream(world, certs, "required", **{stage: how})
    c = tap.client()
    c.ehlo()
    c.send(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@mta.example>\r\nDATA\r\n")
    if stage in ("body", "end"):
        c.expect(250), c.expect(250), c.expect(354)
        c.send(SMALL)
        if stage == "body":  # or the dot may have left before
            tap.wait("close", side="upstream")
        c.send(b".\r\n")
    got = c.reply()
    while got.code == 250:
        got = c.reply()
    assert got.code in (451, 421)
    c.close()
    m = tap.message()
    assert m["status"] == ("indeterminate" if stage == "end" else "deferred")


def test_upstream_early_reply_in_tls(world, certs):
    up, tap = upstream(world, certs, "required", body=b"552 5.3.4 too much\r\n", body_after=1)
    c = tap.client()
    c.ehlo()
    c.begin()
    c.send(BODIES["3m"].replace(b"\r\n.", b"\r\n..") + b".\r\n")
    c.expect(552, "5.3.4")
    assert tap.message()["status"] == "rejected"


def test_upstream_that_reads_slowly(world, certs):
    """Flow control through TLS on both legs: more than sockets hold to an upstream that stalls first."""
    go = threading.Event()

    def stall(session, line):
        go.wait(DEADLINE)
        return None

    up = world.mta(context=server_context(certs.mta), body=stall, body_after=0)
    up.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    tap = world.tap(up, settings(certs, upstream={"tls": "required", "tls_ca": certs.ca}))
    c = secure(tap)
    c.begin()
    body = b"Subject: x\r\n\r\n" + b"".join(b"%0998d\r\n" % i for i in range(24000))
    sender = threading.Thread(target=c.send, args=(body + b".\r\n",), daemon=True)
    sender.start()
    sender.join(0.3)
    assert sender.is_alive(), "24 MB went somewhere though nobody read them"
    go.set()
    c.expect(250)
    sender.join()
    c.quit()
    assert up.messages[0]["raw"] == body


def test_client_certificate_upstream(world, certs):
    context = server_context(certs.mta)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certs.ca)
    up = world.mta(context=context)
    tap = world.tap(up, {"upstream": {"tls": "required", "tls_ca": certs.ca, "tls_cert": certs.a[0],
                                      "tls_key": certs.a[1]}})
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    assert up.sessions[0].sock.tls.getpeercert()["subject"][0][0][1] == "a.example"


@pytest.mark.parametrize("verify, cert, good", (("required", "a", True), ("required", None, False),
                                                ("required", "own", False), ("optional", "a", True),
                                                ("optional", None, True)))
def test_client_certificates(world, certs, verify, cert, good):
    tap = world.tap(world.mta(), settings(certs, tls={"client_ca": certs.ca, "verify_client": verify}))
    context = client_context(version=V12)
    if cert:
        context.load_cert_chain(*getattr(certs, cert))
    c = tap.client()
    c.ehlo()
    if not good:
        with pytest.raises((ssl.SSLError, OSError)):
            c.starttls(context)
        assert tap.closed(c)["reason"] == "tls"
        return
    c.starttls(context)
    c.ehlo()
    c.quit()
    r = tap.wait("starttls")
    assert ("client_cert" in r) is (cert is not None)


# many


def test_many_sessions(world, certs):
    up = world.mta(context=server_context(certs.mta))
    tap = world.tap(up, settings(certs, upstream={"tls": "required", "tls_ca": certs.ca}))
    failed, context = [], client_context()

    def one(i):
        try:
            c = tap.client(timeout=30)
            c.timeout = 30
            c.ehlo()
            c.starttls(context)
            c.ehlo()
            for k in range(2):
                assert c.deliver(b"Subject: %d\r\n\r\n" % i + b"x" * 70 * (i % 40) + b"\r\n").code == 250
            if i % 5 == 0:
                c.reset()
            else:
                c.quit()
        except Exception as e:  # of a thread: shown below
            failed.append((i, repr(e)))
        except AssertionError as e:
            failed.append((i, repr(e)))

    threads = [threading.Thread(target=one, args=(i,)) for i in range(200)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(45)
    assert not failed, failed[:5]
    tap.log.wait("close", count=200, side="client", timeout=20)
    assert len(up.messages) == 400 == len(tap.records("message", status="accepted"))
    assert {m["raw"] for m in up.messages} == {b"Subject: %d\r\n\r\n" % i + b"x" * 70 * (i % 40) + b"\r\n" for i in range(200)}


# people's programs

MESSAGE = b"From: a@client.example\r\nSubject: real\r\n\r\n.dots\r\n..more\r\ntext\r\n"


def test_smtplib(plain, world, certs):
    context = client_context(certs.ca)
    context.check_hostname = False
    with smtplib.SMTP(*plain.addresses()[0], local_hostname="client.example", timeout=DEADLINE) as s:
        s.starttls(context=context)
        s.sendmail("a@client.example", ["b@mta.example"], MESSAGE)
    assert unstuff(world.up.messages[0]["raw"]) == MESSAGE
    assert plain.message()["tls"]["used"] is True


def test_smtplib_implicit(implicit, world):
    with smtplib.SMTP_SSL(*implicit.addresses()[0], local_hostname="client.example", timeout=DEADLINE,
                          context=client_context()) as s:
        s.sendmail("a@client.example", ["b@mta.example"], MESSAGE)
    assert unstuff(world.up.messages[0]["raw"]) == MESSAGE


@pytest.mark.parametrize("scheme", ("smtp", "smtps"))
def test_curl(world, certs, scheme):
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    up = world.mta()
    tap = world.tap(up, settings(certs, "implicit" if scheme == "smtps" else "starttls"))
    port = tap.addresses()[0][1]
    with _file(MESSAGE) as f:
        done = subprocess.run(["curl", "-q", "-sS", "--noproxy", "*", "--ssl-reqd", "--cacert", certs.ca, "--resolve",
                               f"a.example:{port}:127.0.0.1", f"{scheme}://a.example:{port}/client.example", "--mail-from",
                               "a@client.example", "--mail-rcpt", "b@mta.example", "--upload-file", f.name],
                              capture_output=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    assert unstuff(up.messages[0]["raw"]) == MESSAGE
    assert tap.message()["protocol"] == "ESMTPS"


def test_s_client(plain):
    address = plain.addresses()[0]
    done = subprocess.run(["openssl", "s_client", "-starttls", "smtp", "-connect", f"{address[0]}:{address[1]}", "-crlf",
                           "-quiet", "-name", "client.example"],
                          input=b"EHLO client.example\nNOOP\nQUIT\n", capture_output=True, timeout=DEADLINE)
    assert done.returncode == 0 and b"250 2.0.0" in done.stdout and b"221" in done.stdout, done


def test_swaks(plain, world):
    if not shutil.which("swaks"):
        pytest.skip("swaks is not installed")
    address = plain.addresses()[0]
    done = subprocess.run(["swaks", "--server", f"{address[0]}:{address[1]}", "--from", "a@client.example", "--to",
                           "b@mta.example", "--helo", "client.example", "-tls", "--silent", "2"], capture_output=True,
                          timeout=DEADLINE)
    if b"TLS not available" in done.stderr:
        pytest.skip("swaks has no TLS here")
    assert done.returncode == 0, done
    assert plain.message()["tls"]["used"] is True


@pytest.mark.postfix
@pytest.mark.parametrize("size", (100, 70000, 3000000))
def test_postfix_upstream(world, certs, postfix, size):
    tap = world.tap(postfix.address("tls"), settings(certs, upstream={"tls": "required", "tls_ca": certs.ca}))
    c = secure(tap)
    body = b"From: a@client.example\r\nSubject: tls\r\n\r\n" + (b"x" * 70 + b"\r\n") * (size // 72)
    c.mail()
    c.rcpt(f"tls{size}@box.example")
    c.cmd("DATA", 354)
    c.send(body + b".\r\n")
    c.expect(250)
    c.quit()
    m = tap.message()
    assert m["status"] == "accepted" and m["queue_id"] and m["upstream"]["tls"]["version"] == "TLSv1.3"
    assert tap.wait("starttls", side="upstream")["verified"] is True
    text = body.split(b"\r\n\r\n", 1)[1].replace(b"\r\n", b"\n")
    assert postfix.wait_mailbox(f"tls{size}")[0].endswith(b"\n\n" + text)
