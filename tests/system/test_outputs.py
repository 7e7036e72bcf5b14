"""Log outputs over the network and rotated files: what arrives, in which form, and what is told when it can't."""
import json
import os
import re
import signal
import socket
import subprocess
import time
from unittest import mock

import pytest

from harness.receivers import (JOURNALD, RSYSLOGD, DatagramReceiver, Journald, JournalReceiver, Message, Rsyslog, StreamReceiver, as_log,
                               octet_framed)
from harness.tap import read_log
from harness.util import free_port, wait_until
from test_log import check, deliver

STDOUT = {"type": "stdout"}


def start(world, *outputs, **log):
    return world.tap(world.mta(), {"log": {"outputs": [STDOUT, *outputs], **log}})


def receiver(world, made):
    world.defer(made.stop)
    return made


def last_is_closed(lines):
    return bool(lines) and b'"tnx":"closed"' in lines[-1]


def without_seq(line):
    return re.sub(rb',"seq":\d+\}$', b"}", line)


def same_records(tap, lines):
    """The output has the records that stdout has; each output has its own order between sessions, and its own seq."""
    assert sorted(map(without_seq, lines)) == sorted(map(without_seq, bytes(tap.log.raw).splitlines()))
    tap.check(log=as_log(lines, tap.log.max_record))


def finish(tap, r, form=lambda x: x):
    tap.stop()
    wait_until(lambda: last_is_closed(r.lines()), lambda: f"the last record; the last ones are {r.lines()[-3:]}")
    lines = [form(x) for x in r.lines()]
    same_records(tap, lines)
    return lines


# JSON lines over TCP


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])
def test_tcp(world, family):
    r = receiver(world, StreamReceiver(family))
    tap = start(world, {"type": "tcp", "address": r.address})
    for _ in range(20):
        deliver(tap).quit()
    finish(tap, r)
    assert r.connections == 1 and not r.broken


def test_tcp_by_name(world):
    r = receiver(world, StreamReceiver())
    tap = start(world, {"type": "tcp", "address": f"localhost:{r.port}"})
    deliver(tap).quit()
    finish(tap, r)


def test_tcp_name_without_address(world):
    tap = start(world, {"type": "tcp", "address": "nowhere.invalid:1"})
    deliver(tap).quit()
    error = tap.wait("error", output="tcp nowhere.invalid:1")
    assert error["err"]["code"] == "log_write" and "nowhere.invalid" in error["err"]["message"]
    tap.stop(status=1)
    assert "records were not written" in tap.errors()


def test_tcp_receiver_comes_later(world):
    r = receiver(world, StreamReceiver(start=False))
    tap = start(world, {"type": "tcp", "address": r.address})
    for _ in range(5):
        deliver(tap).quit()
    error = tap.wait("error", output=f"tcp {r.address}")
    assert "Connection refused" in error["err"]["message"]
    r.start()
    wait_until(lambda: r.lines(), "the records")
    finish(tap, r)


def test_tcp_idle_connection_closed(world):
    """A receiver that closes in order while nothing is said: no record is lost, doubled, or told of as in doubt."""
    r = receiver(world, StreamReceiver())
    tap = start(world, {"type": "tcp", "address": r.address})
    for _ in range(3):
        c = deliver(tap)
        c.quit()
        tap.closed(c)
        wait_until(lambda: len(tap.log.list) == len(r.lines()) > 0, "all that was said so far")
        time.sleep(1.1)  # what it has just sent would be in doubt
        r.die("closed")
        r.start()
    finish(tap, r)
    assert r.connections >= 3 and not tap.records("error")


def books(tap, output, lines, again_most=None):
    """After breaks: what is missing and what is doubled is no more than was told."""
    keys = [(json.loads(x)["run"], json.loads(x)["seq"]) for x in lines]
    doubled = len(keys) - len(set(keys))
    missing = max(k[1] for k in keys) - len(set(keys))
    again = risk = 0
    for r in tap.records("error", output=output):
        m = re.search(r"; (\d+) records are sent again and may be doubled, of those before up to (\d+) may be lost",
                      r["err"]["message"])
        if m:
            assert r["err"]["code"] == "log_broken" and r["records"] == int(m[1]) + int(m[2])
            again, risk = again + int(m[1]), risk + int(m[2])
    assert doubled <= again, f"{doubled} records are doubled, {again} were told of"
    assert missing <= risk, f"{missing} records are missing, {risk} were told of"
    return doubled, missing, again, risk


@pytest.mark.parametrize("how", ["reset", "closed", "said"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_tcp_receiver_dies_under_load(world, certs, how, tls):
    r = receiver(world, StreamReceiver(pair=certs.mta if tls else None))
    more = {"tls": True, "tls_ca": certs.ca} if tls else {}
    tap = start(world, {"type": "tcp", "address": r.address, "overflow": "block", **more})
    clients = [tap.client() for _ in range(3)]
    for c in clients:
        c.ehlo()
    for _ in range(6):
        before = len(r.lines())
        for _ in range(15):
            for c in clients:
                assert c.deliver(b"Subject: x\r\n\r\nbody\r\n").code == 250
        r.die(how)
        for c in clients:
            assert c.deliver(b"Subject: x\r\n\r\nbody\r\n").code == 250
        r.start()
        wait_until(lambda: len(r.lines()) > before + 10, "records after the break")
    tap.stop()
    wait_until(lambda: last_is_closed(r.lines()), "the last record")
    books(tap, f"tcp {r.address}", r.lines())


def test_tcp_receiver_stalls_and_dies(world):
    """With records in its socket that it never reads: what it takes along is told."""
    r = receiver(world, StreamReceiver())
    tap = start(world, {"type": "tcp", "address": r.address, "overflow": "block"})
    deliver(tap).quit()
    wait_until(lambda: r.lines(), "the first records")
    r.stall()
    c = tap.client()
    c.ehlo()
    for _ in range(40):
        assert c.deliver(b"Subject: x\r\n\r\nbody\r\n").code == 250
    time.sleep(0.3)  # they are in the receiver's socket, or on their way
    r.die()
    r.flow()
    r.start()
    for _ in range(3):
        assert c.deliver(b"Subject: x\r\n\r\nbody\r\n").code == 250
    c.quit()
    tap.stop()
    wait_until(lambda: last_is_closed(r.lines()), "the last record")
    doubled, missing, again, risk = books(tap, f"tcp {r.address}", r.lines())
    assert 0 < missing <= risk <= len(tap.log.list)


def test_tcp_slow_receiver(world):
    r = receiver(world, StreamReceiver())
    r.pace = 0.002
    tap = start(world, {"type": "tcp", "address": r.address, "overflow": "block", "queue_size": 65536})
    c = tap.client()
    c.ehlo()
    for _ in range(60):
        assert c.deliver(b"Subject: x\r\n\r\nbody\r\n").code == 250
    c.quit()
    r.pace = 0
    finish(tap, r)


def test_an_output_that_hangs_stops_no_other(world):
    """Two receivers, one stalled from the start: the other has everything, and the first one's losses are counted."""
    good, bad = receiver(world, StreamReceiver()), receiver(world, StreamReceiver())
    bad.stall()
    tap = start(world, {"type": "tcp", "address": good.address},
                {"type": "tcp", "address": bad.address, "queue_size": 65536})
    c = tap.client()
    c.ehlo()
    for _ in range(3000):
        c.cmd(b"NOOP " + b"x" * 700)
    assert c.deliver(b"Subject: x\r\n\r\nbody\r\n").code == 250
    c.quit()
    tap.closed(c)
    wait_until(lambda: len(good.lines()) == len(tap.log.list), "everything in the good one")
    assert len(bad.lines()) == 0
    bad.flow()
    wait_until(lambda: any(b'"tnx":"dropped"' in x for x in bad.lines()), "what was lost in the bad one")
    finish(tap, good)
    # what was lost just before it is told behind it
    wait_until(lambda: any(b'"tnx":"closed"' in x for x in bad.lines()[-2:]), lambda: f"the last record; the last ones are {bad.lines()[-3:]}")
    log = as_log(bad.lines())
    assert not log.bad
    told = sum(r["records"] for r in log.list if r["tnx"] == "dropped")
    written = len([r for r in log.list if r["tnx"] != "dropped"])
    assert told > 0 and written + told == len(tap.log.list)
    assert log.list[-1]["seq"] == written + told + len([r for r in log.list if r["tnx"] == "dropped"])
    assert {r["output"] for r in log.list if r["tnx"] == "dropped"} == {f"tcp {bad.address}"}


def test_tls(world, certs):
    r = receiver(world, StreamReceiver(pair=certs.mta, ca=certs.ca))
    cert, key = certs.b
    tap = start(world, {"type": "tcp", "address": r.address, "tls": True, "tls_ca": certs.ca, "tls_cert": cert,
                        "tls_key": key})
    for _ in range(10):
        deliver(tap).quit()
    finish(tap, r)


@pytest.mark.parametrize("name, reason", [("other", "hostname|IP address"), ("own", "self.signed"),
                                          ("expired", "expired")])
def test_tls_is_verified(world, certs, name, reason):
    r = receiver(world, StreamReceiver(pair=getattr(certs, name)))
    tap = start(world, {"type": "tcp", "address": r.address, "tls": True, "tls_ca": certs.ca})
    deliver(tap).quit()
    error = tap.wait("error", output=f"tcp {r.address}")
    assert re.search(reason, error["err"]["message"]), error
    assert not r.lines()
    tap.stop(status=1)


def test_tls_client_certificate_is_wanted(world, certs):
    r = receiver(world, StreamReceiver(pair=certs.mta, ca=certs.ca))
    tap = start(world, {"type": "tcp", "address": r.address, "tls": True, "tls_ca": certs.ca})
    deliver(tap).quit()
    error = tap.wait("error", output=f"tcp {r.address}")
    assert error["err"]["code"] in ("log_write", "log_broken")
    assert not r.lines()
    tap.stop(status=mock.ANY)  # whether TCP had taken lines before the refusal came; what is in doubt was told


def test_stop_is_bounded(world):
    """A receiver that never reads: the end comes, and says how many records were not written."""
    r = receiver(world, StreamReceiver())
    r.stall()
    tap = start(world, {"type": "tcp", "address": r.address, "overflow": "block"})
    c = tap.client()
    c.ehlo()
    for _ in range(2500):
        c.cmd(b"NOOP " + b"x" * 1500)
    begin = time.monotonic()
    tap.stop(status=1, timeout=20)
    assert time.monotonic() - begin < 10
    m = re.search(r"(\d+) records were not written", tap.errors())
    # what the receiver's system took is its own
    assert 0 < int(m[1]) < len(tap.log.list)


# syslog


def check_messages(messages, tap, cookie=False):
    by_level = {"error": 19, "info": 22, "debug": 23}
    for m in messages:
        record = json.loads(m.json)
        assert m.priority == by_level[record["level"]]
        assert m.time == record["time"] and m.msgid == record["tnx"] and m.app == "smtptap"
        assert m.pid == str(tap.pid) and m.host == (socket.gethostname() or "-") and m.cookie == cookie


def test_syslog_udp(world):
    r = receiver(world, DatagramReceiver())
    tap = start(world, {"type": "syslog", "address": f"udp:{r.address}"})
    deliver(tap).quit()
    check_messages([Message(x) for x in r.lines()], tap)
    finish(tap, r, lambda x: Message(x).json)


def test_syslog_udp6_with_cookie(world):
    r = receiver(world, DatagramReceiver(family=socket.AF_INET6))
    tap = start(world, {"type": "syslog", "address": f"udp:{r.address}"}, cookie=True)
    deliver(tap).quit()
    finish(tap, r, lambda x: Message(x).json)
    check_messages([Message(x) for x in r.lines()], tap, True)


def test_syslog_udp_where_nobody_listens(world):
    """What the other system says it did not take is counted in `dropped`."""
    r = receiver(world, DatagramReceiver(start=False))
    tap = start(world, {"type": "syslog", "address": f"udp:{r.address}"})
    deliver(tap).quit()
    error = tap.wait("error", output=f"syslog udp:{r.address}")
    assert "Connection refused" in error["err"]["message"]
    time.sleep(0.5)
    r.start()
    wait_until(lambda: any(b'"tnx":"dropped"' in x for x in r.lines()), "a dropped record")
    tap.stop(timeout=30)
    wait_until(lambda: last_is_closed(r.lines()), "the last record")
    records = [json.loads(Message(x).json) for x in r.lines()]
    told = sum(x["records"] for x in records if x["tnx"] == "dropped")
    written = len([x for x in records if x["tnx"] != "dropped"])
    assert told > 0 and written + told <= len(tap.log.list)


@pytest.mark.parametrize("stream", [False, True], ids=["datagram", "stream"])
def test_syslog_unix(world, stream):
    path = world.path("log.sock")
    r = receiver(world, StreamReceiver(path=path) if stream else DatagramReceiver(path))
    tap = start(world, {"type": "syslog", "address": r.address})
    for _ in range(20):
        deliver(tap).quit()
    lines = finish(tap, r, lambda x: Message(x).json)
    check_messages([Message(x) for x in r.lines()], tap)
    assert len(lines) > 100


def test_syslog_unix_daemon_restarts(world):
    path = world.path("log.sock")
    r = receiver(world, DatagramReceiver(path))
    tap = start(world, {"type": "syslog", "address": r.address})
    deliver(tap).quit()
    wait_until(lambda: len(r.lines()) == len(tap.log.list), "the first records")
    r.die()
    os.unlink(path)
    deliver(tap).quit()
    tap.wait("error", output=f"syslog {r.address}")
    r.start()
    finish(tap, r, lambda x: Message(x).json)


def test_syslog_unix_daemon_stalls(world):
    """Datagrams wait in a short queue; nothing is lost with `block`."""
    path = world.path("log.sock")
    r = receiver(world, DatagramReceiver(path))
    r.flowing.clear()
    tap = start(world, {"type": "syslog", "address": r.address, "overflow": "block"})
    for _ in range(10):
        deliver(tap).quit()
    r.flowing.set()
    finish(tap, r, lambda x: Message(x).json)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])
@pytest.mark.parametrize("framing", [None, "newline", "octet"])
def test_syslog_tcp(world, family, framing):
    r = receiver(world, StreamReceiver(family, framing=octet_framed) if framing == "octet" else StreamReceiver(family))
    tap = start(world, {"type": "syslog", "address": f"tcp:{r.address}", **({"framing": framing} if framing else {})})
    for _ in range(5):
        deliver(tap).quit()
    finish(tap, r, lambda x: Message(x).json)
    check_messages([Message(x) for x in r.lines()], tap)


@pytest.mark.parametrize("framing", [None, "newline"])
def test_syslog_tls(world, certs, framing):
    r = receiver(world, StreamReceiver(pair=certs.mta, **({} if framing else {"framing": octet_framed})))
    tap = start(world, {"type": "syslog", "address": f"tls:{r.address}", "tls_ca": certs.ca,
                        **({"framing": framing} if framing else {})})
    for _ in range(5):
        deliver(tap).quit()
    finish(tap, r, lambda x: Message(x).json)


def test_syslog_odd_component(world):
    r = receiver(world, DatagramReceiver())
    tap = start(world, {"type": "syslog", "address": f"udp:{r.address}"}, component="ed ge-\u00fc" + "x" * 50)
    wait_until(r.lines, "a record")
    m = Message(r.lines()[0])
    assert m.app == "ed?ge-??" + "x" * 40
    tap.stop()


def with_a_long_record(world, output):
    """A session whose message record has 600 KB: more than a unix datagram can hold."""
    mta = world.mta(rcpt=b"250 2.1.5 " + b"r" * 480 + b"\r\n")
    tap = world.tap(mta, {"log": {"max_record": 1 << 20, "outputs": [STDOUT, output]}})
    c = tap.client()
    c.sock.settimeout(20)
    c.ehlo()
    c.mail()
    for i in range(900):
        c.send(b"RCPT TO:<%d%s@mta.example>\r\n" % (i, b"r" * 220))
    for i in range(900):
        c.expect(250)
    c.cmd("DATA", 354)
    c.cmd("x\r\n.", 250)
    c.quit()
    tap.closed(c)
    assert max(len(x) for x in bytes(tap.log.raw).splitlines()) > 600000
    return tap


def test_syslog_record_too_long_for_a_datagram(world):
    """It is lost, counted and told."""
    r = receiver(world, DatagramReceiver(world.path("log.sock")))
    tap = with_a_long_record(world, {"type": "syslog", "address": r.address})
    error = tap.wait("error", output=f"syslog {r.address}")
    assert "too long" in error["err"]["message"]
    tap.stop()
    wait_until(lambda: last_is_closed(r.lines()), "the last record")
    records = [json.loads(Message(x).json) for x in r.lines()]
    assert sum(x["records"] for x in records if x["tnx"] == "dropped") == 1
    assert len([x for x in records if x["tnx"] != "dropped"]) + 1 == len(tap.log.list)
    assert not [x for x in records if x["tnx"] == "message"]


# a real syslog daemon


@pytest.mark.skipif(not RSYSLOGD, reason="rsyslogd is not installed")
@pytest.mark.parametrize("kind", ["unix", "udp", "tcp", "octet", "tls"])
def test_rsyslogd(world, certs, kind):
    path, port = world.path("dev-log"), free_port()
    daemon = Rsyslog(world, "tcp" if kind == "octet" else kind, port, path, certs)
    output = {"type": "syslog", "address": f"{'tcp' if kind == 'octet' else kind}:127.0.0.1:{port}"}
    if kind == "unix":
        output["address"] = f"unix:{path}"
        wait_until(lambda: os.path.exists(path), "rsyslogd's socket")
    elif kind == "udp":
        needle = ":%04X " % port
        wait_until(lambda: needle in open("/proc/net/udp").read(), "rsyslogd's port")
    if kind == "octet":
        output["framing"] = "octet"
    if kind == "tls":
        output["tls_ca"] = certs.ca
    tap = start(world, output)
    for _ in range(10):
        deliver(tap).quit()
    tap.stop()
    messages = daemon.wait(len(tap.log.list))
    by_level = {"error": b"19", "info": b"22", "debug": b"23"}
    lines = []
    for priority, stamp, host, app, pid, msgid, text in messages:
        record = json.loads(text)
        assert priority == by_level[record["level"]] and msgid == record["tnx"].encode()
        assert app == b"smtptap" and pid == str(tap.pid).encode() and host == socket.gethostname().encode()
        assert stamp[:19] == record["time"].encode()[:19]
        lines.append(text.strip())
    same_records(tap, sorted(lines, key=lambda x: json.loads(x)["seq"]))


@pytest.mark.skipif(not RSYSLOGD, reason="rsyslogd is not installed")
def test_rsyslogd_restarts(world):
    port = free_port()
    daemon = Rsyslog(world, "tcp", port)
    tap = start(world, {"type": "syslog", "address": f"tcp:127.0.0.1:{port}", "overflow": "block"})
    c = tap.client()
    c.ehlo()
    for _ in range(4):
        for _ in range(30):
            assert c.deliver(b"Subject: x\r\n\r\nbody\r\n").code == 250
        wait_until(lambda: len(daemon.messages()) > 0, "messages")
        daemon.stop()
        assert c.deliver(b"Subject: x\r\n\r\nbody\r\n").code == 250
        daemon.start()
    c.quit()
    tap.stop(timeout=20)
    wait_until(lambda: any(m[5] == b"closed" for m in daemon.messages()), "the last record")
    whole = [m[6].strip() for m in daemon.messages() if m[6].strip().startswith(b"{") and m[6].strip().endswith(b"}")]
    books(tap, f"syslog tcp:127.0.0.1:{port}", whole)


# journald


def test_journald(world):
    r = receiver(world, JournalReceiver(world.path("journal.sock")))
    tap = start(world, {"type": "journald", "address": r.address})
    for _ in range(5):
        deliver(tap).quit()
    tap.stop()
    wait_until(lambda: any(e["SMTPTAP_TNX"] == b"closed" for e in r.entries()), "the last entry")
    level = {"error": b"3", "info": b"6", "debug": b"7"}
    for e in r.entries():
        record = json.loads(e["SMTPTAP_JSON"])
        assert e["MESSAGE"].decode() == record["msg"] and e["PRIORITY"] == level[record["level"]]
        assert e["SYSLOG_IDENTIFIER"] == b"smtptap" and e["SYSLOG_FACILITY"] == b"2"
        for key in ("tnx", "cid", "tid", "side", "host", "mail_from", "status", "code", "stage", "queue_id", "run", "seq"):
            value = record.get(key)
            assert e.get("SMTPTAP_" + key.upper()) == (None if value is None else str(value).encode()), (key, record)
    same_records(tap, [e["SMTPTAP_JSON"] for e in r.entries()])


@pytest.mark.skipif(not JOURNALD or os.geteuid() != 0, reason="systemd-journald can't be started here")
def test_real_journald(world):
    journal = Journald(world)
    if not journal.runs:
        pytest.skip("systemd-journald does not run here")
    tap = with_a_long_record(world, {"type": "journald", "address": f"unix:{journal.socket}"})
    tap.stop()
    wait_until(lambda: any(e.get("SMTPTAP_TNX") == "closed" for e in journal.entries()), "the last entry")
    entries = journal.entries()
    message = next(r for r in tap.log.list if r["tnx"] == "message")
    entry = next(e for e in entries if e["SMTPTAP_TNX"] == "message")
    assert entry["MESSAGE"] == message["msg"] and entry["PRIORITY"] == "6" and entry["SMTPTAP_TID"] == message["tid"]
    assert entry["_PID"] == str(tap.pid) and entry["SMTPTAP_QUEUE_ID"] == message["queue_id"]
    same_records(tap, [e["SMTPTAP_JSON"].encode() for e in sorted(entries, key=lambda e: int(e["SMTPTAP_SEQ"]))])


def test_journald_long_entries_go_as_files(world):
    r = receiver(world, JournalReceiver(world.path("journal.sock")))
    tap = with_a_long_record(world, {"type": "journald", "address": r.address})
    wait_until(lambda: len(r.lines()) == len(tap.log.list), "all entries but those of the end")
    tap.stop()
    wait_until(lambda: any(e["SMTPTAP_TNX"] == b"closed" for e in r.entries()), "the last entry")
    same_records(tap, [e["SMTPTAP_JSON"] for e in r.entries()])
    assert r.files == 1


def test_journald_comes_back(world):
    path = world.path("journal.sock")
    r = receiver(world, JournalReceiver(path))
    tap = start(world, {"type": "journald", "address": r.address})
    deliver(tap).quit()
    wait_until(lambda: len(r.lines()) == len(tap.log.list), "the first entries")
    r.die()
    deliver(tap).quit()
    tap.wait("error", output=f"journald {r.address}")
    r.start()
    tap.stop(timeout=20)
    wait_until(lambda: any(e["SMTPTAP_TNX"] == b"closed" for e in r.entries()), "the last entry")
    same_records(tap, [e["SMTPTAP_JSON"] for e in r.entries()])


# files


def rotated(path):
    files = [path + f".{i}" for i in range(1000, 0, -1) if os.path.exists(path + f".{i}")] + [path]
    return b"".join(open(f, "rb").read() for f in files), files


def test_rotation(world):
    path = world.path("log")
    tap = start(world, {"type": "file", "path": path, "rotate_size": 20000, "rotate_keep": 900, "mode": "0604"})
    clients = [tap.client() for _ in range(3)]
    for c in clients:
        c.ehlo()
    for _ in range(40):
        for c in clients:
            assert c.deliver(b"Subject: x\r\n\r\nbody\r\n").code == 250
    tap.stop()
    whole, files = rotated(path)
    assert len(files) > 10
    same_records(tap, whole.splitlines())
    for f in files:
        assert os.stat(f).st_size <= 20000 and os.stat(f).st_mode & 0o777 == 0o604


def test_rotation_and_kill(world):
    """kill -9 in the middle: the next run goes on behind it, and every line is whole."""
    path = world.path("log")
    output = {"type": "file", "path": path, "rotate_size": 16384, "rotate_keep": 900}
    for _ in range(3):
        tap = start(world, output)
        c = tap.client()
        c.ehlo()
        for _ in range(25):
            assert c.deliver(b"Subject: x\r\n\r\nbody\r\n").code == 250
        tap.send_signal(signal.SIGKILL)
        wait_until(lambda: tap.child.returncode is not None, "the end")
        tap.kill()
    tap = start(world, output)
    tap.stop()
    whole, _ = rotated(path)
    log = as_log(whole.splitlines())
    assert not log.bad and whole.endswith(b"\n")
    runs = {}
    for r in log.list:
        runs.setdefault(r["run"], []).append(r["seq"])
    assert len(runs) == 4 and all(s == list(range(1, len(s) + 1)) for s in runs.values())


def test_torn_line_is_removed_and_told(world):
    path = world.path("log")
    with open(path, "wb") as f:
        f.write(b'{"time":"x"}\n{"time":"2026-03-03T10:30')
    tap = start(world, {"type": "file", "path": path})
    error = tap.wait("error", output=path)
    assert error["err"]["code"] == "log_torn" and "25 octets" in error["err"]["message"]
    tap.stop()
    with open(path, "rb") as f:
        assert f.read().startswith(b'{"time":"x"}\n{"time":"2')


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system of its own needs root")
def test_disk_full(world):
    """What found no place is written when there is some again; every line is whole."""
    mount = world.path("small")
    os.mkdir(mount)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", mount], capture_output=True)
    if done.returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    world.defer(lambda: subprocess.run(["umount", "-l", mount], check=True))
    path, filler = mount + "/log", mount + "/filler"
    with open(filler, "wb") as f:
        f.write(b"x" * 100000)
    tap = start(world, {"type": "file", "path": path})
    c = tap.client()
    c.ehlo()
    for _ in range(40):
        assert c.deliver(b"Subject: x\r\n\r\nbody\r\n").code == 250
    error = tap.wait("error", output=path)
    assert "No space left on device" in error["err"]["message"]
    with open(path, "rb") as f:
        assert f.read().endswith(b"\n")
    os.unlink(filler)
    subprocess.run(["mount", "-o", "remount,size=8m", mount], check=True)
    c.quit()
    tap.stop()
    same_records(tap, read_log(path).raw.splitlines())


# formats and levels, each output its own


def test_each_output_has_its_own_format_and_level(world):
    ecs, native = receiver(world, StreamReceiver()), receiver(world, DatagramReceiver(world.path("s")))
    journal = receiver(world, JournalReceiver(world.path("j")))
    tap = start(world, {"type": "tcp", "address": ecs.address, "format": "ecs", "level": "info"},
                {"type": "syslog", "address": native.address, "level": "error"},
                {"type": "journald", "address": journal.address, "format": "ecs"})
    deliver(tap).quit()
    tap.stop()
    wait_until(lambda: len(ecs.lines()) >= len([r for r in tap.log.list if r["level"] != "debug"]), "the records")
    wait_until(lambda: len(journal.lines()) >= len(tap.log.list), "the entries")
    records = [json.loads(x) for x in ecs.lines()]
    assert all(r["log.level"] != "debug" and r["@timestamp"] for r in records)
    assert [r["event.sequence"] for r in records] == list(range(1, len(records) + 1))
    assert not native.lines()
    message = next(r for r in tap.log.list if r["tnx"] == "message")
    entry = next(e for e in journal.entries() if e["SMTPTAP_TNX"] == b"message")
    for key in ("tnx", "cid", "tid", "status", "code", "queue_id", "mail_from", "stage", "run"):
        assert entry["SMTPTAP_" + key.upper()].decode() == str(message[key]), key
    assert entry["MESSAGE"].decode() == message["msg"] and entry["PRIORITY"] == b"6"


# configuration


@pytest.mark.parametrize("output, fault", [
    ({"type": "syslog"}, '"address" is missing'),
    ({"type": "syslog", "address": "127.0.0.1:514"}, "does not begin with unix:, udp:, tcp: or tls:"),
    ({"type": "syslog", "address": "udp:127.0.0.1:0"}, "the port must not be 0"),
    ({"type": "syslog", "address": "udp:127.0.0.1:514", "framing": "octet"}, "a datagram has no framing"),
    ({"type": "syslog", "address": "udp:127.0.0.1:514", "tls": True}, "this key is for outputs over TCP"),
    ({"type": "syslog", "address": "tls:127.0.0.1:514", "tls": False}, 'the address says "tls:"'),
    ({"type": "syslog", "address": "tls:127.0.0.1:514", "tls_ca": "/nonexistent"}, "/nonexistent: No such file"),
    ({"type": "syslog", "address": "tcp:127.0.0.1:514", "tls_ca": "/nonexistent"}, 'needs "tls": true'),
    ({"type": "syslog", "address": "tls:127.0.0.1:514", "tls_cert": "/c"}, "needs tls_key beside it"),
    ({"type": "tcp"}, '"address" is missing'),
    ({"type": "tcp", "address": "tcp:127.0.0.1:514"}, 'is not "host:port"'),
    ({"type": "tcp", "address": "unix:/x"}, 'is not "host:port"'),
    ({"type": "tcp", "address": "127.0.0.1:514", "framing": "octet"}, "this key is for outputs of type syslog"),
    ({"type": "journald", "address": "127.0.0.1:514"}, "is not a unix socket"),
    ({"type": "journald", "path": "/x"}, "this key is for outputs of type file"),
    ({"type": "file", "path": "/tmp/x", "rotate_size": 100}, "16KiB"),
    ({"type": "file", "path": "/tmp/x", "rotate_keep": 0}, "1 to 1000"),
    ({"type": "stdout", "rotate_size": "1MiB"}, "this key is for outputs of type file"),
])
def test_check_refuses(world, output, fault):
    r = check(world, json.dumps({"log": {"outputs": [output]}}))
    assert r.returncode == 1 and fault in r.stderr and "log.outputs[0]" in r.stderr, r.stderr


def test_check_print_is_read_to_the_same(world, certs):
    outputs = [STDOUT, {"type": "file", "path": world.path("x"), "rotate_size": "1MiB"},
               {"type": "syslog", "address": "udp:127.0.0.1:514"}, {"type": "syslog", "address": "unix:/dev/log"},
               {"type": "syslog", "address": "tls:log.example.com:6514", "tls_ca": certs.ca},
               {"type": "tcp", "address": "[::1]:5000", "format": "ecs"}, {"type": "journald"}]
    r = check(world, json.dumps({"log": {"outputs": outputs}}), "--print")
    assert r.returncode == 0, r.stderr
    shown = json.loads(r.stdout)["log"]["outputs"]
    assert [o["overflow"] for o in shown] == ["block", "block", "drop", "drop", "drop", "drop", "drop"]
    assert [o.get("framing") for o in shown] == [None, None, None, "newline", "octet", None, None]
    assert shown[6]["address"] == "unix:/run/systemd/journal/socket"
    again = check(world, r.stdout, "--print")
    assert again.returncode == 0 and json.loads(again.stdout) == json.loads(r.stdout), again.stderr
