"""A second real server: Exim says other words than Postfix, and takes chunks, 8BITMIME, SMTPUTF8 and DSN."""
import pytest

from harness.exim import Exim, why_not
from harness.postfix import strip_trace
from harness.util import wait_until

HEAD = (b"From: a@client.example\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%s@client.example>\r\n"
        b"\r\n")


@pytest.fixture(scope="module")
def exim():
    if why_not():
        pytest.skip(why_not())
    e = Exim().start()
    yield e
    e.stop()


def session(tap):
    c = tap.client()
    c.ehlo()
    return c


def test_what_it_has_is_offered(world, exim):
    c = world.tap(exim.address).client()
    words = {x.split()[0] for x in c.ehlo().lines[1:]}
    assert words >= {b"SIZE", b"8BITMIME", b"SMTPUTF8", b"DSN", b"CHUNKING", b"PIPELINING"}
    assert not words & {b"PIPECONNECT", b"HELP", b"PRDR"}
    c.quit()


@pytest.mark.parametrize("way", ["DATA", "BDAT", "chunks"])
def test_delivered_as_it_is(world, exim, way):
    tap = world.tap(exim.address, {"server": {"received_header": "on"}})
    text = HEAD % way.encode() + b".\r\n..\r\n" + "Grüße\r\n".encode() + b"y" * 900 + b"\r\n"
    c = session(tap)
    c.mail(params=" BODY=8BITMIME")
    c.rcpt(f"{way}@box.example")
    if way == "DATA":
        c.cmd("DATA", 354)
        c.send(text.replace(b"\r\n.", b"\r\n..") + b".\r\n").expect(250)
    else:
        cut = len(HEAD) if way == "chunks" else 0
        if cut:
            c.chunk(text[:cut]).expect(250)
        c.chunk(text[cut:], last=True).expect(250)
    c.quit()
    m = tap.message()
    assert m["status"] == "accepted" and m["queue_id"] and m["body"] == "8BITMIME"
    arrival = exim.wait_log(m["queue_id"], " <= ")[0]
    assert " M8S=8 " in arrival and (" K " in arrival) == (way != "DATA")
    got = wait_until(lambda: exim.delivered(HEAD.splitlines()[2] % way.encode()), exim.trouble)
    assert strip_trace(got[0]) == text.replace(b"\r\n", b"\n")


def test_utf8_addresses(world, exim):
    tap = world.tap(exim.address)
    c = session(tap)
    c.send("MAIL FROM:<jürgen@client.example> SMTPUTF8 BODY=8BITMIME\r\n".encode()).expect(250)
    c.send("RCPT TO:<füße@box.example>\r\n".encode()).expect(250)
    c.chunk(HEAD % b"utf8" + b"x\r\n", last=True).expect(250)
    c.quit()
    m = tap.message()
    assert m["status"] == "accepted" and m["smtputf8"] and m["rcpt_to"] == ["füße@box.example"]
    assert any("jürgen@client.example" in line for line in exim.wait_log(m["queue_id"], "<="))


def test_dsn(world, exim):
    tap = world.tap(exim.address)
    c = session(tap)
    c.mail(params=" RET=HDRS ENVID=abc+2Bdef")
    c.send(b"RCPT TO:<dsn@box.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;dsn@box.example\r\n").expect(250)
    c.chunk(HEAD % b"dsn" + b"x\r\n", last=True).expect(250)
    c.quit()
    m = tap.message()
    assert m["status"] == "accepted" and m["dsn"] == {"ret": "HDRS", "envid": "abc+2Bdef"}
    said = wait_until(lambda: exim.delivered(b"Final-Recipient"), exim.trouble)[0]
    assert b"abc+def" in said or b"abc+2Bdef" in said
    assert b"dsn@box.example" in said and b"\nTo: a@client.example\n" in said


def test_refusals(world, exim):
    tap = world.tap(exim.address)
    c = session(tap)
    c.mail()
    assert c.cmd("RCPT TO:<no5@box.example>").code == 550
    assert c.cmd("RCPT TO:<no4@box.example>").code == 451
    c.rcpt("yes@box.example")
    c.chunk(HEAD % b"bad" + b"EICAR\r\n", last=True).expect(550)
    c.quit()
    m = tap.message()
    assert [(r["status"], r["code"]) for r in m["recipients"]] == [("rejected", 550), ("deferred", 451), ("rejected", 550)]


def test_refused_chunk_order(world, exim):
    """What Exim says to a chunk out of order is ours already."""
    tap = world.tap(exim.address)
    c = session(tap)
    c.mail()
    c.chunk(b"x\r\n", last=True).expect(503)
    c.rcpt()
    c.chunk(b"a: b\r\n").expect(250)
    c.cmd("DATA", 503)
    c.chunk(b"\r\nx\r\n", last=True).expect(250)
    c.quit()
    assert tap.message()["status"] == "accepted"
