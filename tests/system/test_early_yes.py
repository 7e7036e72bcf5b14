"""Rule one at its edge: a 2xx whose end of data still lies in the kernel is the answer to something else.

The upstream takes next to nothing from its socket, so that the message stays in that of the program, and answers all the
same. A TCP peer that had read the end of data would have acknowledged it with that very answer."""
import socket
import threading

import pytest

from harness.mta import EHLO, Wait
from harness.tls import server_context
from harness.util import wait_until

CHUNKING = (*EHLO, "CHUNKING")
BODY = b"Subject: x\r\n\r\n" + b"Hello, is there anybody?\r\n" * 480  # 12 KiB: leaves the program at once


def left_in_kernel(mta):
    """Bytes that the program wrote and that are not acknowledged."""
    port = mta.sessions[0].peer_port
    with open("/proc/net/tcp") as f:
        for line in f.readlines()[1:]:
            field = line.split(None, 5)
            if field[1].endswith(":%04X" % port) and field[2].endswith(":%04X" % mta.port):
                return int(field[4].split(":")[0], 16)
    return 0


def narrow(world, context=None, **script):
    mta = world.mta(context=context, implicit=context is not None, **script)
    mta.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
    return mta


def narrow_pair(world, certs, tls, **script):
    """It answers when it is told to, and reads on when it is told to."""
    go, on = threading.Event(), threading.Event()
    world.defer(on.set)
    script = {stage: [Wait(go), *actions, Wait(on)] for stage, actions in script.items()}
    mta = narrow(world, server_context(certs.mta) if tls else None, ehlo=CHUNKING, **script)
    tap = world.tap(mta, {"upstream": {"tls": "implicit" if tls else "none", "tls_verify": False},
                          "server": {"received_header": "off"}})
    return mta, tap, go, on


def answer_now(mta, tap, go):
    """The end of data has left the program, and the upstream can't have it."""
    tap.wait("data", side="upstream")
    wait_until(lambda: left_in_kernel(mta) > 8000, "the message to lie in the kernel")
    go.set()


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("way", ["DATA", "BDAT"])
def test_a_yes_before_the_end_was_read(world, certs, tls, way):
    early = {"body" if way == "DATA" else "bdat": [b"250 2.0.0 Ok: queued as TOOSOON\r\n"]}
    mta, tap, go, on = narrow_pair(world, certs, tls, **early)
    c = tap.client()
    c.ehlo()
    c.mail(), c.rcpt()
    if way == "DATA":
        c.cmd("DATA", 354)
        c.send(BODY + b".\r\n")
    else:
        c.send(b"BDAT %d LAST\r\n" % len(BODY))
        mta.wait_stage("bdat")  # the octets are in another record of TLS
        c.send(BODY)
    answer_now(mta, tap, go)
    c.expect(451, "4.3.0")
    m = tap.message()
    assert (m["status"], m["decided_by"], m["stage"], m["queue_id"]) == ("indeterminate", "smtptap", "end", None)
    assert tap.wait("error")["err"]["code"] == "upstream_unsolicited"
    c.quit()
    on.set()
    assert mta.wait_ended() == "rst" and not mta.messages  # nor did the rest arrive behind our back


def test_a_yes_to_a_chunk_before_it_was_read(world, certs):
    mta, tap, go, on = narrow_pair(world, certs, False, bdat=[b"250 2.0.0 Ok\r\n"])
    c = tap.client()
    c.ehlo()
    c.mail(), c.rcpt()
    c.chunk(BODY)
    mta.wait_stage("bdat")
    wait_until(lambda: left_in_kernel(mta) > 8000, "the chunk to lie in the kernel")
    go.set()
    c.expect(451, "4.3.0")
    c.chunk(b"x", last=True).expect(503)
    assert tap.message()["status"] == "deferred"
    on.set()
    mta.wait_ended()
    assert not mta.messages


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_a_no_may_come_before(world, certs, tls):
    mta, tap, go, on = narrow_pair(world, certs, tls, body=[b"552 5.3.4 too big for me\r\n"])
    c = tap.client()
    c.ehlo()
    c.begin()
    c.send(BODY + b".\r\n")
    answer_now(mta, tap, go)
    c.expect(552, "5.3.4")
    m = tap.message()
    assert (m["status"], m["decided_by"], m["code"]) == ("rejected", "upstream", 552)


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_an_upstream_that_reads_slowly_is_believed(world, certs, tls):
    """Each octet acknowledged late, and the answer in the segment of the last acknowledgement."""
    mta, tap, go, on = narrow_pair(world, certs, tls, body=[])
    go.set()
    on.set()
    for _ in range(3):
        c = tap.client()
        c.ehlo()
        for _ in range(3):
            assert c.deliver(BODY).code == 250
        c.quit()
    tap.message(count=9, status="accepted")
    assert len(mta.messages) == 9
