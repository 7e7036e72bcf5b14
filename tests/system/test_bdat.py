"""BDAT (table B): chunks go through as they are, are answered in order, and a message with a hole is never completed."""
import hashlib
import os
import threading

import pytest

from harness.client import SMALL
from harness.mta import CLOSE, EHLO, HANG, RST, Wait, each
from harness.postfix import strip_trace
from harness.tls import entry
from harness.util import sanitized, status_kib

CHUNKING = (*EHLO, "CHUNKING", "BINARYMIME")
SHARED_MTA = {"ehlo": CHUNKING}
SHARED_CONFIG = {"server": {"received_header": "off", "max_message_size": 1000000}}
HEAD = (b"From: a@client.example\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n"
        b"Message-ID: <%s@client.example>\r\n")
ODD = b".\r\n.\r\n\x00\xff\r.\n.\nQUIT\r\nBDAT 3 LAST\r\n" + bytes(range(256))


def session(tap, sender="a@client.example", params="", to="b@mta.example"):
    c = tap.client()
    c.ehlo()
    c.mail(sender, params)
    c.rcpt(to)
    return c


def taken(up, tap, client):
    """What the upstream has of this client's last message."""
    tid = tap.closed(client)["cid"]
    ids = {m["queue_id"] for m in tap.records("message", cid=tid)}
    return [m for m in up.messages if m["queue_id"] in ids]


def end(c, tap):
    c.quit()
    tap.closed(c)


# B4


@pytest.mark.parametrize("sizes", [[], [0], [1], [5, 7], [0, 0, 3], [100, 1, 0]])
def test_b4_chunks_arrive_as_they_are(tap, up, sizes):
    c = session(tap, params=" BODY=BINARYMIME")
    left, sent = ODD, b""
    for n in sizes:
        c.chunk(left[:n]).expect(250)
        left = left[n:]
    c.chunk(left, last=True).expect(250)
    end(c, tap)
    message = taken(up, tap, c)[0]
    assert message["raw"] == ODD and message["chunked"]
    m = tap.records("message", cid=tap.cid_of(c))[0]
    assert (m["status"], m["stage"], m["size"], m["body"]) == ("accepted", "end", len(ODD), "BINARYMIME")
    data = tap.records("data", cid=m["cid"])
    assert [(d["side"], d["bytes"], d["tid"]) for d in data] == [(s, len(ODD), m["tid"]) for s in ("client", "upstream")]
    lines = [r["line"] for r in tap.records("command", cid=m["cid"], side="upstream") if r["command"] == "BDAT"]
    assert lines == [f"BDAT {n}" for n in sizes] + [f"BDAT {len(ODD) - sum(sizes)} LAST"]


def test_b4_pipelined_with_the_envelope_in_one_segment(tap, up):
    c = tap.client()
    c.ehlo()
    c.send(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<c550@mta.example>\r\nRCPT TO:<b@mta.example>\r\n"
           b"BDAT 6\r\nQUIT\r\nBDAT 0\r\nBDAT 6 LAST\r\nRSET\r\nNOOP\r\n")
    assert [c.reply().code for _ in range(7)] == [250, 550, 250, 250, 250, 250, 250]
    end(c, tap)
    assert taken(up, tap, c)[0]["raw"] == b"QUIT\r\nRSET\r\n"


@pytest.mark.parametrize("cut", range(0, 65, 5))
def test_b4_however_it_is_cut(tap, up, cut):
    c = session(tap)
    c.send_cut(b"BDAT 12\r\n.\r\nMAIL FROMBDAT 0\r\nbdat 16 last\r\n:<a@b.example>\r\nNOOP\r\n", cut, cut + 1)
    assert [c.reply().code for _ in range(4)] == [250, 250, 250, 250]
    end(c, tap)
    assert taken(up, tap, c)[0]["raw"] == b".\r\nMAIL FROM:<a@b.example>\r\n"


def test_header_is_read_over_chunks(tap):
    c = session(tap)
    c.chunk(b"Subject: x\r\nMessage-").expect(250)
    c.chunk(b"ID: <m@client.").expect(250)
    c.chunk(b"example>\r\n\r\nx\x00\n", last=True).expect(250)
    end(c, tap)
    m = tap.records("message", cid=tap.cid_of(c))[0]
    assert m["message_id"] == "<m@client.example>" and set(m["anomalies"]) == {"nul", "bare_lf"}


def test_received_is_counted_into_the_first_chunk(world):
    mta = world.mta(ehlo=CHUNKING)
    tap = world.tap(mta, {"server": {"received_header": "on"}})
    for sizes in ([], [0], [7]):
        c = session(tap)
        for n in sizes:
            c.chunk(SMALL[:n]).expect(250)
        c.chunk(SMALL[sum(sizes):], last=True).expect(250)
        end(c, tap)
    for m in mta.messages:
        assert m["raw"].startswith(b"Received: from client.example ") and m["raw"].endswith(b"\r\n" + SMALL)
        assert m["raw"].count(b"Received:") == 1
    assert {m["size"] for m in tap.records("message")} == {len(SMALL)}


# B1, B2, B3, B5, B6, B8


def test_b1_disabled(world):
    mta = world.mta(ehlo=CHUNKING)
    tap = world.tap(mta, {"server": {"disabled_commands": ["BDAT"]}})
    c = session(tap)
    assert not {b"CHUNKING", b"BINARYMIME"} & set(c.cmd("EHLO x", 250).lines)
    c.mail(), c.rcpt()
    c.chunk(b"QUIT\r\n", last=True).expect(502, "5.5.1")
    end(c, tap)
    assert tap.message(2)["code"] == 502


def test_never_converted_to_data(world):
    """An upstream without CHUNKING gets no chunk, and its clients aren't offered it."""
    mta = world.mta()
    tap = world.tap(mta)
    c = tap.client()
    assert b"CHUNKING" not in c.ehlo().lines
    c.mail(), c.rcpt()
    c.chunk(SMALL, last=True).expect(502, "5.5.1")
    end(c, tap)
    assert b"DATA" not in mta.sessions[0].commands and not mta.messages


def test_b2(tap, up):
    c = tap.client()
    c.ehlo()
    c.chunk(b"QUIT\r\n", last=True).expect(503, "5.5.1")
    c.mail()
    c.chunk(b"QUIT\r\n").expect(503, "5.5.1")
    c.cmd("RCPT TO:<b@mta.example>", 503, "5.5.1")
    c.chunk(b"QUIT\r\n", last=True).expect(503, "5.5.1")
    c.cmd("RCPT TO:<c550@mta.example>", 550)
    c.chunk(b"QUIT\r\n", last=True).expect(554, "5.5.1")
    end(c, tap)
    m = tap.records("message", cid=tap.cid_of(c))
    assert len(m) == 1 and m[0]["status"] == "rejected" and "bdat_after_error" in m[0]["anomalies"]


def test_b3(tap, up):
    c = session(tap)
    c.chunk(b"a").expect(250)
    for line in ("MAIL FROM:<x@client.example>", "RCPT TO:<x@mta.example>", "DATA"):
        c.cmd(line, 503, "5.5.1")
    c.chunk(b"b", last=True).expect(250)
    c.chunk(b"c", last=True).expect(503, "5.5.1")
    end(c, tap)
    assert taken(up, tap, c)[0]["raw"] == b"ab"


def test_b3_a_late_rcpt_is_no_recipient(tap, up):
    c = session(tap)
    c.chunk(b"a").expect(250)
    c.cmd("RCPT TO:<late@mta.example> NOTIFY=NEVER", 503, "5.5.1")
    c.chunk(b"b", last=True).expect(250)
    c.quit()
    cid = tap.closed(c)["cid"]
    m = tap.message(cid=cid)
    assert (m["status"], m["rcpt_to"], m["rcpt_count"], m["rcpt_accepted"]) == ("accepted", ["b@mta.example"], 1, 1)
    assert [r["address"] for r in m["recipients"]] == [r["rcpt_to"] for r in tap.records("rcpt", cid=cid)] == ["b@mta.example"]
    assert [r["enhanced"] for r in tap.records("send", cid=cid, side="client", code=503)] == ["5.5.1"]
    assert len(tap.records("command", cid=cid, side="client", command="RCPT")) == 2


def test_b3_a_late_rcpt_does_not_decide(tap, up):
    c = tap.client()
    c.ehlo()
    c.mail()
    c.chunk(b"a").expect(503)
    c.cmd("RCPT TO:<late@mta.example>", 503, "5.5.1")
    c.cmd("RSET", 250)
    c.quit()
    m = tap.message(cid=tap.closed(c)["cid"])
    assert (m["status"], m.get("code"), m["stage"], m["rcpt_to"]) == ("reset", None, "mail", [])


def test_b3_a_late_rcpt_hides_no_refusal(world):
    """LMTP: the chunk gets a 503 too, and the transaction goes on."""
    mta = world.mta(ehlo=CHUNKING)
    tap = world.tap(mta, {"server": {"protocol": "lmtp"}, "upstream": {"protocol": "lmtp"}})
    c = tap.client()
    c.cmd("LHLO x", 250)
    c.mail()
    c.cmd("RCPT TO:<c550@mta.example>", 550)
    c.chunk(b"a").expect(503)
    c.cmd("RCPT TO:<late@mta.example>", 503)
    c.cmd("RSET", 250)
    m = tap.message()
    assert (m["status"], m["code"], m["stage"], m["decided_by"]) == ("rejected", 550, "rcpt", "upstream")
    assert m["rcpt_to"] == ["c550@mta.example"]


@pytest.mark.parametrize("code", [452, 552])
def test_b5_a_refused_chunk_ends_it(world, code):
    mta = world.mta(ehlo=CHUNKING, chunk=each(None, b"%d %d.3.1 no\r\n" % (code, code // 100), None))
    tap = world.tap(mta)
    c = session(tap)
    c.send(b"BDAT 1\r\naBDAT 1\r\nbBDAT 1\r\ncBDAT 0 LAST\r\n")
    assert [c.reply().code for _ in range(4)] == [250, code, 503, 503]
    m = tap.message()
    assert (m["status"], m["stage"], m["decided_by"], m["code"]) == (
        "deferred" if code < 500 else "rejected", "transfer", "upstream", code)
    assert m["size"] == 2
    c.mail(), c.rcpt()
    c.chunk(b"whole", last=True).expect(250)
    end(c, tap)
    assert [x["raw"].split(b"\r\n")[-1] for x in mta.messages] == [b"whole"]
    verbs = [[x.split()[0] for x in s.commands] for s in mta.sessions]
    assert [v.count(b"BDAT") for v in verbs] == [2, 1] and verbs[0][-1] == b"QUIT"


def test_b5_rset_and_ehlo(world):
    mta = world.mta(ehlo=CHUNKING, chunk=b"452 4.3.1 full\r\n")
    tap = world.tap(mta)
    for line in ("RSET", "EHLO client.example"):
        c = session(tap)
        c.chunk(b"a").expect(452)
        c.chunk(b"a").expect(503)
        c.cmd(line, 250)
        c.mail(), c.rcpt()
        c.chunk(b"b", last=True).expect(250)
        end(c, tap)
    assert len(mta.messages) == 2


def test_b6(world):
    mta = world.mta(ehlo=CHUNKING)
    tap = world.tap(mta, {"server": {"max_message_size": 10, "received_header": "off"}})
    c = session(tap)
    c.chunk(b"123456").expect(250)
    c.chunk(b"QUIT\r\n", last=True).expect(552, "5.3.4")
    m = tap.message()
    assert (m["status"], m["stage"], m["decided_by"], m["size"]) == ("rejected", "transfer", "smtptap", 6)
    c.mail(), c.rcpt()
    c.chunk(b"123456").expect(250)
    c.chunk(b"7890", last=True).expect(250)
    end(c, tap)
    assert [x["raw"] for x in mta.messages] == [b"1234567890"]
    assert b"RSET" in mta.sessions[0].commands


BAD_COUNTS = ["BDAT x", "BDAT", "BDAT 3 FIRST", "BDAT \x01", "BDAT 3 LAST" + " " * 70000]


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("line", BAD_COUNTS, ids=["word", "none", "third", "control", "long"])
def test_b7_ends_the_transaction(world, line, begun):
    mta = world.mta(ehlo=CHUNKING)
    tap = world.tap(mta)
    c = session(tap)
    if begun:
        c.chunk(b"abc").expect(250)
    c.cmd(line, 521, "5.5.4")
    c.eof()
    m = tap.message()
    assert (m["status"], m["code"], m["decided_by"]) == ("rejected", 521, "smtptap")
    assert (m["stage"], m["client_replied"], m.get("size")) == (("transfer" if begun else "data"), True, 3 if begun else None)
    assert [r["code"] for r in m["recipients"]] == [521]
    assert tap.wait("close", side="client")["reason"] == "protocol"
    mta.wait_ended()
    assert not mta.messages


def test_b8(tap):
    c = session(tap, params=" BODY=BINARYMIME")
    c.cmd("DATA", 503, "5.5.1")
    c.chunk(b"\0", last=True).expect(250)
    end(c, tap)


def test_loop_in_the_last_chunk_stays_short(world):
    mta = world.mta(ehlo=CHUNKING)
    tap = world.tap(mta, {"limits": {"max_received": 1}})
    c = session(tap)
    c.chunk(b"Received: a\r\nReceived: b\r\n\r\n" + b"x" * 100000, last=True).expect(554, "5.4.6")
    m = tap.message()
    assert (m["status"], m["stage"], m["decided_by"]) == ("rejected", "transfer", "smtptap")
    assert c.mail().code == 250
    end(c, tap)
    assert not mta.messages and mta.wait_ended() in ("fin", "rst")


# D5, U


@pytest.mark.parametrize("said, told, by", [(b"552 5.3.4 enough\r\n", 552, "upstream"),
                                            (b"450 4.2.0 later\r\n", 450, "upstream"),
                                            (b"250 2.0.0 queued as ABCDEF12345\r\n", 451, "smtptap")])
@pytest.mark.parametrize("last", [False, True])
def test_d5_a_reply_within_a_chunk(world, said, told, by, last):
    mta = world.mta(ehlo=CHUNKING, bdat=[said, HANG])
    tap = world.tap(mta)
    c = session(tap)
    c.send(b"BDAT 10%s\r\nabc" % (b" LAST" if last else b""))
    mta.wait_stage("bdat")
    tap.wait("error", side="upstream")
    c.send(b"defghij").expect(told)
    end(c, tap)
    m = tap.message()
    assert (m["code"], m["stage"], m["decided_by"], m["status"]) == (
        told, "transfer", by, "deferred" if told < 500 else "rejected")
    assert m["queue_id"] is None


@pytest.mark.parametrize("how", [CLOSE, RST])
@pytest.mark.parametrize("last", [False, True])
def test_u4_lost_within_a_chunk(world, how, last):
    mta = world.mta(ehlo=CHUNKING, bdat=each(how, None))
    tap = world.tap(mta)
    c = session(tap)
    c.send(b"BDAT 10%s\r\nabc" % (b" LAST" if last else b""))
    tap.wait("close", side="upstream")
    c.send(b"defghij").expect(451, "4.4.2")
    c.chunk(b"", last=True).expect(503)
    m = tap.message()
    assert (m["status"], m["stage"], m["decided_by"]) == ("deferred", "transfer", "smtptap")
    c.mail(), c.rcpt()
    c.chunk(b"again", last=True).expect(250)
    end(c, tap)


def test_u4_lost_behind_a_chunk_and_behind_the_last(world):
    mta = world.mta(ehlo=CHUNKING, chunk=CLOSE, end=CLOSE)
    tap = world.tap(mta)
    c = session(tap)
    c.chunk(b"abc").expect(451, "4.4.2")
    m = tap.message()
    assert (m["status"], m["stage"]) == ("deferred", "transfer")
    c.mail(), c.rcpt()
    c.chunk(b"abc", last=True).expect(451, "4.4.2")
    m = tap.message(2)
    assert (m["status"], m["stage"], m["client_replied"]) == ("indeterminate", "end", True)
    end(c, tap)


def test_u4_lost_between_chunks(world):
    mta = world.mta(ehlo=CHUNKING, chunk=[b"250 2.0.0 more\r\n", CLOSE])
    tap = world.tap(mta)
    c = session(tap)
    c.chunk(b"abc").expect(250)
    tap.wait("close", side="upstream")
    c.chunk(b"def").expect(451, "4.4.2")
    c.chunk(b"def", last=True).expect(503)
    m = tap.message()
    assert (m["status"], m["stage"]) == ("deferred", "transfer")
    end(c, tap)


def test_421_to_a_chunk(world):
    mta = world.mta(ehlo=CHUNKING, chunk=[b"421 4.3.2 going\r\n", CLOSE])
    tap = world.tap(mta)
    c = session(tap)
    c.chunk(b"abc").expect(421)
    c.eof()
    assert tap.message()["status"] == "deferred"


@pytest.mark.parametrize("where", ["in", "between", "behind"])
def test_b9_client_lost(world, where):
    mta = world.mta(ehlo=CHUNKING)
    tap = world.tap(mta)
    c = session(tap)
    c.send(b"BDAT 6\r\nabc")
    mta.wait_stage("bdat")
    if where != "in":
        c.send(b"def").expect(250)
    if where == "behind":
        c.send(b"BDAT 6 LAST\r\nabcde")
        mta.wait_stage("bdat", 2)
    c.reset()
    m = tap.message()
    assert (m["status"], m["stage"], m["decided_by"]) == ("aborted", "transfer", "client")
    mta.wait_ended()
    assert not mta.messages


def test_d8_client_lost_behind_last(world):
    gate = threading.Event()
    mta = world.mta(ehlo=CHUNKING, end=[Wait(gate), b"250 2.0.0 Ok: queued as 5A12345678\r\n"])
    tap = world.tap(mta)
    c = session(tap)
    c.chunk(b"abc", last=True)
    mta.wait_stage("end")
    c.reset()
    tap.wait("close", side="client")
    gate.set()
    m = tap.message()
    assert (m["status"], m["queue_id"], m["client_replied"]) == ("accepted", "5A12345678", False)


@pytest.mark.parametrize("line", ["RSET", "EHLO x", "QUIT"])
def test_given_up_between_chunks(world, line):
    mta = world.mta(ehlo=CHUNKING)
    tap = world.tap(mta)
    c = session(tap)
    c.chunk(b"abc").expect(250)
    c.cmd(line)
    m = tap.message()
    assert (m["status"], m["stage"], m["size"]) == ("reset", "transfer", 3)
    c.close()
    mta.wait_ended()
    assert not mta.messages


def test_stall_in_a_chunk(world):
    mta = world.mta(ehlo=CHUNKING)
    tap = world.tap(mta, {"timeouts": {"data": "300ms"}})
    c = session(tap)
    c.send(b"BDAT 100 LAST\r\nabc").expect(421, "4.4.2")
    c.eof()
    m = tap.message()
    assert (m["status"], m["stage"]) == ("aborted", "transfer") and not mta.messages


def test_upstream_that_hangs_behind_last(world):
    mta = world.mta(ehlo=CHUNKING, end=HANG)
    tap = world.tap(mta, {"upstream": {"timeouts": {"data_end": "300ms"}}})
    c = session(tap)
    c.chunk(b"abc", last=True).expect(451, "4.4.2")
    assert tap.message()["status"] == "indeterminate"
    end(c, tap)


# size


def test_slow_upstream_keeps_memory_bounded(world):
    """A chunk of 2^40 octets is as good as any other."""
    gate = threading.Event()
    mta = world.mta(ehlo=CHUNKING, bdat=Wait(gate))
    tap = world.tap(mta)
    c = session(tap)
    c.send(b"BDAT %d\r\n" % (1 << 40))
    mta.wait_stage("bdat")
    before = status_kib(tap.pid, "VmHWM")
    c.sock.setblocking(False)
    sent = 0
    try:
        while sent < 64 << 20:
            sent += c.sock.send(b"x" * 65536)
    except BlockingIOError:
        pass
    assert 0 < sent < 64 << 20
    c.sock.setblocking(True)
    assert status_kib(tap.pid, "VmHWM") - before < 8 * 1024
    c.close()
    gate.set()
    assert tap.message()["status"] == "aborted"


def in_chunks(octets, chunk):
    """A message of about so many octets, as it is made up: no more than a chunk is ever held."""
    block = HEAD % (b"big%d" % octets) + b"\r\n"
    line = os.urandom(36).hex().encode() + b"\r\n"
    while octets > 0:
        n = min(octets, chunk - len(block)) // len(line) or 1
        yield block + line * n, octets <= n * len(line)
        block, octets = b"", octets - n * len(line)


@pytest.mark.postfix
@pytest.mark.parametrize("mib", [10, pytest.param(100, marks=pytest.mark.long)])
def test_large_message_in_chunks_of_a_mib_over_tls(world, postfix, certs, mib):
    config = {"upstream": {"tls": "required", "tls_verify": False},
              "listeners": [{"address": "127.0.0.1:0", "tls": "starttls", "certificates": [entry(certs.mta)]}]}
    tap = world.tap(postfix.address("tls"), config)
    c = tap.client()
    c.ehlo()
    c.starttls()
    assert b"CHUNKING" in c.ehlo().lines
    before, digest = status_kib(tap.pid, "VmHWM"), hashlib.sha256()
    c.mail()
    c.rcpt(f"big{mib}@box.example")
    for block, last in in_chunks(mib << 20, 1 << 20):
        digest.update(block.replace(b"\r\n", b"\n"))
        c.chunk(block, last).expect(250)
    assert sanitized(tap) or status_kib(tap.pid, "VmHWM") - before < 4 * 1024
    end(c, tap)
    m = tap.message()
    assert m["status"] == "accepted" and m["upstream"]["tls"]["used"] and m["size"] >= mib << 20
    got = postfix.wait_mailbox(f"big{mib}")[0]
    assert hashlib.sha256(strip_trace(got)).hexdigest() == digest.hexdigest()


@pytest.mark.postfix
def test_postfix_takes_chunks_from_the_envelope_on(world, postfix):
    tap = world.tap(postfix.address())
    c = tap.client()
    c.ehlo()
    head = HEAD % b"chunks" + b"\r"
    c.send(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<chunks@box.example>\r\nBDAT %d\r\n" % len(head) + head +
           b"BDAT 10 LAST\r\n\n.\r\nQUIT\r\nNOOP\r\n")
    got = [c.reply() for _ in range(5)]
    assert [r.code for r in got] == [250] * 5, got
    end(c, tap)
    assert tap.message()["queue_id"]
    text = head + b"\n.\r\nQUIT\r\n"
    assert strip_trace(postfix.wait_mailbox("chunks")[0]) == text.replace(b"\r\n", b"\n")
