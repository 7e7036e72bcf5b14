"""LMTP (table LM): on either leg and on both; a reply for each recipient, each in its record."""
import json
import subprocess
import threading

import pytest

from harness.client import SMALL
from harness.dovecot import why_not
from harness.dovecot_lmtp import DovecotLmtp
from harness.mta import CLOSE, EHLO, RST, Wait, each
from harness.postfix import strip_trace
from harness.tap import BINARY, run_tool
from harness.tls import entry

LMTP = {"server": {"protocol": "lmtp"}}
UP = {"upstream": {"protocol": "lmtp"}}
BOTH = {**LMTP, **UP}
CHUNKING = (*EHLO, "CHUNKING")
HEAD = (b"From: a@client.example\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%s@client.example>\r\n"
        b"\r\n")


def begin(tap, *to, hello="LHLO"):
    c = tap.client()
    c.cmd(f"{hello} client.example", 250)
    c.mail()
    for rcpt in to:
        c.rcpt(rcpt)
    return c


def deliver(c, way, body=SMALL):
    if way == "DATA":
        c.cmd("DATA", 354)
        c.send(body + b".\r\n")
    else:
        c.chunk(body[:5]).expect(250)
        c.chunk(body[5:], last=True)
    return c


def fates(m):
    return [(r["address"].split("@")[0], r["status"], r["code"]) for r in m["recipients"]]


def end(c, tap):
    c.quit()
    tap.closed(c)


def test_greeting_listener_and_hello(world):
    tap = world.tap(world.mta(), LMTP)
    assert tap.records("listen")[0]["protocol"] == "LMTP"
    c = tap.client()
    assert c.greeting.lines[0].split()[1] == b"LMTP"
    c.cmd("EHLO x", 500, "5.5.1"), c.cmd("HELO x", 500, "5.5.1"), c.cmd("LHLO", 501, "5.5.4")
    assert b"PIPELINING" in c.cmd("LHLO client.example", 250).lines
    end(c, tap)
    c = world.tap(world.mta()).client()
    c.cmd("LHLO x", 500, "5.5.1")
    assert c.greeting.lines[0].split()[1] == b"ESMTP"


def test_protocol_words(world, certs):
    tap = world.tap(world.mta(), {"server": {"protocol": "lmtp", "tls": "starttls", "received_header": "on"},
                                  "tls": {"certificates": [entry(certs.a)]}})
    for secure in (False, True):
        c = tap.client()
        c.cmd("LHLO x", 250)
        if secure:
            c.starttls()
            c.cmd("LHLO x", 250)
        c.mail(), c.rcpt()
        deliver(c, "DATA").expect(250)
        end(c, tap)
    assert [m["protocol"] for m in tap.records("message")] == ["LMTP", "LMTPS"]
    assert b"with LMTP id" in world.mtas[0].messages[0]["raw"] and b"with LMTPS id" in world.mtas[0].messages[1]["raw"]


@pytest.mark.parametrize("way", ["DATA", "BDAT"])
def test_lm1_mixed(world, way):
    mta = world.mta(ehlo=CHUNKING)
    tap = world.tap(mta, BOTH)
    c = begin(tap, "b@x.example", "e552@x.example")
    c.cmd("RCPT TO:<c550@x.example>", 550)
    c.rcpt("e450@x.example")
    deliver(c, way)
    assert [c.reply().code for _ in range(3)] == [250, 552, 450]
    end(c, tap)
    m = tap.message()
    assert (m["status"], m["stage"], m["code"], m["rcpt_accepted"], m["protocol"]) == ("accepted", "end", 250, 3, "LMTP")
    assert fates(m) == [("b", "accepted", 250), ("e552", "rejected", 552), ("c550", "rejected", 550),
                        ("e450", "deferred", 450)]
    assert m["queue_id"] == mta.messages[0]["queue_id"]
    assert mta.sessions[0].commands[0].startswith(b"LHLO ")
    rcpts = tap.records("rcpt")
    assert [r["queue_id"] is not None for r in rcpts] == [True, False, False, False]
    assert [r["class"] for r in rcpts[1:]] and mta.wait_ended() == "quit"


@pytest.mark.parametrize("codes, status", [((552, 450), "deferred"), ((552, 550), "rejected"), ((450, 450), "deferred"),
                                           ((550, 250), "accepted"), ((450, 250), "accepted")])
def test_status_of_mixed_replies(world, codes, status):
    tap = world.tap(world.mta(), BOTH)
    c = begin(tap, *(f"e{code}@x.example" if code > 250 else "b@x.example" for code in codes))
    deliver(c, "DATA")
    assert [c.reply().code for _ in codes] == list(codes)
    assert tap.message()["status"] == status
    end(c, tap)


@pytest.mark.parametrize("way", ["DATA", "BDAT"])
@pytest.mark.parametrize("sender, code, status", [("a@client.example", 250, "accepted"),
                                                  ("c550end@client.example", 550, "rejected")])
def test_lm2_the_reply_is_repeated(world, way, sender, code, status):
    mta = world.mta(ehlo=CHUNKING)
    tap = world.tap(mta, LMTP)
    c = tap.client()
    c.cmd("LHLO client.example", 250)
    c.mail(sender)
    for rcpt in ("b@x.example", "c@x.example"):
        c.rcpt(rcpt)
    deliver(c, way)
    first, second = c.reply(), c.reply()
    assert first.raw == second.raw and first.code == code
    c.cmd("NOOP", 250)
    end(c, tap)
    m = tap.message()
    assert m["status"] == status and fates(m) == [("b", status, code), ("c", status, code)]
    assert mta.sessions[0].commands[0].startswith(b"EHLO ")


@pytest.mark.parametrize("hello", ["EHLO", "HELO"])
def test_lm3_one_recipient_a_message(world, hello):
    mta = world.mta()
    tap = world.tap(mta, UP)
    c = tap.client()
    lines = c.cmd(f"{hello} client.example", 250).lines
    assert (b"LIMITS RCPTMAX=1" in lines) == (hello == "EHLO")
    c.mail()
    c.cmd("RCPT TO:<c550@x.example>", 550)
    c.rcpt("b@x.example")
    c.cmd("RCPT TO:<c@x.example>", 452, "4.5.3")
    deliver(c, "DATA").expect(250)
    c.cmd("NOOP", 250)
    end(c, tap)
    m = tap.message()
    assert fates(m) == [("c550", "rejected", 550), ("b", "accepted", 250), ("c", "deferred", 452)]
    assert m["protocol"] == ("ESMTP" if hello == "EHLO" else "SMTP")


def test_lm3_check_warns(tmp_path):
    for name, config, warns in (("a", UP, True), ("b", BOTH, False), ("c", LMTP, False)):
        path = tmp_path / name
        path.write_text(json.dumps(config))
        r = run_tool("check", "-c", str(path))
        assert r.returncode == 0 and ("452 4.5.3" in r.stderr) == warns, r.stderr


@pytest.mark.parametrize("way", ["DATA", "BDAT"])
@pytest.mark.parametrize("how", [CLOSE, RST])
def test_lm4_lost_after_the_first(world, way, how):
    gate = threading.Event()
    mta = world.mta(ehlo=CHUNKING, end=each(b"250 2.0.0 Ok: queued as 5A12345678\r\n", [Wait(gate), how]))
    tap = world.tap(mta, BOTH)
    c = begin(tap, "b@x.example", "c@x.example", "d@x.example")
    deliver(c, way).expect(250)
    gate.set()
    c.expect(451, "4.4.2"), c.expect(451, "4.4.2")
    c.cmd("NOOP", 250)
    end(c, tap)
    m = tap.message()
    assert m["status"] == "accepted" and m["queue_id"] == "5A12345678"
    assert fates(m) == [("b", "accepted", 250), ("c", "indeterminate", 451), ("d", "indeterminate", 451)]


def test_lm4_lost_before_the_first(world):
    tap = world.tap(world.mta(end=CLOSE), BOTH)
    c = begin(tap, "b@x.example", "c@x.example")
    deliver(c, "DATA").expect(451, "4.4.2")
    c.expect(451, "4.4.2")
    end(c, tap)
    m = tap.message()
    assert m["status"] == "indeterminate" and {f[1] for f in fates(m)} == {"indeterminate"}


def test_lm4_lost_in_the_body(world):
    mta = world.mta(body=CLOSE)
    tap = world.tap(mta, BOTH)
    c = begin(tap, "b@x.example", "c@x.example")
    c.cmd("DATA", 354)
    tap.wait("close", side="upstream")
    c.send(SMALL + b".\r\n")
    c.expect(451, "4.4.2"), c.expect(451, "4.4.2")
    end(c, tap)
    m = tap.message()
    assert m["status"] == "deferred" and {f[1] for f in fates(m)} == {"deferred"}


def test_421_for_the_last_recipient_closes(world):
    mta = world.mta(end=each(None, [b"421 4.3.2 going\r\n", CLOSE]))
    tap = world.tap(mta, BOTH)
    c = begin(tap, "b@x.example", "c@x.example")
    deliver(c, "DATA").expect(250)
    c.expect(421)
    c.eof()
    m = tap.message()
    assert m["status"] == "accepted" and fates(m) == [("b", "accepted", 250), ("c", "deferred", 421)]


@pytest.mark.parametrize("way", ["DATA", "BDAT"])
def test_421_before_the_last_recipient_closes(world, way):
    """U6: it is relayed, those behind it are lost, and the client is closed. The message is deferred, in its words."""
    mta = world.mta(ehlo=CHUNKING, end=[b"421 4.3.2 going\r\n", CLOSE])
    tap = world.tap(mta, BOTH)
    c = begin(tap, "b@x.example", "c@x.example", "d@x.example")
    deliver(c, way).expect(421, "4.3.2")
    c.expect(451, "4.4.2"), c.expect(451, "4.4.2")
    c.eof()
    assert tap.closed(c)["reason"] == "upstream"
    m = tap.message()
    assert (m["status"], m["code"], m["enhanced"], m["decided_by"]) == ("deferred", 421, "4.3.2", "upstream")
    assert fates(m) == [("b", "deferred", 421), ("c", "indeterminate", 451), ("d", "indeterminate", 451)]


def test_421_between_the_replies_closes(world):
    mta = world.mta(end=each(None, b"421 4.3.2 going\r\n", None))
    tap = world.tap(mta, BOTH)
    c = begin(tap, "b@x.example", "c@x.example", "d@x.example")
    deliver(c, "DATA").expect(250)
    c.expect(421), c.expect(250)
    c.eof()
    m = tap.message()
    assert m["status"] == "accepted"
    assert fates(m) == [("b", "accepted", 250), ("c", "deferred", 421), ("d", "accepted", 250)]


def test_client_lost_between_the_replies(world):
    gate = threading.Event()
    mta = world.mta(end=each(None, [Wait(gate), b"550 5.7.1 no\r\n"]))
    tap = world.tap(mta, BOTH)
    c = begin(tap, "b@x.example", "c@x.example")
    deliver(c, "DATA").expect(250)
    c.reset()
    tap.wait("close", side="client")
    gate.set()
    m = tap.message()
    assert m["status"] == "accepted" and not m["client_replied"]
    assert fates(m) == [("b", "accepted", 250), ("c", "rejected", 550)]


def test_lm5(world):
    tap = world.tap(world.mta(), BOTH)
    c = begin(tap)
    c.cmd("RCPT TO:<c550@x.example>", 550)
    c.cmd("DATA", 503, "5.5.1")
    c.cmd("RCPT TO:<c450@x.example>", 450)
    end(c, tap)
    m = tap.message()
    assert (m["status"], m["stage"], m["code"]) == ("deferred", "rcpt", 450)


def test_too_big_is_said_to_each(world):
    mta = world.mta()
    tap = world.tap(mta, {"server": {"protocol": "lmtp", "max_message_size": 10}, **UP})
    c = begin(tap, "b@x.example", "c@x.example")
    deliver(c, "DATA").expect(552, "5.3.4")
    c.expect(552, "5.3.4")
    end(c, tap)
    m = tap.message()
    assert m["status"] == "rejected" and {f[1] for f in fates(m)} == {"rejected"} and not mta.messages


def test_upstream_that_is_no_lmtp_server(world):
    mta = world.mta(ehlo=b"500 5.5.1 what\r\n")
    tap = world.tap(mta, BOTH)
    c = tap.client()
    c.cmd("LHLO x", 421, "4.4.1")
    c.eof()
    assert mta.sessions[0].commands == [b"LHLO tap.example"]


def test_sink_speaks_it(world):
    sink = subprocess.Popen([BINARY, "sink", "--lmtp", "-l", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    try:
        address = sink.stdout.readline().split()[-1]
        for way in ("DATA", "BDAT"):
            tap = world.tap(address, BOTH)
            c = begin(tap, "b@x.example", "c@x.example")
            deliver(c, way)
            c.expect(250), c.expect(250)
            end(c, tap)
            assert tap.message()["status"] == "accepted"
    finally:
        sink.terminate()
        assert sink.wait(10) == 0


# a real Dovecot


@pytest.fixture(scope="module")
def dovecot():
    if why_not():
        pytest.skip(why_not())
    d = DovecotLmtp().start()
    yield d
    d.stop()


@pytest.mark.parametrize("way", ["DATA", "BDAT"])
@pytest.mark.parametrize("unix", [True, False])
def test_dovecot_with_mixed_recipients(world, dovecot, way, unix):
    tap = world.tap(dovecot.address if unix else dovecot.tcp, BOTH)
    name = f"mixed-{way}-{unix}".encode()
    text = HEAD % name + b"..\r\nGr\xc3\xbc\xc3\x9fe\r\n" + b"x" * 500 + b"\r\n"
    c = begin(tap, "alice@box.example")
    unknown = c.cmd("RCPT TO:<nobody-here@box.example>", 550)
    c.rcpt("full@box.example")
    c.rcpt("bob@box.example")
    deliver(c, way, text.replace(b"\r\n..", b"\r\n...") if way == "DATA" else text)
    good, full, good2 = c.expect(250), c.expect(552), c.expect(250)
    end(c, tap)
    m = tap.message()
    assert (m["status"], m["upstream"]["host"]) == ("accepted", "unix" if unix else "127.0.0.1")
    assert fates(m) == [("alice", "accepted", 250), ("nobody-here", "rejected", 550), ("full", "rejected", 552),
                        ("bob", "accepted", 250)]
    classes = {r["rcpt_to"].split("@")[0]: r.get("class") for r in tap.records("rcpt")}
    assert classes == {"alice": None, "nobody-here": "unknown-user", "full": "mailbox-full", "bob": None}
    for box in ("alice", "bob"):
        got = [x for x in dovecot.mailbox(box) if name in x]
        assert len(got) == 1 and strip_trace(got[0]).endswith(text.replace(b"\r\n", b"\n"))
    assert not dovecot.mailbox("full") and unknown.enhanced == "5.1.1" and good.raw != good2.raw and full.enhanced


def test_dovecot_behind_smtp(world, dovecot):
    tap = world.tap(dovecot.address, UP)
    c = begin(tap, "alice@box.example", hello="EHLO")
    c.cmd("RCPT TO:<bob@box.example>", 452, "4.5.3")
    deliver(c, "DATA", HEAD % b"one-way" + b"x\r\n").expect(250)
    c.mail()
    c.rcpt("bob@box.example")
    deliver(c, "DATA", HEAD % b"one-way" + b"x\r\n").expect(250)
    end(c, tap)
    assert [m["status"] for m in tap.records("message")] == ["accepted", "accepted"]
    assert all(any(b"one-way" in x for x in dovecot.mailbox(box)) for box in ("alice", "bob"))
