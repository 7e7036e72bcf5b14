"""AUTH relayed to the upstream (protocol.md A): the rules, the limits, bound sessions, what is offered, the records."""
import threading

import pytest

from harness.auth import GOOD, b64, cram, plain, unb64
from harness.client import Gone
from harness.mta import CLOSE, EHLO, Split, Wait, each
from harness.tls import entry, server_context
from harness.util import wait_until

USERS = {"alice": "wonderland", "bob@b.example": "builder"}
AUTH = [*EHLO, "AUTH PLAIN LOGIN CRAM-MD5 XOAUTH2 OAUTHBEARER"]
OPEN = {"auth": {"mode": "optional", "require_tls": False,
                 "mechanisms": ["PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2", "OAUTHBEARER"]}}
PLAIN = plain("alice", "wonderland")


def merge(*configs):
    out = {}
    for config in configs:
        for key, value in config.items():
            out[key] = {**out.get(key, {}), **value} if isinstance(value, dict) else value
    return out


def opened(world, config=None, ehlo=AUTH, hello=True, **stages):
    mta = world.mta(ehlo=ehlo, users=USERS, **stages)
    tap = world.tap(mta, merge(OPEN, config or {}))
    c = tap.client()
    if hello:
        c.ehlo()
    return mta, tap, c


def keywords(reply, word="AUTH"):
    return [x.decode() for x in reply.lines if x.decode().split(" ")[0] == word]


def results(tap, **keys):
    return [(r.get("username"), r.get("method"), r["result"], r.get("code")) for r in tap.records("auth", **keys)]


# success


def test_plain_with_initial_response(world):
    mta, tap, c = opened(world)
    got = c.cmd(f"AUTH PLAIN {PLAIN}", 235, "2.7.0")
    assert got.raw == GOOD
    assert c.deliver().code == 250
    c.quit()
    session = mta.sessions[0]
    assert session.commands[1] == f"AUTH PLAIN {PLAIN}".encode()
    message = tap.message()
    assert message["protocol"] == "ESMTPA" and message["user"] == "alice" and message["status"] == "accepted"
    assert results(tap) == [("alice", "PLAIN", "ok", 235)]
    records = tap.session(c)
    auth = next(i for i, r in enumerate(records) if r["tnx"] == "auth")
    assert records[auth]["host"] == "127.0.0.1" and records[auth]["level"] == "info" and "authzid" not in records[auth]
    assert not any("user" in r for r in records[:auth])
    assert all(r["user"] == "alice" for r in records[auth + 1:]), [r for r in records[auth:] if "user" not in r]
    legs = {side: [r["line"] for r in records if r["tnx"] == "command" and r["side"] == side] for side in
            ("client", "upstream")}
    assert legs["client"][1] == legs["upstream"][1] == "AUTH PLAIN *"


@pytest.mark.parametrize("name, password, authzid", [("alice", "wonderland", ""), ("bob@b.example", "builder", "root")])
def test_plain_without_initial_response(world, name, password, authzid):
    mta, tap, c = opened(world)
    assert c.cmd("AUTH PLAIN", 334).raw == b"334 \r\n"
    c.cmd(plain(name, password, authzid), 235)
    c.cmd("NOOP", 250)
    c.quit()
    record = tap.wait("auth")
    assert record["username"] == name and record.get("authzid", "") == authzid
    lines = [r["line"] for r in tap.session(c) if r["tnx"] == "command" and r["side"] == "client"]
    assert lines == ["EHLO client.example", "AUTH PLAIN", "*", "NOOP", "QUIT"]
    challenges = [r for r in tap.session(c) if r["tnx"] == "send" and r["code"] == 334]
    assert len(challenges) == 2 and all(r["lines"] == ["*"] and r["msg"] == "S: 334 *" for r in challenges)


@pytest.mark.parametrize("initial", [False, True])
def test_login(world, initial):
    mta, tap, c = opened(world)
    if initial:
        got = c.cmd(f"AUTH LOGIN {b64('alice')}", 334)
    else:
        assert c.cmd("auth login", 334).raw == b"334 VXNlcm5hbWU6\r\n"
        got = c.cmd(b64("alice"), 334)
    assert got.raw == b"334 UGFzc3dvcmQ6\r\n"
    c.cmd(b64("wonderland"), 235)
    c.quit()
    tap.closed(c)
    assert results(tap) == [("alice", "LOGIN", "ok", 235)]


def test_cram_md5(world):
    mta, tap, c = opened(world)
    challenge = c.cmd("AUTH CRAM-MD5", 334).lines[0].decode()
    assert unb64(challenge) == b"<12345.67@mta.example>"
    c.cmd(cram("alice", "wonderland", challenge), 235)
    c.quit()
    tap.closed(c)
    assert results(tap) == [("alice", "CRAM-MD5", "ok", 235)]


@pytest.mark.parametrize("mechanism, message", [
    ("XOAUTH2", "user=alice\x01auth=Bearer {}\x01\x01"),
    ("OAUTHBEARER", "n,a=alice,\x01host=x\x01port=1\x01auth=Bearer {}\x01\x01")])
def test_bearer(world, mechanism, message):
    mta, tap, c = opened(world)
    c.cmd(f"AUTH {mechanism} {b64(message.format('nonsense'))}", 334)
    c.cmd(b64("\x01"), 535)
    c.cmd(f"AUTH {mechanism} {b64(message.format('wonderland'))}", 235)
    c.quit()
    tap.closed(c)
    assert results(tap) == [("alice", mechanism, "fail", 535), ("alice", mechanism, "ok", 235)]


def test_the_reply_is_the_upstreams(world):
    """Texts pass unchanged, of any number of lines, also cut into bytes."""
    fail = b"535-5.7.8 Username and Password not accepted. Learn more at\r\n535 5.7.8  https://x.example/ q!\r\n"
    late = b"454-4.7.0 later\r\n454 4.7.0 still later\r\n"
    good = b"235-2.7.0 Hello\r\n235 2.7.0 there\r\n"
    mta, tap, c = opened(world, auth=each(Split(fail), Split(late), Split(good)))
    for expected in (fail, late, good):
        assert c.cmd(f"AUTH PLAIN {PLAIN}").raw == expected
    c.quit()
    tap.closed(c)
    assert [x[2:] for x in results(tap)] == [("fail", 535), ("tempfail", 454), ("ok", 235)]
    sends = [r for r in tap.session(c) if r["tnx"] == "send" and r["side"] == "client"]
    assert any(r["code"] == 535 and r["lines"][1].endswith(" https://x.example/ q!") for r in sends)


def test_a7_empty_initial_response(world):
    mta, tap, c = opened(world, auth=GOOD)
    c.cmd("AUTH PLAIN =", 235)
    c.quit()
    tap.closed(c)
    assert mta.sessions[0].commands[1] == b"AUTH PLAIN ="
    assert results(tap) == [(None, "PLAIN", "ok", 235)]


# refusals


def test_a1_off(world):
    mta = world.mta(ehlo=AUTH, users=USERS)
    tap = world.tap(mta)
    c = tap.client()
    assert not keywords(c.ehlo())
    c.cmd(f"AUTH PLAIN {PLAIN}", 502, "5.5.1")
    c.quit()
    assert b"AUTH" not in mta.sessions[0].wire
    caps = tap.wait("caps")
    assert {"keyword": "AUTH", "reason": "auth.mode is off"} in caps["withheld"]


@pytest.mark.parametrize("line, code, enhanced", [
    ("AUTH", 501, "5.5.4"), ("AUTH PLAIN a b", 501, "5.5.4"), ("AUTH NTLM", 504, "5.5.4"),
    ("AUTH SCRAM-SHA-256", 504, "5.5.4"), ("AUTH EXTERNAL =", 504, "5.5.4"), ("AUTH PLAIN !!!!", 501, "5.5.2"),
    ("AUTH PLAIN AGE", 501, "5.5.2"), ("AUTH CRAM-MD5 YWJj", 501, "5.7.0")])
def test_a3_to_a9(world, line, code, enhanced):
    mta, tap, c = opened(world)
    c.cmd(line, code, enhanced)
    c.cmd("NOOP", 250)
    c.quit()
    assert b"AUTH" not in mta.sessions[0].wire
    tap.closed(c)
    method = (line.split() + [None])[1]
    assert results(tap) == [(None, method, "fail", code)]


def test_a2_clear(world, certs):
    mta = world.mta(ehlo=AUTH, users=USERS)
    tap = world.tap(mta, {"tls": {"certificates": [entry(certs.mta)]}, "auth": {"mode": "required"}})
    c = tap.client()
    assert not keywords(c.ehlo())
    c.cmd(f"AUTH PLAIN {PLAIN}", 538, "5.7.11")
    c.cmd("MAIL FROM:<a@b>", 530, "5.7.0")
    c.starttls()
    assert keywords(c.ehlo()) == ["AUTH PLAIN LOGIN"]
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    assert not keywords(c.ehlo())
    assert c.deliver().code == 250
    c.quit()
    message = tap.message(count=2)
    assert message["protocol"] == "ESMTPSA" and message["user"] == "alice"
    assert mta.sessions[0].wire.count(b"AUTH") == 1
    assert [r["withheld"] for r in tap.records("caps")]


def test_t9_before_a2(world, certs):
    mta = world.mta(ehlo=AUTH, users=USERS)
    tap = world.tap(mta, {"tls": {"certificates": [entry(certs.mta)]}, "auth": {"mode": "required"},
                          "server": {"require_tls": True}})
    c = tap.client()
    c.ehlo()
    c.cmd(f"AUTH PLAIN {PLAIN}", 530, "5.7.0")
    c.quit()


def test_a5(world):
    mta, tap, c = opened(world)
    c.mail()
    c.cmd("AUTH PLAIN", 503, "5.5.1")
    c.rcpt()
    c.cmd("RSET", 250)
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    c.cmd(f"AUTH PLAIN {PLAIN}", 503, "5.5.1")
    c.quit()
    assert mta.sessions[0].wire.count(b"AUTH") == 1


def test_a6_later(world):
    """The upstream's exchange is ended by "*"; the session goes on."""
    mta, tap, c = opened(world)
    for bad in ("not base64", "=", "AGE\rX", "*x"):
        c.cmd("AUTH LOGIN", 334)
        c.cmd(bad, 501, "5.5.2")
    c.cmd("NOOP", 250)
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    assert c.deliver().code == 250
    c.quit()
    assert mta.sessions[0].commands[1:9] == [b"AUTH LOGIN", b"*"] * 4
    tap.closed(c)
    assert [x[2:] for x in results(tap)] == [("fail", 501)] * 4 + [("ok", 235)]


def test_a8(world):
    reply = b"501 5.7.0 as you like\r\n"

    def star(session, line):
        assert session.ask("") is None
        return reply

    mta, tap, c = opened(world, {"limits": {"max_auth_failures": 1}}, auth=star)
    for _ in range(3):
        c.cmd("AUTH PLAIN", 334)
        assert c.cmd("*").raw == reply
    assert c.deliver().code == 250
    c.quit()
    assert mta.sessions[0].commands[1:7] == [b"AUTH PLAIN", b"*"] * 3


@pytest.mark.parametrize("answer", [GOOD, b"334 again\r\n", b"250 ok\r\n"])
def test_a8_nonsense_from_the_upstream(world, answer):
    """What the upstream thinks of the session then is not known: it is left, and the client is nobody."""
    def star(session, line):
        assert session.ask("") is None
        return answer

    mta, tap, c = opened(world, auth=star)
    c.cmd("AUTH PLAIN", 334)
    got = c.cmd("*")
    assert got.code in (454, 501)
    c.deliver()
    c.quit()
    mta.wait_ended(0)
    assert len(mta.sessions) == 2 and not tap.message().get("user")


@pytest.mark.parametrize("size, code, enhanced", [(12286, 535, "5.7.8"), (12290, 500, "5.5.6"), (60002, 500, "5.5.6")])
def test_a10(world, size, code, enhanced):
    mta, tap, c = opened(world, auth=lambda s, line: s.ask("") and b"535 5.7.8 no\r\n" or b"501 5.7.0 cancelled\r\n")
    c.cmd("AUTH PLAIN", 334)
    c.cmd("A" * (size - 2), code, enhanced)
    c.cmd("NOOP", 250)
    c.quit()
    if code == 500:
        mta.wait_ended()
        assert mta.sessions[0].commands[2] == b"*"


def test_a10_command(world):
    mta, tap, c = opened(world)
    c.cmd("AUTH PLAIN " + "A" * 12280, 500, "5.5.6")
    c.cmd("AUTH PLAIN " + "A" * 12280, 421, "4.7.0")
    c.eof()
    mta.wait_ended()
    assert b"AUTH" not in mta.sessions[0].wire


def test_a12(world):
    mta, tap, c = opened(world)
    for _ in range(2):
        c.cmd(f"AUTH PLAIN {plain('alice', 'wrong')}", 535, "5.7.8")
    c.cmd(f"AUTH PLAIN {plain('eve', 'wrong')}", 421, "4.7.0")
    c.eof()
    assert tap.closed(c)["reason"] == "limit"
    assert results(tap) == [("alice", "PLAIN", "fail", 535)] * 2 + [("eve", "PLAIN", "fail", 421)]
    mta.wait_ended()


def test_a12_counts_the_session(world):
    """Not those before, nor what failed for other reasons."""
    mta, tap, c = opened(world, {"limits": {"max_auth_failures": 1}}, auth=each(b"454 4.7.0 later\r\n", None, None))
    c.cmd(f"AUTH PLAIN {PLAIN}", 454)
    c.cmd("AUTH PLAIN !", 501)
    c.cmd("AUTH LOGIN", 334)
    c.cmd("*", 501)
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    c.quit()


def asking(mechanism, end, error='{"status":"401"}', after=1):
    """An upstream that tells the failure in its challenge after so many responses; `end` is its last reply to whatever
    comes."""
    def auth(session, line):
        said = len(line.split(b" ")) - 2
        while said < after:
            session.ask("")
            said += 1
        session.ask(b64(error))
        return end
    return {"auth": auth, "ehlo": [*EHLO, "AUTH " + mechanism]}


STAR = b"501 5.7.0 cancelled\r\n"
TOKEN = b64("user=alice\x01auth=Bearer guess\x01\x01")
OAUTH = [("XOAUTH2", '{"status":"401"}', 1), ("OAUTHBEARER", '{"status":"invalid_token"}', 1),
         ("SCRAM-SHA-256", "e=invalid-proof", 2)]


def guess(c, mechanism, after):
    if after == 1:
        return c.cmd(f"AUTH {mechanism} {TOKEN}", 334)
    c.cmd(f"AUTH {mechanism} {b64('n,,n=alice,r=nonce')}", 334)
    return c.cmd(b64("c=biws,r=nonceserver,p=AAAA"), 334)


@pytest.mark.parametrize("mechanism, error, after", OAUTH)
@pytest.mark.parametrize("last, end", [("*", STAR), ("*", b"535 5.7.8 no\r\n"), ("!", STAR), ("AQ==", b"535 5.7.8 no\r\n"),
                                       ("A" * 12400, STAR)])
def test_a12_failed_before_the_end(world, mechanism, error, after, last, end):
    """The challenge told the failure: it counts, whatever the client makes of it."""
    config = {"limits": {"max_auth_failures": 2}, "auth": {"mechanisms": [mechanism]}}
    mta, tap, c = opened(world, config, **asking(mechanism, end, error, after))
    guess(c, mechanism, after)
    assert c.cmd(last).code // 100 == 5
    c.cmd("NOOP", 250)
    guess(c, mechanism, after)
    got = c.cmd("*" if len(last) > 9 else last, 421)  # a second line that is too long ends the session anyhow
    assert b"failed logins" in got.raw
    c.eof()
    assert tap.closed(c)["reason"] == "limit"


@pytest.mark.parametrize("mechanism, error, after", OAUTH)
def test_a12_a_failure_for_now(world, mechanism, error, after):
    config = {"limits": {"max_auth_failures": 1}, "auth": {"mechanisms": [mechanism]}}
    mta, tap, c = opened(world, config, **asking(mechanism, b"454 4.7.0 later\r\n", error, after))
    for _ in range(3):
        guess(c, mechanism, after)
        c.cmd("*", 454)
    c.quit()


def test_a12_the_next_exchange_is_another(world):
    config = {"limits": {"max_auth_failures": 2}, "auth": {"mechanisms": ["XOAUTH2"]}}
    mta, tap, c = opened(world, config, **asking("XOAUTH2", STAR))
    guess(c, "XOAUTH2", 1)
    c.cmd("*", 501)
    for _ in range(3):
        c.cmd("AUTH XOAUTH2", 334)
        c.cmd("*", 501)
    c.quit()


@pytest.mark.parametrize("reply, counts", [(b"535 5.7.8 no\r\n", True), (b"501 5.7.0 as you like\r\n", False),
                                           (b"500 5.5.1 what\r\n", False), (b"454 4.7.0 later\r\n", False)])
def test_a12_what_the_upstream_says_to_a_star(world, reply, counts):
    mta, tap, c = opened(world, {"limits": {"max_auth_failures": 2}}, auth=lambda s, line: s.ask("") and b"" or reply)
    c.cmd("AUTH PLAIN", 334)
    assert c.cmd("*").raw == reply
    c.cmd("AUTH PLAIN", 334)
    c.cmd("*", 421 if counts else int(reply[:3]))
    if counts:
        c.eof()
    else:
        c.quit()


REQUIRED = {"auth": {"mode": "required", "required_message": "Log in, please"}}


def test_a13(world):
    mta, tap, c = opened(world, REQUIRED, hello=False)
    c.cmd("MAIL FROM:<a@client.example>", 530, "5.7.0")
    c.ehlo()
    for line in ("MAIL FROM:<a@client.example> BODY=8BITMIME", "RCPT TO:<b@x>", "DATA", "BDAT 0", "ETRN x", "MAIL"):
        got = c.cmd(line, 530, "5.7.0")
        assert got.text == "Log in, please"
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    assert c.deliver().code == 250
    c.quit()
    session = mta.sessions[0]
    tap.closed(c)
    assert session.commands[1].startswith(b"AUTH") and len(mta.messages) == 1
    refused = [r for r in tap.records("message") if r["code"] == 530]
    assert len(refused) == 3 and refused[0]["mail_from"] == "a@client.example"
    assert all(r["stage"] == "mail" and r["decided_by"] == "smtptap" and r["status"] == "rejected" for r in refused)


def test_a13_limit(world):
    mta, tap, c = opened(world, merge(REQUIRED, {"auth": {**OPEN["auth"], **REQUIRED["auth"]},
                                                 "limits": {"max_unauthenticated_commands": 3}}))
    c.cmd("NOOP", 250)
    c.ehlo()
    c.cmd("RSET", 250)
    c.cmd(f"AUTH PLAIN {plain('a', 'b')}", 535)
    c.cmd("HELP", 214)
    c.cmd("NOOP", 421, "4.7.0")
    c.eof()
    assert tap.closed(c)["reason"] == "limit"


def test_a13_limit_ends_with_the_login(world):
    mta, tap, c = opened(world, {"auth": {**OPEN["auth"], "mode": "required"}, "limits": {"max_unauthenticated_commands": 2}})
    c.cmd("NOOP", 250)
    c.cmd("NOOP", 250)
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    for _ in range(5):
        c.cmd("NOOP", 250)
    c.quit()


# A14, bound sessions


def test_a14_lost_in_the_exchange(world):
    mta, tap, c = opened(world, auth=each([b"334 \r\n", CLOSE], CLOSE, None))
    c.cmd("AUTH PLAIN", 334)
    mta.wait_ended(0)
    tap.wait("error", stage="auth")
    c.cmd(PLAIN, 454, "4.7.0")
    c.cmd(f"AUTH PLAIN {PLAIN}", 454, "4.7.0")
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    assert c.deliver().code == 250
    c.quit()
    tap.closed(c)
    assert [x[2:] for x in results(tap)] == [("tempfail", 454), ("tempfail", 454), ("ok", 235)]
    assert len(mta.sessions) == 3


def test_a14_lost_and_given_up(world):
    mta, tap, c = opened(world, auth=each([b"334 \r\n", CLOSE], [b"334 \r\n", CLOSE], None))
    for last in ("*", "bad base64"):
        c.cmd("AUTH PLAIN", 334)
        mta.wait_ended(len(mta.sessions) - 1)
        tap.wait("error", stage="auth", count=len(mta.sessions))
        c.cmd(last, 501)
    assert c.deliver().code == 250
    c.quit()


def test_a14_wrong_class(world):
    mta, tap, c = opened(world, auth=each(b"250 2.0.0 fine\r\n", b"354 go\r\n", b"nonsense\r\n", None))
    for _ in range(3):
        c.cmd(f"AUTH PLAIN {PLAIN}", 454, "4.7.0")
    c.cmd("MAIL FROM:<a@b>", 250)
    c.quit()
    assert not any(r.get("user") for r in tap.session(c))


def test_upstream_421(world):
    mta, tap, c = opened(world, auth=b"421 4.7.0 enough of you\r\n")
    assert c.cmd(f"AUTH PLAIN {PLAIN}").raw == b"421 4.7.0 enough of you\r\n"
    c.eof()
    assert tap.closed(c)["reason"] == "upstream"
    assert results(tap) == [("alice", "PLAIN", "tempfail", 421)]


def test_bound_lost_between_transactions(world):
    """421 at once, and no other connection is opened for it."""
    go = threading.Event()
    mta, tap, c = opened(world, auth=[GOOD, Wait(go), CLOSE])
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    go.set()
    c.expect(421, "4.4.2")
    c.eof()
    assert tap.closed(c)["reason"] == "upstream" and len(mta.sessions) == 1
    assert tap.wait("error")["err"]["code"] == "upstream_lost"


@pytest.mark.parametrize("stage", ["mail", "noop", "rset"])
def test_bound_lost_at(world, stage):
    mta, tap, c = opened(world, **{stage: CLOSE})
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    line = {"mail": "MAIL FROM:<a@client.example>"}.get(stage, stage)
    c.cmd(line, 421, "4.4.2")
    c.eof()
    tap.closed(c)
    assert len(mta.sessions) == 1
    if stage == "mail":
        message = tap.message()
        assert message["status"] == "deferred" and message["code"] == 421 and message["stage"] == "mail"


@pytest.mark.parametrize("stage, code", [("rcpt", 451), ("data", 451)])
def test_bound_lost_in_a_transaction(world, stage, code):
    mta, tap, c = opened(world, **{stage: CLOSE})
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    c.mail()
    if stage == "data":
        c.rcpt()
        c.cmd("DATA", code, "4.4.2")
    else:
        c.cmd("RCPT TO:<b@x.example>", code, "4.4.2")
    c.cmd("RSET", 421, "4.4.2")
    c.eof()
    assert len(mta.sessions) == 1 and tap.message()["status"] == "deferred"


def test_bound_lost_after_the_dot(world):
    mta, tap, c = opened(world, end=CLOSE)
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    assert c.deliver().code == 451
    c.cmd("MAIL FROM:<a@b.example>", 421, "4.4.2")
    c.eof()
    tap.closed(c)
    assert len(mta.sessions) == 1
    assert [r["status"] for r in tap.records("message")] == ["indeterminate", "deferred"]


def test_bound_421_between(world):
    """Also one that nobody asked for."""
    go = threading.Event()
    mta, tap, c = opened(world, auth=[GOOD, Wait(go), b"421 4.4.2 idle\r\n", CLOSE])
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    go.set()
    c.expect(421, "4.4.2")
    c.eof()


def test_bound_noop_and_rset_are_relayed(world):
    mta, tap, c = opened(world, noop=b"250 2.0.0 still here\r\n", rset=each(b"250 2.0.0 Flushed\r\n", b"450 4.0.0 no\r\n", None))
    c.cmd("NOOP", 250, "2.0.0")
    c.cmd("RSET", 250)
    assert b"NOOP" not in mta.sessions[0].wire
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    assert c.cmd("NOOP").raw == b"250 2.0.0 still here\r\n"
    c.mail()
    c.rcpt()
    assert c.cmd("RSET").raw == b"250 2.0.0 Flushed\r\n"
    assert c.cmd("RSET").raw == b"450 4.0.0 no\r\n"
    c.mail()
    c.ehlo()
    c.quit()
    mta.wait_ended()
    assert mta.sessions[0].wire.count(b"RSET") == 3  # that of EHLO is ours
    assert tap.message()["status"] == "reset"


def test_bound_no_second_server(world):
    """Two servers: what is said after the login goes to the first or nowhere."""
    first, second = world.mta(ehlo=AUTH, users=USERS, mail=CLOSE), world.mta(ehlo=AUTH, users=USERS)
    tap = world.tap([first, second], OPEN)
    c = tap.client()
    c.ehlo()
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    c.cmd("MAIL FROM:<a@client.example>", 421, "4.4.2")
    c.eof()
    tap.closed(c)
    assert not second.sessions


def test_session_dies_in_the_exchange(world):
    """The upstream's exchange is not left for others to finish: the connection goes, without QUIT in its place."""
    mta, tap, c = opened(world)
    c.cmd("AUTH LOGIN", 334)
    c.close()
    tap.closed(c)
    mta.wait_ended()
    assert mta.sessions[0].commands == [mta.sessions[0].commands[0], b"AUTH LOGIN"] and mta.sessions[0].ended != "quit"
    assert results(tap) == [(None, "LOGIN", "fail", None)] and tap.records("auth")[0]["reason"] == "gone"


def test_starttls_behind_a_login(world, certs):
    """T8: the client is nobody again, and the upstream's connection that knew it is left."""
    mta = world.mta(ehlo=AUTH, users=USERS)
    tap = world.tap(mta, merge(OPEN, {"tls": {"certificates": [entry(certs.mta)]}}))
    c = tap.client()
    c.ehlo()
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    c.starttls()
    assert keywords(c.ehlo())
    assert c.deliver().code == 250
    c.cmd(f"AUTH PLAIN {plain('bob@b.example', 'builder')}", 235)
    assert c.deliver().code == 250
    c.quit()
    tap.message(count=2)
    got = [(r.get("user"), r["protocol"]) for r in tap.records("message")]
    assert got == [(None, "ESMTPS"), ("bob@b.example", "ESMTPSA")]
    assert len(mta.sessions) == 2 and b"MAIL" not in mta.sessions[0].wire


# pipelining and injection


def test_pipelined_responses(world):
    mta, tap, c = opened(world)
    c.send(f"AUTH LOGIN\r\n{b64('alice')}\r\n{b64('wonderland')}\r\nMAIL FROM:<a@client.example>\r\n"
           "RCPT TO:<b@x.example>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n".encode())
    for code in (334, 334, 235, 250, 250, 354, 250, 221):
        c.expect(code)
    c.eof()
    assert len(mta.messages) == 1 and tap.message()["user"] == "alice"


def test_pipelined_behind_a_refusal(world):
    """What was meant as responses is commands then, and is never shown or passed on."""
    mta, tap, c = opened(world, {"auth": {**OPEN["auth"], "mechanisms": ["PLAIN"]}})
    c.send(f"AUTH LOGIN\r\n{b64('alice')}\r\n{b64('wonderland')}\r\nNOOP\r\n".encode())
    for code in (504, 500, 500, 250):
        c.expect(code)
    c.quit()
    mta.wait_ended()
    assert mta.sessions[0].commands[1:] == [b"QUIT"]


@pytest.mark.parametrize("cut", range(1, 26, 3))
def test_cut_anywhere(world, cut):
    mta, tap, c = opened(world)
    data = f"AUTH PLAIN {PLAIN}\r\nNOOP\r\n".encode()
    c.send_cut(data, cut)
    c.expect(235)
    c.expect(250)
    c.quit()


@pytest.mark.parametrize("text", [
    b"AGEAYg==\rMAIL FROM:<x@y>", b"AGEA\0Yg==", b"AGEA Yg==", b"AGEAYg== MAIL", b"\xff\xfe",
    "AGEAYg\u2028==".encode()])
@pytest.mark.parametrize("initial", [False, True])
def test_injection(world, text, initial):
    """Nothing but base64 goes upstream within an exchange."""
    mta, tap, c = opened(world, auth=lambda s, line: b"535 5.7.8 no\r\n" if b" " in line[5:] else
                         (b"501 5.7.0 ok\r\n" if s.ask("") is None else b"535 5.7.8 no\r\n"))
    if initial:
        c.send(b"AUTH PLAIN " + text + b"\r\n")
    else:
        c.cmd("AUTH PLAIN", 334)
        c.send(text + b"\r\n")
    c.reply()
    c.send(b"QUIT\r\n")
    while True:
        try:
            c.reply()
        except (Gone, OSError):
            break
    mta.wait_ended()
    wire = bytes(mta.sessions[0].wire)
    assert not any(x in wire for x in (b"x@y", b"\0", b"\xff", b"\xe2")), wire


# the offer


@pytest.mark.parametrize("theirs, ours, offered", [
    ("AUTH PLAIN LOGIN", ["PLAIN", "LOGIN"], "AUTH PLAIN LOGIN"),
    ("AUTH=LOGIN PLAIN", ["PLAIN"], "AUTH PLAIN"),
    ("AUTH GSSAPI NTLM", ["PLAIN"], None),
    ("AUTH", ["PLAIN"], None),
    ("AUTH EXTERNAL ANONYMOUS PLAIN", ["PLAIN", "EXTERNAL"], "AUTH PLAIN"),
    ("AUTH SCRAM-SHA-256 SCRAM-SHA-256-PLUS PLAIN", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"], "AUTH PLAIN"),
    ("AUTH SCRAM-SHA-256 PLAIN", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"], "AUTH PLAIN SCRAM-SHA-256")])
def test_h8(world, theirs, ours, offered):
    mta = world.mta(ehlo=[*EHLO, theirs])
    tap = world.tap(mta, {"auth": {"mode": "optional", "require_tls": False, "mechanisms": ours}})
    c = tap.client()
    assert keywords(c.ehlo()) == ([offered] if offered else [])
    if offered is None:
        c.cmd("AUTH PLAIN", 504, "5.5.4")
    c.quit()


def test_hidden_and_still_honoured(world):
    mta, tap, c = opened(world, {"server": {"hide_extensions": ["AUTH"]}}, hello=False)
    assert not keywords(c.ehlo())
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    c.quit()


def test_m8(world):
    """AUTH= goes to an upstream that offers AUTH."""
    for ehlo, sent in ((AUTH, b" AUTH=<>"), (EHLO, b"")):
        mta = world.mta(ehlo=list(ehlo), users=USERS)
        tap = world.tap(mta, OPEN)
        c = tap.client()
        c.ehlo()
        c.mail(params=" AUTH=<>")
        c.quit()
        mta.wait_ended()
        assert mta.sessions[0].commands[1] == b"MAIL FROM:<a@client.example>" + sent


def test_bound_reset_of_our_own_fails(world):
    """C1: such a connection is of no more use, and there is no other for this login."""
    mta, tap, c = opened(world, rset=b"450 4.0.0 no\r\n")
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    c.mail()
    c.ehlo()
    c.expect(421, "4.4.2")
    c.eof()


# TLS to the upstream


def test_loopback_needs_no_tls_upstream(world):
    mta = world.mta(ehlo=AUTH, users=USERS)
    tap = world.tap(mta, merge(OPEN, {"upstream": {"tls": "opportunistic"}}))
    c = tap.client()
    c.ehlo()
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    c.quit()


def test_over_tls(world, certs):
    mta = world.mta(ehlo=AUTH, users=USERS, context=server_context(certs.mta))
    tap = world.tap(mta, merge(OPEN, {"upstream": {"tls": "required", "tls_ca": certs.ca}}))
    c = tap.client()
    c.ehlo()
    c.cmd(f"AUTH PLAIN {PLAIN}", 235)
    assert c.deliver().code == 250
    c.quit()
    assert tap.message()["upstream"]["tls"]["used"]


# echoes


def test_what_repeats_the_secret_is_not_logged(world):
    """The client gets the upstream's words; the log does not."""
    echo = f"535 5.7.8 not {PLAIN} please\r\n".encode()
    mta, tap, c = opened(world, auth=each(echo, b"535 5.7.8 'wonderland' is no password\r\n", b"535 5.7.8 alice\r\n"),
                         config={"limits": {"max_auth_failures": 9}})
    assert c.cmd(f"AUTH PLAIN {PLAIN}").raw == echo
    c.cmd(f"AUTH PLAIN {PLAIN}", 535)
    c.quit()
    tap.closed(c)
    raw = bytes(tap.log.raw)
    assert PLAIN.encode() not in raw and b"wonderland" not in raw
    sends = [r for r in tap.session(c) if r["tnx"] == "send" and r["code"] == 535]
    assert len(sends) == 4 and all(r["lines"] == ["*"] and r["enhanced"] == "5.7.8" for r in sends)


def test_lf_alone_in_an_exchange(world):
    """It ends the line, as it does everywhere; what is passed on ends in CR LF."""
    mta, tap, c = opened(world)
    c.send(f"AUTH PLAIN\n{PLAIN}\nNOOP\n".encode())
    for code in (334, 235, 250):
        c.expect(code)
    c.quit()


def test_shutdown_in_an_exchange(world):
    mta, tap, c = opened(world)
    c.cmd("AUTH LOGIN", 334)
    tap.send_signal(15)
    c.expect(421, "4.3.2")
    c.eof()
    wait_until(lambda: tap.child.returncode is not None, "the end")


# names that are hard to read


@pytest.mark.parametrize("mechanism, message, name", [
    ("PLAIN", b"admin\0\0pw", "admin"), ("PLAIN", b"\0bo\x01b\0pw", "bo\x01b"),
    ("PLAIN", b"\0bo\xf6b\r\n\0pw", "bo\ufffdb\r\n"), ("LOGIN", b"bo\x1bb", "bo\x1bb")])
def test_a_session_that_is_logged_in_has_a_name(world, mechanism, message, name):
    mta, tap, c = opened(world, auth=GOOD)
    c.cmd(f"AUTH {mechanism} {b64(message)}", 235)
    c.cmd("MAIL FROM:<a@client.example>", 250)
    c.quit()
    record = tap.wait("auth")
    assert record["username"] == name and record["result"] == "ok"
    assert tap.message()["user"] == name
