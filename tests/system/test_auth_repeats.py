"""A server that repeats, in any reply and at any time, what it was told in a login: no record has it, and the client gets
what the server says."""
import os

import pytest

from harness.auth import b64, plain
from harness.client import SMALL
from harness.mta import EHLO

AUTH = [*EHLO, "AUTH PLAIN LOGIN CRAM-MD5 XOAUTH2"]
OPEN = {"auth": {"mode": "optional", "require_tls": False, "mechanisms": ["PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2"]}}
PLAIN = plain("alice", "wonderland")
FORMS = ["wonderland", b64("wonderland"), PLAIN, PLAIN.rstrip("=")]


def log_of(tap):
    return bytes(tap.log.raw[tap.mark:]).decode()


def opened(world, level="debug", **stages):
    mta = world.mta(ehlo=AUTH, users={"alice": "wonderland"}, **stages)
    tap = world.tap(mta, OPEN, level=level)
    c = tap.client()
    c.ehlo()
    return mta, tap, c


def nothing_told(tap, c, *secrets):
    c.quit()
    tap.closed(c)
    text = log_of(tap)
    for secret in secrets:
        assert secret not in text, [r for r in tap.log.list if secret in str(r)]


def by_login(c):
    c.cmd("AUTH LOGIN", 334)
    c.cmd(b64("alice"), 334)
    c.cmd(b64("wonderland"), 235)


def by_plain(c):
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)


@pytest.mark.parametrize("level", ["debug", "info"])
@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "end", "rset", "noop"])
@pytest.mark.parametrize("form", FORMS)
def test_in_the_reply_to(world, stage, form, level):
    reply = f"550-5.7.1 we know your {form},\r\n550 5.7.1 do you?\r\n".encode()
    stages = {stage: reply}
    mta, tap, c = opened(world, level, **stages)
    by_plain(c)
    if stage == "noop":
        assert c.cmd("NOOP").raw == reply
    else:
        dialogue = [("mail", "MAIL FROM:<a@client.example>"), ("rcpt", "RCPT TO:<b@mta.example>"), ("data", "DATA")]
        for name, line in dialogue:
            if stage == "rset" and name == "rcpt":
                assert c.cmd("RSET").raw == reply
                break
            got = c.cmd(line)
            if name == stage:
                assert got.raw == reply
                break
        if stage == "end":
            c.send(SMALL + b".\r\n")
            assert c.reply().raw == reply
    nothing_told(tap, c, form)
    if stage in ("mail", "data", "end"):
        message = tap.message()
        assert (message["code"], message["enhanced"], message["status"]) == (550, "5.7.1", "rejected")
        assert message["smtp_response"] == "550 5.7.1 *"


@pytest.mark.parametrize("login", [by_plain, by_login])
def test_in_an_acceptance(world, login):
    """The queue's name is lost with the text, the acceptance is not."""
    mta, tap, c = opened(world, end=b"250 2.0.0 Ok, wonderland: queued as 1A2B3C\r\n")
    login(c)
    assert c.deliver().raw == b"250 2.0.0 Ok, wonderland: queued as 1A2B3C\r\n"
    nothing_told(tap, c, "wonderland")
    assert tap.message()["status"] == "accepted"


def test_what_repeats_nothing_is_told(world):
    mta, tap, c = opened(world, end=b"250 2.0.0 Ok alice, wonderlan: queued as 1A2B3C\r\n")
    by_plain(c)
    c.deliver()
    c.quit()
    assert tap.message()["queue_id"] == "1A2B3C"


def test_after_a_login_that_failed(world):
    mta, tap, c = opened(world, mail=b"550 5.7.1 looking-glass is no password\r\n")
    c.cmd(f"AUTH PLAIN {plain('alice', 'looking-glass')}", 535)
    c.cmd("MAIL FROM:<a@client.example>", 550)
    nothing_told(tap, c, "looking-glass")


def test_a_token(world):
    mta, tap, c = opened(world, auth=b"235 2.7.0 ok\r\n", mail=b"550 5.7.1 ya29.a0AfB_token-of-mine is too old\r\n")
    c.cmd("AUTH XOAUTH2 " + b64("user=alice\x01auth=Bearer ya29.a0AfB_token-of-mine\x01\x01"), 235)
    c.cmd("MAIL FROM:<a@client.example>", 550)
    nothing_told(tap, c, "ya29.a0AfB")


def test_another_session_is_not_concerned(world):
    """What one client said is a secret of its session alone: others may have the word in their text."""
    mta, tap, c = opened(world, mail=b"550 5.7.1 wonderland is closed\r\n")
    other = tap.client()
    other.ehlo()
    by_plain(c)
    other.cmd("MAIL FROM:<a@client.example>", 550)
    other.quit()
    assert tap.message()["smtp_response"] == "550 5.7.1 wonderland is closed"
    c.quit()


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "end"])
@pytest.mark.parametrize("form", FORMS)
def test_our_own(world, stage, form):
    """upstream.username: the password is the server's to repeat in all that it says to our clients."""
    path = world.path("password")
    with open(path, "w") as f:
        f.write("wonderland\n")
    os.chmod(path, 0o600)
    reply = f"550 5.7.1 {form}\r\n".encode()
    mta = world.mta(ehlo=AUTH, users={"alice": "wonderland"}, **{stage: reply})
    tap = world.tap(mta, {"upstream": {"username": "alice", "password_file": path}})
    c = tap.client()
    c.ehlo()
    for name, line in (("mail", "MAIL FROM:<a@client.example>"), ("rcpt", "RCPT TO:<b@mta.example>"), ("data", "DATA")):
        got = c.cmd(line)
        if name == stage:
            break
    if stage == "end":
        c.send(SMALL + b".\r\n")
        got = c.reply()
    assert got.raw == reply
    nothing_told(tap, c, form)


@pytest.mark.parametrize("reply", [b"421 4.3.2 wonderland goes down\r\n", b"250 wonderland\r\n250 wonderland\r\n"])
def test_where_nobody_asked(world, reply):
    """A 421 between commands, a reply too many: what the `error` record tells of it."""
    mta, tap, c = opened(world, mail=reply)
    by_plain(c)
    c.send(b"MAIL FROM:<a@client.example>\r\n")
    c.reply()
    c.close()
    tap.closed(c)
    assert "wonderland" not in log_of(tap)
