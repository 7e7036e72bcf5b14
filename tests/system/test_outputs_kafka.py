"""The Kafka output, against the mock cluster of librdkafka: every record once, keyed by its session, whatever the brokers
do."""
import json
import re

import pytest

from harness.kafka import MockKafka, available
from test_log import check, deliver
from test_outputs import STDOUT, same_records, start

pytestmark = pytest.mark.skipif(not available(), reason="librdkafka is not installed")
PRODUCE, UNKNOWN_TOPIC, NOT_LEADER, TOO_LARGE, NOT_AUTHORIZED, OLD_EPOCH = 0, 3, 6, 10, 29, 47


@pytest.fixture(autouse=True)
def built(world):
    r = check(world, '{"log": {"outputs": [{"type": "kafka", "brokers": "127.0.0.1:1", "topic": "t"}]}}')
    if "is not built into this version" in r.stderr:
        pytest.skip(r.stderr.strip())


@pytest.fixture
def kafka(world):
    cluster = MockKafka()
    world.defer(cluster.stop)
    return cluster


def output(cluster, **more):
    return {"type": "kafka", "brokers": cluster.address, "topic": cluster.topic, **more}


def begin(world, *outputs):
    """A producer that starts, or that starts anew after an error, takes its time."""
    return world.tap(world.mta(), {"timeouts": {"shutdown": "20s"}, "log": {"outputs": [STDOUT, *outputs]}})


def finish(tap, cluster):
    tap.stop(timeout=30)
    found = cluster.read(lambda m: any(b'"tnx":"closed"' in v for _, _, v in m) and len(m) >= len(tap.log.list))
    lines = sorted((v for _, _, v in found), key=lambda x: json.loads(x)["seq"])
    same_records(tap, lines)
    return found


def test_every_record_once_keyed_by_session(world, kafka):
    tap = begin(world, output(kafka, options={"compression.type": "gzip", "linger.ms": 2}))
    for _ in range(20):
        deliver(tap).quit()
    found = finish(tap, kafka)
    where = {}
    for partition, key, value in found:
        record = json.loads(value)
        assert key == (record["cid"].encode() if "cid" in record else None)
        if key:
            where.setdefault(key, set()).add(partition)
    assert len(where) == 20 and all(len(p) == 1 for p in where.values())
    seqs = {}
    for partition, _, value in found:
        seqs.setdefault(partition, []).append(json.loads(value)["seq"])
    assert all(s == sorted(s) for s in seqs.values()), "a partition is out of order"


def test_brokers_come_later_and_go(world, kafka):
    kafka.down()
    tap = begin(world, output(kafka, options={"reconnect.backoff.max.ms": 200}))
    for _ in range(5):
        deliver(tap).quit()
    error = tap.wait("error", output=f"kafka {kafka.topic}")
    assert error["err"]["code"] == "log_write"
    kafka.up()
    for _ in range(3):
        deliver(tap).quit()
        kafka.down()
        deliver(tap).quit()
        kafka.up()
    finish(tap, kafka)


@pytest.mark.parametrize("errors", [[NOT_LEADER] * 3, [UNKNOWN_TOPIC] * 2, [NOT_AUTHORIZED]])
def test_errors_that_pass(world, kafka, errors):
    kafka.tell("errors", PRODUCE, *errors)
    tap = begin(world, output(kafka))
    deliver(tap).quit()
    finish(tap, kafka)


def test_a_producer_that_has_lost_its_place(world, kafka):
    """librdkafka calls it fatal: another producer goes on, and what may be doubled is told."""
    tap = begin(world, output(kafka, options={"enable.gapless.guarantee": True}))
    deliver(tap).quit()
    kafka.tell("errors", PRODUCE, OLD_EPOCH)
    deliver(tap).quit()
    error = tap.wait(lambda r: r["tnx"] == "error" and r["err"]["code"] == "log_broken", timeout=20)
    assert error["records"] > 0 and "may be doubled" in error["err"]["message"]
    finish(tap, kafka)


def test_records_that_are_refused_are_counted(world, kafka):
    """A broker that calls a batch too large: it is lost, told, and counted."""
    tap = begin(world, output(kafka))
    deliver(tap).quit()
    c = tap.client()
    tap.cid_of(c)
    kafka.tell("errors", PRODUCE, TOO_LARGE)
    c.quit()
    error = tap.wait("error", output=f"kafka {kafka.topic}")
    assert "is lost" in error["err"]["message"]
    tap.stop(timeout=30)

    def books(messages):
        records = [json.loads(v) for _, _, v in messages]
        told = sum(r["records"] for r in records if r["tnx"] == "dropped")
        return told, len([r for r in records if r["tnx"] != "dropped"])

    told, written = books(kafka.read(lambda m: sum(books(m)) >= len(tap.log.list)))
    assert told > 0 and written + told == len(tap.log.list)


def test_slow_brokers_hold_up_with_block(world, kafka):
    kafka.tell("slow", 1, 150)
    tap = begin(world, output(kafka, overflow="block", queue_size=65536))
    c = tap.client()
    c.ehlo()
    for _ in range(30):
        assert c.deliver(b"Subject: x\r\n\r\nbody\r\n").code == 250
    c.quit()
    finish(tap, kafka)


def test_brokers_that_are_down_stop_no_other_output(world, kafka):
    kafka.down()
    tap = start(world, output(kafka, queue_size=65536))
    c = tap.client()
    c.ehlo()
    for _ in range(1500):
        c.cmd(b"NOOP " + b"x" * 700)
    assert c.deliver(b"Subject: x\r\n\r\nbody\r\n").code == 250
    c.quit()
    tap.closed(c)
    tap.stop(status=1, timeout=20)
    m = re.search(r"(\d+) records were not written", tap.errors())
    assert int(m[1]) == len(tap.log.list)


def test_stop_is_bounded(world, kafka):
    kafka.down()
    tap = start(world, output(kafka))
    deliver(tap).quit()
    tap.stop(status=1, timeout=8)
    assert f"{len(tap.log.list)} records were not written" in tap.errors()


def test_secret_from_a_file(world, kafka):
    secret = world.path("secret")
    with open(secret, "w") as f:
        f.write("hunter2\n")
    options = {"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN", "sasl.username": "u",
               "sasl.password.file": secret}
    r = check(world, json.dumps({"log": {"outputs": [output(kafka, options=options)]}}), "--print")
    assert r.returncode == 0, r.stderr
    assert "hunter2" not in r.stdout + r.stderr
    assert json.loads(r.stdout)["log"]["outputs"][0]["options"] == options
    again = check(world, r.stdout, "--print")
    assert json.loads(again.stdout) == json.loads(r.stdout)
    tap = start(world, output(kafka, options=options))
    deliver(tap).quit()
    tap.stop(status=1, timeout=20)  # the mock cluster knows no SASL
    assert b"hunter2" not in tap.log.raw and "hunter2" not in tap.errors()


@pytest.mark.parametrize("options, fault", [
    ({"sasl.password": "hunter2"}, "a secret stands in a file of its own"),
    ({"sasl.password.file": "/nonexistent/x"}, "/nonexistent/x: No such file"),
    ({"no.such.option": 1}, "no.such.option"),
    ({"linger.ms": "soon"}, "linger.ms"),
    ({"bootstrap.servers": "x:1"}, "brokers"),
])
def test_check_refuses(world, options, fault):
    r = check(world, json.dumps({"log": {"outputs": [
        {"type": "kafka", "brokers": "127.0.0.1:1", "topic": "t", "options": options}]}}))
    assert r.returncode == 1 and fault in r.stderr, r.stderr
    assert "hunter2" not in r.stderr or "sasl.password" not in options
