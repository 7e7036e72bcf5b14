"""What a stranger can do to others through the way the upstream is told of it: have a good server rested, or hammer it."""
import pytest

from harness.mta import CLOSE, EHLO, RST
from test_identity import ALL, told, with_identity

LISTED = b"ADDR=192.0.2.66"


@pytest.mark.parametrize("action", [CLOSE, RST, b"what?\r\n"], ids=["fin", "rst", "garbage"])
def test_a_server_that_leaves_one_client_at_xclient_is_not_rested(world, action):
    """It judges the client, if without a word; others are served by it as before."""
    mta, other = (world.mta(ehlo=(*EHLO, ALL)) for _ in range(2))
    mta.script["xclient"] = lambda session, line: action if LISTED in line else None
    config = with_identity("xclient")
    config["upstream"]["health"] = {"failures": 2, "rest": "60s"}
    tap = world.tap([mta, other], config)
    for _ in range(3):
        c = told(tap, "192.0.2.66")
        c.ehlo()  # by the other one
        c.quit()
    c = told(tap)
    c.ehlo()
    assert c.deliver().code == 250
    assert len(mta.messages) == 1 and not other.messages
    tap.wait("error", count=3, stage="identity")


def test_a_session_has_its_fill_of_helo_names(world):
    """Each new name is a new connection to the upstream: more than ten are none of a mail client."""
    mta = world.mta(ehlo=(*EHLO, ALL))
    tap = world.tap(mta, with_identity("xclient"))
    c = told(tap)
    for i in range(11):
        c.ehlo(f"name{i}.example")
        c.ehlo(f"name{i}.example")
    assert len(mta.sessions) == 11
    c.cmd("EHLO one.too.many.example", 421, "4.7.0")
    c.eof()
    assert tap.closed(c)["reason"] == "limit" and len(mta.sessions) == 11
    error = tap.wait("error")
    assert (error["err"]["code"], error["side"], error.get("stage")) == ("upstream_wasted", "client", None)


def test_names_cost_nothing_where_the_upstream_is_not_told(world):
    mta = world.mta()
    tap = world.tap(mta, with_identity("none"))
    c = told(tap)
    for i in range(30):
        c.ehlo(f"name{i}.example")
    assert c.deliver().code == 250
    assert len(mta.sessions) == 1


def test_a_permitted_peer_speaks_for_many_clients(world):
    """One connection of a proxy before us, many clients."""
    mta = world.mta(ehlo=(*EHLO, ALL))
    tap = world.tap(mta, {"server": {"xclient": ["127.0.0.1"]}, "upstream": {"identity": "xclient"}})
    c = tap.client()
    for i in range(15):
        c.cmd(f"XCLIENT NAME=n{i}.example PORT={i + 1}", 220)
        c.ehlo(f"name{i}.example")
        c.ehlo(f"again{i}.example")
    assert c.deliver().code == 250
