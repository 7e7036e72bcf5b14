"""Format ecs: real sessions, written in both formats at once; each field is listed with its type, and both tell the same."""
import ipaddress
import json
import os
import re
from collections import Counter

import pytest

from harness.records import _no_constant, _pairs
from harness.tap import run_tool
from harness.util import ROOT

TEXT = b"Message-ID: <m1@x.example>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nFrom: a@x.example\r\nX.Odd: 1\r\n\r\nx\r\n"
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")


def fields():
    with open(os.path.join(ROOT, "tests/unit/ecs_fields.tsv")) as f:
        return dict(line.split() for line in f if not line.startswith("#"))


def is_type(v, kind):
    if kind == "ip":
        return bool(ipaddress.ip_address(v))
    if kind == "date":
        return bool(DATE.fullmatch(v))
    return {"long": type(v) is int, "float": type(v) in (int, float), "boolean": type(v) is bool,
            "object": type(v) is dict}.get(kind, type(v) is str)


def check(record, known):
    for name, v in record.items():
        kind = known.get(name) or next((t for n, t in known.items() if n.endswith("*") and name.startswith(n[:-1])), None)
        assert kind, f"{name} is not in ecs_fields.tsv"
        if v is None:
            continue
        if kind.endswith("[]"):
            assert type(v) is list and all(is_type(x, kind[:-2]) for x in v), (name, v)
        else:
            assert is_type(v, kind), (name, v)


def read_ecs(path):
    with open(path, "rb") as f:
        data = f.read()
    assert data.endswith(b"\n")
    return [json.loads(line, object_pairs_hook=_pairs, parse_constant=_no_constant) for line in data.splitlines()]


def same(native, ecs):
    """What a reader would look for, by a map of our own."""
    pairs = {"time": "@timestamp", "level": "log.level", "msg": "message", "component": "observer.name",
             "tnx": "smtptap.tnx", "cid": "smtptap.cid", "tid": "transaction.id", "side": "smtptap.side",
             "mail_from": "smtptap.envelope.mail_from", "status": "smtptap.status", "stage": "smtptap.stage",
             "code": "smtptap.response.code", "smtp_response": "smtptap.response.text",
             "message_id": "email.message_id", "queue_id": "email.local_id", "subject": "email.subject",
             "recipients": "smtptap.recipients", "run": "smtptap.run", "seq": "event.sequence"}
    for key, name in pairs.items():
        if key == "seq":
            continue
        assert native.get(key) == ecs.get(name), (key, native, ecs)
    to = native.get("rcpt_to")
    assert ([to] if isinstance(to, str) else to) == ecs.get("email.to.address")
    if native["tnx"] == "message":
        assert ecs["source.ip"] == ecs["client.ip"] == native["host"]
        assert abs(ecs["event.duration"] - native["timing"]["total"] * 1e6) < 500
        assert ecs.get("email.from.address") == ([native["mail_from"]] if native["mail_from"] else None)
        assert ecs["tls.established"] is native["tls"]["used"]
        assert ecs["smtptap.headers.x%2eodd"] == "1"


def test_both_formats_tell_the_same(world, tmp_path):
    path = tmp_path / "ecs.log"
    tap = world.tap(world.mta(), {"log": {"headers": ["message-id", "subject", "from", "x.odd"], "outputs": [
        {"type": "stdout"}, {"type": "file", "path": str(path), "format": "ecs"}]}})
    for sender in ("a@x.example", ""):
        c = tap.client()
        c.ehlo()
        c.mail(sender)
        c.rcpt("b@y.example")
        c.cmd("RCPT TO:<c550@y.example>", 550)
        c.cmd("DATA", 354)
        c.send(TEXT + b".\r\n")
        assert c.reply().code == 250
        c.send(b"BOGUS \xff\r\n")
        c.reply()
        c.quit()
        tap.closed(c)
    tap.stop()
    known, ecs, native = fields(), read_ecs(path), tap.records()
    for record in ecs:
        check(record, known)
    assert [r["event.sequence"] for r in ecs] == list(range(1, len(ecs) + 1))
    assert {r["smtptap.run"] for r in ecs} == {native[0]["run"]}

    def key(time, tnx, cid, msg, side):
        return time, tnx, cid, msg, side
    by_key = {}
    for r in ecs:
        by_key.setdefault(key(r["@timestamp"], r["smtptap.tnx"], r.get("smtptap.cid"), r["message"],
                              r.get("smtptap.side")), []).append(r)
    for r in native:
        found = by_key[key(r["time"], r["tnx"], r.get("cid"), r["msg"], r.get("side"))].pop(0)
        same(r, found)
    assert not any(by_key.values())
    assert Counter(r["event.dataset"] for r in ecs)["smtptap.message"] == 6


def test_only_the_level_asked_for(world, tmp_path):
    path = tmp_path / "ecs.log"
    tap = world.tap(world.mta(), {"log": {"format": "ecs", "outputs": [
        {"type": "stdout", "format": "native"}, {"type": "file", "path": str(path), "level": "info"}]}})
    c = tap.client()
    c.ehlo()
    assert c.deliver(b"Subject: x\r\n\r\nx\r\n").code == 250
    c.quit()
    tap.closed(c)
    tap.stop()
    kinds = {r["smtptap.tnx"] for r in read_ecs(path)}
    assert "message" in kinds and "command" not in kinds and tap.records("command")


@pytest.mark.parametrize("n", [2, 40, 900])
def test_long_records_are_cut(world, tmp_path, n):
    path = tmp_path / "ecs.log"
    tap = world.tap(world.mta(), {"log": {"max_record": 4096, "outputs": [
        {"type": "stdout"}, {"type": "file", "path": str(path), "format": "ecs"}]}})
    c = tap.client()
    c.ehlo()
    c.mail("a" * 60 + "@x.example")
    for i in range(n):
        c.rcpt("rcpt-%d-%s@y.example" % (i, "r" * 40))
    c.cmd("DATA", 354)
    c.send(TEXT + b".\r\n")
    assert c.reply().code == 250
    c.quit()
    tap.closed(c)
    tap.stop()
    known = fields()
    with open(path, "rb") as f:
        assert max(len(line) for line in f) <= 4096
    records = read_ecs(path)
    for r in records:
        check(r, known)
    message, = [r for r in records if r["smtptap.tnx"] == "message"]
    assert message["smtptap.envelope.rcpt_count"] == n
    assert message.get("smtptap.truncated", False) is (n > 2)


def test_a_record_must_fit(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"log": {"format": "ecs", "max_record": 1024}}))
    got = run_tool("check", "-c", str(path))
    assert got.returncode == 1 and "log.max_record: must be at least 4096 with format ecs" in got.stderr
