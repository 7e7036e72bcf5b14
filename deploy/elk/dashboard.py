#!/usr/bin/python3
"""Makes dashboard.ndjson, for Kibana and OpenSearch Dashboards, from queries/*.json: a panel asks what its file asks.

The objects are of the form of version 7.9, which both families import and migrate. `dashboard.py --check` only says
whether dashboard.ndjson is what would be made."""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
COLORS = {"accepted": "#3b9e77", "deferred": "#e6a23c", "rejected": "#c8443c", "aborted": "#8e8e93", "reset": "#c3c6cc",
          "indeterminate": "#7d5ba6", "ok": "#3b9e77", "fail": "#c8443c", "tempfail": "#e6a23c", "TLSv1.3": "#2f6fab",
          "TLSv1.2": "#84b2d8", "in clear": "#c8443c"}
ROWS = [  # of the dashboard, 48 columns wide: height and panels with their widths
    (11, [("throughput", 30), ("outcomes", 10), ("lost", 8)]),
    (11, [("latency", 24), ("phases", 24)]),
    (12, [("classes", 16), ("replies", 32)]),
    (13, [("senders", 16), ("clients", 16), ("domains", 16)]),
    (11, [("tls-clients", 20), ("tls-upstream", 10), ("volume", 18)]),
    (12, [("logins", 18), ("login-failures", 16), ("faults", 14)]),
    (10, [("sessions", 14)]),
]
PATTERNS = {"smtptap-events": "smtptap-events*", "smtptap": "smtptap-*"}
MESSAGE = ["status", "mail_from", "rcpt_to", "smtp_response", "queue_id", "message_id", "size", "timing.total", "host"]
SEARCHES = {
    "messages": ("smtptap-events", "tnx:message", "Every mail transaction", MESSAGE),
    "not-accepted": ("smtptap-events", "tnx:rcpt AND NOT status:accepted", "Recipients that were not accepted, and why",
                     ["status", "class", "rcpt_to", "mail_from", "smtp_response", "decided_by", "stage", "tid"]),
    "slow": ("smtptap-events", "tnx:message AND timing.total:>10000", "Messages that took more than 10 seconds",
             ["timing.total", "timing.connect", "timing.transfer", "timing.end", *MESSAGE]),
    "duplicates": ("smtptap-events", "tnx:message AND status:accepted AND client_replied:false",
                   "Accepted, but the client was gone before it knew: it will send them again", MESSAGE),
    "login-failures": ("smtptap-events", "tnx:auth AND NOT result:ok", "Logins that failed",
                       ["host", "username", "method", "result", "code", "cid"]),
    "faults": ("smtptap-events", "level:error", "Faults, and records lost",
               ["tnx", "err.code", "err.message", "stage", "side", "host", "records", "cid"]),
    "dialogue": ("smtptap", "tnx:(command OR send OR data OR connection OR starttls OR close OR message)",
                 "What was said, on both legs; add a filter on cid", ["side", "tnx", "msg", "ms", "cid"]),
}


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def panels():
    """name -> what its file says, in the dashboard's order."""
    out = {}
    for _, row in ROWS:
        for name, _ in row:
            with open(os.path.join(HERE, "queries", name + ".json"), encoding="utf-8") as f:
                out[name] = json.load(f)
    return out


def metric(number, kind, params):
    return {"id": str(number), "enabled": True, "type": kind, "schema": "metric", "params": params}


def bucket(number, kind, asked, schema):
    if kind == "date_histogram":
        params = {"field": asked["field"], "interval": "auto", "useNormalizedEsInterval": True, "drop_partials": False,
                  "min_doc_count": 1, "extended_bounds": {}, "scaleMetricValues": False}
    else:
        params = {"field": asked["field"], "size": asked["size"], "order": "desc", "orderBy": "1", "otherBucket": False,
                  "otherBucketLabel": "Other", "missingBucket": "missing" in asked,
                  "missingBucketLabel": asked.get("missing", "-")}
    return {"id": str(number), "enabled": True, "type": kind, "schema": schema, "params": params}


def split(aggs):
    """The aggregations of one level: those that make buckets, and metrics, as (kind, what is asked, below)."""
    buckets, metrics = [], []
    for one in aggs.values():
        kind = next(k for k in one if k != "aggs")
        into = buckets if kind in ("date_histogram", "terms") else metrics
        into.append((kind, one[kind], one.get("aggs", {})))
    if len(buckets) > 1 or (buckets and metrics):
        raise ValueError("a panel has one bucket or some metrics on a level")
    return buckets, metrics


def aggregations(panel):
    """The visualization's aggregations: metrics first, as the bucket's order names one."""
    kinds = {"table": ["bucket"] * 9, "pie": ["segment"] * 9}.get(panel["panel"], ["segment", "group"])
    buckets, metrics = [], []
    aggs = panel["body"]["aggs"]
    while aggs:
        found, metrics = split(aggs)
        buckets += found
        aggs = found[0][2] if found else {}
    made = [metric(1, "count", {})] if not metrics else []
    made += [metric(i + 1, kind, asked) for i, (kind, asked, _) in enumerate(metrics)]
    made += [bucket(len(made) + i + 1, kind, asked, kinds[i]) for i, (kind, asked, _) in enumerate(buckets)]
    return made


def axes(panel, metrics):
    """Parameters of what has a category axis and a value axis."""
    kind = {"bars": "histogram", "shares": "histogram", "hbars": "histogram", "lines": "line", "area": "area"}[panel["panel"]]
    lying = panel["panel"] == "hbars"
    mode = "percentage" if panel["panel"] == "shares" else "normal"
    unit = "share of " + panel["unit"] if mode == "percentage" else panel["unit"]
    labels = {"show": True, "rotate": 0, "filter": not lying, "truncate": 200}
    return {
        "type": "horizontal_bar" if lying else kind,
        "grid": {"categoryLines": False},
        "categoryAxes": [{"id": "CategoryAxis-1", "type": "category", "position": "left" if lying else "bottom",
                          "show": True, "style": {}, "scale": {"type": "linear"}, "labels": labels, "title": {}}],
        "valueAxes": [{"id": "ValueAxis-1", "name": "LeftAxis-1", "type": "value",
                       "position": "bottom" if lying else "left", "show": True, "style": {},
                       "scale": {"type": "linear", "mode": mode},
                       "labels": {"show": True, "rotate": 0, "filter": True, "truncate": 100}, "title": {"text": unit}}],
        "seriesParams": [{"show": True, "type": kind, "mode": "normal" if kind == "line" else "stacked",
                          "data": {"id": m["id"], "label": m["params"].get("field", panel["unit"])},
                          "valueAxis": "ValueAxis-1", "drawLinesBetweenPoints": True, "lineWidth": 2, "showCircles": False,
                          "interpolate": "linear"} for m in metrics],
        "addTooltip": True, "addLegend": True, "legendPosition": "right", "times": [], "addTimeMarker": False,
        "labels": {"show": False},
        "thresholdLine": {"show": False, "value": 10, "width": 1, "style": "full", "color": "#E7664C"},
    }


def parameters(panel, metrics):
    if panel["panel"] == "pie":
        return {"type": "pie", "addTooltip": True, "addLegend": True, "legendPosition": "right", "isDonut": True,
                "labels": {"show": True, "values": True, "last_level": True, "truncate": 100}}
    if panel["panel"] == "table":
        return {"perPage": 12, "showPartialRows": False, "showMetricsAtAllLevels": False, "showTotal": False,
                "totalFunc": "sum", "percentageCol": "", "sort": {"columnIndex": None, "direction": None}}
    if panel["panel"] == "metric":
        return {"type": "metric", "addTooltip": True, "addLegend": False,
                "metric": {"percentageMode": False, "useRanges": False, "colorSchema": "Green to Red",
                           "metricColorMode": "Labels", "colorsRange": [{"from": 0, "to": 1}, {"from": 1, "to": 1e9}],
                           "labels": {"show": True}, "invertColors": False,
                           "style": {"bgFill": "#000", "bgColor": False, "labelColor": False, "subText": "",
                                     "fontSize": 48}}}
    return axes(panel, metrics)


def source(pattern, query, **more):
    meta = {"query": {"query": query, "language": "lucene"}, "filter": [], **more,
            "indexRefName": "kibanaSavedObjectMeta.searchSourceJSON.index"}
    reference = {"name": meta["indexRefName"], "type": "index-pattern", "id": pattern}
    return {"searchSourceJSON": compact(meta)}, reference


def visualization(name, panel):
    made = aggregations(panel)
    metrics = [a for a in made if a["schema"] == "metric"]
    kind = {"bars": "histogram", "shares": "histogram", "hbars": "horizontal_bar", "lines": "line"}.get(
        panel["panel"], panel["panel"])
    state = {"title": panel["title"], "type": kind, "aggs": made, "params": parameters(panel, metrics)}
    pattern = next(k for k, v in PATTERNS.items() if v == panel["index"])
    meta, reference = source(pattern, panel["body"]["query"]["query_string"]["query"])
    return {"id": "smtptap-" + name, "type": "visualization", "migrationVersion": {"visualization": "7.8.0"},
            "attributes": {"title": "smtptap: " + panel["title"], "description": panel["about"], "version": 1,
                           "visState": compact(state), "uiStateJSON": compact({"vis": {"colors": COLORS}}),
                           "kibanaSavedObjectMeta": meta},
            "references": [reference]}


def search(name, pattern, query, title, columns):
    meta, reference = source(pattern, query, highlightAll=True, version=True)
    return {"id": "smtptap-search-" + name, "type": "search", "migrationVersion": {"search": "7.9.3"},
            "attributes": {"title": "smtptap: " + title, "description": "", "hits": 0, "version": 1, "columns": columns,
                           "sort": [["@timestamp", "desc"]], "kibanaSavedObjectMeta": meta},
            "references": [reference]}


def index_pattern(name, title):
    formats = {k: {"id": "bytes"} for k in ("size", "bytes", "bytes_in", "bytes_out")}
    return {"id": name, "type": "index-pattern", "migrationVersion": {"index-pattern": "7.6.0"},
            "attributes": {"title": title, "timeFieldName": "@timestamp", "fieldFormatMap": compact(formats)},
            "references": []}


def dashboard(found):
    placed, references, y = [], [], 0
    rows = [(height, [("visualization", "smtptap-" + name, found[name]["title"], width) for name, width in row])
            for height, row in ROWS]
    rows[-1][1].append(("search", "smtptap-search-faults", "Faults, and records lost", 34))
    for height, row in rows:
        x = 0
        for kind, target, title, width in row:
            n = len(placed)
            placed.append({"version": "7.9.3", "panelIndex": str(n + 1), "title": title, "embeddableConfig": {},
                           "gridData": {"x": x, "y": y, "w": width, "h": height, "i": str(n + 1)},
                           "panelRefName": f"panel_{n}"})
            references.append({"name": f"panel_{n}", "type": kind, "id": target})
            x += width
        y += height
    return {"id": "smtptap", "type": "dashboard", "migrationVersion": {"dashboard": "7.9.3"},
            "attributes": {"title": "smtptap", "hits": 0, "version": 1,
                           "description": "Mail through smtptap: how much, how fast, what became of it, and why not",
                           "panelsJSON": compact(placed),
                           "optionsJSON": compact({"useMargins": True, "hidePanelTitles": False}),
                           "timeRestore": True, "timeFrom": "now-24h", "timeTo": "now",
                           "refreshInterval": {"pause": False, "value": 60000},
                           "kibanaSavedObjectMeta": {"searchSourceJSON": compact(
                               {"query": {"query": "", "language": "kuery"}, "filter": []})}},
            "references": references}


def saved_objects():
    found = panels()
    out = [index_pattern(*one) for one in PATTERNS.items()]
    out += [visualization(*one) for one in found.items()]
    out += [search(name, *rest) for name, rest in SEARCHES.items()]
    return out + [dashboard(found)]


def main():
    path = os.path.join(HERE, "dashboard.ndjson")
    text = "".join(compact(o) + "\n" for o in saved_objects())
    if sys.argv[1:] == ["--check"]:
        with open(path, encoding="utf-8") as f:
            sys.exit(0 if f.read() == text else "dashboard.ndjson is not what dashboard.py makes: run it")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


if __name__ == "__main__":
    main()
