"""Lifecycle policies by their form (neither ILM nor ISM is to be had here), and what install.sh puts where."""
import fnmatch
import json
import os

import pytest

from servers import DEPLOY

DAYS = {"events": 90, "wire": 7}


def load(*path):
    with open(os.path.join(DEPLOY, "elk", *path), encoding="utf-8") as f:
        return json.load(f)


@pytest.mark.parametrize("what", DAYS)
def test_ilm(what):
    phases = load("elasticsearch", f"policy-{what}.json")["policy"]["phases"]
    assert phases["delete"] == {"min_age": f"{DAYS[what]}d", "actions": {"delete": {}}}
    assert {"max_primary_shard_size", "max_age"} == set(phases["hot"]["actions"]["rollover"])
    assert set(phases) <= {"hot", "warm", "cold", "frozen", "delete"}
    named = load("elasticsearch", f"component-{what}.json")["template"]["settings"]["index"]["lifecycle"]["name"]
    assert named == f"smtptap-{what}" and named in load(f"template-{what}.json")["composed_of"]


@pytest.mark.parametrize("what", DAYS)
def test_ism(what):
    """Its states are reached and left, the last one deletes, and its template meets the data streams of ours."""
    policy = load("opensearch", f"policy-{what}.json")["policy"]
    states = {s["name"]: s for s in policy["states"]}
    seen, name = [], policy["default_state"]
    while name not in seen:
        seen.append(name)
        for transition in states[name]["transitions"]:
            name = transition["state_name"]
            last = transition["conditions"]
    assert seen == list(states) and states[seen[-1]]["actions"] == [{"delete": {}}]
    assert last == {"min_rollover_age": f"{DAYS[what]}d"}
    taken = [p for t in policy["ism_template"] for p in t["index_patterns"]]
    streams = [f"smtptap-{what}"] + ["logs-smtptap-default"] * (what == "events")
    assert all(any(fnmatch.fnmatch(s, p) for p in taken) for s in streams)


@pytest.mark.parametrize("stream, pipeline, components", [
    ("smtptap-events-mx2", "smtptap-native", ["smtptap-native", "smtptap-events"]),
    ("smtptap-wire-mx1", "smtptap-native", ["smtptap-native", "smtptap-wire"]),
    ("logs-smtptap-mx2", "smtptap-ecs", ["smtptap-ecs", "smtptap-events"]),
])
def test_installed(opensearch, stream, pipeline, components):
    """What a new data stream of this name would be made of."""
    answer = opensearch.ask("POST", f"/_index_template/_simulate_index/{stream}")
    assert answer["template"]["settings"]["index"]["default_pipeline"] == pipeline
    assert opensearch.ask("GET", f"/_ingest/pipeline/{pipeline}")
    assert not answer["overlapping"]
    name, = (n for n in ("events", "wire", "ecs") if fnmatch.fnmatch(stream, load(f"template-{n}.json")["index_patterns"][0]))
    assert load(f"template-{name}.json")["composed_of"] == components


def test_installed_twice(opensearch):
    again = opensearch.install()
    assert "no Index State Management" in again.stderr and again.stdout.count("ok ") == 9
