"""What stands between the rules of the contract: the order of pipelined commands in a record, limits at the ends of their
range, state behind STARTTLS."""
import pytest

from harness.mta import EHLO, each
from harness.tls import entry

CHUNKING = (*EHLO, "CHUNKING", "BINARYMIME")
MOST = 2**63 - 1


# M12: a refused MAIL ends its transaction, and what was pipelined behind it came later


@pytest.mark.parametrize("pipelined", [True, False])
@pytest.mark.parametrize("reply, status", [(b"550 5.7.1 not you\r\n", "rejected"), (b"451 4.3.0 later\r\n", "deferred")])
def test_m12_recipients_behind_a_refused_mail(world, pipelined, reply, status):
    tap = world.tap(world.mta(mail=each(reply, None)))
    c = tap.client()
    c.ehlo()
    lines = [b"MAIL FROM:<a@client.example>\r\n", b"RCPT TO:<b@mta.example>\r\n", b"RCPT TO:<no\r\n", b"DATA\r\n"]
    for line in [b"".join(lines)] if pipelined else lines:
        c.send(line)
        codes = [c.reply().code for _ in range(line.count(b"\n"))]
        assert codes[-1] in (503, int(reply[:3]))
    assert c.deliver().code == 250
    c.quit()
    tap.message(count=2)
    first, second = tap.records("message")
    assert (first["status"], first["stage"], first["decided_by"]) == (status, "mail", "upstream")
    assert (first["rcpt_to"], first["rcpt_count"], first["rcpt_accepted"], first["recipients"]) == ([], 0, 0, [])
    assert second["status"] == "accepted"
    assert [r["tid"] for r in tap.records("rcpt")] == [second["tid"]]


# H8: no SIZE that nothing can be below


@pytest.mark.parametrize("limit, received, shown", [(1000, "on", "SIZE"), (2048, "on", "SIZE"), (9999, "on", "SIZE 7951"),
                                                    (1000, "off", "SIZE 1000")])
def test_a_limit_without_room_for_received_is_not_told(world, limit, received, shown):
    mta = world.mta(ehlo=("PIPELINING", f"SIZE {limit}"))
    tap = world.tap(mta, {"server": {"received_header": received}})
    c = tap.client()
    assert shown in [x.decode() for x in c.ehlo().lines]
    c.mail(params=" SIZE=300")
    c.cmd("RSET", 250)
    assert mta.sessions[0].commands[1].endswith(b" SIZE=300")


# B: counts at the end of their range


def test_b4_the_largest_count_goes_to_the_upstream(world):
    mta = world.mta(ehlo=CHUNKING)
    tap = world.tap(mta, {"server": {"received_header": "off"}})
    c = tap.client()
    c.ehlo()
    c.mail(), c.rcpt()
    c.chunk(b"x").expect(250)
    c.send(b"BDAT %d LAST\r\nQUIT\r\n" % MOST)
    mta.wait_stage("bdat", 2)
    c.close()
    mta.wait_ended()
    assert mta.sessions[0].commands[-1] == b"BDAT %d LAST" % MOST
    assert (tap.message()["status"], tap.message()["stage"]) == ("aborted", "transfer")


def test_b4_a_count_that_our_received_would_carry_over_the_end(world):
    """BDAT can't say more than 2^63-1, and the upstream never hears of the chunk."""
    mta = world.mta(ehlo=CHUNKING)
    tap = world.tap(mta, {"server": {"received_header": "on"}})
    c = tap.client()
    c.ehlo()
    c.mail(), c.rcpt()
    c.send(b"BDAT %d\r\nQUIT\r\n" % MOST)
    mta.wait_ended()
    c.close()
    m = tap.message()
    assert (m["status"], m["code"], m["decided_by"], m["class"]) == ("rejected", 552, "smtptap", "size")
    assert not [x for x in mta.sessions[0].commands if x.startswith(b"BDAT")]


def test_b6_a_count_over_the_limit_is_read_away(world):
    mta = world.mta(ehlo=CHUNKING)
    tap = world.tap(mta, {"server": {"max_message_size": 100, "received_header": "off"}})
    c = tap.client()
    c.ehlo()
    c.mail(), c.rcpt()
    c.chunk(b"x").expect(250)
    c.chunk(b"QUIT\r\n" * 20).expect(552, "5.3.4")
    c.cmd("NOOP", 250)
    assert c.deliver().code == 250
    assert sum(x.startswith(b"BDAT") for x in mta.sessions[0].commands) == 1


# T8: nothing said in clear is known inside TLS


def test_t8_mail_before_a_new_hello(world, certs):
    tap = world.tap(world.mta(), {"tls": {"certificates": [entry(certs.a)]}})
    c = tap.client()
    c.ehlo("clear.example")
    c.starttls()
    c.cmd("MAIL FROM:<a@client.example> SIZE=5 BODY=8BITMIME", 503, "5.5.1")
    m = tap.message()
    assert (m["protocol"], m["tls"]["used"], "helo" in m, m["code"]) == ("SMTP", True, False, 503)
    c.ehlo("inside.example")
    assert c.deliver().code == 250
    m = tap.message(status="accepted")
    assert (m["protocol"], m["helo"]) == ("ESMTPS", "inside.example")


def test_t8_helo_alone_inside(world, certs):
    tap = world.tap(world.mta(), {"tls": {"certificates": [entry(certs.a)]}})
    c = tap.client()
    c.ehlo("clear.example")
    c.starttls()
    c.cmd("HELO inside.example", 250)
    assert c.deliver().code == 250
    assert tap.message()["protocol"] == "SMTP"
