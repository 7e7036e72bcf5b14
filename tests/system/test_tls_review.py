"""TLS where it is easily done wrong: bytes that OpenSSL holds while the socket is silent, handshakes that fail or hang on
either leg, and what the records say of them."""
import ssl
import threading
import time

import pytest

from harness.mta import CLOSE, EHLO, HANG
from harness.tls import entry, server_context
from harness.util import free_port

SLOW = {"prepare": "20s", "connect": "300ms", "greeting": "300ms", "command": "300ms"}


def listener(certs, mode="starttls", **more):
    return {"server": {"tls": mode, **more}, "tls": {"certificates": [entry(certs.a)]}}


def upstream(mode, **more):
    return {"upstream": {"tls": mode, "tls_verify": False, **more}}


def both(*configs):
    out = {}
    for config in configs:
        for key, value in config.items():
            out[key] = {**out.get(key, {}), **value}
    return out


def secure(tap, mode="starttls"):
    if mode == "implicit":
        return tap.client(tls=True)
    c = tap.client()
    c.ehlo()
    return c.starttls()


# G, U1


def test_implicit_no_upstream_is_said_in_tls(world, certs):
    tap = world.tap(f"127.0.0.1:{free_port()}", both(listener(certs, "implicit"), {"upstream": {"connect": "connection"}}))
    c = tap.client(tls=True, greet=False)
    c.expect(421, "4.4.1")
    c.eof()
    assert tap.closed(c)["reason"] == "upstream"


def test_implicit_upstream_refuses_connection(world):
    tap = world.tap(f"127.0.0.1:{free_port()}", upstream("implicit"))
    c = tap.client()
    c.cmd("EHLO client.example", 421, "4.4.1")
    error = tap.wait("error")
    assert (error["err"]["code"], error["stage"]) == ("upstream_connect", "connect"), error


@pytest.mark.parametrize("mode", ["required", "implicit"])
def test_handshake_that_hangs_leaves_time_for_the_next_server(world, certs, mode):
    context = server_context(certs.mta)
    deaf = world.mta(context=context, implicit=mode == "implicit", handshake=HANG)
    good = world.mta(context=context, implicit=mode == "implicit")
    tap = world.tap([deaf, good], both(upstream(mode, timeouts=SLOW, balance="failover")))
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    error = tap.wait("error")
    assert error["stage"] == "starttls" and error["err"]["code"] in ("tls_handshake", "upstream_timeout"), error


def test_t10_opportunistic_falls_back_where_the_handshake_hangs(world, certs):
    mta = world.mta(context=server_context(certs.mta), handshake=HANG)
    tap = world.tap(mta, upstream("opportunistic", timeouts=SLOW))
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    assert tap.wait("error")["err"]["code"] == "tls_handshake"
    assert not tap.message()["upstream"]["tls"]["used"]


def test_t10_certificate_refused_after_the_handshake(world, certs):
    """In TLS 1.3 a server judges our certificate when our side of the handshake is done."""
    context = server_context(certs.mta, ssl.TLSVersion.TLSv1_3)
    context.load_verify_locations(certs.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    mta = world.mta(context=context)
    tap = world.tap(mta, upstream("opportunistic"))
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    assert tap.wait("error")["stage"] == "starttls"


@pytest.mark.parametrize("connect", ("helo", "connection"))
def test_t10_what_fails_behind_tls_is_no_reason_to_go_on_in_clear(world, certs, connect):
    """TLS was well until EHLO; XCLIENT ends the connection, also where it is said on one that was made before."""
    mta = world.mta(context=server_context(certs.mta), ehlo=(*EHLO, "XCLIENT NAME ADDR PORT PROTO HELO"), xclient=CLOSE)
    tap = world.tap(mta, upstream("opportunistic", identity="xclient", connect=connect))
    c = tap.client()
    c.cmd("EHLO client.example", 421, "4.4.1")
    assert tap.wait("error")["stage"] == "identity"
    said = [s for s in mta.sessions if any(x.startswith(b"XCLIENT") for x in s.commands)]
    assert said and all(s.secured for s in said)


# T9


def test_t9_bdat_in_clear(world, certs):
    tap = world.tap(world.mta(), listener(certs, require_tls=True))
    c = tap.client()
    c.ehlo()
    c.send(b"BDAT 6 LAST\r\nQUIT\r\n").expect(530, "5.7.0")
    c.cmd("NOOP", 250)
    c.quit()


# What OpenSSL holds


def test_fault_behind_a_command_in_one_read(world, certs):
    """The fault is in OpenSSL's buffer already: the socket will not tell of it again."""
    tap = world.tap(world.mta(), listener(certs))
    c = secure(tap)
    c.sock.sock.sendall(c.sock.seal(b"NOO") + b"\x17\x03\x03\x00\x20" + b"x" * 32)
    assert tap.closed(c)["reason"] == "tls"
    assert tap.records("error")[0]["err"]["code"] == "tls_broken"


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
def test_many_commands_in_one_segment(world, certs, mode):
    """More than one read takes: replies fill their buffer, reading stops and goes on with what OpenSSL holds."""
    tap = world.tap(world.mta(), listener(certs, mode))
    c = secure(tap, mode)
    count = 20000
    sender = threading.Thread(target=lambda: c.sock.sock.sendall(sealed))
    sealed = c.sock.seal(b"NOOP\r\n" * count)
    sender.start()
    for _ in range(count):
        c.expect(250)
    sender.join()
    c.quit()
    tap.closed(c)  # so many records take the reader longer than a shutdown may


def test_flood_in_tls_harms_no_other(world, certs):
    """Chunks that are read away wait for nobody, so these clients can always send more."""
    tap = world.tap(world.mta(), both(listener(certs), {"log": {"level": "info"}}) | {"workers": 1}, level="info")
    floods = [secure(tap) for _ in range(3)]
    stop = threading.Event()

    def flood(c):
        block = b"x" * (1 << 20)
        try:
            c.sock.sendall(b"BDAT 99999999999 LAST\r\n")
            while not stop.is_set():
                c.sock.sendall(block)
        except OSError:
            pass

    threads = [threading.Thread(target=flood, args=(c,)) for c in floods]
    for t in threads:
        t.start()
    try:
        for _ in range(20):
            began = time.monotonic()
            c = tap.client()
            c.ehlo()
            c.quit()
            assert time.monotonic() - began < 2
    finally:
        stop.set()
        for t in threads:
            t.join()


# The end


def test_quit_says_close_notify(world, certs):
    tap = world.tap(world.mta(), listener(certs))
    c = secure(tap)
    c.quit()
    c.tls.unwrap()


def test_shutdown_in_the_handshake(world, certs):
    tap = world.tap(world.mta(), listener(certs))
    c = tap.client()
    c.ehlo()
    c.cmd("STARTTLS", 220)
    tap.stop()
    assert tap.closed(c)["reason"] == "shutdown"
