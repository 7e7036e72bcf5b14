"""The dashboard's saved objects: they refer to what is there, and a panel asks what its query file asks. Neither Kibana nor
OpenSearch Dashboards is to be had here, so the objects are checked against their form, not imported."""
import fnmatch
import json
import os

import pytest

import dashboard
from servers import DEPLOY
from test_panels import PANELS, indexed, rows  # noqa: F401 (a fixture)

WORDS = {"AND", "OR", "NOT", "_exists_"}


def objects():
    with open(os.path.join(DEPLOY, "elk", "dashboard.ndjson"), encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def fields_of(properties, above=""):
    out = {}
    for name, one in properties.items():
        out[above + name] = one.get("type", "object")
        out.update(fields_of(one.get("properties", {}), above + name + "."))
        out.update(fields_of(one.get("fields", {}), above + name + "."))
    return out


@pytest.fixture(scope="module")
def fields():
    with open(os.path.join(DEPLOY, "elk", "component-native.json"), encoding="utf-8") as f:
        return fields_of(json.load(f)["template"]["mappings"]["properties"])


def fields_in(query):
    """The fields that a Lucene query names."""
    return {part.split(":")[0].lstrip("(") for part in query.split() if ":" in part and not part.startswith("_exists_")} | \
           {part.split(":")[1] for part in query.split() if part.startswith("_exists_:")}


def test_made_from_the_queries():
    assert [json.dumps(o) for o in objects()] == [json.dumps(o) for o in dashboard.saved_objects()]
    names = {name[:-5] for name in os.listdir(os.path.join(DEPLOY, "elk", "queries")) if name.endswith(".json")}
    assert names == set(PANELS)


def test_references_are_resolved():
    found = {(o["type"], o["id"]) for o in objects()}
    assert len(found) == len(objects())
    for o in objects():
        names = {r["name"] for r in o["references"]}
        for r in o["references"]:
            assert (r["type"], r["id"]) in found, f"{o['id']} refers to {r}"
        meta = o["attributes"].get("kibanaSavedObjectMeta", {})
        if meta and o["type"] != "dashboard":
            assert json.loads(meta["searchSourceJSON"])["indexRefName"] in names
    board, = [o for o in objects() if o["type"] == "dashboard"]
    placed = json.loads(board["attributes"]["panelsJSON"])
    assert {p["panelRefName"] for p in placed} == {r["name"] for r in board["references"]}
    assert {r["id"] for r in board["references"] if r["type"] == "visualization"} == {"smtptap-" + n for n in PANELS}


def test_panels_lie_beside_each_other():
    board, = [o for o in objects() if o["type"] == "dashboard"]
    taken = set()
    for p in json.loads(board["attributes"]["panelsJSON"]):
        g = p["gridData"]
        cells = {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
        assert not cells & taken and g["x"] + g["w"] <= 48
        taken |= cells
    assert len(taken) == 48 * (1 + max(y for _, y in taken)), "there are holes"


def test_patterns_meet_the_data_streams():
    patterns = [o["attributes"]["title"] for o in objects() if o["type"] == "index-pattern"]
    for what in ("events", "wire"):
        assert any(fnmatch.fnmatch(f"smtptap-{what}", p) for p in patterns)
        with open(os.path.join(DEPLOY, "elk", f"template-{what}.json"), encoding="utf-8") as f:
            assert fnmatch.fnmatch(f"smtptap-{what}", json.load(f)["index_patterns"][0])


def test_fields_are_in_the_template(fields):
    for o in objects():
        a = o["attributes"]
        used = set(a.get("columns", []))
        if "visState" in a:
            state = json.loads(a["visState"])
            used |= {agg["params"]["field"] for agg in state["aggs"] if "field" in agg["params"]}
            for agg in state["aggs"]:
                if agg["type"] == "terms":
                    assert fields[agg["params"]["field"]] in ("keyword", "integer", "ip"), f"no terms of {agg['params']}"
        if o["type"] == "index-pattern":
            used |= {a["timeFieldName"], *json.loads(a["fieldFormatMap"])}
        elif "kibanaSavedObjectMeta" in a:
            used |= fields_in(json.loads(a["kibanaSavedObjectMeta"]["searchSourceJSON"])["query"]["query"])
        assert used - set(fields) == set(), f"{o['id']} uses fields that the template does not have"


def asked_by(visualization):
    """The request that Kibana makes of a visualization: buckets within each other in their order, then the metrics."""
    state = json.loads(visualization["attributes"]["visState"])
    source = json.loads(visualization["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    metrics = {a["id"]: {a["type"]: a["params"]} for a in state["aggs"] if a["schema"] == "metric" and a["type"] != "count"}
    inner = metrics
    for a in reversed([a for a in state["aggs"] if a["schema"] != "metric"]):
        p = a["params"]
        if a["type"] == "date_histogram":
            asked = {"field": p["field"], "fixed_interval": "15m", "min_doc_count": p["min_doc_count"]}
        else:
            asked = {"field": p["field"], "size": p["size"], "order": {"_count": p["order"]}}
            if p["missingBucket"]:
                asked["missing"] = p["missingBucketLabel"]
        inner = {a["id"]: {a["type"]: asked, **({"aggs": inner} if inner else {})}}
    return {"size": 0, "query": {"query_string": {"query": source["query"]["query"], "analyze_wildcard": True}}, "aggs": inner}


@pytest.mark.parametrize("name", list(PANELS))
def test_a_panel_asks_what_its_file_asks(indexed, name):  # noqa: F811
    made, = [o for o in objects() if o["id"] == "smtptap-" + name]
    mine = rows(indexed.search(PANELS[name])["aggregations"])
    theirs = rows(indexed.ask("POST", f"/{PANELS[name]['index']}/_search", asked_by(made))["aggregations"])
    assert mine and sorted(map(repr, theirs)) == sorted(map(repr, mine))  # metrics come in any order


@pytest.mark.parametrize("name", list(dashboard.SEARCHES))
def test_saved_search(indexed, name):  # noqa: F811
    """It is accepted, finds records, and each of its columns is in one of them."""
    pattern, query, _, columns = dashboard.SEARCHES[name]
    answer = indexed.ask("POST", f"/{dashboard.PATTERNS[pattern]}/_search",
                         {"size": 1000, "query": {"query_string": {"query": query}}, "sort": [{"@timestamp": "desc"}]})
    found = [h["_source"] for h in answer["hits"]["hits"]]
    if name in ("slow", "duplicates"):
        assert not found
        return
    assert found
    for column in columns:
        def has(record, path=column.split(".")):
            for key in path:
                record = record.get(key) if isinstance(record, dict) else None
            return record is not None
        assert any(map(has, found)), f"no record has {column}"
