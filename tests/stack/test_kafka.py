"""A real Kafka broker, fed by rsyslog from smtptap's file and by smtptap itself: every record once, sessions in order."""
import json
import os
import subprocess

import traffic
from harness.tap import BINARY, Smtptap
from servers import Rsyslog


def check(found, records):
    """(partition, key, value) of a topic against the records: each once, and a cid's in one partition and in order."""
    got = [(partition, key, json.loads(value)) for partition, key, value in found]
    assert sorted(r["seq"] for _, _, r in got) == sorted(r["seq"] for r in records)
    by_seq = {r["seq"]: r for r in records}
    places = {}
    for partition, key, r in got:
        assert r == by_seq[r["seq"]]
        assert key == r.get("cid", "")
        if "cid" in r:
            places.setdefault(r["cid"], []).append((partition, r["seq"]))
    for cid, seen in places.items():
        assert len({p for p, _ in seen}) == 1, f"{cid} is in several partitions"
        assert [n for _, n in seen] == sorted(n for _, n in seen), f"{cid} is out of order"
    assert len({p for seen in places.values() for p, _ in seen}) > 1, "one partition has all"


def test_rsyslog_to_kafka(world, kafka, certs):
    logs = world.path("logs")
    os.mkdir(logs)
    daemon = Rsyslog(world.dir, "rsyslog/smtptap-kafka.conf", ("/var/log/smtptap/", logs + "/"),
                     ("127.0.0.1:9092", kafka.address), ('topic="smtptap"', 'topic="by-rsyslog"'))
    world.defer(daemon.stop)
    daemon.start()
    done = traffic.run(world, certs, os.path.join(logs, "smtptap.json"))
    check(kafka.topic("by-rsyslog", len(done.records), 60), done.records)


def test_smtptap_to_kafka(world, kafka, certs):
    path = world.path("smtptap.json")
    up = traffic.upstream(certs)
    world.mtas.append(up)
    outputs = [{"type": "kafka", "brokers": kafka.address, "topic": "by-smtptap"}, {"type": "file", "path": path},
               {"type": "stdout"}]
    tap = Smtptap(world.workdir(), up, traffic.configuration(certs, outputs))
    world.taps.append(tap)
    tap.ready()
    traffic.send(tap)
    for client in tap.clients:
        client.close()
    tap.stop()
    check(kafka.topic("by-smtptap", len(tap.log.list), 60), tap.log.list)


def test_no_function_of_ours_is_exported():
    """A library that the program loads would call it in place of its own: librdkafka's libsasl2 has sasl_client_init too."""
    done = subprocess.run(["nm", "-D", "--defined-only", BINARY], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    assert [line for line in done.stdout.splitlines() if " T " in line] == []
