"""Format ecs: the program's own file into a real OpenSearch with the template for it."""
import json
import os

import pytest

import traffic
from harness.tap import Smtptap
from harness.util import ROOT
from harness.world import World
from servers import DEPLOY
from test_dashboard import fields_of

TYPES = {"wildcard": "keyword", "object": None}


def listed():
    """The fields that the program writes, with their types."""
    with open(os.path.join(ROOT, "tests", "unit", "ecs_fields.tsv")) as f:
        return dict(line.replace("[]", "").split() for line in f if not line.startswith("#"))


AUTH = "smtptap.auth.result" in listed()  # the format has fields of its own for logins


@pytest.fixture(scope="module")
def ecs(opensearch, certs, tmp_path_factory):
    world, failed = World(), True
    try:
        path = str(tmp_path_factory.mktemp("ecs") / "ecs.json")
        up = traffic.upstream(certs)
        world.mtas.append(up)
        tap = Smtptap(world.workdir(), up, traffic.configuration(certs, [{"type": "file", "path": path, "format": "ecs"},
                                                                         {"type": "stdout"}]))
        world.taps.append(tap)
        tap.ready()
        counts = traffic.send(tap)
        for client in tap.clients:
            client.close()
        tap.stop()
        with open(path) as f:
            lines = f.read().splitlines()
        failed = False
    finally:
        world.end(failed)
    opensearch.ask("DELETE", "/_data_stream/logs-smtptap*")
    answers = opensearch.bulk("logs-smtptap-default", lines)
    assert all(a["status"] == 201 for a in answers), [a for a in answers if a["status"] != 201][:3]
    opensearch.ecs_lines, opensearch.native, opensearch.counts = lines, tap.log.list, counts
    return opensearch


def test_template_has_every_field():
    with open(os.path.join(DEPLOY, "elk", "component-ecs.json"), encoding="utf-8") as f:
        mapped = fields_of(json.load(f)["template"]["mappings"]["properties"])
    for name, kind in listed().items():
        if not name.endswith("*"):
            assert mapped.get(name) == TYPES.get(kind, kind) or (kind == "object" and name in mapped), f"{name} is {kind}"


def test_types_in_the_index(ecs):
    """What the index made of real records: each field has the type of the list, and none is beside it."""
    caps = ecs.ask("GET", "/logs-smtptap-default/_field_caps?fields=*")["fields"]
    known = listed()
    for name, one in caps.items():
        kind, = one
        if name.startswith("_") or kind == "object" or name == "smtptap.response.text.text" or one[kind].get("metadata_field"):
            continue
        want = known.get(name) or next((k for n, k in known.items() if n.endswith("*") and name.startswith(n[:-1])), None)
        want = TYPES.get(want, want)
        inside = name.startswith("smtptap.caps.withheld.")
        assert want or inside or not AUTH, f"{name} is in the index and not in the list"
        assert kind == want or not want or (kind, want) == ("text", "match_only_text"), f"{name} is {kind}, not {want}"


def test_every_record_once(ecs):
    assert ecs.count("logs-smtptap-default") == len(ecs.ecs_lines) == len(ecs.native)
    again = ecs.bulk("logs-smtptap-default", ecs.ecs_lines)
    assert {a["status"] for a in again} == {409}
    assert ecs.count("logs-smtptap-default") == len(ecs.ecs_lines)


def test_questions(ecs):
    """The same answers as from the native records."""
    def terms(field, query):
        answer = ecs.ask("POST", "/logs-smtptap-default/_search", {
            "size": 0, "query": {"query_string": {"query": query}}, "aggs": {"x": {"terms": {"field": field, "size": 50}}}})
        return {b.get("key_as_string", b["key"]): b["doc_count"] for b in answer["aggregations"]["x"]["buckets"]}

    assert terms("smtptap.status", "event.action:message") == ecs.counts
    assert not AUTH or terms("event.outcome", "event.action:auth") == {"success": 6, "failure": 12}
    hosts = terms("source.ip", "event.action:message AND source.ip:[127.0.0.2 TO 127.0.0.3]")
    assert set(hosts) == {"127.0.0.2", "127.0.0.3"}
    assert sum(hosts.values()) == sum(r["tnx"] == "message" and r["host"] in hosts for r in ecs.native)
    longest = ecs.ask("POST", "/logs-smtptap-default/_search", {
        "size": 0, "query": {"term": {"event.action": "message"}}, "aggs": {"x": {"max": {"field": "event.duration"}}}})
    native = max(r["timing"]["total"] for r in ecs.native if r["tnx"] == "message")
    assert longest["aggregations"]["x"]["value"] == pytest.approx(native * 1e6, rel=0.01, abs=2000)
