"""A login that is decided here, and an upstream that is told of the client by XCLIENT: it learns of the user over a
fresh connection (protocol.md X; config.md upstream.identity)."""
import pytest

from harness.mta import CLOSE, EHLO, each
from harness.tls import entry
from test_auth import merge
from test_auth_local import file_backend, log_in
from test_identity import ALL, attributes, verbs

OFFER = (*EHLO, ALL)


def opened(world, mta, identity="auto", **config):
    tap = world.tap(mta, merge(file_backend(world), {"upstream": {"identity": identity}}, config))
    c = tap.client()
    c.ehlo("its.name")
    return tap, c


def logins(mta):
    return [attributes(s.commands, "XCLIENT").get("LOGIN") for s in mta.sessions]


@pytest.mark.parametrize("identity", ["auto", "xclient"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_the_user_is_told(world, identity, mechanism):
    mta = world.mta(ehlo=OFFER)
    tap, c = opened(world, mta, identity)
    assert log_in(c, mechanism, "alice", "wonderland").code == 235
    assert c.deliver().code == 250
    assert c.deliver().code == 250
    c.quit()
    assert logins(mta) == ["[UNAVAILABLE]", "alice"]
    mta.wait_ended(0)
    assert verbs(mta.sessions[0]) == ["EHLO", "XCLIENT", "EHLO", "QUIT"]
    assert attributes(mta.sessions[1].commands, "XCLIENT")["HELO"] == "its.name"
    assert tap.message(count=2)["user"] == "alice" and not tap.records("error")


def test_behind_a_pipelined_login(world):
    """MAIL waits for the connection that knows the user."""
    mta = world.mta(ehlo=OFFER)
    tap, c = opened(world, mta)
    c.cmd("RSET", 250)
    assert log_in(c, "PLAIN", "alice", "wonderland").code == 235
    assert c.deliver().code == 250
    c.quit()
    assert logins(mta) == ["[UNAVAILABLE]", "alice"] and tap.message()["upstream"]["identity"] == "xclient"


def test_a_failed_login_changes_nothing(world):
    mta = world.mta(ehlo=OFFER)
    tap, c = opened(world, mta, auth={"mode": "optional"})
    assert log_in(c, "PLAIN", "alice", "wrong").code == 535
    assert c.deliver().code == 250
    c.quit()
    assert logins(mta) == ["[UNAVAILABLE]"]
    tap.message()


@pytest.mark.parametrize("identity", ["xforward", "none"])
def test_others_are_not_told(world, identity):
    mta = world.mta(ehlo=(*EHLO, "XFORWARD NAME ADDR"))
    tap, c = opened(world, mta, identity)
    assert log_in(c, "PLAIN", "alice", "wonderland").code == 235
    assert c.deliver().code == 250
    c.quit()
    tap.message()
    assert len(mta.sessions) == 1


def test_the_fresh_connection_fails(world):
    mta = world.mta(ehlo=OFFER, greeting=each(None, CLOSE, CLOSE, CLOSE, None))
    tap, c = opened(world, mta)
    assert log_in(c, "PLAIN", "alice", "wonderland").code == 235
    tap.wait("error")
    c.cmd("MAIL FROM:<a@client.example>", 451, "4.4.1")
    c.cmd("RSET", 250)
    for _ in range(3):
        if c.cmd("MAIL FROM:<a@client.example>").code == 250:
            break
    c.cmd("RSET", 250)
    assert c.deliver().code == 250
    c.quit()
    assert logins(mta)[-1] == "alice" and None in logins(mta)


@pytest.mark.parametrize("reply, code", [(b"550 5.7.1 listed\r\n", 554), (b"450 4.7.1 later\r\n", 421)])
def test_the_user_is_refused(world, reply, code):
    """Nobody is told unasked: MAIL is."""
    mta = world.mta(ehlo=OFFER, xclient=each(None, reply, reply))
    tap, c = opened(world, mta)
    assert log_in(c, "PLAIN", "alice", "wonderland").code == 235
    c.cmd("MAIL FROM:<a@client.example>", code)
    c.eof()
    assert not mta.messages


def test_starttls_forgets_the_user(world, certs):
    """After the handshake the client is nobody, to the upstream too (T3)."""
    mta = world.mta(ehlo=OFFER)
    tap, c = opened(world, mta, server={"tls": "starttls"}, tls={"certificates": [entry(certs.a)]},
                    auth={"mode": "optional"})
    assert log_in(c, "PLAIN", "alice", "wonderland").code == 235
    assert c.deliver().code == 250
    c.starttls()
    c.ehlo("its.name")
    assert c.deliver().code == 250
    c.quit()
    assert logins(mta) == ["[UNAVAILABLE]", "alice", "[UNAVAILABLE]"]
    assert "user" not in tap.message(count=2)
