"""Nothing that is secret, and nothing of a message's text, is ever in a record or in a reply."""
import base64
import re

import pytest

from harness.client import Gone

SECRET = "s3cr3t-Passw0rd"
TOKENS = [SECRET, base64.b64encode(SECRET.encode()).decode(), base64.b64encode(f"\0user\0{SECRET}".encode()).decode()]
PLAIN = TOKENS[2]


def no_trace(tap, *words):
    log = bytes(tap.log.raw[tap.mark:]) + bytes(tap.stderr)
    for word in [*TOKENS, *words]:
        assert word.encode() not in log, f"{word} is in the log: {re.findall(b'.{80}' + re.escape(word.encode()), log)[:2]}"


LINES = [
    f"AUTH PLAIN {PLAIN}", f"auth plain {PLAIN}", f"AuTh PLAIN {PLAIN} more", f"AUTH  PLAIN {PLAIN}",
    f"AUTH\tPLAIN\t{PLAIN}", f" AUTH PLAIN {PLAIN}", f"\tauth {PLAIN}", f"AUTHPLAIN {PLAIN}",
    f"AUTH{PLAIN}", f"AUTH PLAIN={PLAIN}", f"AUTH LOGIN {TOKENS[1]}", f"AUTH XOAUTH2 {PLAIN}", f"AUTH {PLAIN}",
    f"AUTH PLAIN {SECRET}", f"AUTHX {SECRET}", f"auth\0{SECRET}", f"AUTH PLAIN \u00fc{SECRET}",
    f"AUTH PLAIN {SECRET}\rX", f"authenticate {SECRET}", "AUTH PLAIN " + SECRET * 500, "AUTH PLAIN " + SECRET * 2000,
]


@pytest.mark.parametrize("helo", [True, False])
@pytest.mark.parametrize("line", LINES, ids=lambda x: repr(x[:16])[1:-1])
def test_a15_auth_lines(tap, line, helo):
    c = tap.client()
    if helo:
        c.ehlo()
    got = c.cmd(line.encode())
    assert SECRET.encode() not in got.raw and PLAIN.encode() not in got.raw
    for more in (TOKENS[1], TOKENS[2], SECRET,
                 f"user {SECRET}"):  # what a client sends on, believing itself in an exchange
        try:
            got = c.cmd(more)
        except (Gone, OSError):
            break
        assert SECRET.encode() not in got.raw and TOKENS[1].encode() not in got.raw
    c.close()
    tap.closed(c)
    no_trace(tap)


def test_a15_until_the_session_ends(tap):
    c = tap.client()
    c.ehlo()
    c.cmd(f"AUTH PLAIN {PLAIN}", 502)
    assert c.deliver().code == 250
    c.cmd(SECRET, 500)
    c.cmd("RSET", 250)
    c.cmd(f"{SECRET} x", 500)
    c.quit()
    commands = [r for r in tap.session(c) if r["tnx"] == "command" and r["side"] == "client"]
    hidden = [r for r in commands if r["line"] == "*"]
    assert len(hidden) == 2 and all(r["command"] == "?" for r in hidden)
    assert [r["command"] for r in commands if r["line"] != "*"] == ["EHLO", "AUTH", "MAIL", "RCPT", "DATA", "RSET",
                                                                    "QUIT"]
    auth = next(r for r in commands if r["command"] == "AUTH")
    assert PLAIN not in auth["line"] and auth["line"].upper().startswith("AUTH") and "*" in auth["line"]
    no_trace(tap)


def test_auth_line_cut_anywhere(tap):
    line = f"AUTH PLAIN {PLAIN}\r\n{TOKENS[1]}\r\n".encode()
    for cut in range(1, len(line), 2):
        c = tap.client()
        c.ehlo()
        c.send_cut(line, cut)
        c.expect(502)
        c.expect(500)
        c.close()
        tap.closed(c)
    no_trace(tap)


def test_auth_line_without_end(tap):
    """The client goes, or the line is too long, before its end: what was read of it is still secret."""
    for line in (f"AUTH PLAIN {PLAIN}", f"AUTH LOGIN\r\n{TOKENS[1]}", f"AUTH PLAIN {PLAIN * 1000}"):
        c = tap.client()
        c.ehlo()
        c.send(line.encode())
        c.drained()
        c.close()
        tap.closed(c)
    no_trace(tap)


def test_auth_line_in_a_reply_of_the_upstream_is_not_asked_for(world):
    """Nothing of AUTH goes upstream while it is off."""
    mta = world.mta(ehlo=["PIPELINING", "AUTH PLAIN LOGIN"])
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    c.cmd(f"AUTH PLAIN {PLAIN}", 502)
    assert c.deliver().code == 250
    c.quit()
    mta.wait_ended()
    assert SECRET.encode() not in mta.sessions[0].wire and PLAIN.encode() not in mta.sessions[0].wire
    no_trace(tap)


# message text


TEXT = (b"Subject: my-private-subject\r\nX-Private: my-private-header\r\n\r\nmy-private-body line\r\n"
        b"MAIL to my-private-friend\r\nanother my-private-line\r\n")
PRIVATE = ["my-private-subject", "my-private-header", "my-private-body", "my-private-friend", "my-private-line"]


@pytest.mark.parametrize("stage, reply", [("data", b"451 4.3.0 no\r\n"), ("data", b"550 5.7.1 no\r\n"),
                                          ("rcpt", b"550 5.1.1 no\r\n"), ("mail", b"550 5.1.8 no\r\n")])
def test_body_behind_a_refused_data(world, stage, reply):
    mta = world.mta(**{stage: reply})
    tap = world.tap(mta, {"limits": {"max_unrecognized_commands": 100}})
    c = tap.client()
    c.ehlo()
    c.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n" + TEXT + b".\r\nQUIT\r\n")
    got = b""
    while b"221 " not in got:
        got += c.reply().raw
    c.eof()
    assert not any(w.encode() in got for w in PRIVATE)
    records = tap.session(c)
    no_trace(tap, *PRIVATE)
    behind = [r for r in records if r["tnx"] == "command" and r["side"] == "client"][4:]
    assert behind[-1]["command"] == "QUIT" and behind[-1]["line"] == "QUIT"
    assert all(r["line"] == "*" for r in behind[:-1])


def test_masking_ends_with_a_well_formed_command(world):
    tap = world.tap(world.mta(data=b"451 4.3.0 no\r\n"), {"limits": {"max_unrecognized_commands": 100}})
    c = tap.client()
    c.ehlo()
    c.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nnoop my-private-body\r\nVRFY my-private-line\r\nRSET\r\nVRFY visible\r\n")
    for _ in range(7):
        c.reply()
    c.quit()
    commands = [(r["command"], r["line"]) for r in tap.session(c) if r["tnx"] == "command" and r["side"] == "client"]
    assert commands[4:] == [("NOOP", "*"), ("VRFY", "*"), ("RSET", "RSET"), ("VRFY", "VRFY visible"), ("QUIT", "QUIT")]
    no_trace(tap, *PRIVATE)


@pytest.mark.parametrize("verb", ["RSET x", "MAIL my-private-body", "EHLO", "QUIT my-private-line",
                                  "MAIL FROM:<my-private-body", "HELO"])
def test_masking_does_not_end_with_what_only_looks_like_one(world, verb):
    tap = world.tap(world.mta(data=b"451 4.3.0 no\r\n"))
    c = tap.client()
    c.ehlo()
    c.mail()
    c.rcpt()
    c.cmd("DATA", 451)
    c.cmd(verb)
    c.cmd("my-private-friend writes", 500)
    c.close()
    tap.closed(c)
    no_trace(tap, *PRIVATE)


@pytest.mark.parametrize("how", ["delivered", "refused", "lost", "bare", "long"])
def test_message_text_is_never_in_the_log(world, how):
    mta = world.mta(**({"end": b"550 5.7.1 no\r\n"} if how == "refused" else {}))
    tap = world.tap(mta, {"server": {"bare_newline": "reject"}} if how == "bare" else None)
    c = tap.client()
    c.ehlo()
    c.begin()
    text = TEXT.replace(b"\r\n\r\n", b"\n\n") if how == "bare" else TEXT
    if how == "long":
        text += b"my-private-line" * 100000 + b"\r\n"
    c.send(text)
    if how == "lost":
        c.drained()
        c.close()
    else:
        c.send(b".\r\n")
        c.reply()
        c.quit()
    tap.closed(c)
    no_trace(tap, *PRIVATE)


def test_bdat_chunks_are_never_in_the_log(tap):
    for argument in (b"%d LAST" % len(TEXT), b"%d" % len(TEXT)):
        c = tap.client()
        c.ehlo()
        c.mail()
        c.rcpt()
        c.send(b"BDAT " + argument + b"\r\n" + TEXT)
        c.expect(502)
        c.cmd("QUIT")
        c.close()
        tap.closed(c)
    c = tap.client()
    c.ehlo()
    c.send(b"BDAT bogus\r\n" + TEXT)
    c.expect(521)
    c.close()
    tap.closed(c)
    no_trace(tap, *PRIVATE)


def test_text_behind_bdat_is_masked(tap):
    """A client that was refused the chunk may send its text as lines."""
    c = tap.client()
    c.ehlo()
    c.mail()
    c.rcpt()
    c.send(b"BDAT 0\r\nmy-private-body\r\nVRFY my-private-line\r\nRSET\r\n")
    for _ in range(4):
        c.reply()
    c.quit()
    tap.closed(c)
    no_trace(tap, *PRIVATE)


@pytest.mark.parametrize("wanted, shown", [(["subject"], True), (["from"], False)])
def test_headers_only_those_named(world, wanted, shown):
    tap = world.tap(world.mta(), {"log": {"headers": wanted}})
    c = tap.client()
    c.ehlo()
    assert c.deliver(b"From: a@b.example\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nX-Private: my-private-header\r\n\r\nbody\r\n").code == 250
    m = tap.message()
    assert m.get("subject") == ("Gr\u00fc\u00dfe" if shown else None)
    no_trace(tap, "my-private-header")
