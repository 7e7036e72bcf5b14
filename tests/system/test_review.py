"""Rare ends: what happens where two things end at once, or one of them never does."""
import fcntl
import signal
import socket
import struct
import termios
import threading
import time

import pytest

from harness.mta import CLOSE, HANG, Wait, each
from harness.util import DEADLINE, wait_until

TEXT = b"Subject: x\r\n\r\nText\r\n"


# the two legs end inside one another


@pytest.mark.parametrize("stage, reply, status", [
    ("mail", b"550 5.1.7 no\r\n", "rejected"), ("mail", b"421 4.3.2 no\r\n", "deferred"),
    ("rcpt", b"250 2.1.0 Ok\r\n421 4.3.2 no\r\n", "deferred")])
def test_client_closes_while_its_refusal_is_under_way(world, stage, reply, status):
    """The write that finds out that the client has gone is the one that asks whether it is there."""
    go = threading.Event()
    world.defer(go.set)
    mta = world.mta({"mail": [], stage: [Wait(go), reply]})
    tap = world.tap(mta)
    c = tap.client()
    c.send(b"EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n").half_close()
    mta.wait_stage(stage)
    c.expect(250)
    c.reset()
    go.set()
    m = tap.message()
    assert (m["status"], m["client_replied"], m["decided_by"]) == (status, False, "upstream")
    tap.wait("close", side="client")
    tap.wait("close", side="upstream")


def test_client_that_half_closes_behind_quit_gets_what_was_not_sent_yet(world):
    """Nothing that waits for a slow reader is thrown away because its FIN comes."""
    path = world.path("listen.sock")
    tap = world.tap(world.mta(), {"listeners": [{"address": "unix:" + path}]})
    c = tap.client(path)
    sent, full = 0, False

    def here():
        return struct.unpack("i", fcntl.ioctl(c.sock, termios.FIONREAD, b"\0" * 4))[0]

    while not full:  # until replies wait in the program
        before = here()
        c.send(b"EHLO client.example\r\n" * 50)
        sent += 50
        wait_until(lambda: len(tap.records("command", side="client")) == sent, "all of these")
        try:
            wait_until(lambda: here() > before, "replies", 0.5)
        except AssertionError:
            full = True
    c.send(b"QUIT\r\n")
    tap.wait("command", side="client", command="QUIT")
    c.half_close()
    time.sleep(0.2)
    for _ in range(sent):
        c.expect(250)
    c.expect(221)
    c.eof()
    assert tap.wait("close", side="client")["reason"] == "quit"


@pytest.mark.parametrize("reply", [None, b"451 4.3.0 later\r\n"])
def test_upstream_is_left_in_order_where_the_client_went_before_the_answer(world, reply):
    go = threading.Event()
    world.defer(go.set)
    mta = world.mta(end=lambda s, line: (go.wait(DEADLINE), reply)[1])
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    c.begin()
    c.send(TEXT + b".\r\n")
    mta.wait_stage("dot")
    c.reset()
    tap.wait("close", side="client")
    sends = len(tap.records("send", side="client"))
    go.set()
    assert tap.message()["client_replied"] is False
    assert mta.wait_ended() == "quit"
    assert tap.wait("close", side="upstream")["reason"] == "quit"
    assert len(tap.records("send", side="client")) == sends, "a reply that nobody was sent has a record"


# nothing waits for ever


def test_replies_over_high_water_that_leave_at_once(tap):
    """Reading stops where 64 KiB of replies wait; it must go on also where one write takes them all."""
    n = 10000
    c = tap.client()
    c.send(b"NOOP\r\n" * n)
    for _ in range(n):
        c.expect(250)
    c.quit()


def test_line_that_never_ends_has_a_deadline(world):
    tap = world.tap(world.mta(), {"timeouts": {"command": "1s"}})
    c = tap.client()
    c.send(b"x" * 5000)
    c.expect(421, "4.4.2")
    c.eof()
    assert tap.closed(c)["reason"] == "timeout"


def test_line_that_trickles_has_a_deadline(world):
    tap = world.tap(world.mta(), {"timeouts": {"command": "1s"}})
    c = tap.client()
    c.send(b"x" * 5000)
    end = time.monotonic() + DEADLINE
    c.sock.settimeout(0.1)
    while time.monotonic() < end:
        try:
            c.send(b"x")
            assert c.sock.recv(100).startswith(b"421 4.4.2")
            break
        except socket.timeout:
            pass
    else:
        raise AssertionError("no deadline")


def test_reply_that_never_ends_has_a_deadline(world):
    over = threading.Event()
    world.defer(over.set)

    def trickle(session, line):
        while not over.wait(0.1):
            session.send(b"250-still here\r\n")
        return []

    tap = world.tap(world.mta(rcpt=trickle), {"upstream": {"timeouts": {"command": "500ms"}}})
    c = tap.client()
    c.ehlo()
    c.mail()
    c.cmd("RCPT TO:<a@b.example>", 451, "4.4.2")


def test_hanging_rset_does_not_hold_a_connection_that_quits(world):
    mta = world.mta(rset=HANG)
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    c.mail()
    c.cmd("RSET", 250)
    mta.wait_stage("rset")
    c.quit()
    assert tap.wait("close", side="upstream")["reason"] == "quit"
    tap.stop()


NO_NAMES = {"dns": {"servers": ["127.0.0.1:9"]}, "upstream": {"max_connections": 1}}  # localhost is known without


# upstream.max_connections counts connections that are, not those that were


def test_lost_connection_makes_room_for_the_next(world):
    mta = world.mta(mail=each(CLOSE, None))
    tap = world.tap(mta, {"upstream": {"max_connections": 1}})
    c = tap.client()
    c.ehlo()
    c.mail()
    assert len(mta.sessions) == 2


def test_second_address_is_tried_where_one_connection_may_be(world):
    six = socket.socket(socket.AF_INET6)
    try:
        six.bind(("::1", 0))
        six.close()
    except OSError:
        pytest.skip("no IPv6")
    mta = world.mta(address="::1")
    tap = world.tap(f"localhost:{mta.port}", NO_NAMES)
    c = tap.client()
    c.ehlo()


def test_addresses_of_one_server_are_not_another_s(world):
    """Two addresses of the first: where it is full after the first attempt, the second server's own is next."""
    dead = socket.socket()
    dead.bind(("127.0.0.1", 0))
    world.defer(dead.close)
    good = world.mta()
    tap = world.tap([f"localhost:{dead.getsockname()[1]}", good], NO_NAMES)
    c = tap.client()
    c.ehlo()
    c.mail()
    assert len(good.sessions) == 1


def full_socket(world):
    path = world.path("mx.sock")
    mx = socket.socket(socket.AF_UNIX)
    mx.bind(path)
    mx.listen(0)
    fillers = []
    world.defer(lambda: [s.close() for s in [mx, *fillers]])
    with pytest.raises(BlockingIOError):
        while True:
            fillers.append(socket.socket(socket.AF_UNIX))
            fillers[-1].setblocking(False)
            fillers[-1].connect(path)
    return path, mx, fillers


def test_backlog_that_stays_full_is_a_failed_server(world):
    path, _, _ = full_socket(world)
    tap = world.tap(["unix:" + path, world.mta()], {"upstream": {"timeouts": {"connect": "300ms"}}})
    tap.client().ehlo()
    assert tap.wait("error")["stage"] == "connect"


def test_full_backlog_of_a_unix_socket_is_waited_for(world):
    path, mx, fillers = full_socket(world)
    tap = world.tap("unix:" + path, {"upstream": {"health": {"failures": 1}}})
    c = tap.client()
    c.send(b"EHLO client.example\r\n").silent(0.2)
    for _ in fillers[:-1]:
        fillers.append(mx.accept()[0])
    s = mx.accept()[0]
    fillers.append(s)
    s.sendall(b"220 mx.example\r\n")
    assert s.recv(100) == b"EHLO tap.example\r\n"
    s.sendall(b"250 mx.example\r\n")
    c.expect(250)
    assert not tap.records("error")


# what an upstream lacks


def lacking(world, more=b""):
    full = b"250-mta.example\r\n250-PIPELINING\r\n250-SIZE 100000\r\n250-DSN\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
    mta = world.mta({"ehlo": each(full, b"250%smta.example\r\n%s" % (b"-" if more else b" ", more))})
    tap = world.tap(mta)
    c = tap.client()
    c.ehlo()
    mta.sessions[0].sock.shutdown(socket.SHUT_WR)
    tap.wait("close", side="upstream")
    return mta, c


def test_upstream_that_lacks_what_is_used_is_not_asked_the_next_time(world):
    mta, c = lacking(world)
    for _ in range(2):
        c.cmd("MAIL FROM:<a@b.example> BODY=8BITMIME", 451, "4.3.3")
    assert not any(x.startswith(b"MAIL") for s in mta.sessions for x in s.commands)
    c.mail()
    c.cmd("RCPT TO:<c@d.example> NOTIFY=NEVER", 451, "4.3.3")
    assert not any(x.startswith(b"RCPT") for s in mta.sessions for x in s.commands)
    c.rcpt()


def test_size_is_dropped_for_a_later_connection_that_lacks_it(world):
    mta, c = lacking(world)
    c.mail(params=" SIZE=1000")
    assert mta.sessions[1].commands[-1] == b"MAIL FROM:<a@client.example>"


def test_another_server_is_tried_where_one_lacks_what_is_used(world):
    full = b"250-mta.example\r\n250 SMTPUTF8\r\n"
    first, second = world.mta({"ehlo": each(full, b"250 mta.example\r\n")}), world.mta()
    tap = world.tap([first, second])
    c = tap.client()
    c.ehlo()
    first.sessions[0].sock.shutdown(socket.SHUT_WR)
    tap.wait("close", side="upstream")
    c.cmd("MAIL FROM:<a@b.example> SMTPUTF8", 250)
    assert first.wait_ended(1) == "quit"
    assert second.sessions[0].commands[-1] == b"MAIL FROM:<a@b.example> SMTPUTF8"
    c.rcpt()
    c.cmd("DATA", 354)
    c.send(TEXT + b".\r\n")
    c.expect(250)
    assert tap.message()["upstream"]["port"] == second.port


def test_a_server_that_a_reload_took_away_is_probed_no_more(world):
    bad, good = world.mta(greeting=b"450 4.3.2 busy\r\n"), world.mta()
    tap = world.tap(bad, {"upstream": {"health": {"failures": 1, "rest": "60s", "probe": "100ms"}}, "workers": 1})
    tap.client().cmd("EHLO client.example", 421)
    bad.wait(lambda m: len(m.sessions) >= 3)
    tap.config["upstream"]["servers"] = [good.address]
    tap.write_config()
    tap.send_signal(signal.SIGHUP)
    assert tap.wait("reload")["ok"] is True
    tap.client().ehlo()
    seen = [len(bad.sessions), time.monotonic()]

    def left_alone():
        if len(bad.sessions) != seen[0]:
            seen[:] = len(bad.sessions), time.monotonic()
        return time.monotonic() - seen[1] > 0.5  # five probes' time

    wait_until(left_alone, "the end of the probes")


# names


def test_name_server_that_is_silent_is_in_the_log(world):
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    world.defer(silent.close)
    tap = world.tap("mx.silent.example:25", {"dns": {"servers": ["127.0.0.1:%d" % silent.getsockname()[1]]},
                                             "upstream": {"timeouts": {"prepare": "1s", "connect": "20s"}}})
    c = tap.client()
    c.cmd("EHLO client.example", 421, "4.4.1")
    assert tap.wait("error", side="upstream")["stage"] == "connect"


def test_stop_while_a_name_is_looked_up(world):
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    world.defer(silent.close)
    tap = world.tap("mx.silent.example:25", {"dns": {"servers": ["127.0.0.1:%d" % silent.getsockname()[1]]},
                                             "server": {"reverse_dns": True}, "timeouts": {"shutdown": "1s"}})
    c = tap.client()
    c.send(b"EHLO client.example\r\n")
    tap.wait("command", command="EHLO")
    tap.send_signal(signal.SIGTERM)
    c.expect(421, "4.3.2")
    c.eof()
    tap.stop(signum=None)


def test_stop_that_can_wait_no_longer_for_the_answer_to_a_message(world):
    """The client is told 421, and was there to be told."""
    mta = world.mta(end=HANG)
    tap = world.tap(mta, {"timeouts": {"shutdown": "500ms"}})
    c = tap.client()
    c.ehlo()
    c.begin()
    c.send(TEXT + b".\r\n")
    mta.wait_stage("dot")
    tap.send_signal(signal.SIGTERM)
    c.expect(421, "4.3.2")
    c.eof()
    m = tap.message()
    assert (m["status"], m["code"], m["client_replied"]) == ("indeterminate", 421, True)
    tap.stop(signum=None)


def test_a_second_signal_cuts_what_says_goodbye(world):
    tap = world.tap(world.mta(quit=HANG), {"timeouts": {"shutdown": "30s"}})
    c = tap.client()
    c.ehlo()
    c.quit()
    tap.wait("close", side="client")
    start = time.monotonic()
    tap.send_signal(signal.SIGTERM)
    tap.wait("closing")
    tap.send_signal(signal.SIGTERM)
    wait_until(lambda: tap.child.returncode is not None, "the end")
    assert time.monotonic() - start < 1.5
    tap.stop(status=tap.child.returncode, signum=None)


@pytest.mark.parametrize("size", [60000, 65536, 70000, 300000])
@pytest.mark.parametrize("received", ["auto", "off"])
def test_bodies_around_the_high_water_mark_arrive(world, size, received):
    mta = world.mta()
    tap = world.tap(mta, {"server": {"received_header": received}})
    c = tap.client()
    c.ehlo()
    c.begin()
    line = b"x" * 98 + b"\r\n"
    c.send(line * (size // 100) + b".\r\n")
    c.expect(250)
    assert mta.messages[0]["raw"].endswith(line * (size // 100))


def test_an_upstream_lost_before_any_recipient_was_accepted(world):
    tap = world.tap(world.mta(rcpt=CLOSE))
    c = tap.client()
    c.ehlo()
    c.mail()
    c.cmd("RCPT TO:<b@mta.example>", 451, "4.4.2")
    c.cmd("DATA", 451, "4.4.2")
    m = tap.message()
    assert (m["status"], m["stage"], m["decided_by"]) == ("deferred", "rcpt", "smtptap")
    assert tap.records("rcpt")[0]["stage"] == "rcpt"
