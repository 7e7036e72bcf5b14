"""What names people, or is a secret, without the looks of it: mailboxes by their local part, Message-IDs, names of the
upstream's certificate (log.redact); AUTH mistyped, or behind another verb (protocol.md A15)."""
import base64
import json
import re

import pytest

from harness.tls import server_context

BOXES = {
    "word": "User PLANTED not found", "quoted": "no such mailbox 'planted'", "xtext": "PLANTED+40x.test unknown",
    "apart": "PLANTED @ x.test", "path": "/var/mail/PLANTED is full", "bang": "x.test!PLANTED",
    "verp": "bounce PLANTED=x.test@list.test", "brackets": "<planted>... User unknown", "detail": "planted+more is planted",
}


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(b"0123456789abcdef0123456789abcdef\n")
    path.chmod(0o600)
    return str(path)


def both(tmp_path, **log):
    log["outputs"] = [{"type": "stdout"}, {"type": "file", "path": str(tmp_path / "ecs.log"), "format": "ecs"}]
    return log


def told(tap, tmp_path):
    return bytes(tap.log.raw).decode() + (tmp_path / "ecs.log").read_text(encoding="utf-8")


def assert_unsaid(text, *words):
    for word in words:
        assert word.lower() not in text.lower(), (word, re.findall(".{80}" + re.escape(word) + ".{80}", text, re.I)[:3])


@pytest.mark.parametrize("how", ["hash", "mask", "drop"])
@pytest.mark.parametrize("box", BOXES)
def test_mailboxes_in_replies(world, tmp_path, key, how, box):
    """At RCPT, at DATA of another's transaction, and to MAIL; the words around them stay."""
    reply = ("550 5.1.1 %s" % BOXES[box]).encode()
    mta = world.mta(rcpt=lambda s, line: reply + b"\r\n" if b"planted" in line else b"250 2.1.5 Ok\r\n",
                    end=lambda s, line: b"554-5.6.0 not for you, PLANTED\r\n554 " + reply[4:] + b"\r\n")
    tap = world.tap(mta, {"log": both(tmp_path, redact={"addresses": how, "key_file": key})})
    c = tap.client()
    c.ehlo()
    c.mail("a.sender@x.test")
    c.rcpt("other@x.test")
    c.cmd("RCPT TO:<planted+more@x.test>", 550)
    c.cmd("RCPT TO:<planted@x.test>", 550)
    c.cmd("DATA", 354)
    c.send(b"\r\nbody\r\n.\r\n")
    assert c.reply().code == 554
    c.quit()
    tap.closed(c)
    tap.stop(check=False)
    assert_unsaid(told(tap, tmp_path), "planted")
    message = tap.records("message")[0]
    assert message["smtp_response"].startswith("554-5.6.0 not for you, ") or "not for you, " in message["smtp_response"]
    assert all(r["smtp_response"].startswith("550 5.1.1 ") for r in tap.records("rcpt") if r["code"] == 550)
    if how == "hash" and box == "word":
        boxes = {r["rcpt_to"].split("@")[0] for r in tap.records("rcpt") if r["code"] == 550}
        for r in tap.records("rcpt"):
            if r["code"] == 550:
                assert r["smtp_response"].split()[3] in boxes and r["smtp_response"].endswith(" not found")


def test_mailboxes_of_others_stay(world, tmp_path, key):
    tap = world.tap(world.mta(rcpt=b"550 5.1.1 User bob not found\r\n"),
                    {"log": both(tmp_path, redact={"addresses": "mask", "username": "mask"})})
    c = tap.client()
    c.ehlo()
    c.mail("bobby@x.test")
    c.cmd("RCPT TO:<b.o.b@x.test>", 550)
    c.quit()
    tap.closed(c)
    tap.stop(check=False)
    assert tap.records("rcpt")[0]["smtp_response"] == "550 5.1.1 User bob not found"


@pytest.mark.parametrize("how", ["hash", "mask", "drop"])
def test_message_ids(world, tmp_path, key, how):
    """What the record hides elsewhere is not in them, and `msg` has them as their own field."""
    client = "127.0.0.77"
    tap = world.tap(world.mta(), {"log": both(tmp_path, redact={"addresses": how, "client_ip": how, "key_file": key})})
    c = tap.client(source=client)
    c.ehlo()
    for n, name in enumerate(("4711@other.test", f"4711@[{client}]", "planted@x.test", "9.planted@elsewhere.test")):
        assert c.deliver(f"Message-ID: <{name}>\r\n\r\nx\r\n".encode(), sender="planted@x.test").code == 250, n
    c.quit()
    tap.closed(c)
    tap.stop(check=False)
    assert_unsaid(told(tap, tmp_path), "planted", client)
    messages = tap.records("message")
    assert len(messages) == 4 and messages[0]["message_id"] == "<4711@other.test>"
    for r in messages:
        assert f"accepted {r['message_id']} from " in r["msg"]
    assert messages[1]["message_id"].startswith("<4711@[") and messages[3]["message_id"].endswith("@elsewhere.test>")


@pytest.mark.parametrize("how", ["hash", "mask", "drop"])
def test_names_of_the_upstreams_certificate(world, certs, tmp_path, key, how):
    pair = certs.make(f"planted-{how}", ["mta.example/emailAddress=planted@x.example"])
    mta = world.mta(ehlo=["PIPELINING", "STARTTLS"], context=server_context(pair))
    tap = world.tap(mta, {"upstream": {"tls": "opportunistic", "tls_verify": False},
                          "log": both(tmp_path, redact={"addresses": how, "key_file": key})})
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    tap.closed(c)
    tap.stop(check=False)
    assert_unsaid(told(tap, tmp_path), "planted@", "planted")
    peer = [r["peer"] for r in tap.records("starttls")]
    assert len(peer) == 1 and peer[0]["issuer"] and ("subject" in peer[0]) == (how != "drop")


PLAIN = base64.b64encode(b"\0user\0hunter2").decode()
USER, PASSWORD = base64.b64encode(b"a.user").decode(), base64.b64encode(b"hunter2").decode()
MISTYPED = {
    "letters": [f"AUHT PLAIN {PLAIN}", PLAIN], "login": ["ATUH LOGIN", USER, PASSWORD], "verb": [f"X XOAUTH2 {PLAIN}", PLAIN],
    "mail": [f"MAIL AUTH PLAIN {PLAIN}", f"MAIL AUTH {PLAIN}", f"MAIL FROM:AUTH PLAIN {PLAIN}"],
    "mail brackets": [f"MAIL FROM:<AUTH PLAIN {PLAIN}>"],
    "mail params": [f"MAIL FROM:<a@a.test> AUTH PLAIN {PLAIN}"],
    "rcpt": ["MAIL FROM:<a@a.test>", f"RCPT TO:<a@b.test> AUTH PLAIN {PLAIN}", f"RCPT AUTH PLAIN {PLAIN}", "RSET"],
    "ehlo": [f"EHLO x AUTH PLAIN {PLAIN}", "MAIL FROM:<a@a.test>", "RSET"], "helo": ["HELO AUTH LOGIN", USER, PASSWORD],
    "noop": [f"NOOP AUTH PLAIN {PLAIN}", f"HELP AUTH PLAIN {PLAIN}", f"VRFY LOGIN {PLAIN}", f"RSET AUTH {PLAIN}"],
    "long": ["AUHT PLAIN " + PLAIN * 200, PASSWORD],
}


@pytest.mark.parametrize("lenient", [True, False])
@pytest.mark.parametrize("how", MISTYPED)
def test_auth_mistyped(world, tmp_path, how, lenient):
    mta = world.mta(ehlo=["PIPELINING", "AUTH PLAIN LOGIN", "ETRN"])
    tap = world.tap(mta, {"server": {"lenient_addresses": lenient}, "auth": {"mode": "optional", "require_tls": False},
                          "log": both(tmp_path)})
    c = tap.client()
    c.ehlo()
    for line in MISTYPED[how]:
        reply = c.cmd(line)
        assert not any(x.encode() in b"".join(reply.lines) for x in (PLAIN, USER, PASSWORD))
    c.cmd("NOOP still here", 250)
    c.quit()
    tap.closed(c)
    tap.stop(check=False)
    assert_unsaid(told(tap, tmp_path), PLAIN[:20], USER, PASSWORD)
    lines = [r["line"] for r in tap.records("command", side="client")]
    assert "NOOP still here" in lines and len(lines) == len(MISTYPED[how]) + 3
    assert not any(s for s in mta.sessions if PLAIN[:20].encode() in s.wire)


def test_names_that_are_no_auth(world, tmp_path):
    """A host that is called so, a mailbox, a parameter: all is shown, and what is unknown afterwards too."""
    tap = world.tap(world.mta(), {"log": both(tmp_path)})
    c = tap.client()
    lines = ["EHLO plain", "NOOP PLAIN", "HELP AUTH", "VRFY login", 'MAIL FROM:<"auth plain x"@b.test>', "RCPT TO:<login@x.test>",
             "RSET", "plainly said"]
    for line in lines:
        c.cmd(line)
    c.quit()
    tap.closed(c)
    tap.stop(check=False)
    assert [r["line"] for r in tap.records("command", side="client")] == lines + ["QUIT"]
    assert json.loads((tmp_path / "ecs.log").read_text().splitlines()[0])
