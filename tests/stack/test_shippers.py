"""What can be tried of shippers that are not to be had here: the documents that they would send, through the real pipeline,
and the form of their configurations."""
import fnmatch
import json
import os
import re
import shutil
import subprocess

import pytest
import yaml

from harness.util import ROOT
from servers import BUILT, DEPLOY
from test_dashboard import fields_of


def text_of(*path):
    with open(os.path.join(DEPLOY, *path), encoding="utf-8") as f:
        return f.read()


def by_filebeat(record):
    return {"@timestamp": "2026-11-20T00:00:00.000Z", "agent": {"type": "filebeat", "name": "mx1", "version": "9.0.0"},
            "ecs": {"version": "8.0.0"}, "host": {"name": "mx1"}, "input": {"type": "filestream"},
            "log": {"offset": 7, "file": {"path": "/var/log/smtptap/smtptap.json", "inode": "5"}}, "smtptap": record}


def by_logstash(record):
    return {"@timestamp": "2026-11-20T00:00:00.000Z", "@version": "1", "host": {"name": "mx1", "ip": "127.0.0.1"},
            "event": {"original": "..."}, "smtptap": record}


def simulate(node, documents):
    answer = node.ask("POST", "/_ingest/pipeline/smtptap-native/_simulate",
                      {"docs": [{"_index": "smtptap-events", "_source": d} for d in documents]})
    return [d["doc"] for d in answer["docs"]]


@pytest.mark.parametrize("shipper", [by_filebeat, by_logstash])
def test_what_a_shipper_adds_is_taken_off(opensearch, mail, shipper):
    """The document is the one that rsyslog would have made of the same record, but for the shipper's name."""
    bare = simulate(opensearch, mail.records)
    wrapped = simulate(opensearch, [shipper(r) for r in mail.records])
    assert len(bare) == len(mail.records)
    for one, other in zip(bare, wrapped):
        assert other["_source"].pop("shipper") == "mx1"
        for key in ("_id", "_index", "_source"):
            assert other[key] == one[key]


def test_a_record_twice_by_two_shippers_is_one(empty, mail):
    first = empty.bulk("smtptap-events", mail.lines)
    assert {a["status"] for a in first} == {201}
    again = empty.bulk("smtptap-events", [by_filebeat(r) for r in mail.records])
    assert {a["status"] for a in again} == {409}
    assert empty.count() == len(mail.lines)


RECORD = {"time": "2026-03-03T10:30:15.100000Z", "level": "info", "component": "smtptap", "run": "0b1k2f9s", "seq": 1,
          "msg": "x"}
SHAPES = [
    ({"tnx": "caps", "upstream": ["SIZE"], "offered": ["SIZE"], "withheld": [{"keyword": "DSN", "reason": "x"}]},
     {"upstream_offered": ["SIZE"]}, "smtptap-wire"),
    ({"tnx": "proxy", "tls": {"used": True, "client_cert": "x", "verified": True}}, {}, "smtptap-events"),
    ({"tnx": "proxy", "tls": True}, {"tls": {"used": True}}, "smtptap-events"),
    ({"tnx": "reload", "ok": False, "err": "no such file"}, {"err": {"message": "no such file"}}, "smtptap-events"),
    ({"tnx": "message", "mail_from": ""}, {"mail_from_domain": "<>"}, "smtptap-events"),
    ({"tnx": "message", "mail_from": "A@B@Shop.EXAMPLE"}, {"mail_from_domain": "shop.example"}, "smtptap-events"),
    ({"tnx": "message", "mail_from": "postmaster"}, {"mail_from_domain": "-"}, "smtptap-events"),
    ({"tnx": "rcpt", "smtp_response": "450 4.7.1 Client host rejected: cannot find your hostname, [192.0.2.7]"},
     {"reply_form": "450 4.7.1 Client host rejected: cannot find your hostname, [IP]"}, "smtptap-events"),
    ({"tnx": "rcpt", "smtp_response": "421-4.7.0 [2001:db8::5 15] rate limited. d2e1a72fcca58-7b4 - gsmtp"},
     {"reply_form": "421-4.7.0 [IP 15] rate limited. ID - gsmtp"}, "smtptap-events"),
    ({"tnx": "rcpt", "smtp_response": "250 2.0.0 Ok: queued as 4XyZ9k2Lm3zQr1"},
     {"reply_form": "250 2.0.0 Ok: queued as ID"}, "smtptap-events"),
    ({"tnx": "rcpt", "smtp_response": "554 5.7.1 Spam"}, {"reply_form": "554 5.7.1 Spam"}, "smtptap-events"),
    ({"tnx": "new-kind", "new_key": {"a": 1}}, {"new_key": {"a": 1}}, "smtptap-events"),
]


@pytest.mark.parametrize("record, want, stream", SHAPES)
def test_shape(empty, record, want, stream):
    """The pipeline makes of it what the mapping takes."""
    done, = empty.bulk("smtptap-events", [dict(RECORD, **record)])
    assert done["status"] == 201, done
    (name, index, source), = empty.documents()
    assert index.startswith(f".ds-{stream}-") and name == "0b1k2f9s-1-2026-03-03T10:30:15.100000Z"
    assert {k: source[k] for k in want} == want and "pipeline_error" not in source


def test_a_foreign_document_is_kept(empty):
    done, = empty.bulk("smtptap-events", [{"something": "else"}])
    assert done["status"] == 201
    assert empty.documents()[0][2]["something"] == "else"


@pytest.mark.parametrize("path", ["elk/filebeat/filebeat.yml", "elk/filebeat/filebeat-ecs.yml"])
def test_filebeat(path):
    config = yaml.safe_load(text_of(path))
    one, = config["filebeat.inputs"]
    parser, = (p["ndjson"] for p in one["parsers"])
    name = "template-ecs.json" if "ecs" in path else "template-events.json"
    pattern, = json.loads(text_of("elk", name))["index_patterns"]
    assert fnmatch.fnmatch(config["output.elasticsearch"]["index"], pattern)
    assert parser["target"] == ("" if "ecs" in path else "smtptap")
    assert not any(fnmatch.fnmatch("/var/log/smtptap/smtptap.json" + end, p) for p in one["paths"]
                   for end in (".1", "-20260303-1772530000", "-20260303-1772530000.gz"))


def test_logstash():
    """Braces and quotes are in pairs, and what it names is there."""
    text = re.sub(r"(?m)#.*$", "", text_of("elk", "logstash", "smtptap.conf"))
    assert text.count('"') % 2 == 0
    depth = 0
    for c in re.sub(r'"[^"]*"', "", text):
        depth += {"{": 1, "}": -1}.get(c, 0)
        assert depth >= 0
    assert depth == 0
    assert re.findall(r"(?m)^(\w+) \{", text) == ["input", "filter", "output"]
    assert 'index => "smtptap-events"' in text and text.count('target => "smtptap"') == 2


# Loki

LABELS = {"job", "level", "tnx"}


def logql():
    queries = []
    for paragraph in text_of("loki", "queries.logql").split("\n\n"):
        query = " ".join(line for line in paragraph.splitlines() if not line.startswith("#"))
        if query:
            queries.append(query)
    return queries


def test_loki_labels():
    promtail = yaml.safe_load(text_of("loki", "promtail.yml"))
    stages = promtail["scrape_configs"][0]["pipeline_stages"]
    labels, = (s["labels"] for s in stages if "labels" in s)
    metadata, = (s["structured_metadata"] for s in stages if "structured_metadata" in s)
    read, = (s["json"]["expressions"] for s in stages if "json" in s)
    assert set(labels) | {"job"} == LABELS and set(labels) | set(metadata) <= set(read)
    alloy = text_of("loki", "config.alloy")
    assert alloy.count("{") == alloy.count("}")
    for name in read:
        assert re.search(rf'\b{name}\s*= ""', alloy), name


def test_logql_names_our_fields():
    """Streams are chosen by labels; what `json` takes out is in the records."""
    mapped = fields_of(json.loads(text_of("elk", "component-native.json"))["template"]["mappings"]["properties"])
    assert len(logql()) > 9
    for query in logql():
        for selector in re.findall(r"\{([^{}.]*)\}", query):
            assert {pair.split("=")[0].strip() for pair in selector.split(",")} <= LABELS, query
        for taken in re.findall(r"\| json ([^|)\[]+)", query):
            for path in re.findall(r'="([\w.]+)"', taken):
                assert path in mapped, f"{path} in {query}"


def test_logql_by_its_grammar():
    """Grafana's own grammar of LogQL parses each query without an error."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    place = os.path.join(BUILT, "logql")
    os.makedirs(place, exist_ok=True)
    for name in ("package.json", "parse.mjs"):
        shutil.copy(os.path.join(ROOT, "tests", "stack", "logql", name), place)
    if not os.path.isdir(os.path.join(place, "node_modules", "@grafana", "lezer-logql")):
        done = subprocess.run(["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=place,
                              capture_output=True, text=True, timeout=170)
        assert done.returncode == 0, done.stderr
    queries = [*logql(), "sum by (x (rate({a=\"b\"}[5m]))"]
    done = subprocess.run(["node", "parse.mjs"], cwd=place, input=json.dumps(queries), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    errors = json.loads(done.stdout)
    assert errors[-1] > 0, "it finds no error in what is wrong"
    assert [q for q, n in zip(queries, errors[:-1]) if n] == []


# journald

def test_journald_knows_the_settings():
    """Each key is one that the real journald reads (its table of keys is in the program)."""
    program = "/lib/systemd/systemd-journald"
    if not os.path.exists(program):
        pytest.skip("journald is not installed")
    with open(program, "rb") as f:
        known = f.read()
    keys = re.findall(r"(?m)^(\w+)=", text_of("journald", "smtptap.conf"))
    assert len(keys) > 5
    for key in keys:
        assert b"Journal." + key.encode() + b"\0" in known, key
