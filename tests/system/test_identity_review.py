"""Who the upstream takes the client for, where that changes in a session."""
import pytest

from harness.auth import plain
from harness.mta import EHLO, each
from harness.tls import entry
from test_auth_local import file_backend
from test_identity import ALL, FORWARD, LOCAL, attributes, verbs

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
    assert (second["host"], second["hostname"], second["helo"]) == ("192.0.2.8", None, "two.example")
    assert attributes(mta.sessions[1].commands, "XCLIENT")["NAME"] == "[UNAVAILABLE]"


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
