"""Table U: an upstream that misbehaves at every stage. No 2xx without its own 2xx; the record tells the truth."""
import contextlib
import socket
import struct
import threading

import pytest

from harness.client import Gone
from harness.mta import CLOSE, HANG, RST, Split, Wait, each
from harness.util import free_port

SHORT = {"upstream": {"timeouts": {"connect": "300ms", "greeting": "300ms", "prepare": "600ms", "command": "300ms",
                                   "data_start": "300ms", "data_block": "400ms", "data_end": "400ms"}}}
TEXT = b"Subject: x\r\n\r\nbody\r\n"


def attempt(c, body=TEXT):
    """One message as far as it goes: the replies' codes, and the last reply."""
    got = []
    try:
        for line in (b"MAIL FROM:<a@b.example>", b"RCPT TO:<c@d.example>", b"DATA", body + b"."):
            got.append(c.cmd(line))
            if got[-1].code >= 400:
                break
    except Gone:
        pass
    return [r.code for r in got], got[-1] if got else None


def dead():
    return f"127.0.0.1:{free_port()}"


# U1, H7: no upstream at HELO


@pytest.mark.parametrize("verb", ["EHLO", "HELO"])
def test_h7_nobody_listens(world, verb):
    tap = world.tap(dead())
    c = tap.client()
    c.cmd(f"{verb} client.example", 421, "4.4.1")
    c.eof()
    assert tap.closed(c)["reason"] == "upstream"
    error = tap.wait("error")
    assert error["stage"] == "connect" and error["err"]["code"] and not tap.records("message")


BEFORE_READY = {
    "greeting-450": (dict(greeting=b"450 4.3.2 busy\r\n"), "greeting"),
    "greeting-554": (dict(greeting=b"554 5.7.1 go away\r\n"), "greeting"),
    "greeting-421": (dict(greeting=b"421 4.3.2 down\r\n"), "greeting"),
    "greeting-garbage": (dict(greeting=b"SSH-2.0-x\r\n"), "greeting"),
    "greeting-nothing": (dict(greeting=HANG), "greeting"), "greeting-close": (dict(connect=CLOSE), "greeting"),
    "greeting-rst": (dict(connect=RST), "greeting"),
    "greeting-250": (dict(greeting=b"250 hello\r\n"), "greeting"),
    "greeting-mixed": (dict(greeting=b"220-a\r\n250 b\r\n"), "greeting"),
    "ehlo-close": (dict(ehlo=CLOSE), "ehlo"), "ehlo-rst": (dict(ehlo=RST), "ehlo"),
    "ehlo-hang": (dict(ehlo=HANG), "ehlo"), "ehlo-421": (dict(ehlo=b"421 4.3.2 x\r\n"), "ehlo"),
    "ehlo-and-helo-refused": (dict(ehlo=b"502 no\r\n", helo=b"550 no\r\n"), "ehlo"),
    "ehlo-garbage": (dict(ehlo=b"\0\0\0\r\n"), "ehlo"), "ehlo-354": (dict(ehlo=b"354 x\r\n"), "ehlo"),
    "ehlo-half": (dict(ehlo=[b"250-mta", CLOSE]), "ehlo"),
    "ehlo-long-line": (dict(ehlo=b"250 " + b"x" * 70000 + b"\r\n"), "ehlo"),
}


@pytest.mark.parametrize("name", BEFORE_READY)
def test_u1_failure_before_ready(world, name):
    script, stage = BEFORE_READY[name]
    mta = world.mta(**script)
    tap = world.tap(mta, SHORT)
    c = tap.client()
    c.cmd("EHLO client.example", 421, "4.4.1")
    c.eof()
    assert tap.closed(c)["reason"] == "upstream"
    errors = tap.records("error")
    stages = (stage, "connect") if script.get("connect") is RST else (stage,)  # it may come before connect() has returned
    assert [e for e in errors if e.get("stage") in stages and e["side"] == "upstream"], errors
    assert not tap.records("message")


@pytest.mark.parametrize("name", BEFORE_READY)
def test_u1_the_next_server_is_tried(world, name):
    bad, good = world.mta(**BEFORE_READY[name][0]), world.mta()
    tap = world.tap([bad, good], dict(SHORT, upstream=dict(SHORT["upstream"],
                                                           timeouts=dict(SHORT["upstream"]["timeouts"], prepare="5s"))))
    c = tap.client()
    c.ehlo()
    assert c.deliver(TEXT).code == 250
    m = tap.message()
    assert m["upstream"]["port"] == good.port and m["upstream"]["attempts"] == 2
    assert len(good.messages) == 1 and not bad.messages


def test_u1_first_of_three_dead(world):
    good = world.mta()
    tap = world.tap([dead(), dead(), good])
    c = tap.client()
    c.ehlo()
    assert c.deliver(TEXT).code == 250
    assert tap.message()["upstream"]["attempts"] == 3


@pytest.mark.parametrize("code", [500, 502, 504])
def test_h9_helo_after_refused_ehlo(world, code):
    mta = world.mta(ehlo=b"%d 5.5.1 what?\r\n" % code)
    tap = world.tap(mta)
    c = tap.client()
    lines = c.ehlo().lines
    assert not {x.split()[0] for x in lines[1:]} & {b"8BITMIME", b"SMTPUTF8", b"DSN", b"ENHANCEDSTATUSCODES"}
    assert c.deliver(TEXT).code == 250
    assert [x[:4] for x in mta.sessions[0].commands[:2]] == [b"EHLO", b"HELO"]


# what replies may look like


HUNDRED_KIB = b"".join(b"250-2.1.0 line %05d %s\r\n" % (i, b"y" * 80) for i in range(1000)) + b"250 2.1.0 end\r\n"
REPLIES = {
    "multi-line": b"250-2.1.0 first\r\n250-2.1.0 second\r\n250 2.1.0 third\r\n", "no-text": b"250\r\n",
    "space-only": b"250 \r\n",
    "no-enhanced": b"250 sure\r\n", "251": b"251 2.1.5 forwarded\r\n", "empty-middle": b"250-a\r\n250-\r\n250 c\r\n",
    "utf8": "250 2.1.0 Grüße 日本\r\n".encode(),
    "long-line": b"250 2.1.0 " + b"x" * 4000 + b"\r\n",
    "fifty-kib": HUNDRED_KIB[-(103 * 500 + 15):],
}


@pytest.mark.parametrize("name, split", [(n, s) for n, raw in REPLIES.items() for s in (False, True)
                                         if not s or len(raw) < 5000])  # byte by byte, long ones are only slow
@pytest.mark.parametrize("stage", ["mail", "rcpt", "end"])
def test_replies_pass_unchanged(world, name, split, stage):
    raw = REPLIES[name]
    mta = world.mta(**{stage: Split(raw) if split else raw})
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    c.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
    got = [c.reply(), c.reply(), c.expect(354)]
    c.send(TEXT + b".\r\n")
    got.append(c.reply())
    assert got[{"mail": 0, "rcpt": 1, "end": 3}[stage]].raw == raw
    assert tap.message()["status"] == "accepted"


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "end"])
def test_reply_of_100_kib(world, stage):
    """More than a reply may have: it is not understood, and nothing is made of it."""
    mta = world.mta(**{stage: HUNDRED_KIB})
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    _, last = attempt(c)
    assert (last.code, last.enhanced) == (451, "4.3.0")
    c.quit()
    m = tap.message()
    assert m["status"] == ("indeterminate" if stage == "end" else "deferred") and m["queue_id"] is None


@pytest.mark.parametrize("raw", [b"550-5.7.1 Rejected\r\n550-see http://x.example\r\n550 5.7.1 bye\r\n",
                                 b"450 4.7.1 later\r\n", b"550\r\n", b"554 no\r\n", b"599 odd\r\n", b"452 4.5.3 x\r\n"])
@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "end"])
def test_refusals_pass_unchanged_at_every_stage(world, raw, stage):
    mta = world.mta(**{stage: raw})
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    codes, last = attempt(c)
    assert last.raw == raw and len(codes) == {"mail": 1, "rcpt": 2, "data": 3, "end": 4}[stage]
    c.quit()
    m = tap.message()
    assert (m["status"], m["stage"], m["decided_by"]) == ("deferred" if raw[0:1] == b"4" else "rejected", stage,
                                                          "upstream")
    assert m["queue_id"] is None


# U2 .. U8: lost, silent or mad in a transaction


LOSS = {"close": CLOSE, "rst": RST, "hang": HANG}
MAD = {"garbage": b"what now\r\n", "mixed": b"250-a\r\n251 b\r\n", "binary": b"\xff\xfe\x00\x01\r\n",
       "class-1": b"150 x\r\n", "code-2": b"25 x\r\n", "code-9": b"999 x\r\n",
       "no-separator": b"250x\r\n", "long": b"250 " + b"z" * 70000 + b"\r\n", "endless": b"250-" + b"q" * 200000}


@pytest.mark.parametrize("how", LOSS)
@pytest.mark.parametrize("when", ["first", "second"])
def test_u2_lost_at_mail_is_tried_once_more(world, how, when):
    mta = world.mta(mail=each(LOSS[how], None) if when == "first" else each(None, LOSS[how], None))
    tap = world.tap(mta, SHORT)
    c = tap.client()
    c.ehlo()
    if when == "second":
        assert c.deliver(TEXT).code == 250
    codes, last = attempt(c)
    if how == "hang":  # a silent server is a timeout (U7): no second try is promised
        assert codes in ([250, 250, 354, 250], [451])
        return
    assert codes == [250, 250, 354, 250], last
    assert tap.message(2 if when == "second" else 1)["status"] == "accepted"


@pytest.mark.parametrize("how", ["close", "rst"])
def test_u2_lost_twice(world, how):
    mta = world.mta(mail=LOSS[how])
    tap = world.tap(mta, SHORT)
    c = tap.client()
    c.ehlo()
    c.cmd("MAIL FROM:<a@b.example>", 451, "4.4.2")
    assert mta.counts["mail"] == 2
    m = tap.message()
    assert (m["status"], m["stage"], m["decided_by"], m["code"]) == ("deferred", "mail", "smtptap", 451)
    assert [e for e in tap.records("error") if e.get("stage") == "mail"]
    c.cmd("RCPT TO:<a@b.example>", 503)


def test_u2_the_next_server_takes_over(world):
    bad, good = world.mta(mail=CLOSE), world.mta()
    tap = world.tap([bad, good])
    c = tap.client()
    c.ehlo()
    assert c.deliver(TEXT).code == 250
    assert len(bad.messages) == 0 and len(good.messages) == 1
    assert tap.message()["upstream"]["port"] == good.port


@pytest.mark.parametrize("how", LOSS)
@pytest.mark.parametrize("stage", ["rcpt", "data"])
def test_u3_lost_in_the_envelope(world, how, stage):
    mta = world.mta(**{stage: each(LOSS[how], None)})
    tap = world.tap(mta, SHORT)
    c = tap.client()
    c.ehlo()
    codes, last = attempt(c)
    assert codes[-1] == 451 and last.enhanced == "4.4.2" and len(codes) == {"rcpt": 2, "data": 3}[stage]
    if stage == "rcpt":
        c.cmd("RCPT TO:<x@d.example>", 451, "4.4.2")
        c.cmd("DATA", 451)
    m = tap.message()
    assert (m["status"], m["decided_by"], m["queue_id"]) == ("deferred", "smtptap", None)
    assert m["stage"] in (stage, "data")
    errors = tap.records("error")
    assert [e for e in errors if e.get("stage") == stage], errors
    assert [r["status"] for r in tap.records("rcpt")] == ["deferred"] * m["rcpt_count"]
    c.cmd("RSET", 250)
    assert c.deliver(TEXT).code == 250, "the session is of no use any more"
    assert tap.message(2)["status"] == "accepted"


@pytest.mark.parametrize("how", LOSS)
@pytest.mark.parametrize("sent", [0, 1000, 500000])
def test_u4_lost_in_the_body(world, how, sent):
    mta = world.mta(body=LOSS[how], body_after=sent)
    tap = world.tap(mta, SHORT)
    c = tap.client()
    c.ehlo()
    c.begin()
    try:
        for _ in range(100):
            c.send(b"x" * 9998 + b"\r\n")
        c.send(b".\r\n")
    except (BrokenPipeError, ConnectionResetError):
        pytest.fail("the client was cut off in the body instead of answered at its end")
    c.expect(451, "4.4.2")
    m = tap.message()
    # the dot may have left before the loss showed
    assert m["status"] == "deferred" or (m["status"] == "indeterminate" and m["stage"] == "end")
    assert (m["decided_by"], m["queue_id"]) == ("smtptap", None)
    assert not mta.messages


@pytest.mark.parametrize("how", LOSS)
def test_u4_lost_after_the_dot_is_indeterminate(world, how):
    mta = world.mta(end=LOSS[how])
    tap = world.tap(mta, SHORT)
    c = tap.client()
    c.ehlo()
    c.begin()
    c.cmd(TEXT + b".", 451, "4.4.2")
    m = tap.message()
    assert (m["status"], m["stage"], m["decided_by"], m["queue_id"], m["class"]) == ("indeterminate", "end", "smtptap",
                                                                                     None, "network")
    assert m["recipients"][0]["status"] == "indeterminate"
    assert [e for e in tap.records("error") if e.get("stage") == "end"]
    assert m["client_replied"] is True


def test_u4_lost_before_the_dot_is_deferred(world):
    """The upstream has gone, the client has not ended its message yet: nothing is indeterminate."""
    mta = world.mta(body=CLOSE)
    tap = world.tap(mta, SHORT)
    c = tap.client()
    c.ehlo()
    c.begin()
    c.send(b"Subject: x\r\n\r\n")
    mta.wait_ended()
    tap.wait("close", side="upstream")
    c.cmd(b"x\r\n.", 451, "4.4.2")
    m = tap.message()
    assert (m["status"], m["decided_by"]) == ("deferred", "smtptap") and m["stage"] in ("transfer", "end")


@pytest.mark.parametrize("name", MAD)
@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "end"])
def test_u5_mad_replies(world, name, stage):
    mta = world.mta(**{stage: each(MAD[name], MAD[name], None)})
    tap = world.tap(mta, SHORT)
    c = tap.client()
    c.ehlo()
    codes, last = attempt(c)
    assert len(codes) == {"mail": 1, "rcpt": 2, "data": 3, "end": 4}[stage]
    assert last.code == 451 and last.enhanced in ("4.3.0", "4.4.2"), last
    if name not in ("endless",):
        assert last.enhanced == "4.3.0"
    c.quit()
    m = tap.message()
    assert m["status"] == ("indeterminate" if stage == "end" and m["status"] == "indeterminate" else "deferred")
    assert (m["decided_by"], m["queue_id"]) == ("smtptap", None)
    assert tap.records("error", side="upstream")


@pytest.mark.parametrize("stage, reply", [
    ("mail", b"354 go\r\n"), ("rcpt", b"354 go\r\n"), ("end", b"354 go\r\n"), ("data", b"250 2.0.0 Ok\r\n"), ("data", b"220 x\r\n")])
def test_u5_wrong_class(world, stage, reply):
    mta = world.mta(**{stage: reply})
    tap = world.tap(mta, SHORT)
    c = tap.client()
    c.ehlo()
    codes, last = attempt(c)
    assert (last.code, last.enhanced) == (451, "4.3.0")
    c.quit()
    assert tap.message()["status"] in ("deferred", "indeterminate")


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "end"])
def test_u6_421_is_relayed(world, stage):
    raw = b"421 4.3.2 mta.example going down\r\n"
    mta = world.mta(**{stage: [raw, CLOSE]})
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    codes, last = attempt(c)
    if stage == "mail" and mta.counts["mail"] == 2:  # taken for an idle connection's 421: tried once more (O)
        assert last.code in (421, 451)
    else:
        assert last.raw == raw
    if last.code == 421:
        c.eof()
        assert tap.closed(c)["reason"] == "upstream"
    m = tap.message()
    assert m["status"] == "deferred" and m["stage"] == stage


def test_o_421_at_the_first_mail_of_a_reused_connection_is_stale(world):
    mta = world.mta(mail=each(None, [b"421 4.4.2 idle too long\r\n", CLOSE], None))
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    assert c.deliver(TEXT).code == 250
    assert c.deliver(TEXT).code == 250
    assert len(mta.sessions) == 2


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "end", "body", "rset"])
def test_u7_timeouts(world, stage):
    mta = world.mta(**{stage: HANG})
    tap = world.tap(mta, SHORT)
    c = tap.client()
    c.ehlo()
    if stage == "rset":
        c.mail()
        c.cmd("RSET", 250)
        return
    codes, last = attempt(c)
    assert (last.code, last.enhanced) == (451, "4.4.2")
    c.quit()
    m = tap.message()
    assert m["status"] in (("indeterminate",) if stage == "end" else ("deferred", "indeterminate") if stage == "body"
                           else ("deferred",))
    assert m["class"] == "network" and m["decided_by"] == "smtptap"


def test_u7_upstream_that_takes_no_more_bytes(world):
    """The upstream stops reading in the body: bounded by data_block."""
    go = threading.Event()
    mta = world.mta(body=Wait(go), body_after=1)
    world.defer(go.set)
    tap = world.tap(mta, SHORT)
    c = tap.client()
    c.ehlo()
    c.begin()
    c.sock.settimeout(5)
    c.send(b"first\r\n")

    def pump():
        try:
            for _ in range(4000):
                c.send(b"x" * 9998 + b"\r\n")
            c.send(b".\r\n")
        except OSError:
            pass

    t = threading.Thread(target=pump, daemon=True)
    t.start()
    c.expect(451, "4.4.2")
    t.join()
    assert tap.message()["status"] == "deferred"


@pytest.mark.parametrize("stage, when", [("ehlo", "ready"), ("mail", "mail"), ("rcpt", "rcpt"), ("data", "data"),
                                         ("end", "end")])
def test_u8_unsolicited_replies_match_no_later_command(world, stage, when):
    """A reply too many must never be taken for the answer to what comes next."""
    extra = b"250 2.0.0 nobody asked: queued as FALSE1\r\n"
    default = {"ehlo": None, "mail": b"250 2.1.0 Ok\r\n", "rcpt": b"250 2.1.5 Ok\r\n", "data": b"354 go\r\n",
               "end": b"250 2.0.0 Ok: queued as TRUE01\r\n"}[stage]
    if stage == "ehlo":
        default = b"250-mta.example\r\n250 PIPELINING\r\n"
    mta = world.mta(**{stage: each(default + extra, None)})
    tap = world.tap(mta, SHORT)
    c = tap.client()
    c.ehlo()
    codes, last = attempt(c)
    if stage == "ehlo":
        assert codes in ([250, 250, 354, 250], [451])
    elif stage == "end":
        assert codes == [250, 250, 354, 250] and tap.message()["queue_id"] == "TRUE01"
        codes, last = attempt(c)
        assert codes[-1] in (250, 451)
    else:
        assert codes[-1] == 451, "a reply nobody asked for was matched"
    c.quit()
    tap.closed(c)
    for m in tap.records("message", status="accepted"):
        assert m["queue_id"] != "FALSE1"
    accepted = len(tap.records("message", status="accepted"))
    assert accepted == len(mta.messages)


def test_u8_unsolicited_between_transactions(world):
    mta = world.mta(end=each([b"250 2.0.0 Ok: queued as AAAAAA1\r\n"], None))
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    assert c.deliver(TEXT).code == 250
    mta.sessions[0].send(b"421 4.4.2 mta.example timeout\r\n")
    tap.wait("close", side="upstream")
    assert c.deliver(TEXT).code == 250
    assert len(mta.sessions) == 2
    assert [tap.message(i)["status"] for i in (1, 2)] == ["accepted", "accepted"]


@pytest.mark.parametrize("how", ["fin", "rst", "421"])
@pytest.mark.parametrize("before", [0, 1])
def test_u9_lost_between_transactions(world, how, before):
    mta = world.mta()
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    for _ in range(before):
        assert c.deliver(TEXT).code == 250
    s = mta.sessions[0]
    if how == "rst":
        s.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.sock.close()
    else:
        if how == "421":
            s.send(b"421 4.4.2 idle\r\n")
        with contextlib.suppress(OSError):  # the program may have left at the 421 already
            s.sock.shutdown(socket.SHUT_WR)
    if how != "rst":
        tap.wait("close", side="upstream")
    c.cmd("NOOP", 250)
    assert c.deliver(TEXT).code == 250
    assert tap.message(before + 1)["status"] == "accepted"
    c.quit()


def test_u9_reconnect_fails(world):
    mta = world.mta()
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    mta.stop()
    tap.wait("close", side="upstream")
    c.cmd("MAIL FROM:<a@b.example>", 451, "4.4.1")
    m = tap.message()
    assert (m["status"], m["stage"], m["decided_by"]) == ("deferred", "mail", "smtptap")
    c.cmd("NOOP", 250)


def test_h9_only_a_server_that_lacks_it_is_left(world):
    """The one that had it is asked once, and can't be: the other's lack decides, and is named."""
    full = b"250-mta.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
    first, second = world.mta({"ehlo": full}), world.mta({"ehlo": b"250 mta.example\r\n"})
    tap = world.tap([first.address, second.address])
    c = tap.client()
    assert b"8BITMIME" in c.ehlo().lines
    first.stop()
    tap.wait("close", side="upstream")
    c.cmd("MAIL FROM:<a@b.example> BODY=8BITMIME", 451, "4.3.3")
    m = tap.message()
    assert (m["status"], m["stage"], m["code"], m["enhanced"]) == ("deferred", "mail", 451, "4.3.3")
    errors = [(e["err"]["code"], e["stage"], e["host"]) for e in tap.records("error")]
    assert errors == [("upstream_connect", "connect", first.address), ("upstream_lacks", "mail", second.address)]
    assert "8BITMIME" in tap.records("error")[1]["err"]["message"]
    c.mail()
    c.quit()


def test_h9_later_connection_lacks_what_is_used(world):
    full = b"250-mta.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
    mta = world.mta({"ehlo": each(full, b"250 mta.example\r\n")})
    tap = world.tap(mta)
    c = tap.client()
    assert b"SMTPUTF8" in c.ehlo().lines
    mta.sessions[0].sock.shutdown(socket.SHUT_WR)
    tap.wait("close", side="upstream")
    c.cmd("MAIL FROM:<\u00fc@b.example> SMTPUTF8", 451, "4.3.3")


# early answers, D5


@pytest.mark.parametrize("reply, code, enhanced", [
    (b"552 5.3.4 too big for me\r\n", 552, "5.3.4"), (b"451 4.3.1 disk full\r\n", 451, "4.3.1"),
    (b"250 2.0.0 Ok: queued as LIE1234\r\n", 451, "4.3.0"),
    (b"354 again\r\n", 451, "4.3.0")])
@pytest.mark.parametrize("after", [[], [CLOSE]])
def test_d5_early_reply(world, reply, code, enhanced, after):
    mta = world.mta(body=[reply, *after], body_after=100, end=HANG)
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    c.begin()
    for _ in range(50):
        c.send(b"x" * 998 + b"\r\n")
    tap.wait("close", side="upstream")
    for _ in range(50):
        c.send(b"y" * 998 + b"\r\n")
    c.send(b".\r\n")
    got = c.expect(code, enhanced)
    if reply[:1] in b"45":
        assert got.raw == reply
    assert not mta.messages
    m = tap.message()
    assert m["status"] == ("rejected" if code // 100 == 5 else "deferred")
    assert m["decided_by"] == ("upstream" if reply[:1] in b"45" else "smtptap") and m["queue_id"] is None
    c.cmd("NOOP", 250)


# D8: the client has gone, the upstream still has to answer


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("reply, status", [(None, "accepted"), (b"550 5.7.1 no\r\n", "rejected"),
                                           (b"451 4.3.0 later\r\n", "deferred"), (CLOSE, "indeterminate"),
                                           (HANG, "indeterminate")])
def test_d8_client_lost_after_the_dot(world, how, reply, status):
    go = threading.Event()
    world.defer(go.set)
    mta = world.mta(end=[Wait(go), reply] if reply is not None else lambda s, line: (go.wait(10), None)[1])
    tap = world.tap(mta, SHORT if reply is HANG else None)
    c = tap.client()
    c.ehlo()
    c.begin()
    c.send(TEXT + b".\r\n")
    mta.wait_stage("dot")
    getattr(c, how)()
    if how == "reset":
        tap.closed(c)
    go.set()
    m = tap.message()
    assert m["status"] == status
    assert m["decided_by"] == ("smtptap" if status == "indeterminate" else "upstream")
    if status == "accepted":
        assert m["queue_id"] == mta.messages[0]["queue_id"]
    if how == "reset":
        assert m["client_replied"] is False


def test_d8_pipelined_quit_after_the_dot(world):
    """A client that sends its QUIT with the dot and goes: the message is the upstream's to judge."""
    mta = world.mta()
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    c.begin()
    c.send(TEXT + b".\r\nQUIT\r\n").half_close()
    c.expect(250)
    c.expect(221)
    c.eof()
    assert tap.message()["status"] == "accepted"


# pace


def test_slow_upstream_that_makes_progress_is_no_timeout(world):
    """Each reply takes most of its time limit: together much more than one of them."""
    steps = threading.Semaphore(0)

    def late(session, line):
        steps.acquire(timeout=0.2)

    mta = world.mta(mail=late, rcpt=late, data=late, end=late)
    tap = world.tap(mta, SHORT)
    c = tap.client()
    c.ehlo()
    codes, _ = attempt(c)
    assert codes == [250, 250, 354, 250]


def test_upstream_without_pipelining_gets_one_command_at_a_time(world):
    seen = []

    def note(session, line):
        seen.append((line, bytes(session.unread)))

    mta = world.mta(ehlo=["8BITMIME"], mail=note, rcpt=note, data=note)
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    c.send(b"MAIL FROM:<a@b.example>\r\n" + b"RCPT TO:<c@d.example>\r\n" * 5 + b"DATA\r\n")
    assert [c.reply().code for _ in range(7)] == [250] * 6 + [354]
    c.cmd(TEXT + b".", 250)
    assert len(seen) == 7 and all(not rest for _, rest in seen), seen


def test_data_waits_for_an_accepted_recipient(world):
    """DATA leaves only after a recipient was accepted, also with PIPELINING upstream."""
    seen = []
    mta = world.mta(rcpt=lambda s, line: seen.append(bytes(s.unread)))
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    c.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c550@d.example>\r\nRCPT TO:<c551@d.example>\r\nDATA\r\n")
    assert [c.reply().code for _ in range(4)] == [250, 550, 551, 554]
    assert all(b"DATA" not in rest for rest in seen)


def test_one_connection_a_session_and_orderly_quit(world):
    mta = world.mta()
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    for _ in range(5):
        assert c.deliver(TEXT).code == 250
    c.quit()
    assert mta.wait_ended() == "quit"
    assert len(mta.sessions) == 1
    close = tap.wait("close", side="upstream")
    assert close["messages"] == 5


@pytest.mark.parametrize("verb", ["EHLO", "HELO"])
def test_second_helo_keeps_the_upstream_sane(world, verb):
    mta = world.mta()
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    c.mail()
    c.cmd(f"{verb} second.example", 250)
    assert c.deliver(TEXT).code == 250
    assert len(mta.messages) == 1 and mta.messages[0]["rcpts"] == [b"<b@mta.example>"]


@pytest.mark.parametrize("stage, reply", [("connect", b"421 4.3.2 down\r\n"), ("greeting", b"554 5.7.1 not you\r\n"),
                                          ("greeting", b"450 4.7.1 later\r\n")])
def test_connect_at_connection_relays_the_refusal(world, stage, reply):
    mta = world.mta(greeting=[reply, CLOSE])
    tap = world.tap(mta, {"upstream": {"connect": "connection"}})
    c = tap.client(greet=False)
    got = c.reply()
    assert got.code == int(reply[:3]) and got.raw.split(b" ", 1)[1] == reply.split(b" ", 1)[1]
    c.eof()


def test_connect_at_connection(world):
    mta = world.mta()
    tap = world.tap(mta, {"upstream": {"connect": "connection"}})
    c = tap.client()
    assert c.greeting.code == 220 and len(mta.sessions) == 1
    c.ehlo()
    assert c.deliver(TEXT).code == 250
    assert len(mta.sessions) == 1


def test_connect_at_connection_without_upstream(world):
    c = world.tap(dead(), {"upstream": {"connect": "connection"}}).client(greet=False)
    c.expect(421, "4.4.1")
    c.eof()


def test_identity_untold(world):
    """`auto` with an upstream that can't be told: loopback clients only, so loopback is served."""
    tap = world.tap(world.mta(), {"upstream": {"identity": "auto"}})
    c = tap.client()
    c.ehlo()
    assert c.deliver(TEXT).code == 250


@pytest.mark.parametrize("balance", ["failover", "round-robin", "least-connections"])
def test_balance(world, balance):
    mtas = [world.mta() for _ in range(3)]
    tap = world.tap(mtas, {"upstream": {"balance": balance}, "workers": 1})
    clients = []
    for _ in range(6):
        c = tap.client()
        c.ehlo()
        clients.append(c)
    counts = [len(m.sessions) for m in mtas]
    assert counts == ([6, 0, 0] if balance == "failover" else [2, 2, 2])


def test_upstream_max_connections(world):
    one, two = world.mta(), world.mta()
    tap = world.tap([one, two], {"upstream": {"max_connections": 1}})
    first, second, third = tap.client(), tap.client(), tap.client()
    first.ehlo()
    second.ehlo()
    assert [len(one.sessions), len(two.sessions)] == [1, 1]
    third.cmd("EHLO client.example", 421, "4.3.2")
    third.eof()
    told = tap.wait("error", cid=tap.cid_of(third))
    assert (told["err"]["code"], told["stage"]) == ("upstream_busy", "connect")
    first.quit()
    one.wait_ended()
    tap.wait("close", side="upstream")
    c = tap.client()
    c.ehlo()


def test_failed_server_rests(world):
    bad, good = world.mta(greeting=b"450 4.3.2 busy\r\n"), world.mta()
    tap = world.tap([bad, good], {"upstream": {"health": {"failures": 2, "rest": "60s", "probe": "60s"}}, "workers": 1})
    for _ in range(6):
        c = tap.client()
        c.ehlo()
        c.quit()
    assert len(bad.sessions) == 2, "a failed server was asked again before its rest was over"
