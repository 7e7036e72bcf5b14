"""Table Q: the PROXY header that a load balancer sends first. From whom it must come it must be right; from others it
means nothing."""
import random
import socket
import struct
import time

import pytest

from harness.tls import entry

SIG = b"\r\n\r\n\0\r\nQUIT\n"
TRUSTED = {"server": {"proxy_protocol": ["127.0.0.1", "unix"]}}
ports = random.SystemRandom()


def v1(host="192.0.2.7", to="198.51.100.9", port=0, dport=25):
    return b"PROXY TCP%d %s %s %d %d\r\n" % (6 if ":" in host else 4, host.encode(), to.encode(), port, dport)


def v2(host="192.0.2.7", to="198.51.100.9", port=0, dport=25, tlvs=b"", command=1, transport=1):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    body = socket.inet_pton(family, host) + socket.inet_pton(family, to) + struct.pack(">HH", port, dport) + tlvs
    kind = (0x20 if family == socket.AF_INET6 else 0x10) | transport
    return SIG + bytes([0x20 | command, kind]) + struct.pack(">H", len(body)) + body


def tlv(kind, value):
    return bytes([kind]) + struct.pack(">H", len(value)) + value


def crc32c(data):
    crc = 0xffffffff
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def with_crc(header, wrong=0):
    """The header with a checksum behind its addresses."""
    header = header[:14] + struct.pack(">H", len(header) - 16 + 7) + header[16:] + b"\3\0\4"
    return header + struct.pack(">I", crc32c(header + bytes(4)) ^ wrong)


def some_port():
    return ports.randrange(1, 65536)


def told(tap, header, port, **options):
    return tap.client(prelude=header(port=port), port=port, **options)


HEADERS = {
    "v1-ipv4": (v1, "192.0.2.7"),
    "v1-ipv6": (lambda port: v1("2001:db8::7", "2001:db8::9", port), "2001:db8::7"),
    "v1-mapped": (lambda port: v1("::ffff:192.0.2.7", "::ffff:198.51.100.9", port), "192.0.2.7"),
    "v2-ipv4": (v2, "192.0.2.7"),
    "v2-ipv6": (lambda port: v2("2001:db8:0::7", "2001:db8::9", port), "2001:db8::7"),
    "v2-mapped": (lambda port: v2("::ffff:192.0.2.7", "::ffff:198.51.100.9", port), "192.0.2.7"),
    "v2-unknown-tlvs": (lambda port: v2(port=port, tlvs=tlv(4, b"xx") + tlv(0xea, b"\0" * 300)), "192.0.2.7"),
    "v2-crc": (lambda port: with_crc(v2(port=port)), "192.0.2.7"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_q8_the_told_address_is_the_client(world, name):
    header, host = HEADERS[name]
    mta = world.mta()
    tap = world.tap(mta, dict(TRUSTED, server=dict(TRUSTED["server"], received_header="on",
                                                   helo_response="hello {client}")))
    port = some_port()
    c = told(tap, header, port)
    assert c.ehlo().lines[0] == f"hello [{host}]".encode()
    assert c.deliver().code == 250
    c.quit()
    records = tap.session(c)
    kinds = [r["tnx"] for r in records]
    assert kinds[:2] == ["proxy", "connection"]
    proxy = records[0]
    assert (proxy["proxy"], proxy["version"], proxy["host"], proxy["port"]) == ("127.0.0.1", int(name[1]), host, port)
    assert "err" not in proxy and "tls" not in proxy
    assert all(r["host"] == host for r in records if r.get("side") != "upstream"), records
    received = mta.messages[0]["raw"].split(b"\r\n\tby")[0].decode()
    assert received == f"Received: from client.example (unknown [{'IPv6:' if ':' in host else ''}{host}])"


@pytest.mark.parametrize("name", HEADERS)
def test_q1_cut_anywhere_with_the_clients_bytes_behind(world, name):
    tap = world.tap(world.mta(), TRUSTED)
    for cut in random.sample(range(1, 45), 4):
        port = some_port()
        data = HEADERS[name][0](port=port) + b"EHLO early.example\r\n"
        c = tap.client(greet=False, port=port)
        c.send_cut(data, cut, len(data) - 10)
        c.expect(220)
        c.expect(250)
        c.quit()


def test_q1_byte_by_byte(world):
    tap = world.tap(world.mta(), TRUSTED)
    for header in (v1, v2):
        port = some_port()
        c = tap.client(greet=False, port=port)
        data = header(port=port)
        c.send_cut(data, *range(1, len(data)))
        c.expect(220)
        c.ehlo()
        assert c.deliver().code == 250
        assert tap.wait("proxy", port=port)["host"] == "192.0.2.7"


def test_q1_a_client_may_wait_for_nothing_before_the_header(world):
    tap = world.tap(world.mta(), TRUSTED)
    c = tap.client(greet=False)
    c.silent(0.3)
    c.record_port = port = some_port()
    c.send(v1(port=port))
    c.expect(220)


REAL = {
    "v1-unknown": b"PROXY UNKNOWN\r\n", "v1-unknown-with-text": b"PROXY UNKNOWN 1.2.3.4 5.6.7.8 1 2\r\n",
    "v2-local": v2(command=0), "v2-local-odd-family": SIG + b"\x20\xff\0\3abc", "v2-unspec": SIG + b"\x21\0\0\0",
    "v2-unix": SIG + b"\x21\x31\0\xd8" + bytes(216), "v2-udp": v2(transport=2),
}


@pytest.mark.parametrize("name", REAL)
def test_q3_q4_no_address_told(world, name):
    tap = world.tap(world.mta(), TRUSTED)
    c = tap.client(prelude=REAL[name])
    c.ehlo()
    assert c.deliver().code == 250
    proxy = tap.wait("proxy")
    assert (proxy["host"], proxy["port"], proxy["proxy"]) == ("127.0.0.1", c.local_port, "127.0.0.1")
    assert tap.message()["host"] == "127.0.0.1"


BAD = {
    "smtp": b"EHLO client.example\r\n", "nothing-like-it": b"\0\1\2\3", "tls": b"\x16\3\1\2\0\1\0\1\xfc\3\3",
    "lower-case": v1().lower(), "lf": v1().replace(b"\r", b""), "two-spaces": v1().replace(b" 25", b"  25"),
    "leading-zero": v1().replace(b" 25", b" 025"), "big-port": v1(dport=70000),
    "wrong-family": v1().replace(b"TCP4", b"TCP6"), "odd-address": v1("192.0.2.300"), "tcp5": b"PROXY TCP5 a b 1 2\r\n",
    "no-line-end": b"PROXY UNKNOWN " + b"x" * 200, "v2-version": SIG + b"\x11\x11\0\x0c" + bytes(12),
    "v2-command": v2(command=2), "v2-family": SIG + b"\x21\x41\0\x0c" + bytes(12), "v2-transport": v2(transport=3),
    "v2-short": SIG + b"\x21\x11\0\x0b" + bytes(11), "v2-tlv-over": v2(tlvs=b"\4\0\5ab"),
    "v2-ssl-short": v2(tlvs=tlv(0x20, b"\1\0\0\0")), "v2-crc": with_crc(v2(), 1), "v2-crc-length": v2(tlvs=tlv(3, b"abc")),
    "upper-case-hex": v1("2001:DB8::7", "2001:db8::9"), "zeros-not-compressed": v1("2001:db8:0:0:0:0:0:7", "2001:db8::9"),
    "v2-unspec-tlv-over": SIG + b"\x21\0\0\3\1\xff\xff", "v2-too-long": SIG + b"\x21\x11\xff\xff", "http": b"GET / HTTP/1.0\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD)
def test_q1_to_q6_a_bad_header_ends_without_a_word(world, name):
    mta = world.mta()
    tap = world.tap(mta, TRUSTED)
    c = tap.client(greet=False)
    c.send(BAD[name])
    try:
        assert c.sock.recv(1000) == b""
    except ConnectionResetError:
        pass  # there was more than we had read
    close = tap.closed(c)
    assert close["reason"] == "protocol" and close["bytes_out"] == 0
    records = tap.session(c)
    assert [r["tnx"] for r in records] == ["proxy", "connection", "close"]
    assert records[0]["err"]["code"] == "proxy_header" and records[0]["err"]["message"]
    assert {r["host"] for r in records} == {"127.0.0.1"} and not mta.sessions


def test_q5_limit_of_the_header(world):
    tap = world.tap(world.mta(), {**TRUSTED, "limits": {"proxy_header": 300}})
    fits = v2(port=7, tlvs=tlv(4, bytes(300 - 16 - 12 - 3)))
    assert len(fits) == 300
    c = tap.client(prelude=fits, port=7)
    c.ehlo()
    c = tap.client(greet=False)
    c.send(v2(tlvs=tlv(4, bytes(300 - 16 - 12 - 2))))
    assert tap.closed(c)["reason"] == "protocol"


@pytest.mark.parametrize("sent", [b"", b"PROXY TCP4 192.0.2.7 198", SIG])
def test_q7_the_header_has_its_time(world, sent):
    tap = world.tap(world.mta(), {**TRUSTED, "timeouts": {"greeting": "300ms"}})
    began = time.monotonic()
    c = tap.client(greet=False)
    for i in range(len(sent)):
        c.send(sent[i:i + 1])
    c.eof()
    assert 0.28 <= time.monotonic() - began < 3
    assert tap.closed(c)["reason"] == "timeout"
    assert tap.wait("proxy")["err"]["message"]


def test_q7_one_time_for_header_and_handshake(world, certs):
    tap = world.tap(world.mta(), {**TRUSTED, "timeouts": {"greeting": "600ms"}, "listeners": [
        {"address": "127.0.0.1:0", "tls": "implicit", "certificates": [entry(certs.a)]}]})
    began = time.monotonic()
    c = tap.client(greet=False)
    time.sleep(0.35)
    c.record_port = 77
    c.send(v1(port=77))
    c.eof()
    assert 0.55 <= time.monotonic() - began < 0.93
    assert tap.closed(c)["reason"] == "timeout"


@pytest.mark.parametrize("sent", [b"", b"PROXY TC"])
def test_a_health_check_that_says_nothing(world, sent):
    tap = world.tap(world.mta(), TRUSTED)
    c = tap.client(greet=False)
    c.send(sent)
    c.half_close()
    c.eof()
    assert tap.closed(c)["reason"] == "gone"
    assert len(tap.records("proxy")) == bool(sent)


@pytest.mark.parametrize("header", [v1, v2])
def test_before_implicit_tls_in_one_segment(world, certs, header):
    tap = world.tap(world.mta(), {**TRUSTED, "listeners": [
        {"address": "127.0.0.1:0", "tls": "implicit", "certificates": [entry(certs.a)]}]})
    port = some_port()
    c = told(tap, header, port, tls=True)
    c.ehlo()
    assert c.deliver().code == 250
    m = tap.message()
    assert m["host"] == "192.0.2.7" and m["tls"]["used"] and m["protocol"] == "ESMTPS"
    c.quit()
    assert [r["tnx"] for r in tap.session(c)][:4] == ["proxy", "connection", "sni", "starttls"] or \
        [r["tnx"] for r in tap.session(c)][:3] == ["proxy", "connection", "starttls"]


def test_before_starttls(world, certs):
    tap = world.tap(world.mta(), {**TRUSTED, "tls": {"certificates": [entry(certs.a)]}})
    port = some_port()
    c = told(tap, v2, port)
    c.ehlo()
    c.starttls()
    c.ehlo()
    assert c.deliver().code == 250
    assert tap.message()["host"] == "192.0.2.7"


def test_q6_tls_of_the_load_balancer_is_logged_and_no_more(world):
    ssl = tlv(0x20, b"\7" + bytes(4) + tlv(0x21, b"TLSv1.3") + tlv(0x22, b"device 7") + tlv(0x23, b"TLS_AES_128_GCM_SHA256"))
    tap = world.tap(world.mta(), TRUSTED)
    c = tap.client(prelude=v2(port=9, tlvs=ssl + tlv(2, b"mx.example") + tlv(5, b"unique-1") + tlv(1, b"smtp")), port=9)
    c.ehlo()
    assert c.deliver().code == 250
    proxy = tap.wait("proxy")
    assert proxy["tls"] == {"used": True, "version": "TLSv1.3", "cipher": "TLS_AES_128_GCM_SHA256",
                            "client_cert": "device 7", "verified": True}
    assert proxy["servername"] == "mx.example" and proxy["unique_id"] == "unique-1"
    m = tap.message()
    assert m["protocol"] == "ESMTP" and m["tls"] == {"used": False}


def test_q6_hostile_text_in_tlvs_stays_in_its_key(world):
    evil = b'x","tnx":"forged\n\0\xff'
    tap = world.tap(world.mta(), TRUSTED)
    tap.client(prelude=v2(port=9, tlvs=tlv(2, evil) + tlv(5, evil) + tlv(0x20, b"\1" + bytes(4) + tlv(0x22, evil))), port=9)
    proxy = tap.wait("proxy")
    assert proxy["tnx"] == "proxy" and "forged" in proxy["servername"] and proxy["tls"]["client_cert"]


@pytest.mark.parametrize("header", [v1, v2])
def test_q2_a_stranger_is_not_believed(world, header):
    mta = world.mta()
    tap = world.tap(mta, {"server": {"proxy_protocol": ["192.0.2.0/24", "10.0.0.0/8"]}})
    c = tap.client()
    c.send(header(port=5))
    assert c.reply().code in (421, 500)
    c.close()
    assert {r["host"] for r in tap.session(c)} == {"127.0.0.1"} and not mta.sessions
    assert not tap.records("proxy")


def test_q2_the_command_proxy(world):
    tap = world.tap(world.mta())
    c = tap.client()
    c.send(v1(port=5))
    c.expect(421, "4.7.0")
    c.eof()
    assert tap.closed(c)["reason"] == "protocol"


def test_q2_early_talk_of_a_stranger(world):
    tap = world.tap(world.mta(), {"server": {"proxy_protocol": ["10.0.0.0/8"], "greet_delay": "2s"}})
    c = tap.client(greet=False)
    c.send(v1(port=5))
    c.expect(421, "4.7.0")
    assert tap.wait("error")["err"]["code"] == "early_talker" and not tap.records("proxy")


def test_g2_early_talk_behind_the_header(world):
    tap = world.tap(world.mta(), {"server": dict(TRUSTED["server"], greet_delay="2s")})
    c = tap.client(greet=False, prelude=v1(port=5) + b"EHLO x\r\n", port=5)
    c.expect(421, "4.7.0")
    assert tap.wait("error")["host"] == "192.0.2.7"


def test_g4_limits_count_the_real_client(world):
    tap = world.tap(world.mta(), {**TRUSTED, "limits": {"max_connections_per_client": 2}})
    held = [tap.client(prelude=v1(f"192.0.2.{i % 3}", port=1000 + i), port=1000 + i) for i in range(6)]
    over = tap.client(prelude=v1("192.0.2.1", port=2000), port=2000, greet=False)
    over.expect(421, "4.7.0")
    over.eof()
    assert tap.closed(over)["reason"] == "limit"
    held[1].quit()
    tap.closed(held[1])
    assert tap.client(prelude=v1("192.0.2.1", port=2001), port=2001).greeting.code == 220


def test_log_ignore_clients_means_the_real_client(world):
    tap = world.tap(world.mta(), {**TRUSTED, "log": {"ignore_clients": ["127.0.0.1", "192.0.2.8"]}})
    c = tap.client(prelude=v2("192.0.2.8", port=1), port=1)
    c.unrecorded = True
    c.quit()
    c = tap.client(greet=False)  # a refused header is the load balancer's
    c.send(b"x\r\n")
    try:
        c.eof()
    except AssertionError:
        pass
    c = tap.client(prelude=v2("192.0.2.7", port=2), port=2)
    c.quit()
    tap.closed(c)
    assert {r["host"] for r in tap.records() if "cid" in r} == {"192.0.2.7"}


def test_unix_listener_behind_a_load_balancer(world):
    path = world.path("in")
    tap = world.tap(world.mta(), {**TRUSTED, "listeners": [{"address": f"unix:{path}"}]})
    c = tap.client(path, prelude=v2(port=3), port=3)
    c.ehlo()
    assert c.deliver().code == 250
    assert tap.message()["host"] == "192.0.2.7" and tap.wait("proxy")["proxy"] == "unix"


def test_shutdown_says_nothing_before_the_header(world):
    tap = world.tap(world.mta(), TRUSTED)
    c = tap.client(greet=False)
    c.silent(0.2)
    tap.stop()
    try:
        assert c.sock.recv(100) == b""
    except ConnectionResetError:
        pass
    assert tap.records("close")[0]["reason"] == "shutdown"
