"""log.redact: what is planted in every place of a session is found nowhere in any output, in either format."""
import base64
import ipaddress
import json
import re

import pytest

from harness.tap import run_tool

FROM, TO, OTHER = "planted.from@sender.example", "planted.to@mta.example", "planted.other@else.example"
CLIENT = "127.0.0.77"
SUBJECT = "planted subject"
HEADER = (f"Message-ID: <1@id.example>\r\nSubject: {SUBJECT}\r\nFrom: \"Planted Name\" <{FROM}>\r\n"
          f"To: =?utf-8?q?Planted_Name?= <{TO}>,\r\n {OTHER} (Planted Name)\r\n"
          f"X-Note: for {OTHER} at [{CLIENT}]\r\n\r\nbody\r\n").encode()


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(b"0123456789abcdef0123456789abcdef\n")
    path.chmod(0o600)
    return str(path)


def echo(code, enhanced):
    """An upstream that says back all it was told, and whom it talks with."""
    def reply(session, line):
        said = line if isinstance(line, bytes) else b""
        return b"%d-%s %s [%s]\r\n%d %s %s said by %s at https://x.example/?id=planted.from%%40sender.example\r\n" % (
            code, enhanced, said, CLIENT.encode(), code, enhanced, OTHER.encode(), CLIENT.encode())
    return reply


def session(world, rules, key, tmp_path, more=None):
    """Everything that a session may say of its people, through both formats; returns the tap and its outputs."""
    mta = world.mta(mail=echo(250, b"2.1.0"), rcpt=lambda s, line: echo(550 if b"no" in line else 250, b"2.1.5")(s, line),
                    end=lambda s, line: f"250 2.0.0 Ok: queued as 1A2B for {TO}\r\n".encode(),
                    other=echo(502, b"5.5.1"))
    path = tmp_path / "ecs.log"
    config = {"log": {"headers": ["message-id", "subject", "from", "to", "x-note"], "redact": dict(rules, key_file=key),
                      "outputs": [{"type": "stdout"}, {"type": "file", "path": str(path), "format": "ecs"}]}}
    config["log"].update(more or {})
    tap = world.tap(mta, config)
    c = tap.client(source=CLIENT)
    c.ehlo(f"[{CLIENT}]")
    c.mail(FROM, " SIZE=100")
    c.rcpt(TO)
    c.cmd(f"RCPT TO:<no.{TO}> ORCPT=rfc822;{OTHER}")
    c.cmd("DATA", 354)
    c.send(HEADER + b".\r\n")
    assert c.reply().code == 250
    c.cmd(f"VRFY {OTHER}")
    c.cmd(f"XCLIENT NAME=planted.client.example ADDR={CLIENT} LOGIN={OTHER}")
    c.cmd(f"HELP {CLIENT} {OTHER}")
    c.mail("")
    c.cmd("RSET", 250)
    c.quit()
    tap.closed(c)
    tap.stop(check=False)
    return tap, mta, path


def outputs(tap, path):
    with open(path, encoding="utf-8") as f:
        return bytes(tap.log.raw).decode() + f.read()


@pytest.mark.parametrize("how", ["hash", "mask", "drop"])
def test_nothing_planted_is_found(world, tmp_path, key, how):
    rules = {"addresses": how, "client_ip": how, "username": how, "subject": how}
    tap, mta, path = session(world, rules, key, tmp_path)
    told = outputs(tap, path)
    for word in (FROM, TO, OTHER, "planted", "Planted", CLIENT, SUBJECT):
        assert word.lower() not in told.lower(), (word, re.findall(".{80}" + re.escape(word) + ".{80}", told, re.I)[:3])
    # the mail itself is as it was
    assert [TO.encode() in r for r in mta.messages[0]["rcpts"]] == [True] and SUBJECT.encode() in mta.messages[0]["raw"]
    message = tap.records("message")[0]
    assert message["message_id"] == "<1@id.example>" and message["queue_id"] == "1A2B"
    if how == "drop":
        assert not {"mail_from", "rcpt_to", "host", "subject"} & set(message)
        assert all("address" not in r for r in message["recipients"]) and len(message["recipients"]) == 2
    else:
        assert re.fullmatch(r"\*@sender\.example" if how == "mask" else r"[0-9a-f]{16}@sender\.example",
                            message["mail_from"])
        ip = ipaddress.ip_address(message["host"])
        assert str(ip) == "127.0.0.0" if how == "mask" else ip in ipaddress.ip_network("240.0.0.0/4")
    assert tap.records("message")[1].get("mail_from", "") == ""


@pytest.mark.parametrize("how", ["hash", "mask", "drop"])
def test_identity_and_login(world, tmp_path, key, how):
    """XCLIENT from the client and to the upstream, and a user logged in here: records, lines and texts of both legs."""
    path, users = tmp_path / "ecs.log", tmp_path / "users"
    users.write_text("planted-user:{PLAIN}secret\n")
    users.chmod(0o600)
    mta = world.mta(ehlo=b"250-mx.example hello [198.51.100.77]\r\n250-XCLIENT NAME ADDR PORT "
                         b"PROTO HELO LOGIN\r\n250 8BITMIME\r\n", mail=echo(250, b"2.1.0"))
    rules = {"addresses": how, "client_ip": how, "username": how, "subject": how, "key_file": key}
    tap = world.tap(mta, {
        "server": {"xclient": ["127.0.0.0/8", "198.51.100.77"]}, "upstream": {"identity": "xclient"},
        "auth": {"mode": "optional", "backend": "file", "file": str(users), "require_tls": False},
        "log": {"redact": rules, "outputs": [{"type": "stdout"}, {"type": "file", "path": str(path), "format": "ecs"}]}})
    c = tap.client(source=CLIENT)
    c.ehlo()
    c.cmd("XCLIENT NAME=planted.client.example ADDR=198.51.100.77 PORT=4711 LOGIN=planted-user", 220)
    c.ehlo("[198.51.100.77]")
    c.cmd("XCLIENT LOGIN=[UNAVAILABLE]", 220)
    c.ehlo()
    c.cmd("AUTH PLAIN AHBsYW50ZWQtdXNlcgBzZWNyZXQ=", 235)
    c.mail("planted-user@sender.example")
    c.cmd("NOOP planted-user at planted.client.example, 198.51.100.77")
    c.quit()
    c.close()
    tap.stop(check=False)
    told = outputs(tap, path)
    assert tap.records("auth") and tap.records("xclient") and any("XCLIENT" in w.decode() for s in mta.sessions for w in [s.wire])
    for word in ("planted-user", "planted.client.example", "198.51.100.77", CLIENT):
        assert word not in told, (word, re.findall(".{120}" + re.escape(word) + ".{80}", told)[:3])


ODD = {
    "no domain": ["MAIL FROM:<planted>", "RCPT TO:planted", "RCPT TO:<planted%x.example>", "VRFY planted", "EXPN planted"],
    "bang path": ["MAIL FROM:<host!planted>", "RCPT TO:<planted!b>"],
    "xtext": ["MAIL FROM:<a@b.example> AUTH=planted+40x.example ENVID=planted+40x.example",
              "RCPT TO:<c@d.example> ORCPT=rfc822;planted+40x.example"],
    "other's": ["MAIL FROM:<planted=x.example@bounce.example>", "RCPT TO:<c@d.example>"],
    "quoted in part": ['MAIL FROM:<planted."q"@x.example>', 'RCPT TO:<"planted one".b@x.example>'],
    "broken": ["MAIL FROM:<planted one@x.example>", 'MAIL FROM:<planted"b@x.example>', "MAIL planted",
               "MAIL FROM:<a@b.example>", "RCPT TO:<planted@[ 192.0.2.1 ]>", "RCPT TO:<planted@#1>",
               "RCPT TO:<planted@>", "RCPT TO:<planted(c)@x.example>"],
    "long": ["MAIL FROM:<a@b.example>", "RCPT TO:<planted@x.example>"],
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_addresses(world, tmp_path, key, odd):
    """What is no proper address is somebody's all the same, also where a server repeats it or its beginning alone."""
    def refuse(_, line):
        said = line[line.index(b":") + 1:].split(b" ORCPT")[0].strip(b"<>\r\n ")
        text = b"y" * 490 + b" <" + b"planted" * 9 + b"@x.example>" if odd == "long" else b"<%s>: User unknown, not <planted>" % said
        return b"550 5.1.1 %s\r\n" % text

    path = tmp_path / "ecs.log"
    tap = world.tap(world.mta(ehlo=b"250-mx.example\r\n250 DSN\r\n", rcpt=refuse), {"log": {
        "redact": {"addresses": "hash", "key_file": key},
        "outputs": [{"type": "stdout"}, {"type": "file", "path": str(path), "format": "ecs"}]}})
    c = tap.client()
    c.ehlo()
    for line in ODD[odd] + ["RSET"]:
        c.cmd(line)
    c.quit()
    tap.closed(c)
    tap.stop(check=False)
    told = outputs(tap, path)
    assert "planted" not in told, re.findall(".{80}planted.{60}", told)[:3]
    assert tap.records("message")


def test_a_header_that_is_cut(world, tmp_path, key):
    """What is left of an address does not look like one; and the cut is seen."""
    long = "y" * 2030 + " " + "planted" * 5 + "@x.example"
    tap = world.tap(world.mta(), {"log": {"headers": ["subject", "x-note"], "max_record": 60000,
                                          "redact": {"addresses": "hash", "key_file": key}}})
    c = tap.client()
    c.ehlo()
    assert c.deliver(f"Subject: {long}\r\nX-Note: {'y' * 2040} \"planted planted\"@x\r\n\r\nx\r\n"
                     .encode()).code == 250
    c.quit()
    tap.closed(c)
    tap.stop(check=False)
    message = tap.records("message")[0]
    assert message["subject"].endswith("…") and message["headers"]["x-note"].endswith("…")
    assert "plant" not in bytes(tap.log.raw).decode()


@pytest.mark.parametrize("host", ["2001-db8-0-0-0-0-0-b009.example", "host-2001-db8--b009.example", "203_0_113_45.example",
                                  "9.0.0.b.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.zen.example"])
def test_addresses_in_names(world, tmp_path, key, host):
    tap = world.tap(world.mta(rcpt=b"554 5.7.1 %s is listed\r\n" % host.encode()),
                    {"log": {"redact": {"client_ip": "mask"}}})
    c = tap.client()
    c.ehlo(host)
    c.mail()
    c.cmd("RCPT TO:<b@c.example>", 554)
    c.quit()
    tap.closed(c)
    tap.stop(check=False)
    told, name = bytes(tap.log.raw).decode(), host[:host.index(".zen" if "zen" in host else ".example")]
    for i in range(len(name) - 7):
        assert name[i:i + 8] not in told, re.findall(".{60}" + re.escape(name[i:i + 8]) + ".{60}", told)[:3]


@pytest.mark.parametrize("user", ["planted", "planted@x.example"])
@pytest.mark.parametrize("code", [b"235 2.7.0", b"535 5.7.8", b"454 4.7.0"])
def test_a_name_in_the_replies_to_a_login(world, tmp_path, key, code, user):
    """The upstream decides and repeats it, before there is a user or without there being one."""
    def login(session, _):
        session.ask("VXNlcm5hbWU6")
        session.ask("UGFzc3dvcmQ6")
        return b"%s for %s (%s)\r\n" % (code, user.encode(), user.upper().encode())

    path = tmp_path / "ecs.log"
    tap = world.tap(world.mta(ehlo=b"250-mx.example\r\n250 AUTH LOGIN\r\n", auth=login), {
        "auth": {"mode": "optional", "require_tls": False},
        "log": {"redact": {"username": "hash", "addresses": "hash", "key_file": key},
                "outputs": [{"type": "stdout"}, {"type": "file", "path": str(path), "format": "ecs"}]}})
    c = tap.client()
    c.ehlo()
    c.cmd("AUTH LOGIN", 334)
    c.cmd(base64.b64encode(user.encode()), 334)
    c.cmd(base64.b64encode(b"sesame"), int(code[:3]))
    c.cmd(f"NOOP {user}")
    c.quit()
    tap.closed(c)
    tap.stop(check=False)
    told = outputs(tap, path).lower()
    assert "planted" not in told, re.findall(".{80}planted.{60}", told)[:3]
    assert tap.records("auth")[0]["username"] not in ("", user)


def test_one_rule_leaves_the_others(world, tmp_path, key):
    tap, _, path = session(world, {"client_ip": "mask"}, key, tmp_path)
    told = outputs(tap, path)
    assert CLIENT not in told and FROM in told and TO in told and SUBJECT in told
    assert tap.records("message")[0]["mail_from"] == FROM


def test_hashes_join(world, tmp_path, key):
    """The same value is the same in all records, outputs and runs with one key, and another with another key."""
    rules = {"addresses": "hash", "client_ip": "hash"}
    first, _, path = session(world, rules, key, tmp_path)
    one = first.records("message")[0]
    assert {r["mail_from"] for r in first.records("rcpt")} == {one["mail_from"]}
    assert one["mail_from"] in first.records("command", side="client", command="MAIL")[0]["line"]
    assert {r["host"] for r in first.records() if r.get("cid") and (r.get("side"), r["tnx"]) not in
            (("upstream", "connection"), ("upstream", "close"))} == {one["host"]}
    path.unlink()
    again, _, path = session(world, rules, key, tmp_path)
    assert again.records("message")[0]["mail_from"] == one["mail_from"]
    with open(key, "w") as f:
        f.write("another key of enough bytes")
    path.unlink()
    other, _, _ = session(world, rules, key, tmp_path)
    assert other.records("message")[0]["mail_from"] != one["mail_from"]
    assert other.records("message")[0]["host"] != one["host"]


def test_tail_reads_it(world, tmp_path, key):
    log = tmp_path / "native.log"
    session(world, {"addresses": "drop", "client_ip": "drop", "username": "drop", "subject": "drop"}, key, tmp_path,
            {"outputs": [{"type": "stdout"}, {"type": "file", "path": str(log)},
                         {"type": "file", "path": str(tmp_path / "ecs.log"), "format": "ecs"}]})
    for line in log.read_bytes().splitlines():
        json.loads(line)
    got = run_tool("tail", "--no-follow", "-n", "all", str(log))
    assert got.returncode == 0 and "planted" not in got.stdout and "message" in got.stdout.lower()


@pytest.mark.parametrize("text,fault", [
    ('{"redact": {"addresses": "hash"}}', 'log.redact.key_file: this key is needed: a rule says "hash"'),
    ('{"redact": {"addresses": "hash", "key_file": "/nowhere/key"}}', '"/nowhere/key": No such file'),
    ('{"redact": {"addresses": "hash", "key_file": "SHORT"}}', "a key has at least 16 bytes"),
    ('{"redact": {"addresses": "maks"}}', '"maks" is not one of'),
])
def test_faults(tmp_path, text, fault):
    short = tmp_path / "short"
    short.write_text("0123456789abcde\n")
    path = tmp_path / "c.json"
    path.write_text('{"log": %s}' % text.replace("SHORT", str(short)))
    got = run_tool("check", "-c", str(path))
    assert got.returncode == 1 and fault in got.stderr


def test_a_key_that_all_can_read_is_told(tmp_path, key):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"log": {"redact": {"addresses": "hash", "key_file": key}}}))
    assert "can be read by others" not in run_tool("check", "-c", str(path)).stderr
    (tmp_path / "key").chmod(0o644)
    assert "can be read by others" in run_tool("check", "-c", str(path)).stderr
