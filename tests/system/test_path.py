"""Real clients, through the program, to a real server: nothing is changed, and the record says what became of it."""
import re
import smtplib

import pytest

from harness.client import RawClient
from harness.postfix import strip_trace
from harness.tools import CLIENTS, installed
from harness.util import wait_until

HEAD = (b"From: a@client.example\r\nTo: b@box.example\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n"
        b"Message-ID: <%s@client.example>\r\nSubject: %s\r\n")


def message(name, body, subject=b"hello"):
    return HEAD % (name.encode(), subject) + b"\r\n" + body


BODIES = {
    "plain": b"Hello,\r\nWorld\r\n",
    "dots": b".\r\n..\r\n.hidden\r\n...\r\n.\r\nend\r\n",
    "8bit": "Grüße aus Köln, 日本語\r\n".encode(),
    "blank-lines": b"\r\n\r\n\r\n",
    "long-lines": b"x" * 900 + b"\r\n" + b"y " * 450 + b"\r\n",
    "trailing-space": b"a \t\r\n b\r\n\t\r\n",
    "big": b"".join(b"%06d %s\r\n" % (i, b"z" * 60) for i in range(4000)),
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("client", CLIENTS)
def test_bytes_are_those_of_the_direct_way(world, client, body):
    if not installed(client):
        pytest.skip(f"{client} is not installed")
    mta = world.mta()
    direct = world.mta()
    tap = world.tap(mta)
    text = message("m1", BODIES[body])
    to = ["b@box.example", "c@box.example"]
    assert CLIENTS[client](("127.0.0.1", direct.port), "a@client.example", to, text) == 0
    assert CLIENTS[client](tap.addresses()[0], "a@client.example", to, text) == 0
    assert mta.messages[0]["raw"] == direct.messages[0]["raw"]
    assert mta.messages[0]["rcpts"] == direct.messages[0]["rcpts"]
    assert mta.messages[0]["sender"].split()[0] == direct.messages[0]["sender"].split()[0]
    record = tap.message()
    assert record["status"] == "accepted" and record["rcpt_to"] == to
    assert record["queue_id"] == mta.messages[0]["queue_id"]
    assert record["message_id"] == "<m1@client.example>"
    assert record["size"] == len(unstuffed(mta.messages[0]["raw"]))


def unstuffed(raw):
    return re.sub(rb"(?m)^\.", b"", raw)


@pytest.mark.parametrize("identity, mode, there", [
    ("none", "auto", True), ("none", "on", True), ("none", "off", False)])
def test_received_field(world, identity, mode, there):
    mta = world.mta()
    tap = world.tap(mta, {"server": {"received_header": mode}, "upstream": {"identity": identity}})
    c = tap.client()
    c.ehlo("pc.client.example")
    text = b"Subject: x\r\n\r\nbody\r\n"
    assert c.deliver(text).code == 250
    raw = mta.messages[0]["raw"]
    record = tap.message()
    assert record["size"] == len(text)
    if not there:
        assert raw == text
        return
    assert raw.endswith(text)
    field = raw[:-len(text)]
    assert re.fullmatch(rb"Received: from pc\.client\.example \((?:\S+ )?\[127\.0\.0\.1\]\)\r\n\tby tap\.example \(smtptap\) "
                        rb"with ESMTP id " + record["tid"].encode() +
                        rb"\r\n\tfor <b@mta\.example>; \w{3}, [ \d]?\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}(?: \(\w+\))?\r\n",
                        field), field


@pytest.mark.parametrize("helo", ["a(b)c", "x\u00e9y", "<a@b>", "a\\b"])
def test_received_field_has_no_trace_of_odd_names(world, helo):
    mta = world.mta()
    tap = world.tap(mta, {"server": {"received_header": "on"}})
    c = tap.client()
    c.send(b"EHLO " + helo.encode() + b"\r\n")
    c.expect(250)
    assert c.deliver(b"\r\nx\r\n").code == 250
    field = mta.messages[0]["raw"].split(b"\r\n\r\n")[0]
    assert field.count(b"(") == field.count(b")")
    assert all(32 <= b < 127 or b in b"\r\n\t" for b in field)
    assert b"a(b)c" not in field


def test_for_clause_stands_only_with_one_recipient(world):
    mta = world.mta()
    tap = world.tap(mta, {"server": {"received_header": "on"}})
    c = tap.client()
    c.ehlo()
    c.mail()
    c.rcpt("b@mta.example")
    c.rcpt("secret-bcc@mta.example")
    c.cmd("DATA", 354)
    assert c.cmd("Subject: x\r\n\r\ny\r\n.").code == 250
    field = mta.messages[0]["raw"].split(b"Subject:")[0]
    assert b"secret-bcc" not in field and b" for " not in field and b"\tfor " not in field


# a real Postfix



def through(world, postfix, service="plain", config=None):
    return world.tap(postfix.address(service), config)


@pytest.mark.postfix
@pytest.mark.parametrize("client", CLIENTS)
def test_postfix_delivers_the_same_message(world, postfix, client):
    if not installed(client):
        pytest.skip(f"{client} is not installed")
    tap = through(world, postfix, config={"server": {"received_header": "auto"}})
    box = "box-" + client
    text = message("id-" + client, BODIES["dots"] + BODIES["8bit"] + BODIES["trailing-space"])
    assert CLIENTS[client](tap.addresses()[0], "a@client.example", [box + "@box.example", "x@elsewhere.example"],
                           text) == 0
    record = tap.message()
    delivered = postfix.wait_mailbox(box)[0]
    more = b"\n" if client.startswith("swaks") else b""  # swaks itself ends every message with an empty line
    assert strip_trace(delivered) == text.replace(b"\r\n", b"\n") + more
    assert record["tid"].encode() in delivered, "our Received field is not there"
    entry = postfix.entry(record["queue_id"])
    assert entry["to"] == {box + "@box.example": "sent", "x@elsewhere.example": "sent"}
    assert entry["from"] == record["mail_from"] == "a@client.example"
    assert entry["message_id"] == record["message_id"] == f"<id-{client}@client.example>"
    assert (record["status"], record["code"], record["stage"], record["decided_by"]) == ("accepted", 250, "end",
                                                                                         "upstream")
    assert record["smtp_response"] == f"250 2.0.0 Ok: queued as {record['queue_id']}"
    assert [r["status"] for r in tap.records("rcpt")] == ["accepted", "accepted"]


@pytest.mark.postfix
def test_postfix_as_client(world, postfix):
    """Postfix's own smtp client, told to relay all through the program."""
    tap = through(world, postfix, config={"listeners": [{"address": f"127.0.0.1:{postfix.ports['out_port']}"}]})
    text = message("from-postfix", BODIES["dots"] + BODIES["8bit"])
    with smtplib.SMTP("127.0.0.1", postfix.ports["out"]) as s:
        s.sendmail("a@client.example", ["p1@box.example", "p2@box.example"], text)
    record = tap.message()
    assert record["status"] == "accepted" and record["protocol"] == "ESMTP" and record["helo"] == "mx.example"
    for name in ("p1", "p2"):
        assert strip_trace(postfix.wait_mailbox(name)[0]) == text.replace(b"\r\n", b"\n")
    entry = postfix.entry(record["queue_id"])
    assert set(entry["to"]) == set(record["rcpt_to"]) == {"p1@box.example", "p2@box.example"}
    sent = wait_until(lambda: re.findall(rf"status=sent \((250 2.0.0 Ok: queued as {record['queue_id']})\)",
                                         postfix.maillog()),
                      "the first instance's own log of the reply")
    assert set(sent) == {record["smtp_response"]}


@pytest.mark.postfix
def test_postfix_as_client_into_a_scripted_server(world, postfix):
    mta = world.mta()
    tap = world.tap(mta, {"listeners": [{"address": f"127.0.0.1:{postfix.ports['out_port']}"}]})
    text = message("to-script", BODIES["dots"] + BODIES["long-lines"])
    with smtplib.SMTP("127.0.0.1", postfix.ports["out"]) as s:
        s.sendmail("a@client.example", ["p3@box.example"], text)
    tap.message(status="accepted")
    got = unstuffed(mta.messages[0]["raw"]).replace(b"\r\n", b"\n")
    assert strip_trace(got) == text.replace(b"\r\n", b"\n")


REFUSALS = [  # sender, recipient, body, stage, code, status, class
    ("a@client.example", "no5@box.example", None, "rcpt", 550, "rejected", "unknown-user"),
    ("a@client.example", "no4@box.example", None, "rcpt", 450, "deferred", "greylisted"),
    ("a@client.example", "full@box.example", None, "rcpt", 452, "deferred", "mailbox-full"),
    ("bad@client.example", "b@box.example", None, "rcpt", 553, "rejected", "bad-sender"),
    ("slow@client.example", "b@box.example", None, "rcpt", 451, "deferred", "greylisted"),
    ("a@client.example", "b@box.example", b"Subject: viagra\r\n\r\nbuy\r\n", "end", 550, "rejected", "content"),
    ("a@client.example", "b@box.example", b"Subject: x\r\n\r\nEICAR\r\n", "end", 550, "rejected", "content"),
]


def attempt(c, sender, to, body):
    """Every reply of one try, to its end."""
    got = [c.cmd(f"MAIL FROM:<{sender}>"), c.cmd(f"RCPT TO:<{to}>")]
    if got[-1].code == 250:
        got.append(c.cmd("DATA"))
        if got[-1].code == 354:
            got.append(c.cmd(body + b"."))
    return [r.raw for r in got]


@pytest.mark.postfix
@pytest.mark.parametrize("case", REFUSALS, ids=lambda c: f"{c[1].split('@')[0]}-{c[3]}-{c[4]}-{c[6]}")
def test_refusals_arrive_word_for_word(world, postfix, case):
    sender, to, body, stage, code, status, why = case
    tap = through(world, postfix, "refuse")
    direct = RawClient(("127.0.0.1", postfix.ports["refuse"]))
    direct.ehlo()
    expected = attempt(direct, sender, to, body)
    direct.close()
    c = tap.client()
    c.ehlo()
    assert attempt(c, sender, to, body) == expected
    last = expected[-1].decode().rstrip("\r\n")
    assert last.startswith(str(code))
    c.quit()
    record = tap.message()
    assert (record["status"], record["stage"], record["code"]) == (status, stage, code)
    assert record["smtp_response"] == last and record["decided_by"] == "upstream" and record["class"] == why
    assert record["queue_id"] is None
    rcpt = tap.records("rcpt")[0]
    assert (rcpt["rcpt_to"], rcpt["status"], rcpt["stage"], rcpt["code"], rcpt["class"]) == (to, status, stage, code,
                                                                                             why)
    assert record["recipients"] == [{"address": to, "status": status, "code": code, "enhanced": record["enhanced"],
                                     "reply": last.split(" ", 2)[2]}]


@pytest.mark.postfix
def test_mixed_recipients(world, postfix):
    tap = through(world, postfix, "refuse")
    c = tap.client()
    c.ehlo()
    c.mail()
    c.cmd("RCPT TO:<no5@box.example>", 550)
    c.rcpt("mixed@box.example")
    c.cmd("RCPT TO:<no4@box.example>", 450)
    c.cmd("DATA", 354)
    c.cmd(b"Subject: x\r\n\r\ny\r\n.", 250)
    record = tap.message()
    assert (record["rcpt_count"], record["rcpt_accepted"]) == (3, 1)
    assert [x["status"] for x in record["recipients"]] == ["rejected", "accepted", "deferred"]
    assert [x["code"] for x in record["recipients"]] == [550, 250, 450]
    assert postfix.entry(record["queue_id"])["to"] == {"mixed@box.example": "sent"}


@pytest.mark.postfix
def test_size_is_refused_at_mail_or_at_the_end(world, postfix):
    tap = through(world, postfix, "small")
    c = tap.client()
    greeting = c.cmd("EHLO client.example", 250)
    assert b"SIZE 20000" in greeting.lines
    c.cmd("MAIL FROM:<a@b.example> SIZE=30000", 552, "5.3.4")
    record = tap.message()
    assert (record["status"], record["stage"], record["decided_by"], record["class"]) == ("rejected", "mail", "smtptap",
                                                                                          "size")
    reply = c.deliver(b"Subject: x\r\n\r\n" + b"y" * 70 * 1000 + b"\r\n", to="b@box.example")
    assert reply.code == 552 and reply.enhanced == "5.3.4"
    record = tap.message(2)
    assert (record["status"], record["stage"], record["decided_by"], record["class"]) == ("rejected", "end", "upstream",
                                                                                          "size")


@pytest.mark.postfix
def test_a_poor_upstream_makes_a_poor_offer(world, postfix):
    tap = through(world, postfix, "bare")
    c = tap.client()
    lines = c.cmd("EHLO client.example", 250).lines[1:]
    assert sorted(lines) == [b"ENHANCEDSTATUSCODES", b"PIPELINING"] or lines == [b"PIPELINING"] or \
        set(lines) <= {b"PIPELINING", b"ENHANCEDSTATUSCODES", b"LIMITS RCPTMAX=1000"}
    assert b"PIPELINING" in lines
    assert c.deliver(b"Subject: x\r\n\r\ny\r\n", to="poor@box.example").code == 250
    postfix.wait_mailbox("poor")


@pytest.mark.postfix
def test_upstream_421_is_relayed_and_ends_the_session(world, postfix):
    tap = through(world, postfix, "refuse")
    c = tap.client()
    c.ehlo()
    c.mail()
    reply = c.cmd("RCPT TO:<shut@box.example>", 421)
    assert reply.enhanced == "4.3.2" and "Going down" in reply.text
    c.eof()
    record = tap.message()
    assert (record["status"], record["stage"], record["code"]) == ("deferred", "rcpt", 421)
    assert tap.closed(c)["reason"] == "upstream"


@pytest.mark.postfix
def test_many_messages_in_one_session(world, postfix):
    tap = through(world, postfix)
    c = tap.client()
    c.ehlo()
    for i in range(20):
        assert c.deliver(message(f"many-{i}", b"x\r\n"), to="many@box.example").code == 250
    c.quit()
    tap.closed(c)
    ids = [r["queue_id"] for r in tap.records("message")]
    assert len(set(ids)) == 20
    assert all(postfix.entry(q)["to"] == {"many@box.example": "sent"} for q in ids)
