"""Tables G, H, M, P, C, L, D, B of the protocol contract through the real program: commands in, replies and the
upstream's bytes out. Rows share one program; each has its own session."""
import itertools
import re

import pytest

from harness.client import SMALL
from harness.mta import CLOSE, RST
from harness.util import wait_until

HI = b"EHLO client.example\r\n"
FULL = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"


def codes(replies):
    return [r.code for r in replies]


def session(tap, greet=True):
    c = tap.client()
    assert c.greeting.code == 220
    if greet:
        c.ehlo()
    return c


def upstream_of(up, c, tap):
    """The scripted upstream's session that belongs to this client."""
    cid = tap.cid_of(c)
    port = tap.wait("connection", side="upstream", cid=cid)["local_port"]
    return next(s for s in reversed(up.sessions) if s.peer_port == port)  # the newest: ports are used again


# G, H


def test_g1_greeting(tap, up):
    sessions = len(up.sessions)
    c = tap.client()
    assert c.greeting.raw == b"220 tap.example ESMTP\r\n"
    record = tap.wait("connection", side="client", port=c.local_port)
    assert record["host"] == "127.0.0.1" and record["local_port"] == tap.port
    assert len(up.sessions) == sessions, "the upstream was bothered before HELO"
    c.quit()
    assert tap.closed(c)["reason"] == "quit"
    assert len(up.sessions) == sessions


@pytest.mark.parametrize("banner, expected", [("", b"220 tap.example ESMTP\r\n"),
                                              ("Hello there", b"220 tap.example ESMTP Hello there\r\n")])
def test_g1_banner(world, banner, expected):
    tap = world.tap(world.mta(), {"server": {"banner": banner}})
    assert tap.client().greeting.raw == expected


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS", "DELETE", "PATCH", "TRACE"])
@pytest.mark.parametrize("when", ["first", "after-ehlo"])
def test_g6_other_protocols(tap, verb, when):
    c = session(tap, when != "first")
    c.send(f"{verb} / HTTP/1.1\r\nHost: x\r\nMAIL FROM:<a@b.example>\r\n\r\n".encode())
    c.expect(421, "4.7.0")
    c.eof()
    assert tap.closed(c)["reason"] == "protocol"


def test_g6_tls_on_a_plain_port(tap):
    c = session(tap, False)
    c.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200))
    c.expect(421, "4.7.0")
    c.eof()
    assert tap.closed(c)["reason"] == "protocol"


def test_g2_early_bytes_are_ordinary_without_delay(tap):
    c = tap.client(greet=False)
    c.send(HI + b"NOOP\r\n")
    assert codes([c.reply() for _ in range(3)]) == [220, 250, 250]


def test_h1_ehlo_first_line_and_keywords(tap):
    c = session(tap, False)
    lines = c.cmd("EHLO pc.client.example", 250).lines
    assert lines[0] == b"tap.example Nice to meet you, [127.0.0.1]"
    words = {x.split()[0] for x in lines[1:]}
    assert {b"PIPELINING", b"8BITMIME", b"SMTPUTF8", b"ENHANCEDSTATUSCODES", b"DSN", b"SIZE"} <= words
    assert not words & {b"STARTTLS", b"AUTH", b"XCLIENT", b"XFORWARD", b"REQUIRETLS"}
    assert len(words) == len(lines) - 1, "a keyword stands twice"
    assert b"SIZE 52428800" in lines


@pytest.mark.parametrize("name", ["client.example", "[192.0.2.1]", "[IPv6:2001:db8::1]", "x_y", "a..b", "-",
                                  "localhost", "a b", "\u00fcber.example", "x" * 255])
@pytest.mark.parametrize("verb", ["EHLO", "HELO", "ehlo", "HeLo"])
def test_h1_h2_names(tap, name, verb):
    reply = session(tap, False).cmd(f"{verb} {name}", 250)
    assert reply.lines[0].startswith(b"tap.example ")
    assert (len(reply.lines) == 1) == (verb.upper() == "HELO")


@pytest.mark.parametrize("line", [b"EHLO", b"HELO", b"EHLO ", b"HELO  ", b"EHLO a\x01b", b"HELO a\x7f",
                                  b"EHLO " + b"x" * 256])
def test_h3_bad_names(tap, line):
    c = session(tap, False)
    c.cmd(line, 501, "5.5.4")
    c.cmd("MAIL FROM:<a@b.example>", 503, "5.5.1")


@pytest.mark.parametrize("line", ["MAIL FROM:<a@b.example>", "RCPT TO:<a@b.example>", "DATA"])
def test_h4_before_helo(tap, line):
    c = session(tap, False)
    c.cmd(line, 503, "5.5.1")
    c.quit()
    messages = [r for r in tap.session(c) if r["tnx"] == "message"]
    assert len(messages) == (1 if line.startswith("MAIL") else 0)
    assert all(m["stage"] == "mail" and m["decided_by"] == "smtptap" for m in messages)


@pytest.mark.parametrize("line, expected", [("NOOP", 250), ("RSET", 250), ("HELP", 214), ("VRFY x", 252),
                                            ("STARTTLS", 503)])
def test_h4_what_works_before_helo(tap, line, expected):
    reply = session(tap, False).cmd(line)
    assert reply.code == expected or (line == "STARTTLS" and reply.code in (502, 503))


@pytest.mark.parametrize("verb", ["EHLO", "HELO"])
def test_h5_again_resets(tap, up, verb):
    c = session(tap)
    c.mail()
    c.rcpt()
    c.cmd(f"{verb} again.example", 250)
    c.cmd("RCPT TO:<a@b.example>", 503, "5.5.1")
    assert c.deliver().code == 250
    c.quit()
    first, second = [r for r in tap.session(c) if r["tnx"] == "message"]
    assert (first["status"], first["decided_by"]) == ("reset", "client")
    assert second["status"] == "accepted" and second["helo"] == "again.example"
    assert second["protocol"] == ("ESMTP" if verb == "EHLO" else "SMTP")


def test_h6_lhlo(tap):
    session(tap, False).cmd("LHLO client.example", 500, "5.5.1")


@pytest.mark.parametrize("hidden, gone, kept", [
    (["PIPELINING"], b"PIPELINING", None), (["SMTPUTF8"], b"SMTPUTF8", "MAIL FROM:<\u00fc@b.example> SMTPUTF8"),
    (["SIZE"], b"SIZE", "MAIL FROM:<a@b.example> SIZE=100"), (["8BITMIME"], b"8BITMIME",
                                                              "MAIL FROM:<a@b.example> BODY=8BITMIME"),
    (["DSN"], b"DSN", "MAIL FROM:<a@b.example> RET=HDRS")])
def test_h8_hidden_is_still_honoured(world, hidden, gone, kept):
    tap = world.tap(world.mta(), {"server": {"hide_extensions": hidden}})
    c = tap.client()
    assert gone not in {x.split()[0] for x in c.ehlo().lines}
    if kept:
        c.cmd(kept, 250)


@pytest.mark.parametrize("ehlo, absent, refused", [
    (["PIPELINING", "8BITMIME"], b"SMTPUTF8", "MAIL FROM:<a@b.example> SMTPUTF8"),
    (["PIPELINING"], b"8BITMIME", "MAIL FROM:<a@b.example> BODY=8BITMIME"),
    (["8BITMIME"], b"DSN", "MAIL FROM:<a@b.example> RET=FULL"),
    (["8BITMIME"], b"SIZE", "MAIL FROM:<a@b.example> SIZE=10"),
    ([], b"ENHANCEDSTATUSCODES", None)])
def test_h8_offered_is_what_the_upstream_has(world, ehlo, absent, refused):
    mta = world.mta(ehlo=ehlo)
    c = world.tap(mta).client()
    words = {x.split()[0] for x in c.ehlo().lines[1:]}
    assert absent not in words and b"PIPELINING" in words
    if refused:
        c.cmd(refused, 555, "5.5.4")
    assert c.deliver().code == 250


@pytest.mark.parametrize("ours, theirs, received, shown", [
    (0, "SIZE 1000000", "off", b"SIZE 1000000"), (500000, "SIZE 1000000", "off", b"SIZE 500000"),
    (2000000, "SIZE 1000000", "off", b"SIZE 1000000"), (0, "SIZE 1000000", "on", b"SIZE 997952"),
    (0, "SIZE", "off", b"SIZE"),
    (0, "SIZE 0", "off", b"SIZE"), (500000, "SIZE 0", "off", b"SIZE 500000"), (500000, "DSN", "off", b"SIZE 500000"),
    (0, "DSN", "off", None)])
def test_h8_size(world, ours, theirs, received, shown):
    tap = world.tap(world.mta(ehlo=["PIPELINING", theirs]), {"server": {"max_message_size": ours,
                                                                        "received_header": received}})
    sizes = [x for x in tap.client().ehlo().lines if x.split()[0] == b"SIZE"]
    assert sizes == ([shown] if shown else [])


def test_h8_unknown_keywords_stay_behind(world):
    tap = world.tap(world.mta(ehlo=["PIPELINING", "XCLIENT NAME ADDR", "X-SECRET a", "CHUNKING", "BINARYMIME",
                                    "AUTH PLAIN", "STARTTLS",
                                    "BURL", "FUTURERELEASE 1 2", "ETRN", "AUTH=LOGIN"]))
    words = {x.split()[0] for x in tap.client().ehlo().lines[1:]}
    assert not words & {b"XCLIENT", b"X-SECRET", b"AUTH", b"STARTTLS", b"BURL", b"FUTURERELEASE", b"AUTH=LOGIN"}


# M, P


SENDERS = [
    # address with its brackets as sent, strict code, lenient code, as it goes upstream (None: as sent)
    (b"<a@b.example>", 250, 250, None), (b"<\"q \\\"x\\\" y\"@b.example>", 250, 250, None),
    (b"<a@[192.0.2.1]>", 250, 250, None),
    (b"<a@[IPv6:2001:db8::1]>", 250, 250, None), (b"<>", 250, 250, None),
    (b"<@a.example,@b.example:u@c.example>", 250, 250, b"<u@c.example>"),
    (b"<user>", 501, 250, None), (b" <a@b.example>", 250, 250, b"<a@b.example>"),
    (b"a@b.example", 501, 250, b"<a@b.example>"),
    (b"<a.@b.example>", 501, 250, None), (b"<a..b@c.example>", 501, 250, None), (b"<a@b_c.example>", 501, 250, None),
    (b"<.a@b.example>", 501, 250, None), (b"<" + b"l" * 65 + b"@b.example>", 250, 250, None),
    (b"<a@" + b"d" * 63 + b"." + b"e" * 63 + b"." + b"f" * 63 + b"." + b"g" * 63 + b">", 501, 250, None),
    (b"<a\x01@b.example>", 501, 501, None), (b"<a\x7f@b.example>", 501, 501, None),
    (b"<\"a\x08b\"@c.example>", 501, 501, None),
    (b"<\"a\\\x02b\"@c.example>", 501, 501, None), ("<a\u0085@b.example>".encode(), 501, 501, None),
    ("<a\u200b@b.example>".encode(), 501, 501, None), ("<a\u2060@b.example>".encode(), 501, 501, None),
    ("<a\ufeff@b.example>".encode(), 501, 501, None), (b"<a>b@c.example>", 501, 501, None),
    (b"<a b@c.example>", 501, 501, None),
    (b"<\"a@b.example>", 501, 501, None), (b"<a@b.example>x", 501, 501, None), (b"<a@b.example", 501, 501, None),
]


@pytest.fixture(scope="module")
def strict_world():
    from harness.world import World
    w = World()
    w.up = w.mta()
    w.proxy = w.tap(w.up, {"server": {"lenient_addresses": False}})
    yield w
    w.end(False)


@pytest.mark.parametrize("what", ["sender", "recipient"])
@pytest.mark.parametrize("row", SENDERS, ids=lambda r: repr(r[0][:24])[1:])
@pytest.mark.parametrize("mode", ["strict", "lenient"])
def test_p_addresses(shared, strict_world, row, mode, what):
    where = shared if mode == "lenient" else strict_world
    tap, up = where.proxy, where.up
    path, strict, lenient, sent = row
    code = strict if mode == "strict" else lenient
    if path == b"<>" and what == "recipient":
        code = 501
    c = session(tap)
    if what == "recipient":
        c.mail("s@x.example")
    verb = b"MAIL FROM:" if what == "sender" else b"RCPT TO:"
    reply = c.cmd(verb + path)
    assert reply.code == code, reply
    if code == 501:
        assert reply.enhanced == ("5.1.7" if what == "sender" else "5.1.3")
    wire = upstream_of(up, c, tap).commands
    mine = [x for x in wire if x.startswith(verb) and x != b"MAIL FROM:<s@x.example>"]
    assert mine == ([verb + (sent or path)] if code == 250 else [])
    c.quit()
    message = next(r for r in tap.session(c) if r["tnx"] == "message")
    shown = path.strip()
    if code == 250:
        shown = shown[1:-1] if shown.startswith(b"<") else shown
        got = message["mail_from"] if what == "sender" else message["rcpt_to"][0]
        assert got == shown.decode()


@pytest.mark.parametrize("name", ["postmaster", "Postmaster", "POSTMASTER"])
def test_p3_postmaster(strict_world, name):
    c = session(strict_world.proxy)
    c.mail()
    c.cmd(f"RCPT TO:<{name}>", 250)


@pytest.mark.parametrize("lenient, path, params, code, enhanced", [
    (True, "\u00fc@b.example".encode(), b"", 250, None), (True, b"\xff\xfe@b.example", b"", 553, "5.6.7"),
    (False, "\u00fc@b.example".encode(), b"", 553, "5.6.7"), (False, "\u00fc@b.example".encode(), b" SMTPUTF8", 250,
                                                              None),
    (False, b"\xff@b.example", b" SMTPUTF8", None, None)])
def test_m9_utf8(shared, strict_world, lenient, path, params, code, enhanced):
    c = session((shared if lenient else strict_world).proxy)
    reply = c.cmd(b"MAIL FROM:<" + path + b">" + params)
    if code:
        assert (reply.code, enhanced or reply.enhanced) == (code, reply.enhanced)
    else:
        assert reply.code in (501, 553)


PARAMS = [
    (b"MAIL", b"SIZE=1000", 250), (b"MAIL", b"size=1000", 250), (b"MAIL", b"SIZE=52428801", 552),
    (b"MAIL", b"SIZE=", 501), (b"MAIL", b"SIZE=x", 501),
    (b"MAIL", b"SIZE=1 SIZE=2", 501), (b"MAIL", b"SIZE=99999999999999999999999", None), (b"MAIL", b"BODY=7BIT", 250),
    (b"MAIL", b"BODY=8BITMIME", 250), (b"MAIL", b"BODY=8bitmime", 250),
    (b"MAIL", b"BODY=NONSENSE", 501), (b"MAIL", b"BODY=BINARYMIME", None), (b"MAIL", b"SMTPUTF8", 250),
    (b"MAIL", b"SMTPUTF8=1", 501), (b"MAIL", b"RET=FULL", 250),
    (b"MAIL", b"RET=HDRS ENVID=QQ314159", 250), (b"MAIL", b"RET=BOTH", 501), (b"MAIL", b"ENVID=" + b"x" * 100, 250),
    (b"MAIL", b"ENVID=" + b"x" * 101, 501),
    (b"MAIL", b"ENVID=a+zz", 501), (b"MAIL", b"NOTIFY=NEVER", 555), (b"MAIL", b"FOO", 555), (b"MAIL", b"FOO=bar", 555),
    (b"MAIL", b"AUTH=<>", 250), (b"MAIL", b"REQUIRETLS", 555),
    (b"RCPT", b"NOTIFY=NEVER", 250), (b"RCPT", b"NOTIFY=SUCCESS,FAILURE,DELAY", 250), (b"RCPT", b"notify=success", 250),
    (b"RCPT", b"NOTIFY=NEVER,SUCCESS", 501), (b"RCPT", b"NOTIFY=", 501),
    (b"RCPT", b"NOTIFY=SOMETIMES", 501), (b"RCPT", b"ORCPT=rfc822;b+2Bc@d.example", 250),
    (b"RCPT", b"ORCPT=rfc822", 501), (b"RCPT", b"ORCPT=rfc822;a+0Ab", 501),
    (b"RCPT", b"ORCPT=rfc822;" + b"x" * 600, 501), (b"RCPT", b"SIZE=1", 555), (b"RCPT", b"BODY=7BIT", 555),
    (b"RCPT", b"FOO=1", 555), (b"RCPT", b"NOTIFY=NEVER NOTIFY=NEVER", 501),
]


@pytest.mark.parametrize("verb, params, code", PARAMS, ids=lambda v: v.decode()[:40] if isinstance(v, bytes)
                         else str(v))
def test_m_parameters(tap, up, verb, params, code):
    c = session(tap)
    if verb == b"RCPT":
        c.mail("s@x.example")
    line = verb + (b" FROM:<a@b.example> " if verb == b"MAIL" else b" TO:<a@b.example> ") + params
    reply = c.cmd(line)
    if code is None:
        assert reply.code in (501, 552, 555)
    else:
        assert reply.code == code, reply
    if reply.code == 555 or reply.code == 501:
        assert reply.enhanced == "5.5.4"
    if reply.code == 552:
        assert reply.enhanced == "5.3.4"
    if params == b"AUTH=<>":  # no AUTH upstream: dropped (M8)
        line = line.replace(b" AUTH=<>", b"")
    if code == 250:
        assert line in upstream_of(up, c, tap).commands, "parameters were changed"


@pytest.mark.parametrize("line, code, enhanced", [
    ("MAIL", 501, None), ("MAIL <a@b.example>", 501, "5.1.7"), ("MAIL TO:<a@b.example>", 501, "5.1.7"),
    ("MAIL FROM", 501, "5.1.7"), ("MAIL FROM:", 501, "5.1.7"),
    ("mail from:<a@b.example>", 250, None), ("MAIL  FROM:<a@b.example>", 250, None),
    ("MAIL\tFROM:<a@b.example>", 250, None),
    ("MAIL FROM:<a@b.example> ", 250, None), ("MAIL FROM :<a@b.example>", None, None)])
def test_m2_mail_syntax(tap, line, code, enhanced):
    c = session(tap)
    reply = c.cmd(line)
    assert reply.code in ((250, 501) if code is None else (code,))
    assert enhanced is None or reply.enhanced == enhanced
    c.quit()
    messages = [r for r in tap.session(c) if r["tnx"] == "message"]
    assert len(messages) == 1
    if reply.code == 501:
        assert (messages[0]["stage"], messages[0]["status"], messages[0]["decided_by"]) == ("mail", "rejected",
                                                                                            "smtptap")
        assert messages[0]["class"] in ("protocol", "bad-sender")


def test_m1_sequence(tap):
    c = session(tap)
    c.cmd("RCPT TO:<a@b.example>", 503, "5.5.1")
    c.mail()
    c.cmd("MAIL FROM:<x@y.example>", 503, "5.5.1")
    c.rcpt()
    c.cmd("MAIL FROM:<x@y.example>", 503, "5.5.1")
    c.cmd("DATA", 354)
    c.cmd(SMALL + b".", 250)
    c.cmd("RCPT TO:<a@b.example>", 503, "5.5.1")
    c.quit()
    assert [r["status"] for r in tap.session(c) if r["tnx"] == "message"] == ["accepted"]


def test_m12_refused_mail_is_relayed_and_ends_it(tap):
    c = session(tap)
    reply = c.cmd("MAIL FROM:<c550@b.example>", 550, "5.1.1")
    assert reply.raw == b"550 5.1.1 asked for by the address\r\n"
    c.cmd("RCPT TO:<a@b.example>", 503, "5.5.1")
    assert c.cmd("MAIL FROM:<c451@b.example>").code == 451
    assert c.deliver().code == 250
    c.quit()
    got = [(r["status"], r["stage"], r["decided_by"]) for r in tap.session(c) if r["tnx"] == "message"]
    assert got == [("rejected", "mail", "upstream"), ("deferred", "mail", "upstream"), ("accepted", "end", "upstream")]


def test_m13_parameters_after_helo(tap):
    c = session(tap, False)
    c.cmd("HELO client.example", 250)
    c.cmd("MAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME", 250)


def test_size_is_dropped_where_the_upstream_lacks_it(world):
    mta = world.mta(ehlo=["PIPELINING"])
    tap = world.tap(mta, {"server": {"max_message_size": 100000}})
    c = tap.client()
    c.ehlo()
    c.cmd("MAIL FROM:<a@b.example> SIZE=1000", 250)
    assert b"MAIL FROM:<a@b.example>" in mta.sessions[0].commands


# C


@pytest.mark.parametrize("line, code, enhanced", [
    (b"RSET", 250, "2.0.0"), (b"RSET x", 501, "5.5.4"), (b"NOOP", 250, "2.0.0"),
    (b"NOOP any text at all", 250, "2.0.0"), (b"VRFY x", 252, "2.5.0"),
    (b"VRFY", 501, "5.5.4"), (b"HELP", 214, "2.0.0"), (b"HELP MAIL", 214, "2.0.0"), (b"EXPN x", 502, "5.5.1"),
    (b"TURN", 502, "5.5.1"), (b"SEND FROM:<a@b>", 502, "5.5.1"),
    (b"SOML FROM:<a@b>", 502, "5.5.1"), (b"SAML FROM:<a@b>", 502, "5.5.1"), (b"ETRN x.example", 502, "5.5.1"),
    (b"XYZZY", 500, "5.5.1"), (b"", 500, "5.5.1"),
    (b" NOOP", 500, "5.5.2"), (b"\tNOOP", 500, "5.5.2"), (b"NOOP\tx", 250, "2.0.0"), (b"noop", 250, "2.0.0"),
    (b"NoOp", 250, "2.0.0"), (b"DATA x", 501, "5.5.4"),
    (b"QUIT x", 501, "5.5.4"), (b"MAILFROM:<a@b.example>", 500, "5.5.1"), (b"NOOPX", 500, "5.5.1"),
    (b"\xc3\xa4\xff", 500, None), (b"N\x00OP", 500, "5.5.2"),
    (b"NO\rOP", 500, "5.5.2"), (b"AUTH PLAIN", 502, "5.5.1"), (b"STARTTLS", 502, "5.5.1"),
    (b"XCLIENT NAME=x", 550, "5.7.0"), (b"XFORWARD NAME=x", 550, "5.7.0"),
    (b"BDAT 0", 502, "5.5.1"), (b"BDAT 0 LAST", 502, "5.5.1")])
def test_c_commands(tap, up, line, code, enhanced):
    c = session(tap)
    sessions = upstream_of(up, c, tap)
    before = len(sessions.commands)
    reply = c.cmd(line)
    assert reply.code == code, reply
    assert enhanced is None or reply.enhanced == enhanced
    assert not re.search(rb"XYZZY|\xc3\xa4", reply.raw), "an unknown line was echoed"
    c.cmd("NOOP", 250)
    assert len(sessions.commands) == before, "the upstream was bothered"


@pytest.mark.parametrize("disabled", ["VRFY", "HELP", "NOOP", "ETRN"])
def test_c5_disabled_commands(world, disabled):
    tap = world.tap(world.mta(), {"server": {"disabled_commands": [disabled]}})
    c = tap.client()
    c.ehlo()
    c.cmd(f"{disabled} x", 502, "5.5.1")


def test_c1_rset_goes_up_only_with_a_transaction(tap, up):
    c = session(tap)
    c.cmd("RSET", 250)
    s = upstream_of(up, c, tap)
    assert b"RSET" not in s.commands
    c.mail()
    c.cmd("RSET", 250, "2.0.0")
    up.wait(lambda m: b"RSET" in s.commands, "RSET upstream")
    c.quit()
    m = [r for r in tap.session(c) if r["tnx"] == "message"][0]
    assert (m["status"], m["decided_by"], m["rcpt_count"]) == ("reset", "client", 0)


@pytest.mark.parametrize("answer", [b"500 no\r\n", b"421 4.3.2 bye\r\n", CLOSE, RST])
def test_c1_failure_of_rset_upstream_is_ours_to_bear(world, answer):
    mta = world.mta(rset=answer)
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    c.mail()
    c.cmd("RSET", 250, "2.0.0")
    assert c.deliver().code == 250
    assert len(mta.sessions) == 2


def test_c7_quit_in_a_transaction(tap):
    c = session(tap)
    c.mail()
    c.rcpt()
    c.quit()
    m = [r for r in tap.session(c) if r["tnx"] == "message"][0]
    assert (m["status"], m["decided_by"]) == ("reset", "client")
    assert tap.closed(c)["reason"] == "quit"


def test_c9_long_lines(tap):
    c = session(tap)
    c.send(b"NOOP " + b"x" * 100000 + b"\r\n")
    c.expect(500, "5.5.2")
    c.cmd("NOOP", 250)
    c.send(b"MAIL FROM:<" + b"x" * 3000 + b"@b.example>\r\n")
    c.expect(421, "4.7.0")
    c.eof()


@pytest.mark.parametrize("length, ok", [(2048, True), (2049, False)])
def test_c9_limit_counts_the_line_end(tap, length, ok):
    c = session(tap)
    c.send(b"NOOP " + b"x" * (length - 7) + b"\r\n")
    c.expect(250 if ok else 500)


@pytest.mark.parametrize("limit", [1, 3, 10])
def test_c10_unrecognized_commands(world, limit):
    tap = world.tap(world.mta(), {"limits": {"max_unrecognized_commands": limit}})
    c = tap.client()
    c.ehlo()
    for _ in range(limit):
        c.cmd("XYZZY", 500, "5.5.1")
    c.cmd("XYZZY", 421, "4.7.0")
    c.eof()
    assert tap.closed(c)["reason"] in ("limit", "protocol")


@pytest.mark.parametrize("verb", ["DATA", "RSET", "QUIT"])
def test_c12_no_argument_allowed(tap, verb):
    c = session(tap)
    c.mail()
    c.rcpt()
    c.cmd(f"{verb} now", 501, "5.5.4")
    c.cmd("DATA", 354)
    c.cmd(SMALL + b".", 250)


# B: not offered


def test_b1_bdat_is_swallowed(tap, up):
    c = session(tap)
    c.mail()
    c.rcpt()
    chunk = b"QUIT\r\nRSET\r\nMAIL FROM:<smuggled@x.example>\r\n.\r\n"
    c.send(b"BDAT %d LAST\r\n" % len(chunk) + chunk + b"NOOP\r\n")
    c.expect(502, "5.5.1")
    c.expect(250)
    c.quit()
    wire = bytes(upstream_of(up, c, tap).wire)
    assert b"smuggled" not in wire and b"BDAT" not in wire


@pytest.mark.parametrize("cut", range(0, 34, 3))
def test_b1_bdat_is_swallowed_however_it_is_cut(tap, cut):
    c = session(tap)
    data = b"BDAT 20\r\nQUIT\r\nQUIT\r\nabcdefgh" + b"NOOP\r\n"
    c.send_cut(data, cut, cut + 1)
    c.expect(502, "5.5.1")
    c.expect(250)


@pytest.mark.parametrize("argument", ["", " x", " -1", " 9223372036854775808", " 10 FIRST", " 1e3", " 0x10",
                                      " 10 LAST LAST"])
def test_b7_border_unknown(tap, argument):
    c = session(tap)
    c.send(f"BDAT{argument}\r\nMAIL FROM:<a@b.example>\r\n".encode())
    c.expect(521, "5.5.4")
    c.eof()
    assert tap.closed(c)["reason"] == "protocol"


def test_b1_unending_chunk_keeps_memory_bounded(tap):
    c = session(tap)
    c.send(b"BDAT 9223372036854775807\r\n")
    for _ in range(64):
        c.send(b"x" * 65536)
    c.close()
    tap.closed(c)


# L


BATCH = (HI + b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c550@d.example>\r\nRCPT TO:<e@f.example>\r\nNOOP\r\nDATA\r\n"
         b"Subject: p\r\n\r\n..x\r\n.\r\nVRFY a\r\nXYZZY\r\nMAIL FROM:<g@h.example>\r\nRSET\r\nQUIT\r\n")
BATCH_CODES = [220, 250, 250, 550, 250, 250, 354, 250, 252, 500, 250, 250, 221]


@pytest.mark.parametrize("cut", range(1, len(BATCH), 4))
def test_l_pipelining_cut_anywhere(tap, up, cut):
    c = tap.client(greet=False)
    c.send_cut(BATCH, cut, cut + 1)
    assert codes([c.reply() for _ in BATCH_CODES]) == BATCH_CODES
    c.eof()
    s = upstream_of(up, c, tap)
    assert [m["raw"] for m in s.messages] == [b"Subject: p\r\n\r\n..x\r\n"]


def test_l_byte_by_byte(tap):
    c = tap.client(greet=False)
    for i in range(len(BATCH)):
        c.send(BATCH[i:i + 1])
    assert codes([c.reply() for _ in BATCH_CODES]) == BATCH_CODES
    c.eof()


def test_l_message_behind_a_refused_data_is_commands(world):
    mta = world.mta(data=b"451 4.3.0 not now\r\n")
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    c.send(FULL + b"DATA\r\nSubject: x\r\n\r\nMAIL FROM:<evil@b.example>\r\n.\r\nQUIT\r\n")
    got = codes([c.reply() for _ in range(8)])
    assert got == [250, 250, 451, 500, 500, 250, 500, 221]
    c.eof()


def test_l_data_pipelined_behind_all_refused(tap, up):
    c = session(tap)
    c.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c550@x.example>\r\nRCPT TO:<c450@x.example>\r\nDATA\r\nRSET\r\nNOOP\r\n")
    assert codes([c.reply() for _ in range(6)]) == [250, 550, 450, 554, 250, 250]
    s = upstream_of(up, c, tap)
    assert b"DATA" not in s.commands, "DATA left without an accepted recipient"
    m = tap.message(cid=tap.cid_of(c))
    assert (m["status"], m["stage"], m["code"], m["decided_by"]) == ("deferred", "rcpt", 450, "upstream")


def test_l_many_recipients_in_one_group(tap):
    c = session(tap)
    c.send(b"MAIL FROM:<a@b.example>\r\n" + b"".join(b"RCPT TO:<r%d@x.example>\r\n" % i
                                                     for i in range(500)) + b"DATA\r\n")
    assert codes([c.reply() for _ in range(502)]) == [250] * 501 + [354]
    c.cmd(SMALL + b".", 250)
    m = tap.message(cid=tap.cid_of(c))
    assert m["rcpt_count"] == m["rcpt_accepted"] == 500


@pytest.mark.parametrize("tail, expected", [
    (b"", [250]), (b"NOOP\r\n", [250, 250]), (b"NOOP\r\nNOO", [250, 250]), (FULL, [250, 250, 250]),
    (FULL + b"DATA\r\n", [250, 250, 250, 354]),
    (FULL + b"DATA\r\nx\r\n.\r\n", [250, 250, 250, 354, 250]),
    (FULL + b"DATA\r\nx\r\n.\r\nQUIT\r\n", [250, 250, 250, 354, 250, 221]),
    (FULL + b"DATA\r\nx\r\n.\r", [250, 250, 250, 354])])
def test_l_half_close(tap, tail, expected):
    c = session(tap, False)
    c.send(HI + tail).half_close()
    assert codes([c.reply() for _ in expected]) == expected
    c.eof()
    records = tap.session(c)
    for m in (r for r in records if r["tnx"] == "message"):
        assert m["status"] == ("accepted" if b".\r\n" in tail else "aborted")
    assert records[-1]["tnx"] == "close" or any(r["tnx"] == "close" and r["side"] == "client" for r in records)


# D


def test_d1_data_without_recipients(tap, up):
    c = session(tap)
    c.cmd("DATA", 503, "5.5.1")
    c.mail()
    c.cmd("DATA", 503, "5.5.1")
    c.rcpt()
    c.cmd("DATA", 354)
    c.cmd(SMALL + b".", 250)


@pytest.mark.parametrize("refusals, status, code", [
    (["c550", "c551"], "rejected", 551), (["c450", "c550"], "deferred", 450),
    (["c550", "c450", "c553"], "deferred", 450), (["c450", "c451"], "deferred", 451)])
@pytest.mark.parametrize("end", ["DATA", "RSET", "QUIT", "close"])
def test_d1_all_refused(tap, up, refusals, status, code, end):
    c = session(tap)
    c.mail()
    for r in refusals:
        c.cmd(f"RCPT TO:<{r}@x.example>", int(r[1:]))
    s = upstream_of(up, c, tap)
    if end == "DATA":
        c.cmd("DATA", 554, "5.5.1")
        c.cmd("RCPT TO:<a@b.example>", 503)
        up.wait(lambda m: b"RSET" in s.commands, "RSET upstream")
    elif end == "close":
        c.close()
    else:
        c.cmd(end)
    cid = tap.cid_of(c)
    m = tap.message(cid=cid)
    assert (m["status"], m["stage"], m["code"], m["decided_by"]) == (status, "rcpt", code, "upstream")
    assert b"DATA" not in s.commands


@pytest.mark.parametrize("reply, code, status", [(b"550 5.7.1 no data for you\r\n", 550, "rejected"),
                                                 (b"451-4.3.0 not\r\n451 4.3.0 now\r\n", 451, "deferred")])
def test_d2_refused_data(world, reply, code, status):
    mta = world.mta(data=reply)
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    c.mail()
    c.rcpt()
    assert c.cmd("DATA", code).raw == reply
    c.cmd("RCPT TO:<a@b.example>", 503)
    m = tap.message()
    assert (m["status"], m["stage"], m["decided_by"]) == (status, "data", "upstream")
    assert m["recipients"][0]["status"] == status


CONTENT = [
    b"", b"x\r\n", b"\r\n", b".x\r\n", b"..\r\n", b"...\r\n", b". \r\n", b"x\r\n.\x00\r\n", b"a" * 998 + b"\r\n",
    b"a" * 5000 + b"\r\n", b"a" * 200000 + b"\r\n", bytes(range(128, 256)) + b"\r\n",
    b"\x00\x00\r\n", b"x\r\n\r\n\r\n", b".\t\r\n", b"Subject: " + b"h" * 20000 + b"\r\n\r\nx\r\n", b"no header at all",
    b" .\r\n",
]


@pytest.mark.parametrize("content", CONTENT, ids=lambda x: repr(x[:12])[2:-1] + f"-{len(x)}")
@pytest.mark.parametrize("body", ["", " BODY=7BIT", " BODY=8BITMIME"])
def test_d3_any_content(tap, up, content, body):
    if content and not content.endswith(b"\r\n"):
        content += b"\r\n"
    stuffed = re.sub(rb"(?m)^\.", b"..", content)
    c = session(tap)
    c.mail(params=body)
    c.rcpt()
    c.cmd("DATA", 354)
    c.send(stuffed + b".\r\n")
    c.expect(250)
    s = upstream_of(up, c, tap)
    wait_until(lambda: s.messages, "the message")
    assert s.messages[0]["raw"] == stuffed
    assert tap.message(cid=tap.cid_of(c))["size"] == len(content)


def test_d3_unneeded_dots_are_removed(tap, up):
    """A line that begins with a dot and is no lone dot has been stuffed, whatever follows (RFC 5321, 4.5.2)."""
    c = session(tap)
    assert c.deliver(b".a\r\n..b\r\n").code == 250
    s = upstream_of(up, c, tap)
    assert s.messages[0]["raw"] == b"a\r\n..b\r\n"


@pytest.mark.parametrize("where", ["start", "middle", "end"])
@pytest.mark.parametrize("pad", range(-4, 5))
def test_d3_dots_at_buffer_borders(tap, up, where, pad):
    """Dots and line ends around the sizes that buffers usually have."""
    lines = []
    for size in (4096, 8192, 16384, 65536):
        line = b"x" * (size + pad)
        lines.append({"start": b"." + line, "middle": line + b"\r\n.\r\n..", "end": line + b"."}[where])
    content = b"\r\n".join(lines) + b"\r\n"
    stuffed = re.sub(rb"(?m)^\.", b"..", content)
    c = session(tap)
    assert c.deliver(stuffed).code == 250
    assert upstream_of(up, c, tap).messages[0]["raw"] == stuffed


def test_d4_too_big(world):
    mta = world.mta()
    tap = world.tap(mta, {"server": {"max_message_size": 10000}})
    c = tap.client()
    c.ehlo()
    reply = c.deliver(b"x" * 70 * 200 + b"\r\n")
    assert (reply.code, reply.enhanced) == (552, "5.3.4")
    assert mta.wait_ended() in ("fin", "rst")
    assert not mta.messages, "the upstream got the end of data"
    m = tap.message()
    assert (m["status"], m["decided_by"], m["class"], m["code"]) == ("rejected", "smtptap", "size", 552)
    assert c.deliver(b"x\r\n").code == 250


@pytest.mark.parametrize("size, code", [(9999, 250), (10000, 250), (10001, 552)])
def test_d4_the_border(world, size, code):
    tap = world.tap(world.mta(), {"server": {"max_message_size": 10000}})
    c = tap.client()
    c.ehlo()
    content = (b"y" * 98 + b"\r\n") * 99
    content += b"z" * (size - len(content) - 2) + b"\r\n"
    assert len(content) == size
    assert c.deliver(content).code == code
    assert tap.message()["size"] >= min(size, 10000)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("when", [b"", b"Subject: x\r\n", b"Subject: x\r\n\r\nhalf a li", b"Subject: x\r\n\r\nx\r\n.",
                                  b"Subject: x\r\n\r\nx\r\n.\r"])
def test_d7_client_lost_before_the_dot(world, how, when):
    mta = world.mta()
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    c.begin()
    c.send(when).drained()
    getattr(c, how)()
    assert mta.wait_ended() in ("fin", "rst")
    assert not mta.messages
    m = tap.message()
    assert (m["status"], m["decided_by"], m["client_replied"]) == ("aborted", "client", False)
    assert m["stage"] in ("data", "transfer")
    assert tap.closed(c)["reason"] == "gone"


def test_record_of_a_plain_delivery(tap, up):
    c = session(tap)
    assert c.deliver(b"Message-ID: <id-1@client.example>\r\nFrom: A <a@client.example>\r\nSubject: secret subject\r\n\r\nx\r\n").code == 250
    c.quit()
    records = tap.session(c)
    m = next(r for r in records if r["tnx"] == "message")
    s = upstream_of(up, c, tap)
    assert m["queue_id"] == s.messages[0]["queue_id"] and m["message_id"] == "<id-1@client.example>"
    assert m["headers"]["from"] == "A <a@client.example>" and "subject" not in m and "secret" not in str(records)
    assert (m["host"], m["helo"], m["protocol"], m["client_replied"]) == ("127.0.0.1", "client.example", "ESMTP", True)
    assert m["tls"] == {"used": False} and m["upstream"]["port"] == up.port and m["upstream"]["tls"]["used"] is False
    assert m["upstream"]["attempts"] == 1 and m["upstream"]["identity"] == "none" and m["upstream"]["reused"] is False
    assert m["timing"]["total"] >= m["timing"]["end"] >= 0
    assert m["tid"] == m["cid"] + ".1"
    lines = [r["line"] for r in records if r["tnx"] == "command" and r["side"] == "client"]
    assert lines == ["EHLO client.example", "MAIL FROM:<a@client.example>", "RCPT TO:<b@mta.example>", "DATA", "QUIT"]
    upstream = [r["command"] for r in records if r["tnx"] == "command" and r["side"] == "upstream"]
    assert upstream[:4] == ["EHLO", "MAIL", "RCPT", "DATA"]
    data = [r for r in records if r["tnx"] == "data"]
    assert [d["bytes"] for d in data if d["side"] == "client"] == [m["size"]]
    close = next(r for r in records if r["tnx"] == "close" and r["side"] == "client")
    assert close["messages"] == 1 and close["errors"] == 0 and close["commands"] == 5
    assert close["bytes_in"] > m["size"] and close["bytes_out"] == sum(len(r.raw) for r in c.replies)
    tids = {r["tnx"] for r in records if r.get("tid") == m["tid"]}
    assert {"command", "send", "data", "rcpt", "message"} <= tids


@pytest.mark.parametrize("a, b", itertools.product(["QUIT\r\nNOOP\r\n", "QUIT\r\n" * 3,
                                                    "QUIT\r\nMAIL FROM:<a@b.example>\r\n"], [0, 1]))
def test_nothing_is_done_after_quit(tap, a, b):
    c = session(tap, bool(b))
    c.send(a.encode())
    c.expect(221, "2.0.0")
    c.eof()
    c2 = [r for r in tap.session(c) if r["tnx"] == "message"]
    assert not c2
