"""Tables X and Q9: what a permitted peer may tell of the client, and how the upstream is told of it. Strangers tell
nothing, and relay nowhere."""
import random
import socket
from base64 import b64encode
import struct

import pytest

from harness.mta import CLOSE, EHLO, each
from harness.tls import entry, server_context

LOCAL = {"server": {"xclient": ["127.0.0.1"], "xforward": ["127.0.0.1"]}}
ALL = "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT"
FORWARD = "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT"
ports = random.SystemRandom()


def with_identity(identity, **server):
    return {"server": {"received_header": "auto", "proxy_protocol": ["127.0.0.1"], **server},
            "upstream": {"identity": identity}}


def told(tap, host="192.0.2.7", to="198.51.100.9"):
    """A client whose address is told by PROXY."""
    port = ports.randrange(1, 65536)
    kind = 6 if ":" in host else 4
    return tap.client(prelude=b"PROXY TCP%d %s %s %d 25\r\n" % (kind, host.encode(), to.encode(), port), port=port)


def attributes(lines, verb):
    """Of all these commands with this verb: {name: value as on the wire}."""
    found = {}
    for line in lines:
        words = line.decode().split(" ")
        if words[0] == verb:
            assert len(line) <= 510
            for word in words[1:]:
                name, value = word.split("=", 1)
                assert name not in found, f"{name} twice in {lines}"
                found[name] = value
    return found


def verbs(session):
    return [c.split(b" ", 1)[0].decode() for c in session.commands]


def keywords(reply):
    return {x.split()[0].decode() for x in reply.lines[1:]}


# XCLIENT and XFORWARD from clients


def test_x1_offered_to_permitted_peers_alone(world):
    tap = world.tap(world.mta(), {"listeners": [{"address": "127.0.0.1:0"}, {"address": "127.0.0.2:0",
                                                                             "xclient": ["127.0.0.2"], "xforward": []}], **LOCAL})
    here, there = tap.addresses()
    reply = tap.client(here).ehlo()
    lines = [x.decode() for x in reply.lines]
    assert "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT" in lines
    assert "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE" in lines
    assert not keywords(tap.client(here, source="127.0.0.2").ehlo()) & {"XCLIENT", "XFORWARD"}
    assert keywords(tap.client(there, source="127.0.0.2").ehlo()) & {"XCLIENT", "XFORWARD"} == {"XCLIENT"}
    assert not keywords(tap.client(there, source="127.0.0.1").ehlo()) & {"XCLIENT", "XFORWARD"}


def test_x1_a_stranger_tells_nothing(world):
    mta = world.mta()
    tap = world.tap(mta, LOCAL)
    c = tap.client(source="127.0.0.9")
    c.ehlo()
    c.cmd("XCLIENT ADDR=192.0.2.7 LOGIN=boss", 550, "5.7.0")
    c.cmd("XFORWARD ADDR=192.0.2.7", 550, "5.7.0")
    assert c.deliver().code == 250
    c.quit()
    assert {r["host"] for r in tap.session(c) if r.get("side") != "upstream"} == {"127.0.0.9"}
    assert not tap.records("xclient") and not tap.records("xforward") and "user" not in tap.message()


def test_hidden_and_disabled(world):
    tap = world.tap(world.mta(), {"server": dict(LOCAL["server"], hide_extensions=["XFORWARD"], disabled_commands=["XCLIENT"])})
    c = tap.client()
    assert not keywords(c.ehlo()) & {"XCLIENT", "XFORWARD"}
    c.cmd("XCLIENT ADDR=192.0.2.7", 502, "5.5.1")
    c.cmd("XFORWARD ADDR=192.0.2.7", 250, "2.0.0")


def test_x4_what_xclient_gives_is_used(world):
    mta = world.mta()
    tap = world.tap(mta, {"server": dict(LOCAL["server"], received_header="on", helo_response="hi {client}", banner="hello")})
    c = tap.client()
    c.ehlo("proxy.example")
    c.mail()
    c.cmd("XCLIENT ADDR=192.0.2.7", 503, "5.5.1")
    c.cmd("RSET", 250)
    reply = c.cmd("XCLIENT NAME=real.example ADDR=192.0.2.7 PORT=4711 PROTO=SMTP HELO=its.name LOGIN=jo+2Be@b.example "
                  "DESTADDR=198.51.100.1 DESTPORT=587", 220)
    assert reply.lines == [b"tap.example ESMTP hello"]
    c.cmd("MAIL FROM:<a@b.example>", 503, "5.5.1")
    assert c.ehlo("proxy.example").lines[0] == b"hi real.example"
    assert c.deliver().code == 250
    m = tap.message(status="accepted")
    assert (m["host"], m["hostname"], m["helo"], m["protocol"], m["user"]) == \
        ("192.0.2.7", "real.example", "its.name", "SMTP", "jo+e@b.example")
    told = {r["xclientKey"]: r["xclient"] for r in tap.records("xclient")}
    assert told == {"NAME": "real.example", "ADDR": "192.0.2.7", "PORT": "4711", "PROTO": "SMTP", "HELO": "its.name",
                    "LOGIN": "jo+e@b.example", "DESTADDR": "198.51.100.1", "DESTPORT": "587"}
    assert mta.messages[0]["raw"].startswith(b"Received: from its.name (real.example [192.0.2.7])\r\n")
    c.quit()
    close = tap.closed(c)
    assert close["host"] == "192.0.2.7" and close["hostname"] == "real.example"


def test_x4_permission_is_judged_anew(world):
    tap = world.tap(world.mta(), LOCAL)
    c = tap.client()
    c.cmd("XCLIENT NAME=a.example", 220)
    c.cmd("XCLIENT ADDR=192.0.2.7", 220)
    c.cmd("XCLIENT ADDR=127.0.0.1", 550, "5.7.0")
    c.cmd("XFORWARD ADDR=192.0.2.9", 550, "5.7.0")
    assert not keywords(c.ehlo()) & {"XCLIENT", "XFORWARD"}
    assert c.deliver().code == 250
    assert tap.message(status="accepted")["hostname"] == "a.example"


@pytest.mark.parametrize("addr, host", [("[UNAVAILABLE]", "unknown"), ("IPV6:2001:db8::7", "2001:db8::7"),
                                        ("ipv6:::ffff:192.0.2.9", "192.0.2.9")])
def test_x6_forms_of_addr(world, addr, host):
    tap = world.tap(world.mta(), LOCAL)
    c = tap.client()
    c.cmd(f"xclient addr={addr} name=[unavailable]", 220)
    c.ehlo()
    assert c.deliver().code == 250
    m = tap.message()
    assert m["host"] == host and m["hostname"] is None
    assert tap.wait("xclient", xclientKey="NAME")["xclient"] == "[UNAVAILABLE]"


@pytest.mark.parametrize("arg", ["", "ADDR", "ADDR=", "FOO=a", "ADDR=x", "ADDR=2001:db8::1", "PORT=70000", "HELO=a+0Db",
                                 "LOGIN=a+0A250+20Ok", "NAME=a..b", "ADDR=192.0.2.7 PORT=x", "PROTO=QMQP",
                                 "HELO=" + "x" * 256, "ADDR=192.0.2.7 ADDR=192.0.2.8"])
def test_x3_nothing_is_applied(world, arg):
    tap = world.tap(world.mta(), LOCAL)
    c = tap.client()
    c.ehlo()
    c.cmd(f"XCLIENT {arg}".strip(), 501, "5.5.4")
    assert c.deliver().code == 250
    assert tap.message()["host"] == "127.0.0.1" and not tap.records("xclient")


def test_deauth(world):
    tap = world.tap(world.mta(), LOCAL)
    c = tap.client()
    c.cmd("XCLIENT LOGIN=one", 220)
    c.cmd("XCLIENT LOGIN=one PORT=5", 220)
    c.cmd("XCLIENT LOGIN=two", 220)
    c.cmd("XCLIENT LOGIN=[UNAVAILABLE]", 220)
    c.cmd("XCLIENT LOGIN=three", 220)
    c.cmd("XCLIENT HELO=x", 220)  # a client without its login
    c.ehlo()
    assert c.deliver().code == 250
    assert "user" not in tap.message()
    assert [r["user"] for r in tap.records("deauth")] == ["one", "two", "three"]


def test_helo_and_proto_are_of_the_last_xclient(world):
    tap = world.tap(world.mta(), LOCAL)
    c = tap.client()
    c.cmd("XCLIENT HELO=one.example PROTO=SMTP NAME=n.example", 220)
    c.cmd("XCLIENT PORT=9", 220)
    c.ehlo("own.example")
    assert c.deliver().code == 250
    m = tap.message()
    assert (m["helo"], m["protocol"], m["hostname"]) == ("own.example", "ESMTP", "n.example")


def test_t9_in_clear_where_tls_is_required(world, certs):
    tap = world.tap(world.mta(), {"server": dict(LOCAL["server"], require_tls=True),
                                  "tls": {"certificates": [entry(certs.a)]}})
    c = tap.client()
    c.cmd("XCLIENT ADDR=192.0.2.7 NAME=n.example", 220)
    c.cmd("MAIL FROM:<a@b.example>", 530, "5.7.0")
    c.cmd("XCLIENT ADDR=127.0.0.1", 530, "5.7.0")
    c.ehlo()
    c.starttls()
    c.ehlo()
    assert c.deliver().code == 250
    assert tap.message(status="accepted")["host"] == "192.0.2.7"
    c = tap.client(source="127.0.0.7")
    c.cmd("XCLIENT ADDR=192.0.2.7", 530, "5.7.0")


def test_x4_tls_is_kept(world, certs):
    tap = world.tap(world.mta(), {**LOCAL, "tls": {"certificates": [entry(certs.a)]}})
    c = tap.client()
    c.ehlo()
    c.starttls()
    c.cmd("XCLIENT ADDR=192.0.2.7", 220)
    assert "STARTTLS" not in keywords(c.ehlo())
    assert c.deliver().code == 250
    m = tap.message()
    assert m["protocol"] == "ESMTPS" and m["tls"]["used"] and m["host"] == "192.0.2.7"


def test_t8_what_was_told_in_clear_is_forgotten(world, certs):
    """RFC 3207 section 4.2; the address stays."""
    mta = world.mta(ehlo=(*EHLO, ALL, FORWARD))
    tap = world.tap(mta, {**LOCAL, "tls": {"certificates": [entry(certs.a)]}, "upstream": {"identity": "xclient"}})
    c = tap.client()
    c.cmd("XCLIENT ADDR=192.0.2.7 NAME=n.example PORT=4711 DESTADDR=198.51.100.1 HELO=injected.example LOGIN=joe PROTO=SMTP", 220)
    c.ehlo()
    c.starttls()
    c.ehlo("own.example")
    assert c.deliver().code == 250
    m = tap.message()
    assert (m["host"], m["hostname"], m["helo"], m["protocol"]) == ("192.0.2.7", "n.example", "own.example", "ESMTPS")
    assert "user" not in m and [r["user"] for r in tap.records("deauth")] == ["joe"]
    first, last = (attributes(x.commands, "XCLIENT") for x in mta.sessions)
    assert (first["HELO"], first["LOGIN"], first["PROTO"]) == ("injected.example", "joe", "SMTP")
    assert (last["ADDR"], last["HELO"], last["LOGIN"], last["PROTO"]) == ("192.0.2.7", "own.example", "[UNAVAILABLE]", "ESMTP")


@pytest.mark.parametrize("given", ["PROTO=SMTP", "LOGIN=joe", "HELO=injected.example"])
def test_t8_each_alone_is_forgotten(world, certs, given):
    mta = world.mta(ehlo=(*EHLO, ALL))
    tap = world.tap(mta, {**LOCAL, "tls": {"certificates": [entry(certs.a)]}, "upstream": {"identity": "xclient"}})
    c = tap.client()
    c.cmd(f"XCLIENT {given}", 220)
    c.ehlo("own.example")
    c.starttls()
    c.ehlo("own.example")
    assert c.deliver().code == 250
    assert len(mta.sessions) == 2
    told = attributes(mta.sessions[1].commands, "XCLIENT")
    assert (told["PROTO"], told["HELO"], told["LOGIN"]) == ("ESMTP", "own.example", "[UNAVAILABLE]")
    assert tap.message()["status"] == "accepted" and len(tap.records("deauth")) == (given == "LOGIN=joe")


def test_t8_xforward_in_clear_is_forgotten(world, certs):
    mta = world.mta(ehlo=(*EHLO, FORWARD))
    tap = world.tap(mta, {**LOCAL, "tls": {"certificates": [entry(certs.a)]}, "upstream": {"identity": "xforward"}})
    c = tap.client()
    c.ehlo()
    c.cmd("XFORWARD NAME=injected.example ADDR=192.0.2.66", 250)
    c.starttls()
    c.ehlo()
    assert c.deliver().code == 250
    assert attributes(mta.sessions[0].commands, "XFORWARD")["ADDR"] == "127.0.0.1"


def test_limits_count_the_told_client(world):
    tap = world.tap(world.mta(), {**LOCAL, "limits": {"max_connections_per_client": 2}})
    held = []
    for _ in range(2):
        c = tap.client()
        c.cmd("XCLIENT ADDR=192.0.2.7", 220)
        held.append(c)
    c = tap.client()
    c.cmd("XCLIENT ADDR=192.0.2.7", 421, "4.7.0")
    c.eof()
    assert tap.closed(c)["reason"] == "limit"
    held[0].quit()
    tap.closed(held[0])
    c = tap.client()
    c.cmd("XCLIENT ADDR=192.0.2.7", 220)
    tap.client()


def test_x5_xforward_is_for_one_message(world):
    mta = world.mta(ehlo=(*EHLO, FORWARD))
    tap = world.tap(mta, {**LOCAL, "upstream": {"identity": "xforward"}})
    c = tap.client()
    c.ehlo()
    c.cmd("XFORWARD NAME=orig.example ADDR=192.0.2.7 IDENT=theirs", 250, "2.0.0")
    c.cmd("XFORWARD HELO=hi.example", 250, "2.0.0")
    assert c.deliver().code == 250
    assert c.deliver().code == 250
    m = tap.message()
    assert m["host"] == "127.0.0.1" and m["upstream"]["identity"] == "xforward"
    assert {r["xforwardKey"]: r["xforward"] for r in tap.records("xforward")} == \
        {"NAME": "orig.example", "ADDR": "192.0.2.7", "IDENT": "theirs", "HELO": "hi.example"}
    commands = mta.sessions[0].commands
    second = commands.index(b"DATA") + 1
    first = attributes(commands[:second], "XFORWARD")
    assert first == {"NAME": "orig.example", "ADDR": "192.0.2.7", "HELO": "hi.example", "PORT": "[UNAVAILABLE]",
                     "PROTO": "[UNAVAILABLE]", "SOURCE": "[UNAVAILABLE]", "IDENT": m["tid"]}
    assert attributes(commands[second:], "XFORWARD")["ADDR"] == "127.0.0.1"


# telling the upstream


def test_xclient_is_said_in_the_preparation(world):
    mta = world.mta(ehlo=(*EHLO, ALL))
    tap = world.tap(mta, with_identity("auto"))
    c = told(tap)
    c.ehlo("its.name")
    assert c.deliver().code == 250
    session = mta.sessions[0]
    assert verbs(session)[:5] == ["EHLO", "XCLIENT", "EHLO", "MAIL", "RCPT"]
    assert session.commands[0] == b"EHLO tap.example" and session.commands[2] == b"EHLO its.name"
    assert attributes(session.commands, "XCLIENT") == {
        "NAME": "[UNAVAILABLE]", "REVERSE_NAME": "[UNAVAILABLE]", "ADDR": "192.0.2.7", "PORT": str(c.record_port),
        "PROTO": "ESMTP", "HELO": "its.name", "LOGIN": "[UNAVAILABLE]", "DESTADDR": "198.51.100.9", "DESTPORT": "25"}
    last = [x for x in session.commands if x.startswith(b"XCLIENT")][-1]
    assert b" ADDR=" in last and b" LOGIN=" in last
    assert tap.message()["upstream"]["identity"] == "xclient"
    assert not mta.messages[0]["raw"].startswith(b"Received:")


@pytest.mark.parametrize("offer", ["XCLIENT ADDR", "XCLIENT NAME ADDR", "xclient addr name foo HELO"])
def test_only_what_the_upstream_lists(world, offer):
    mta = world.mta(ehlo=(*EHLO, offer))
    tap = world.tap(mta, with_identity("xclient"))
    c = told(tap, "2001:db8::7", "2001:db8::9")
    c.ehlo()
    assert c.deliver().code == 250
    got = attributes(mta.sessions[0].commands, "XCLIENT")
    assert set(got) == {x.upper() for x in offer.split()[1:]} - {"FOO"} and got["ADDR"] == "IPV6:2001:db8::7"


@pytest.mark.parametrize("helo, wire, hello", [("odd name", "odd+20name", "tap.example"), ("a+b=c", "a+2Bb+3Dc", "a+b=c"),
                                               ("x" * 255, "x" * 255, "x" * 255)])
def test_odd_helo_names(world, helo, wire, hello):
    mta = world.mta(ehlo=(*EHLO, ALL))
    tap = world.tap(mta, with_identity("xclient"))
    c = told(tap)
    c.cmd(f"HELO {helo}", 250)
    assert c.deliver().code == 250
    got = attributes(mta.sessions[0].commands, "XCLIENT")
    assert (got["HELO"], got["PROTO"]) == (wire, "SMTP")
    assert [x for x in mta.sessions[0].commands if x[:4] == b"EHLO"][1] == b"EHLO " + hello.encode()


def test_long_values_take_more_lines(world):
    mta = world.mta(ehlo=(*EHLO, ALL))
    tap = world.tap(mta, {**LOCAL, "upstream": {"identity": "xclient"}})
    c = tap.client()
    login = "u=" * 60
    c.cmd(f"XCLIENT NAME={'n' * 60}.{'m' * 60}.{'o' * 60}.example ADDR=IPV6:2001:db8::7 LOGIN={login.replace('=', '+3D')}", 220)
    c.ehlo("h" * 250)
    assert c.deliver().code == 250
    lines = [x for x in mta.sessions[-1].commands if x.startswith(b"XCLIENT")]
    assert len(lines) > 1 and b" ADDR=" in lines[-1] and b" LOGIN=" in lines[-1]
    assert attributes(lines, "XCLIENT")["LOGIN"] == login.replace("=", "+3D")
    assert tap.message()["user"] == login


@pytest.mark.parametrize("reply, code, enhanced", [(b"421 4.3.2 not now\r\n", 421, "4.3.2"), (b"450 4.7.1 grey\r\n", 421, "4.7.1"),
                                                   (b"550 5.7.1 you are listed\r\n", 554, "5.7.1"),
                                                   (b"554-first\r\n554 second\r\n", 554, "5.7.0"),
                                                   (b"503 5.5.0 order\r\n", 554, "5.5.0"), (b"521 no\r\n", 554, "5.7.0")])
def test_xclient_refused_is_a_judgement(world, reply, code, enhanced):
    mta, other = world.mta(ehlo=(*EHLO, ALL), xclient=reply), world.mta(ehlo=(*EHLO, ALL))
    tap = world.tap([mta, other], with_identity("auto"))
    c = told(tap)
    got = c.cmd("EHLO client.example", code, enhanced)
    assert got.lines[0].split()[-1] == reply.splitlines()[0][4:].split()[-1] and len(got.lines) == reply.count(b"\n")
    c.eof()
    assert tap.closed(c)["reason"] == "upstream" and not other.sessions
    error = tap.wait("error")
    assert error["err"]["code"] == "xclient_refused" and error["stage"] == "identity"


@pytest.mark.parametrize("code", [500, 501, 502, 504])
def test_xclient_not_understood_is_no_judgement(world, code):
    """Such a code judges our command; the server isn't rested, though, for a client may have brought it about."""
    reply = b"%d 5.5.1 what\r\n" % code
    mta, other = world.mta(ehlo=(*EHLO, ALL), xclient=reply), world.mta(ehlo=(*EHLO, ALL))
    tap = world.tap([mta, other], with_identity("auto"))
    c = told(tap)
    c.ehlo()
    assert c.deliver().code == 250
    assert len(other.messages) == 1 and attributes(other.sessions[0].commands, "XCLIENT")["ADDR"] == "192.0.2.7"
    error = tap.wait("error")
    assert error["err"]["code"] == "upstream_identity" and error["stage"] == "identity"
    told(tap).ehlo()
    assert len(mta.sessions) == 2
    c = told(world.tap(world.mta(ehlo=(*EHLO, ALL), xclient=reply), with_identity("auto")))
    c.cmd("EHLO client.example", 421, "4.4.1")
    c.eof()


def test_xclient_lost_goes_to_the_next_server(world):
    mta, other = world.mta(ehlo=(*EHLO, ALL), xclient=CLOSE), world.mta(ehlo=(*EHLO, ALL))
    tap = world.tap([mta, other], with_identity("auto"))
    c = told(tap)
    c.ehlo()
    assert c.deliver().code == 250
    assert len(other.messages) == 1 and attributes(other.sessions[0].commands, "XCLIENT")["ADDR"] == "192.0.2.7"
    assert tap.wait("error")["stage"] == "identity"


@pytest.mark.parametrize("identity, offer", [("xclient", ()), ("xclient", ("XCLIENT",)), ("xclient", ("XCLIENT NAME HELO",)),
                                             ("xclient", (FORWARD,)), ("xforward", ()), ("xforward", (ALL,))])
def test_by_name_and_not_offered_is_a_failed_server(world, identity, offer):
    mta, good = world.mta(ehlo=(*EHLO, *offer)), world.mta(ehlo=(*EHLO, ALL, FORWARD))
    tap = world.tap(mta, with_identity(identity))
    c = told(tap)
    c.cmd("EHLO client.example", 421, "4.4.1")
    error = tap.wait("error")
    assert error["stage"] == "identity" and error["err"]["code"] == "upstream_identity"
    mta = world.mta(ehlo=(*EHLO, *offer))
    tap = world.tap([mta, good], with_identity(identity))
    c = told(tap)
    c.ehlo()
    assert c.deliver().code == 250 and len(good.messages) == 1
    assert tap.message()["upstream"]["identity"] == identity and not mta.messages


def test_auto_may_rise_and_never_falls(world):
    none, log, all_ = (*EHLO,), (*EHLO, FORWARD), (*EHLO, ALL, FORWARD)
    mta = world.mta()
    tap = world.tap(mta, {"upstream": {"identity": "auto"}, "workers": 2})
    for offer, identity in ((none, "none"), (log, "xforward"), (log, "xforward"), (all_, "xclient"), (all_, "xclient"),
                            (log, None), (none, None), (all_, "xclient"), (none, None)):
        mta.ehlo = offer
        c = tap.client()
        if identity is None:
            c.cmd("EHLO client.example", 421, "4.4.1")
            continue
        c.ehlo()
        assert c.deliver().code == 250
        assert tap.message(count=len(mta.messages))["upstream"]["identity"] == identity
        c.quit()
        tap.closed(c)
    assert {r["err"]["code"] for r in tap.records("error")} == {"upstream_identity"}


def test_xforward_before_each_mail(world):
    mta = world.mta(ehlo=(*EHLO, FORWARD))
    tap = world.tap(mta, with_identity("xforward"))
    c = told(tap)
    c.ehlo("its.name")
    assert c.deliver().code == 250
    assert c.deliver().code == 250
    session = mta.sessions[0]
    assert verbs(session)[:4] == ["EHLO", "XFORWARD", "MAIL", "RCPT"]
    at = session.commands.index(b"DATA") + 1
    first, second = attributes(session.commands[:at], "XFORWARD"), attributes(session.commands[at:], "XFORWARD")
    tids = [tap.message()["tid"], tap.message(count=2)["tid"]]
    assert [first["IDENT"], second["IDENT"]] == tids
    assert first == {"NAME": "[UNAVAILABLE]", "ADDR": "192.0.2.7", "PORT": str(c.record_port), "PROTO": "ESMTP",
                     "HELO": "its.name", "SOURCE": "REMOTE", "IDENT": tids[0]}
    assert mta.messages[0]["raw"].startswith(b"Received: from its.name (unknown [192.0.2.7])")


def test_ident_beside_xclient(world):
    mta = world.mta(ehlo=(*EHLO, ALL, FORWARD))
    tap = world.tap(mta, with_identity("auto"))
    c = told(tap)
    c.ehlo()
    assert c.deliver().code == 250
    assert attributes(mta.sessions[0].commands, "XFORWARD") == {"IDENT": tap.message()["tid"]}
    assert verbs(mta.sessions[0])[:5] == ["EHLO", "XCLIENT", "EHLO", "XFORWARD", "MAIL"]


@pytest.mark.parametrize("keywords", [(*EHLO, FORWARD), tuple(x for x in (*EHLO, FORWARD) if x != "PIPELINING")])
@pytest.mark.parametrize("reply", [b"550 5.7.0 no\r\n", b"450 4.0.0 no\r\n"])
def test_xforward_refused_goes_on(world, reply, keywords):
    mta = world.mta(ehlo=keywords, xforward=reply)
    tap = world.tap(mta, with_identity("xforward"))
    c = told(tap)
    c.ehlo()
    assert c.deliver().code == 250
    error = tap.wait("error")
    assert error["err"]["code"] == "xforward_refused" and error["tid"] == tap.message()["tid"]


def test_xforward_again_where_mail_is_said_to_another_server(world):
    mta, other = world.mta(ehlo=(*EHLO, FORWARD), mail=CLOSE), world.mta(ehlo=(*EHLO, FORWARD))
    tap = world.tap([mta, other], with_identity("xforward"))
    c = told(tap)
    c.ehlo()
    assert c.deliver().code == 250
    assert verbs(other.sessions[0])[:3] == ["EHLO", "XFORWARD", "MAIL"]
    assert attributes(other.sessions[0].commands, "XFORWARD")["IDENT"] == tap.message()["tid"]


def test_xclient_again_on_the_next_connection(world):
    mta = world.mta(ehlo=(*EHLO, ALL), mail=each(None, CLOSE, None))
    tap = world.tap(mta, with_identity("auto"))
    c = told(tap)
    c.ehlo("its.name")
    assert c.deliver().code == 250
    assert c.deliver().code == 250
    assert [attributes(s.commands, "XCLIENT")["ADDR"] for s in mta.sessions] == ["192.0.2.7"] * 2
    assert tap.message(count=2)["upstream"]["identity"] == "xclient"


@pytest.mark.parametrize("reply, code", [(b"550 5.7.1 listed\r\n", 554), (b"450 4.7.1 later\r\n", 421)])
def test_refused_by_xclient_at_mail(world, reply, code):
    mta = world.mta(ehlo=(*EHLO, ALL), xclient=each(None, reply), mail=each(CLOSE))
    tap = world.tap(mta, with_identity("auto"))
    c = told(tap)
    c.ehlo()
    c.cmd("MAIL FROM:<a@b.example>", code)
    c.eof()
    m = tap.message()
    assert m["decided_by"] == "upstream" and m["status"] == ("rejected" if code == 554 else "deferred")


def test_another_identity_is_another_connection(world):
    mta = world.mta(ehlo=(*EHLO, ALL))
    tap = world.tap(mta, {**LOCAL, "upstream": {"identity": "auto"}})
    c = tap.client()
    c.ehlo("one.example")
    c.cmd("XCLIENT NAME=two.example LOGIN=u@d.example ADDR=192.0.2.7 PORT=9 HELO=two.example", 220)
    c.ehlo("two.example")
    assert c.deliver().code == 250
    c.ehlo("three.example")  # XCLIENT HELO counts
    assert c.deliver().code == 250
    assert len(mta.sessions) == 2
    mta.wait_ended(0)
    assert attributes(mta.sessions[0].commands, "XCLIENT")["ADDR"] == "127.0.0.1"
    got = attributes(mta.sessions[1].commands, "XCLIENT")
    assert (got["ADDR"], got["PORT"], got["NAME"], got["LOGIN"], got["HELO"]) == \
        ("192.0.2.7", "9", "two.example", "u@d.example", "two.example")


def test_a_local_login_is_told(world):
    path = world.path("users")
    with open(path, "w") as f:
        f.write("alice:{PLAIN}wonderland\n")
    mta = world.mta(ehlo=(*EHLO, ALL, FORWARD), xclient=each(None, None, b"550 5.7.1 not you\r\n", None))
    tap = world.tap(mta, {**with_identity("auto"), "auth": {"mode": "optional", "backend": "file", "file": path, "require_tls": False}})
    login = f"AUTH PLAIN {b64encode(bytes(1) + b'alice' + bytes(1) + b'wonderland').decode()}"
    c = told(tap)
    c.ehlo("its.name")
    c.cmd(login, 235)
    assert c.deliver().code == 250
    assert [attributes(s.commands, "XCLIENT")["LOGIN"] for s in mta.sessions] == ["[UNAVAILABLE]", "alice"]
    assert len(mta.messages) == 1 and mta.messages[0] in mta.sessions[1].messages
    c.cmd("RSET", 250)
    # a refusal of the next one is about that one alone
    c = told(tap)
    c.cmd("EHLO its.name", 554)


def test_a_new_helo_name_is_told(world):
    mta = world.mta(ehlo=(*EHLO, ALL))
    tap = world.tap(mta, with_identity("auto"))
    c = told(tap)
    c.ehlo("one.example")
    c.ehlo("one.example")
    assert len(mta.sessions) == 1
    c.ehlo("two.example")
    assert c.deliver().code == 250
    assert [attributes(s.commands, "XCLIENT")["HELO"] for s in mta.sessions] == ["one.example", "two.example"]


def test_connect_connection_says_xclient_at_ehlo(world):
    mta = world.mta(ehlo=(*EHLO, ALL))
    config = with_identity("auto")
    config["upstream"]["connect"] = "connection"
    tap = world.tap(mta, config)
    c = told(tap)
    mta.wait_stage("ehlo")
    assert verbs(mta.sessions[0]) == ["EHLO"]
    c.ehlo("its.name")
    assert c.deliver().code == 250
    assert verbs(mta.sessions[0])[:3] == ["EHLO", "XCLIENT", "EHLO"] and len(mta.sessions) == 1
    assert attributes(mta.sessions[0].commands, "XCLIENT")["HELO"] == "its.name"
    assert tap.message()["upstream"]["identity"] == "xclient"


def test_connect_connection_lost_at_xclient(world):
    mta, other = world.mta(ehlo=(*EHLO, ALL), xclient=CLOSE), world.mta(ehlo=(*EHLO, ALL))
    config = with_identity("auto")
    config["upstream"]["connect"] = "connection"
    tap = world.tap([mta, other], config)
    c = told(tap)
    c.ehlo("its.name")
    assert c.deliver().code == 250
    assert tap.message()["upstream"]["port"] == other.port
    assert attributes(other.sessions[0].commands, "XCLIENT")["HELO"] == "its.name"


@pytest.mark.parametrize("reply, code", [(b"550 5.7.1 listed\r\n", 554), (b"450 4.7.1 later\r\n", 421)])
def test_connect_connection_refused_at_xclient(world, reply, code):
    mta = world.mta(ehlo=(*EHLO, ALL), xclient=reply)
    config = with_identity("auto")
    config["upstream"]["connect"] = "connection"
    tap = world.tap(mta, config)
    c = told(tap)
    c.cmd("EHLO its.name", code)
    c.eof()


def test_a_judgement_has_one_enhanced_code_a_line(world):
    reply = b"554-multi\r\n554-5.1.8 line2\r\n554 5.7.1 line3\r\n"
    tap = world.tap(world.mta(ehlo=(*EHLO, ALL), xclient=reply), with_identity("auto"))
    got = told(tap).cmd("EHLO its.name", 554, "5.7.0")
    assert got.lines == [b"5.7.0 multi", b"5.1.8 line2", b"5.7.1 line3"]
    reply = b"550-5.7.1 multi\r\n550 line2\r\n"
    tap = world.tap(world.mta(ehlo=(*EHLO, ALL), xclient=reply), with_identity("auto"))
    assert told(tap).cmd("EHLO its.name", 554).lines == [b"5.7.1 multi", b"5.7.1 line2"]


def test_after_starttls(world, certs):
    mta = world.mta(ehlo=(*EHLO, ALL), context=server_context(certs.mta))
    config = with_identity("auto")
    config["upstream"].update(tls="required", tls_ca=certs.ca)
    tap = world.tap(mta, config)
    c = told(tap)
    c.ehlo()
    assert c.deliver().code == 250
    assert verbs(mta.sessions[0])[:5] == ["EHLO", "STARTTLS", "EHLO", "XCLIENT", "EHLO"]
    assert tap.message()["upstream"]["tls"]["used"]


# PROXY to the upstream


def v2(header):
    """(command, family, from, to) of a version 2 header."""
    assert header[:12] == b"\r\n\r\n\0\r\nQUIT\n" and header[12] >> 4 == 2
    if header[13] == 0:
        return header[12] & 15, None
    family, n = (socket.AF_INET, 4) if header[13] == 0x11 else (socket.AF_INET6, 16)
    body = header[16:]
    ports = struct.unpack(">HH", body[2 * n:2 * n + 4])
    return header[12] & 15, (socket.inet_ntop(family, body[:n]), ports[0], socket.inet_ntop(family, body[n:2 * n]), ports[1])


@pytest.mark.parametrize("tls", ["none", "required", "implicit"])
@pytest.mark.parametrize("version", ["proxy-v1", "proxy-v2"])
def test_q9_proxy_comes_first(world, certs, version, tls):
    mta = world.mta(proxy=True, context=server_context(certs.mta) if tls != "none" else None, implicit=tls == "implicit")
    config = with_identity(version)
    config["upstream"].update(tls=tls, **({"tls_ca": certs.ca} if tls != "none" else {}))
    tap = world.tap(mta, config)
    c = told(tap)
    c.ehlo("its.name")
    assert c.deliver().code == 250
    m = tap.message()
    assert m["upstream"]["identity"] == version and m["upstream"]["tls"]["used"] == (tls != "none")
    header = mta.sessions[0].header
    if version == "proxy-v1":
        assert header == b"PROXY TCP4 192.0.2.7 198.51.100.9 %d 25\r\n" % c.record_port
    else:
        assert v2(header) == (1, ("192.0.2.7", c.record_port, "198.51.100.9", 25))
    assert not mta.messages[0]["raw"].startswith(b"Received:")
    assert mta.sessions[0].commands[0] == b"EHLO tap.example"


@pytest.mark.parametrize("version", ["proxy-v1", "proxy-v2"])
def test_q9_ends_of_an_ordinary_connection(world, version):
    mta = world.mta(proxy=True)
    tap = world.tap(mta, {"upstream": {"identity": version}})
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    header = mta.sessions[0].header
    if version == "proxy-v1":
        assert header == b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n" % (c.local_port, tap.port)
    else:
        assert v2(header) == (1, ("127.0.0.1", c.local_port, "127.0.0.1", tap.port))


@pytest.mark.parametrize("version, want", [("proxy-v1", b"PROXY UNKNOWN\r\n"), ("proxy-v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")])
def test_q9_a_unix_client_has_no_address(world, version, want):
    mta = world.mta(proxy=True)
    path = world.path("in")
    tap = world.tap(mta, {"listeners": [{"address": f"unix:{path}"}], "upstream": {"identity": version}})
    c = tap.client(path)
    c.ehlo()
    assert c.deliver().code == 250
    assert mta.sessions[0].header == want


def test_q9_a_told_client_of_a_unix_listener_does_not_pass_for_us(world):
    mta = world.mta(proxy=True)
    path = world.path("in")
    tap = world.tap(mta, {"listeners": [{"address": f"unix:{path}"}], "server": {"xclient": ["unix"]},
                          "upstream": {"identity": "proxy-v2"}})
    c = tap.client(path)
    c.cmd("XCLIENT ADDR=192.0.2.7 PORT=9", 220)
    c.ehlo()
    assert c.deliver().code == 250
    assert v2(mta.sessions[-1].header)[1][:2] == ("192.0.2.7", 9)
    c.cmd("QUIT", 221)
    c = tap.client(path)
    c.cmd("XCLIENT ADDR=[UNAVAILABLE]", 220)
    c.ehlo()
    c.cmd("MAIL FROM:<a@b.example>", 451, "4.3.5")


@pytest.mark.parametrize("greeting, code, enhanced", [(b"554 5.7.1 you are listed\r\n", 554, "5.7.1"),
                                                      (b"521 go away\r\n", 554, "5.7.0"),
                                                      (b"421 4.3.2 busy\r\n", 421, "4.4.1")])
def test_h7_a_greeting_after_proxy_judges_the_client(world, greeting, code, enhanced):
    mtas = [world.mta(proxy=True, greeting=greeting) for _ in range(2)]
    tap = world.tap(mtas, with_identity("proxy-v2"))
    c = told(tap)
    got = c.cmd("EHLO client.example", code, enhanced)
    if code == 554:
        assert greeting.split()[-1] in got.lines[0]
    c.eof()
    assert all(m.sessions for m in mtas) and tap.closed(c)["reason"] == "upstream"


def test_h7_one_server_that_is_down_is_no_judgement(world):
    tap = world.tap([world.mta(proxy=True, greeting=b"554 5.7.1 no\r\n"), world.mta(proxy=True, connect=CLOSE)],
                    with_identity("proxy-v1"))
    told(tap).cmd("EHLO client.example", 421, "4.4.1")


def test_h7_without_proxy_a_greeting_judges_us(world):
    tap = world.tap(world.mta(greeting=b"554 5.7.1 no\r\n"), with_identity("none"))
    told(tap).cmd("EHLO client.example", 421, "4.4.1")


@pytest.mark.parametrize("version", ["proxy-v1", "proxy-v2"])
def test_probes_say_who_they_are(world, version):
    mta = world.mta(proxy=True, greeting=each(b"421 4.3.2 no\r\n", None))
    config = with_identity(version)
    config["upstream"]["health"] = {"failures": 1, "rest": "300ms", "probe": "100ms"}
    tap = world.tap(mta.address, config)  # probes have no records
    told(tap).cmd("EHLO client.example", 421)
    mta.wait(lambda m: len(m.sessions) > 1 and m.sessions[1].ended == "quit", "the probe")
    header = mta.sessions[1].header
    if version == "proxy-v1":
        assert header == b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n" % (mta.sessions[1].peer_port, mta.port)
    else:
        assert v2(header) == (0, None)


# who may relay where the upstream can't know


@pytest.mark.parametrize("offer", [(), (FORWARD,), ("XCLIENT",)])
@pytest.mark.parametrize("host, code", [("192.0.2.7", 451), ("127.3.2.1", 250), ("2001:db8::7", 451), ("::1", 250)])
def test_auto_that_ends_in_nothing_lets_strangers_send_nothing(world, offer, host, code):
    mta = world.mta(ehlo=(*EHLO, *offer))
    tap = world.tap(mta, with_identity("auto"))
    c = told(tap, host, "::1" if ":" in host else "127.0.0.1")
    c.ehlo()
    c.cmd("MAIL FROM:<a@b.example>", code, "4.3.5" if code == 451 else None)
    c.quit()
    if code == 451:
        error = tap.wait("error")
        assert error["err"]["code"] == "identity_untold" and "upstream.identity" in error["err"]["message"]
        assert tap.message()["status"] == "deferred" and b"MAIL" not in b" ".join(mta.sessions[0].commands)


@pytest.mark.parametrize("identity", ["none", "xforward"])
def test_a_named_value_lets_them(world, identity):
    tap = world.tap(world.mta(ehlo=(*EHLO, FORWARD)), with_identity(identity))
    c = told(tap)
    c.ehlo()
    assert c.deliver().code == 250


def test_auto_untold_after_a_reconnect(world):
    """The server that is reached at MAIL tells less than the one at HELO."""
    good, poor = world.mta(ehlo=(*EHLO, ALL), mail=CLOSE), world.mta()
    tap = world.tap([good, poor], with_identity("auto"))
    c = told(tap)
    c.ehlo()
    c.cmd("MAIL FROM:<a@b.example>", 451, "4.3.5")
    assert tap.message()["status"] == "deferred" and not poor.messages
    assert "MAIL" not in verbs(poor.sessions[0])


def test_auto_unknown_address_and_a_login(world):
    tap = world.tap(world.mta(), {**LOCAL, "upstream": {"identity": "auto"}})
    c = tap.client()
    c.cmd("XCLIENT ADDR=[UNAVAILABLE]", 220)
    c.ehlo()
    c.cmd("MAIL FROM:<a@b.example>", 451, "4.3.5")
    c = tap.client()
    c.cmd("XCLIENT ADDR=192.0.2.7 LOGIN=u@d.example", 220)
    c.ehlo()
    assert c.deliver().code == 250
