"""REQUIRETLS (M10, RFC 8689): only between verified TLS on both sides, and never without it."""
import socket

import pytest

from harness.mta import EHLO, each
from harness.tls import entry, server_context

WITH, WITHOUT = (*EHLO, "REQUIRETLS"), EHLO


@pytest.fixture
def tls(certs):
    """context: of upstreams; settings: of a program that verifies them."""
    class Tls:
        context = server_context(certs.mta)

        @staticmethod
        def settings(mode="required", verify=True, client="starttls"):
            return {"server": {"tls": client}, "tls": {"certificates": [entry(certs.a)]},
                    "upstream": {"tls": mode, "tls_verify": verify, "tls_ca": certs.ca if verify else None,
                                 "tls_name": "mta.example" if verify else None}}
    return Tls


def clean(config):
    config["upstream"] = {k: v for k, v in config["upstream"].items() if v is not None}
    return config


def secure(tap):
    c = tap.client()
    c.ehlo()
    c.starttls()
    return c, c.ehlo().lines


def test_both_sides(world, tls):
    mta = world.mta(ehlo=WITH, context=tls.context)
    tap = world.tap(mta, clean(tls.settings()))
    c, lines = secure(tap)
    assert b"REQUIRETLS" in lines
    c.mail(params=" REQUIRETLS")
    c.rcpt()
    c.cmd("DATA", 354)
    c.cmd(b"Subject: x\r\n\r\nx\r\n.", 250)
    c.quit()
    assert b"MAIL FROM:<a@client.example> REQUIRETLS" in mta.sessions[0].commands
    m = tap.message()
    assert m["status"] == "accepted" and m["tls"]["used"] and m["upstream"]["tls"]["used"]


def refused(tap, c, code=550, enhanced="5.7.30"):
    c.cmd("MAIL FROM:<a@client.example> REQUIRETLS", code, enhanced)
    c.mail()
    c.quit()
    m = tap.wait("message", code=code)
    assert (m["status"], m["enhanced"], m["decided_by"]) == ("rejected", enhanced, "smtptap")


def test_not_to_clients_in_clear(world, tls):
    tap = world.tap(world.mta(ehlo=WITH, context=tls.context), clean(tls.settings()))
    c = tap.client()
    assert b"REQUIRETLS" not in c.ehlo().lines
    refused(tap, c, 555, "5.5.4")


def test_not_where_the_upstream_is_in_clear(world, tls):
    tap = world.tap(world.mta(ehlo=WITH), clean(tls.settings("none", False)))
    c, lines = secure(tap)
    assert b"REQUIRETLS" not in lines
    refused(tap, c)


def test_not_where_the_certificate_did_not_verify(world, tls):
    tap = world.tap(world.mta(ehlo=WITH, context=tls.context), clean(tls.settings("required", False)))
    c, lines = secure(tap)
    assert b"REQUIRETLS" not in lines
    refused(tap, c)


def test_not_where_the_upstream_lacks_it(world, tls):
    tap = world.tap(world.mta(ehlo=WITHOUT, context=tls.context), clean(tls.settings()))
    c, lines = secure(tap)
    assert b"REQUIRETLS" not in lines
    refused(tap, c)


def lacking(world, tls, *offers):
    """The session's server, which is the first, never had it."""
    mtas = [world.mta(ehlo=offer, context=tls.context) for offer in (WITHOUT, *offers)]
    tap = world.tap([m.address for m in mtas], clean(tls.settings()))
    c, lines = secure(tap)
    assert b"REQUIRETLS" not in lines
    return mtas, tap, c


def test_another_server_has_what_was_not_offered(world, tls):
    mtas, tap, c = lacking(world, tls, WITH)
    c.mail(params=" REQUIRETLS")
    c.rcpt()
    c.cmd("DATA", 354)
    c.cmd(b"x\r\n.", 250)
    c.quit()
    assert [len(m.messages) for m in mtas] == [0, 1]
    assert b"MAIL FROM:<a@client.example> REQUIRETLS" in mtas[1].sessions[0].commands
    m = tap.message()
    assert (m["status"], m["upstream"]["server"]) == ("accepted", mtas[1].address)
    errors = [(e["err"]["code"], e["host"]) for e in tap.records("error")]
    assert errors == [("upstream_lacks", mtas[0].address)]


def test_no_server_has_it(world, tls):
    mtas, tap, c = lacking(world, tls, WITHOUT)
    refused(tap, c)
    assert [len(m.sessions) for m in mtas] == [1, 1]
    assert not any(b"REQUIRETLS" in x for m in mtas for s in m.sessions for x in s.commands)


def ehlo_reply(words):
    lines = ["mta.example", *words]
    return "".join(f"250{' ' if i == len(lines) - 1 else '-'}{w}\r\n" for i, w in enumerate(lines)).encode()


def forgetful(world, tls, *others):
    """A server that offered it once, and lacks it when it is asked again; the others. EHLO is said before and in TLS."""
    starttls = ehlo_reply([*EHLO, "STARTTLS"])
    first = world.mta(ehlo=each(starttls, ehlo_reply(WITH), starttls, ehlo_reply(WITHOUT)), context=tls.context)
    return [first, *(world.mta(ehlo=other, context=tls.context) for other in others)]


def lose(tap, mta):
    """The connection of the session ends between two messages."""
    mta.sessions[0].sock.shutdown(socket.SHUT_RDWR)
    tap.wait("close", side="upstream")


def begun(world, tls, *others):
    mtas = forgetful(world, tls, *others)
    tap = world.tap([m.address for m in mtas], clean(tls.settings()))
    c, lines = secure(tap)
    assert b"REQUIRETLS" in lines
    lose(tap, mtas[0])
    return mtas, tap, c


def test_none_has_it_any_more(world, tls):
    mtas, tap, c = begun(world, tls)
    c.cmd("MAIL FROM:<a@client.example> REQUIRETLS", 550, "5.7.30")
    c.mail()
    c.quit()
    m = tap.wait("message", code=550)
    assert (m["status"], m["code"], m["enhanced"], m["decided_by"]) == ("rejected", 550, "5.7.30", "smtptap")
    assert not any(b"REQUIRETLS" in x for s in mtas[0].sessions for x in s.commands)


def test_the_next_server_has_it(world, tls):
    mtas, tap, c = begun(world, tls, WITHOUT, WITH)
    c.mail(params=" REQUIRETLS")
    c.rcpt()
    c.cmd("DATA", 354)
    c.cmd(b"x\r\n.", 250)
    c.quit()
    assert [len(m.messages) for m in mtas] == [0, 0, 1]
    assert b"MAIL FROM:<a@client.example> REQUIRETLS" in mtas[2].sessions[0].commands
    assert tap.message()["upstream"]["server"] == mtas[2].address


def test_one_can_not_be_asked(world, tls):
    """Who knows what it offers: for now, then, and not for good."""
    mtas, tap, c = begun(world, tls, WITHOUT, WITH)
    mtas[2].stop()
    c.cmd("MAIL FROM:<a@client.example> REQUIRETLS", 451)
    c.quit()
    assert tap.message()["status"] == "deferred"
