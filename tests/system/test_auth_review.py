"""AUTH relayed, where things go wrong in between: exchanges that were broken off, and servers that repeat secrets."""
import os
import threading

import pytest

from harness.auth import b64, plain
from harness.mta import CLOSE, EHLO, Wait, each

AUTH = [*EHLO, "AUTH PLAIN LOGIN"]
OPEN = {"auth": {"mode": "optional", "require_tls": False}}
PLAIN = plain("alice", "wonderland")


def opened(world, **stages):
    mta = world.mta(ehlo=AUTH, users={"alice": "wonderland"}, **stages)
    tap = world.tap(mta, OPEN)
    c = tap.client()
    c.ehlo()
    return mta, tap, c


@pytest.mark.parametrize("answer", [b"421 4.7.0 enough\r\n", b"334 again\r\n", b"235 2.7.0 welcome\r\n", CLOSE])
def test_a_mail_behind_an_exchange_that_was_broken_off(world, answer):
    """The "*" that we send then has a reply that nobody waits for; the MAIL behind it goes to another connection."""
    def star(session, line):
        assert session.ask("") is None
        return answer

    mta, tap, c = opened(world, auth=star)
    c.cmd("AUTH PLAIN", 334)
    c.send(b"not base64\r\nMAIL FROM:<a@client.example>\r\n")
    c.expect(501, "5.5.2")
    c.expect(250)
    c.cmd("RCPT TO:<b@mta.example>", 250)
    c.cmd("RSET", 250)
    c.quit()
    mta.wait_ended(1)
    assert len(mta.sessions) == 2 and not any(r.get("user") for r in tap.session(c))


@pytest.mark.parametrize("answer", [b"334 again\r\n", b"235 2.7.0 welcome\r\n", b"501 5.7.0 as you like\r\n"])
def test_commands_behind_a_cancelled_exchange(world, answer):
    def star(session, line):
        assert session.ask("") is None
        return answer

    mta, tap, c = opened(world, auth=star)
    c.cmd("AUTH PLAIN", 334)
    c.send(b"*\r\nNOOP\r\nVRFY x\r\n")
    c.expect(501, "5.7.0")
    c.expect(250)
    c.expect(252)
    c.quit()


@pytest.mark.parametrize("answer", [b"421 4.7.0 enough\r\n", b"334 again\r\n", CLOSE])
def test_a_login_behind_an_exchange_that_was_broken_off(world, answer):
    def star(session, line):
        if session is not session.mta.sessions[0]:
            return None
        assert session.ask("") is None
        return answer

    mta, tap, c = opened(world, auth=star)
    c.cmd("AUTH PLAIN", 334)
    c.send(f"not base64\r\nAUTH PLAIN {PLAIN}\r\n".encode())
    c.expect(501, "5.5.2")
    assert c.reply().code in (235, 454)
    c.quit()


def log_of(tap):
    return bytes(tap.log.raw[tap.mark:]).decode()


SECRET = b64("wonderland")


@pytest.mark.parametrize("answer", [
    f"354 what is {PLAIN}\r\n", f"250 wonderland\r\n", f"535 5.7.8 no\r\n500 5.5.1 what is {PLAIN}\r\n",
    f"535 5.7.8 no\r\n500 5.5.1 wonderland\r\n", f"535 5.7.8 what is {PLAIN[:18]}...\r\n",
    f"535 5.7.8 no\r\n220 wonderland\r\n"])
def test_no_record_repeats_the_secret(world, answer):
    """Neither where the reply is of a class that AUTH can't have, nor where nobody asked, nor cut."""
    mta, tap, c = opened(world, auth=each(answer.encode(), None))
    assert c.cmd(f"AUTH PLAIN {PLAIN}").code in (454, 535)
    c.deliver()
    c.quit()
    tap.closed(c)
    text = log_of(tap)
    assert PLAIN[:18] not in text and SECRET not in text and "wonderland" not in text


def test_a_reply_unasked_that_repeats_nothing_is_told(world):
    mta, tap, c = opened(world, auth=b"535 5.7.8 no\r\n500 5.5.1 and goodbye\r\n")
    c.cmd(f"AUTH PLAIN {PLAIN}", 535)
    assert tap.wait("send", code=500)["lines"] == ["and goodbye"]
    c.quit()


def test_a_late_reply_unasked_is_not_told(world):
    """By then what was sent has been wiped, and nobody can say whether it is repeated."""
    go = threading.Event()
    mta, tap, c = opened(world, auth=[b"535 5.7.8 no\r\n", Wait(go), b"500 5.5.1 what is wonderland\r\n"])
    c.cmd(f"AUTH PLAIN {PLAIN}", 535)
    go.set()
    assert tap.wait("send", code=500)["lines"] == ["*"]
    c.quit()


def test_text_behind_a_refused_data_stays_here(world):
    """After a refused DATA a line may be the message's text: the NOOP that it looks like is not said upstream."""
    mta, tap, c = opened(world)
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    c.cmd("DATA", 503)
    c.cmd("noop about our merger", 250)
    c.cmd("RSET", 250)
    c.cmd("NOOP as you like", 250)
    c.quit()
    tap.closed(c)
    assert "merger" not in log_of(tap) and b"merger" not in mta.sessions[0].wire
    assert b"NOOP as you like" in mta.sessions[0].commands


def test_text_behind_a_refused_data_is_no_etrn(world):
    mta = world.mta(ehlo=[*EHLO, "ETRN"], other=b"250 2.0.0 queued\r\n")
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    c.cmd("ETRN ours.example", 250)
    c.cmd("DATA", 503)
    c.cmd("etrn merger.example", 503)
    c.cmd("RSET", 250)
    c.cmd("ETRN ours.example", 250)
    c.quit()
    tap.closed(c)
    assert "merger" not in log_of(tap) and b"merger" not in mta.sessions[0].wire


@pytest.mark.parametrize("line, code", [("not base64", 501), ("A" * 12290, 500)])
def test_the_record_of_a_broken_exchange_has_its_code(world, line, code):
    mta, tap, c = opened(world)
    c.cmd("AUTH PLAIN", 334)
    c.cmd(line, code)
    c.quit()
    tap.closed(c)
    assert [(r["result"], r["code"]) for r in tap.records("auth")] == [("fail", code)]


@pytest.mark.parametrize("begin, line", [([], "AUTH PLAIN " + "A" * 12280), (["AUTH PLAIN"], "A" * 12290)])
def test_a_long_line_of_auth_is_no_command_that_counts(world, begin, line):
    """A13: AUTH never counts to max_unauthenticated_commands."""
    mta = world.mta(ehlo=AUTH, users={"alice": "wonderland"})
    tap = world.tap(mta, {"auth": {**OPEN["auth"], "mode": "required"}, "limits": {"max_unauthenticated_commands": 1}})
    c = tap.client()
    c.ehlo()
    c.cmd("NOOP", 250)
    for one in begin:
        c.cmd(one, 334)
    c.cmd(line, 500, "5.5.6")
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    c.quit()


def test_our_own_reply_is_shown(world):
    """A12's 421 takes the place of a reply that repeats the secret."""
    mta = world.mta(ehlo=AUTH, auth=b"535 5.7.8 wonderland is wrong\r\n")
    tap = world.tap(mta, {**OPEN, "limits": {"max_auth_failures": 1}})
    c = tap.client()
    c.ehlo()
    c.cmd(f"AUTH PLAIN {PLAIN}", 421, "4.7.0")
    c.eof()
    assert tap.wait("send", code=421)["lines"] == ["Too many failed logins"]


@pytest.mark.parametrize("answer", ["250 wonderland\r\n", f"354 {PLAIN[:24]}\r\n", "235 2.7.0 ok\r\n500 5.5.1 wonderland?\r\n"])
def test_no_record_repeats_our_own_secret(world, answer):
    """The same of upstream.username, whose server then is a failed one."""
    path = world.path("password")
    with open(path, "w") as f:
        f.write("wonderland\n")
    os.chmod(path, 0o600)
    first = world.mta(ehlo=AUTH, users={"alice": "wonderland"}, auth=answer.encode())
    second = world.mta(ehlo=AUTH, users={"alice": "wonderland"})
    tap = world.tap([first, second], {"upstream": {"username": "alice", "password_file": path}})
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    tap.closed(c)
    assert "wonderland" not in log_of(tap) and PLAIN[:18] not in log_of(tap)


@pytest.mark.parametrize("reply", [b"535 5.7.8 not wonderland\r\n", b"535-5.7.8 not wonder\r\n535 5.7.8 land\r\n",
                                   b"535 5.7.8 not d29uZGVybGFuZA==\r\n"])
def test_no_record_has_our_password_that_was_not_said(world, reply):
    """CRAM-MD5 does not send it; the upstream knows it all the same."""
    def refuse(session, line):
        session.ask(b64("<1@mta.example>"))
        return reply

    path = world.path("password")
    with open(path, "w") as f:
        f.write("wonderland\n")
    os.chmod(path, 0o600)
    first = world.mta(ehlo=[*EHLO, "AUTH CRAM-MD5"], auth=refuse)
    second = world.mta(ehlo=AUTH, users={"alice": "wonderland"})
    tap = world.tap([first, second], {"upstream": {"username": "alice", "password_file": path}})
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    tap.closed(c)
    assert not any(x in log_of(tap) for x in ("wonder", "d29uZGVy"))
    assert tap.records("error")[0]["err"]["code"] == "upstream_auth"
