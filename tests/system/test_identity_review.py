"""Who the upstream takes the client for, where that changes in a session."""
import threading

import pytest

from harness.auth import plain
from harness.mta import CLOSE, EHLO, Wait, each
from harness.tls import entry
from test_auth_local import file_backend
from test_identity import ALL, FORWARD, LOCAL, attributes, told, verbs

XCLIENT = {"upstream": {"identity": "xclient"}}


def logins(session):
    """What each XCLIENT of this connection says of LOGIN."""
    return [attributes([x], "XCLIENT").get("LOGIN") for x in session.commands if x.startswith(b"XCLIENT")]


@pytest.mark.parametrize("again", [False, True])
def test_a_login_decided_here_is_told_on_a_fresh_connection(world, again):
    mta = world.mta(ehlo=(*EHLO, ALL))
    tap = world.tap(mta, {**file_backend(world), **XCLIENT})
    c = tap.client()
    c.ehlo("its.name")
    c.cmd(f"AUTH PLAIN {plain('alice', 'wrong')}", 535)
    c.cmd(f"AUTH PLAIN {plain('alice', 'wonderland')}", 235)
    if again:
        c.ehlo("its.name")
    assert c.deliver().code == 250
    assert c.deliver().code == 250
    c.quit()
    mta.wait_ended()
    assert [logins(s) for s in mta.sessions] == [["[UNAVAILABLE]"], ["alice"]]
    assert not mta.sessions[0].messages and len(mta.sessions[1].messages) == 2
    assert verbs(mta.sessions[0])[-1] == "QUIT"


def test_commands_may_stand_behind_a_login_that_is_told(world):
    mta = world.mta(ehlo=(*EHLO, ALL))
    tap = world.tap(mta, {**file_backend(world), **XCLIENT})
    c = tap.client()
    c.ehlo()
    c.send(f"AUTH PLAIN {plain('alice', 'wonderland')}\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<b@c.example>\r\nDATA\r\n".encode())
    for code in (235, 250, 250, 354):
        c.expect(code)
    c.send(b"Subject: x\r\n\r\nx\r\n.\r\n").expect(250)
    assert logins(mta.sessions[1]) == ["alice"] and len(mta.sessions[1].messages) == 1


def test_the_login_told_needs_no_other(world):
    """Postfix answers 503 to an AUTH of who is logged in by XCLIENT."""
    path = world.path("secret")
    with open(path, "w") as f:
        f.write("ours\n")
    mta = world.mta(ehlo=(*EHLO, ALL, "AUTH PLAIN"), auth=each(b"235 2.7.0 Ok\r\n", b"503 5.5.1 already authenticated\r\n"))
    config = file_backend(world)
    config["upstream"] = {"identity": "xclient", "username": "us", "password_file": path}
    tap = world.tap(mta, config)
    c = tap.client()
    c.ehlo()
    c.cmd(f"AUTH PLAIN {plain('alice', 'wonderland')}", 235)
    assert c.deliver().code == 250
    c.quit()
    mta.wait_ended()
    assert [verbs(s).count("AUTH") for s in mta.sessions] == [1, 0]


@pytest.mark.parametrize("way", ["AUTH", "XCLIENT"])
def test_a_login_forgotten_by_starttls_is_no_more_told(world, certs, way):
    mta = world.mta(ehlo=(*EHLO, ALL))
    config = {**file_backend(world, mode="optional"), **XCLIENT, **LOCAL, "tls": {"certificates": [entry(certs.a)]}}
    tap = world.tap(mta, config)
    c = tap.client()
    c.ehlo("its.name")
    if way == "AUTH":
        c.cmd(f"AUTH PLAIN {plain('alice', 'wonderland')}", 235)
    else:
        c.cmd("XCLIENT LOGIN=alice HELO=its.name", 220)
        c.ehlo("its.name")
    c.starttls()
    c.ehlo("its.name")
    assert c.deliver().code == 250
    assert "user" not in tap.message()
    [session] = [s for s in mta.sessions if s.messages]
    assert logins(session) == ["[UNAVAILABLE]"]


def test_the_name_of_one_client_is_not_lent_to_another(world):
    mta = world.mta(ehlo=(*EHLO, ALL))
    tap = world.tap(mta, {**LOCAL, **XCLIENT, "server": {**LOCAL["server"], "xclient": ["127.0.0.1", "192.0.2.0/24"]}})
    c = tap.client()
    c.cmd("XCLIENT NAME=one.example ADDR=192.0.2.7", 220)
    c.ehlo("one.example")
    assert c.deliver().code == 250
    c.cmd("XCLIENT ADDR=192.0.2.8", 220)
    c.cmd("MAIL FROM:<a@b.example>", 503, "5.5.1")
    c.ehlo("two.example")
    assert c.deliver().code == 250
    first, early, second = (tap.message(n) for n in (1, 2, 3))
    assert (first["hostname"], first["helo"]) == ("one.example", "one.example")
    assert (early["host"], early["hostname"], early.get("helo")) == ("192.0.2.8", None, None)
    assert (first["protocol"], early["protocol"], second["protocol"]) == ("ESMTP", "SMTP", "ESMTP")
    assert (second["host"], second["hostname"], second["helo"]) == ("192.0.2.8", None, "two.example")
    assert attributes(mta.sessions[1].commands, "XCLIENT")["NAME"] == "[UNAVAILABLE]"


def test_behind_xclient_with_a_login_no_protocol_is_known_yet(world):
    tap = world.tap(world.mta(ehlo=(*EHLO, ALL)), {**LOCAL, **XCLIENT})
    c = tap.client()
    c.ehlo()
    c.cmd("XCLIENT LOGIN=joe", 220)
    c.cmd("MAIL FROM:<a@b.example>", 503, "5.5.1")
    c.ehlo()
    assert c.deliver().code == 250
    assert [tap.message(n)["protocol"] for n in (1, 2)] == ["SMTP", "ESMTPA"]


@pytest.mark.parametrize("reset", ["RSET", "EHLO client.example"])
def test_xforward_is_forgotten_by_a_reset(world, reset):
    mta = world.mta(ehlo=(*EHLO, FORWARD))
    tap = world.tap(mta, {**LOCAL, "upstream": {"identity": "xforward"}})
    c = tap.client()
    c.ehlo()
    c.cmd("XFORWARD NAME=orig.example ADDR=192.0.2.7", 250)
    c.cmd(reset, 250)
    assert c.deliver().code == 250
    assert attributes(mta.sessions[0].commands, "XFORWARD")["ADDR"] == "127.0.0.1"


def test_a_client_told_by_one_who_is_not_logged_is_logged(world):
    mta = world.mta()
    tap = world.tap(mta, {**LOCAL, "log": {"ignore_clients": ["127.0.0.1"]}})
    c = tap.client()
    c.unrecorded = True
    c.cmd("XCLIENT ADDR=192.0.2.7 PORT=99", 220)
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    assert tap.message()["host"] == "192.0.2.7"
    tap.wait("close", side="client", host="192.0.2.7")
    assert tap.records("connection", side="client", host="192.0.2.7")


@pytest.mark.parametrize("code, got, enhanced", [(b"550 5.7.1", 554, "5.7.1"), (b"450 4.7.1", 421, "4.7.1")])
def test_a_hello_refused_behind_xclient_is_a_judgement(world, code, got, enhanced):
    """A stranger with such a name must not make the server a failed one for all."""
    def hello(session, line):
        return code + b" not by this name\r\n" if line.endswith(b"bad.example") else None

    mta, other = (world.mta(ehlo=(*EHLO, ALL)) for _ in range(2))
    mta.script["ehlo"] = hello
    tap = world.tap([mta, other], {"upstream": {"identity": "xclient", "health": {"failures": 2}}})
    for _ in range(3):
        c = tap.client()
        assert c.cmd("EHLO bad.example", got, enhanced).text == "not by this name"
        c.eof()
    c = tap.client()
    c.ehlo("good.example")
    assert c.deliver().code == 250
    assert not other.sessions and len(mta.messages) == 1
    tap.wait("error", count=3)
    assert {r["err"]["code"] for r in tap.records("error")} == {"xclient_refused"}


def test_a_greeting_that_refuses_the_client_says_nothing_of_the_server(world):
    def greet(session, line):
        return b"554 5.7.1 you are listed\r\n" if b" 192.0.2.66 " in session.header else None

    mta, other = world.mta(proxy=True), world.mta(proxy=True)
    mta.script["greeting"] = greet
    tap = world.tap([mta, other], {"server": {"proxy_protocol": ["127.0.0.1"]},
                                   "upstream": {"identity": "proxy-v1", "health": {"failures": 2}}})
    for _ in range(3):
        told(tap, "192.0.2.66").ehlo()
    c = told(tap)
    c.ehlo()
    assert c.deliver().code == 250
    assert len(mta.messages) == 1 and not other.messages
    tap.wait("error", count=3)


@pytest.mark.parametrize("name", ["-a.example", "a-.example", "a.-b.example", "a.example."])
def test_a_name_that_postfix_would_not_read_is_not_told(world, name):
    mta = world.mta(ehlo=(*EHLO, ALL))
    tap = world.tap(mta, {**LOCAL, **XCLIENT})
    c = tap.client()
    c.cmd(f"XCLIENT NAME={name}", 220)
    c.ehlo()
    assert c.deliver().code == 250
    assert attributes(mta.sessions[0].commands, "XCLIENT")["NAME"] == "[UNAVAILABLE]"


@pytest.mark.parametrize("way", ["XCLIENT", "EHLO", "AUTH"])
def test_one_connection_in_place_of_another_is_not_one_too_many(world, way):
    """The first takes its time to go."""
    gone = threading.Event()
    mta = world.mta(ehlo=(*EHLO, ALL), quit=[Wait(gone), b"221 2.0.0 Bye\r\n", CLOSE])
    world.defer(gone.set)
    config = {**file_backend(world, mode="optional"), **LOCAL, "upstream": {"identity": "xclient", "max_connections": 1}}
    tap = world.tap(mta, config)
    c = tap.client()
    c.ehlo("one.example")
    if way == "XCLIENT":
        c.cmd("XCLIENT ADDR=192.0.2.7", 220)
    elif way == "AUTH":
        c.cmd(f"AUTH PLAIN {plain('alice', 'wonderland')}", 235)
    c.ehlo("two.example")
    assert c.deliver().code == 250
    gone.set()
