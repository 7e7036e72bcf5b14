"""RFC 3030 has a server read the octets of a refused chunk away. One that takes them for commands must not answer the
next transaction with what it says to those."""
from base64 import b64encode

import pytest

from harness.mta import CLOSE, EHLO, each

CHUNKING = (*EHLO, "CHUNKING")
LOGIN = b64encode(bytes(1) + b"alice" + bytes(1) + b"wonderland").decode()


def runs_the_octets(reply):
    """It refuses the chunk and runs the command that stands in it; each answer comes when the next command is there."""
    def bdat(session, line):
        session.send(reply)
        session.read_octets(int(line.split()[1]))
        late = [b"250 2.0.0 to the octets\r\n"]
        while True:
            line = session.read_line()
            session.commands.append(line)
            session.mta.tell()
            if line.startswith(b"BDAT"):
                session.read_octets(int(line.split()[1]))
            late.append(b"554 5.7.1 lost\r\n" if line.startswith(b"BDAT") else b"250 2.0.0 Ok\r\n")
            session.send(late.pop(0))
            if line == b"QUIT":
                session.do(CLOSE, b"")
    return bdat


def session(tap):
    c = tap.client()
    c.ehlo()
    c.mail(), c.rcpt()
    return c


@pytest.mark.parametrize("reply, code", [(b"503 5.5.1 no\r\n", 503), (b"502 5.5.1 what\r\n", 502),
                                         (b"552 5.3.4 big\r\n", 552), (b"451 4.3.0 not now\r\n", 451)])
@pytest.mark.parametrize("last", [True, False])
def test_a_server_that_runs_the_octets_gets_no_other_message(world, reply, code, last):
    """It would be in step with us, one answer late: what it says to RCPT would accept the message that it refuses."""
    mta = world.mta(ehlo=CHUNKING, bdat=each(runs_the_octets(reply), None))
    tap = world.tap(mta, {"server": {"received_header": "off"}})
    c = session(tap)
    c.chunk(b"RSET\r\n", last=last).expect(code)
    c.cmd("RSET", 250)
    c.mail(), c.rcpt()
    c.chunk(b"Subject: honest\r\n\r\n", last=True).expect(250)
    c.quit()
    mta.wait_ended(0)
    assert tap.message(status="accepted")["queue_id"] == mta.messages[0]["queue_id"]
    assert mta.messages == mta.sessions[1].messages and mta.sessions[0].commands[-1] == b"QUIT"


def test_what_is_pipelined_behind_goes_to_the_next(world):
    """Nobody waits for the old connection, though it is quiet."""
    mta = world.mta(ehlo=CHUNKING, chunk=each(b"452 4.3.1 full\r\n", None))
    tap = world.tap(mta, {"server": {"received_header": "off"}})
    c = session(tap)
    c.send(b"BDAT 1\r\naBDAT 1\r\nbBDAT 0 LAST\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<b@mta.example>\r\n"
           b"BDAT 5\r\nx: y\nBDAT 2 LAST\r\n\r\nNOOP\r\n")
    assert [c.reply().code for _ in range(8)] == [452, 503, 503, 250, 250, 250, 250, 250]
    c.quit()
    assert [m["raw"] for m in mta.messages] == [b"x: y\n\r\n"] and len(mta.sessions) == 2


def logged_in(world, **stages):
    mta = world.mta(ehlo=(*CHUNKING, "AUTH PLAIN"), users={"alice": "wonderland"}, **stages)
    tap = world.tap(mta, {"auth": {"mode": "optional", "require_tls": False}, "server": {"received_header": "off"}})
    c = tap.client()
    c.ehlo()
    c.cmd(f"AUTH PLAIN {LOGIN}", 235)
    c.mail(), c.rcpt()
    return mta, tap, c


@pytest.mark.parametrize("last", [True, False])
def test_a_login_goes_with_the_connection(world, last):
    mta, tap, c = logged_in(world, **{"end" if last else "chunk": b"554 5.7.1 spam\r\n"})
    c.chunk(b"a\r\n", last=last).expect(554, "5.7.1")
    c.expect(421, "4.4.2")
    c.eof()
    m = tap.message()
    assert (m["status"], m["code"], m["decided_by"]) == ("rejected", 554, "upstream")
    assert tap.closed(c)["reason"] == "upstream" and len(mta.sessions) == 1


def test_a_session_has_its_fill_of_refused_chunks(world):
    """What the upstream counts for a connection, the client must not escape by them; mail that is taken begins it anew."""
    mta = world.mta(ehlo=CHUNKING, end=lambda s, line: b"554 5.7.1 spam\r\n" if s.chunked is not None else None)
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()

    def refused(n):
        for _ in range(n):
            c.mail(), c.rcpt()
            c.chunk(b"a", last=True).expect(554)

    refused(10)
    assert c.deliver().code == 250
    refused(11)
    c.expect(421, "4.7.0")
    c.eof()
    assert tap.closed(c)["reason"] == "limit"
    assert tap.wait("error")["err"]["code"] == "upstream_wasted"
    assert len(mta.sessions) == 21


def test_a_session_has_its_fill_of_messages_that_may_not_end(world):
    mta = world.mta()
    tap = world.tap(mta, {"server": {"max_message_size": 10}})
    c = tap.client()
    c.ehlo()
    for _ in range(11):
        assert c.deliver(b"Subject: far too long\r\n\r\n").code == 552
    c.expect(421, "4.7.0")
    c.eof()
    assert tap.closed(c)["reason"] == "limit" and len(mta.sessions) == 11
