"""smtptap's file -> the real rsyslog with our configuration -> a real OpenSearch with our templates."""
import json
import os
import shutil

import pytest

import traffic
from harness.tap import Smtptap, read_log
from harness.util import wait_until
from servers import OpenSearch, Rsyslog

CONFIG = "rsyslog/smtptap-elasticsearch.conf"
WIRE = {"command", "send", "data", "caps", "sni"}


def rsyslog(world, node, logs):
    daemon = Rsyslog(world.dir, CONFIG, ("/var/log/smtptap/", logs + "/"), ('serverport="9200"', f'serverport="{node.port}"'))
    world.defer(daemon.stop)
    return daemon


def logs_of(world):
    path = world.path("logs")
    os.mkdir(path)
    return path


def test_configuration_is_sound(world, tmp_path):
    for name in (CONFIG, "rsyslog/smtptap-kafka.conf"):
        done = Rsyslog(str(tmp_path), name).check()
        assert done.returncode == 0 and "error" not in done.stderr.lower(), done.stderr


def test_every_record_arrives_once_and_whole(world, certs, empty):
    """While mail flows; then again from the file's begin, which must change nothing."""
    logs = logs_of(world)
    daemon = rsyslog(world, empty, logs).start()
    done = traffic.run(world, certs, os.path.join(logs, "smtptap.json"))
    n = len(done.records)
    wait_until(lambda: empty.count() == n, lambda: f"{n} records, {empty.count()} arrived; {daemon.own()}", 60)
    found = empty.documents()
    assert {i for i, _, _ in found} == {f"{r['run']}-{r['seq']}-{r['time']}" for r in done.records}
    by_seq = {source["seq"]: (index, source) for _, index, source in found}
    for r in done.records:
        index, source = by_seq[r["seq"]]
        stream = "smtptap-wire" if r["tnx"] in WIRE else "smtptap-events"
        assert index.startswith(f".ds-{stream}-"), f"{r['tnx']} is in {index}"
        want = dict(r)
        want["@timestamp"] = want.pop("time")
        if r["tnx"] == "caps":
            want["upstream_offered"] = want.pop("upstream")
        added = {k: source.pop(k) for k in ("reply_form", "mail_from_domain") if k in source}
        assert source == want
        assert ("reply_form" in added) == ("smtp_response" in r) and ("mail_from_domain" in added) == ("mail_from" in r)
    daemon.stop()
    shutil.rmtree(daemon.work)  # with the state: it begins anew
    os.mkdir(daemon.work)
    with open(done.path, "a") as f:
        f.write(json.dumps(dict(done.records[-1], seq=10 ** 6, msg="the last of all")) + "\n")
    daemon.start()
    wait_until(lambda: empty.count(query={"term": {"seq": 10 ** 6}}) == 1, daemon.own, 60)
    daemon.stop()
    assert empty.count() == n + 1
    assert "refused" not in daemon.own() and "unparsed" not in daemon.own()


@pytest.mark.parametrize("restart", [False, True])
def test_index_that_is_away(world, certs, tmp_path, restart):
    """Records made while OpenSearch is down wait and arrive once. rsyslog stopped in that time may lose what it has in
    its hands: reading the files again then completes the index."""
    node = OpenSearch(str(tmp_path / "node"))
    world.defer(lambda: node.stop())
    node.install()
    logs = logs_of(world)
    path = os.path.join(logs, "smtptap.json")
    daemon = rsyslog(world, node, logs).start()
    up = traffic.upstream(certs)
    world.mtas.append(up)
    tap = Smtptap(world.workdir(), up, traffic.configuration(certs, [{"type": "file", "path": path}]))
    world.taps.append(tap)
    wait_until(lambda: os.path.exists(path) and "listen" in open(path).read(), "the log's begin")
    tap.log = read_log(path)
    traffic.send(tap, 1)
    first = len(read_log(path).list)
    wait_until(lambda: node.count() >= first, daemon.own, 60)
    node.stop()
    traffic.send(tap, 1)
    if restart:
        daemon.stop()
        daemon.start()
    for client in tap.clients:
        client.close()
    tap.stop(check=False)
    records = read_log(path).list
    node = OpenSearch(str(tmp_path / "node"), node.port)
    if restart:
        daemon.stop()
        daemon.forget()
        daemon.start()
    wait_until(lambda: node.count() >= len(records), lambda: f"{len(records)} records, {node.count()}; {daemon.own()}", 60)
    daemon.stop()
    assert sorted(s["seq"] for _, _, s in node.documents()) == sorted(r["seq"] for r in records)


@pytest.mark.parametrize("line", ["not json", '{"half', "[1,2]"])
def test_a_line_that_is_no_record(world, empty, line, mail):
    """It is put aside, and those about it arrive."""
    logs = logs_of(world)
    with open(os.path.join(logs, "smtptap.json"), "w") as f:
        f.write(mail.lines[0] + "\n" + line + "\n" + mail.lines[1] + "\n")
    daemon = rsyslog(world, empty, logs).start()
    wait_until(lambda: empty.count() == 2, daemon.own, 60)
    aside = os.path.join(daemon.work, "smtptap-unparsed")
    wait_until(lambda: os.path.exists(aside) and line in open(aside).read(), daemon.own)


def test_index_that_refuses_for_a_time(world, empty, mail):
    """No room (the block that a full disk sets): what came in that time arrives when there is room again."""
    logs = logs_of(world)
    path = os.path.join(logs, "smtptap.json")
    half = len(mail.lines) // 2
    daemon = rsyslog(world, empty, logs).start()
    with open(path, "w") as f:
        f.write("\n".join(mail.lines[:half]) + "\n")
        f.flush()
        wait_until(lambda: empty.count() == half, daemon.own, 60)
        block = {"index.blocks.read_only_allow_delete": True}
        empty.ask("PUT", "/smtptap-*/_settings", block)
        f.write("\n".join(mail.lines[half:]) + "\n")
    tried = empty.ingested() + 3 * (len(mail.lines) - half)
    wait_until(lambda: empty.ingested() >= tried, lambda: f"a third try, {tried} in all; {empty.ingested()}", 30)
    assert empty.count() == half
    empty.ask("PUT", "/smtptap-*/_settings", {"index.blocks.read_only_allow_delete": None})
    wait_until(lambda: empty.count() == len(mail.lines), lambda: f"{len(mail.lines)} records, {empty.count()}; {daemon.own()}", 60)


def test_record_that_the_index_can_not_take(world, empty, mail):
    """It is put aside, and those about it arrive."""
    logs = logs_of(world)
    bad = json.dumps(dict(mail.records[1], seq=10 ** 6, timing="an object elsewhere"))
    with open(os.path.join(logs, "smtptap.json"), "w") as f:
        f.write(mail.lines[0] + "\n" + bad + "\n" + mail.lines[1] + "\n")
    daemon = rsyslog(world, empty, logs).start()
    wait_until(lambda: empty.count() == 2, daemon.own, 60)
    aside = os.path.join(daemon.work, "smtptap-refused.json")
    wait_until(lambda: os.path.exists(aside) and bad in open(aside).read(), daemon.own)


def test_whole_request_refused(world, empty, mail):
    """An answer that is for no single record: the records are put aside, and reading the file again completes the index."""
    logs = logs_of(world)
    with open(os.path.join(logs, "smtptap.json"), "w") as f:
        f.write("\n".join(mail.lines) + "\n")
    empty.ask("PUT", "/_cluster/settings", {"persistent": {"cluster.blocks.read_only": True}})
    world.defer(lambda: empty.ask("PUT", "/_cluster/settings", {"persistent": {"cluster.blocks.read_only": None}}))
    daemon = rsyslog(world, empty, logs).start()
    wait_until(lambda: mail.lines[-1][:60] in daemon.own() or "block" in daemon.own(), daemon.own, 30)
    empty.ask("PUT", "/_cluster/settings", {"persistent": {"cluster.blocks.read_only": None}})
    daemon.stop()
    daemon.forget()
    daemon.start()
    wait_until(lambda: empty.count() == len(mail.lines), lambda: f"{len(mail.lines)} records, {empty.count()}; {daemon.own()}", 60)
