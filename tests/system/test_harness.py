"""The tests' own instruments: what they are to find, they find. Needs no program."""
import json
import socket

import pytest

from harness.client import Gone, RawClient
from harness.mta import CLOSE, RST, ScriptedMta, Split, assert_one_reading, each, unstuff
from harness.records import Bad, Ledger, Log, parse_line
from harness.util import _ask_kernel, _ask_table, unread_bytes

RUN, CID = "0b1k2f9s", "0b1k2f9s8d7a6c5e"


def record(tnx="closed", level="info", seq=1, **keys):
    return {"time": "2026-03-03T10:30:15.100000Z", "level": level, "component": "smtptap", "tnx": tnx, **keys,
            "msg": "x", "run": RUN, "seq": seq}


def connection(side="client", **keys):
    return record("connection", cid=CID, side=side, host="127.0.0.1", port=1, **keys)


def close(side="client", **keys):
    return record("close", cid=CID, side=side, host="127.0.0.1", reason="quit", duration_ms=1, bytes_in=0, bytes_out=0,
                  commands=0, messages=0, errors=0, **keys)


def message(n=1, **keys):
    base = {"cid": CID, "tid": f"{CID}.{n}", "host": "127.0.0.1", "hostname": None, "listener": "x",
            "protocol": "ESMTP", "mail_from": "", "rcpt_to": [],
            "rcpt_count": 0, "rcpt_accepted": 0, "recipients": [], "status": "reset", "client_replied": True,
            "stage": "mail", "decided_by": "client", "queue_id": None,
            "size": 0, "tls": {"used": False}, "timing": {"total": 1}}
    return record("message", **{**base, **keys})


def line(r):
    return json.dumps(r).encode()


def numbered(records, first=1):
    log = Log()
    for i, r in enumerate(records):
        log.feed(line(dict(r, seq=first + i)) + b"\n")
    return log


def test_a_good_run_is_accepted():
    log = numbered([connection(), connection("upstream"), message(1), message(2), close("upstream"), close(), record()])
    assert not log.bad
    Ledger(log).check()


@pytest.mark.parametrize("bad", [
    b"", b"{", b"[]", b"null", line(record())[:-1], line(record()) + b"x",
    line(record()).replace(b'"seq"', b'"seq": 1, "seq"'), line(record()).replace(b'"x"', b'"\xff"'),
    line(record()).replace(b'"x"', b'"\\ud800"'), line(record()).replace(b'"x"', b'"a\x01b"'),
    line(record()).replace(b": 1", b": NaN"), line(record(level="debug")), line(record("nonsense")),
    line({k: v for k, v in record().items() if k != "run"}), line(dict(reversed(record().items()))),
    line(record("close", cid=CID)), line(record(cid="SHORT")),
    line(record(cid=CID, tid=CID + ".0")), line(message(status="accepted")), line(message(status="deferred")),
    line(message(rcpt_count=1)), line(message(status="weird")),
    line(record(x="y" * 9000))], ids=range(23))
def test_bad_lines_are_found(bad):
    with pytest.raises(Bad):
        parse_line(bad)


@pytest.mark.parametrize("records", [
    [connection(), record()], [close(), record()], [connection(), close(), close(), record()],
    [connection(), connection(), close(), record()],
    [connection(), connection("upstream"), close(), record()],
    [connection(), message(1), message(1), close(), record()], [connection(), message(2), close(), record()],
    [connection(), record("data", "debug", cid=CID, tid=CID + ".1", side="client", bytes=1), close(), record()],
    [connection(), close()], [],
    [connection(), message(1, rcpt_to=["a@b"], recipients=[{"address": "a@b", "status": "reset"}], rcpt_count=1),
     close(), record()]], ids=range(11))
def test_bad_books_are_found(records):
    with pytest.raises(AssertionError):
        Ledger(numbered(records)).check()


@pytest.mark.parametrize("seq", [[1, 3], [1, 1], [2, 1], [5, 6]])
def test_gaps_are_found(seq):
    log = Log()
    for n in seq:
        log.feed(line(record(seq=n)) + b"\n")
    with pytest.raises(AssertionError):
        Ledger(log).check()


def test_half_a_record_is_found():
    log = numbered([record()])
    log.feed(b'{"time"')
    with pytest.raises(AssertionError):
        Ledger(log).check()


@pytest.fixture
def mta():
    mtas = []

    def make(*args, **stages):
        mtas.append(ScriptedMta(*args, **stages))
        return mtas[-1]

    yield make
    for m in mtas:
        m.stop()


def client(mta):
    return RawClient(("127.0.0.1", mta.port), timeout=2)


def test_dialogue_and_one_reading(mta):
    m = mta()
    c = client(m)
    c.ehlo()
    assert c.deliver(b"Subject: x\r\n\r\n..dot\r\n").code == 250
    c.cmd("MAIL FROM:<c451@x.example>", 451)
    c.mail("c550end@x.example")
    c.rcpt()
    c.cmd("RCPT TO:<c550@x.example>", 550)
    c.cmd("DATA", 354)
    c.cmd("x\r\n.", 550)
    c.quit()
    m.wait_ended()
    assert_one_reading(m.sessions[0])
    assert [unstuff(x["raw"]) for x in m.messages] == [b"Subject: x\r\n\r\n.dot\r\n", b"x\r\n"]
    assert m.messages[0]["rcpts"] == [b"<b@mta.example>"]


@pytest.mark.parametrize("body", [b"a\n.\nb\r\n", b"a\n.\r\nb\r\n", b"a\rb\r\n", b"a\nb\r\n", b"a\r\n.\nb\r\n"])
def test_a_second_reading_is_found(mta, body):
    m = mta()
    c = client(m)
    c.ehlo()
    assert c.deliver(body).code == 250
    c.quit()
    m.wait_ended()
    with pytest.raises(AssertionError):
        assert_one_reading(m.sessions[0])


def test_an_injected_command_is_found(mta):
    m = mta()
    c = client(m)
    c.cmd("XYZZY secret", 502)
    c.quit()
    m.wait_ended()
    with pytest.raises(AssertionError):
        assert_one_reading(m.sessions[0])


def test_scripts(mta):
    m = mta(mail=each(b"450 a\r\n", Split(b"250-x\r\n250 y\r\n"), CLOSE), ehlo=["SIZE"])
    c = client(m)
    assert c.ehlo().lines == [b"mta.example", b"SIZE"]
    c.cmd("MAIL FROM:<>", 450)
    assert c.cmd("MAIL FROM:<>", 250).lines == [b"x", b"y"]
    with pytest.raises(Gone):
        c.cmd("MAIL FROM:<>")
    assert m.wait_ended() == "us"


def test_reset_and_fin_are_told_apart(mta):
    m = mta(rcpt=RST)
    c = client(m)
    c.ehlo()
    c.mail()
    with pytest.raises(Gone, match="reset"):
        c.cmd("RCPT TO:<a@b>")
    for i, how in enumerate(("close", "reset")):
        c = client(m)
        c.ehlo()
        getattr(c, how)()
        assert m.wait_ended(1 + i) == ("fin" if how == "close" else "rst")


def test_unfinished_body_is_no_message(mta):
    m = mta()
    c = client(m)
    c.ehlo()
    c.begin()
    c.send(b"half")
    c.close()
    m.wait_ended()
    assert not m.messages
    assert_one_reading(m.sessions[0])


@pytest.mark.parametrize("raw", [b"250-a\r\n251 b\r\n", b"250 a\n", b"25 a\r\n", b"hello\r\n", b"250 a\rb\r\n"])
def test_malformed_replies_are_found(raw):
    a, b = socket.socketpair()
    with a, b:
        c = RawClient.__new__(RawClient)
        c.sock, c._in, c.replies, c.timeout = a, b"", [], 2
        b.sendall(raw)
        with pytest.raises(AssertionError):
            c.reply()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_what_was_not_read_is_counted(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener, socket.create_connection(listener.getsockname()[:2]) as c:
        ends = listener.getsockname(), c.getsockname()
        with listener.accept()[0] as s:
            c.sendall(b"x" * 1234)
            assert unread_bytes(*ends) == _ask_table(ends[0][1], ends[1][1]) == 1234
            assert _ask_kernel(*ends) in (1234, None)
            s.recv(1000)
            assert unread_bytes(*ends) == 234
            s.recv(1000)
            assert unread_bytes(*ends) == 0
        assert unread_bytes(*ends) == 0
