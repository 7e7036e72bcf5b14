"""Each panel's query, asked of a real OpenSearch that holds real records, gives what counting the records gives."""
import json
import math
from collections import Counter

import pytest

import dashboard
import traffic

PANELS = dashboard.panels()
REFUSED = {"deferred", "rejected", "indeterminate"}


@pytest.fixture(scope="module")
def indexed(opensearch, mail):
    opensearch.ask("DELETE", "/_data_stream/smtptap-*")
    lines = mail.lines + traffic.losses(mail.records[0])
    answers = opensearch.bulk("smtptap-events", lines)
    assert all(a["status"] == 201 for a in answers), [a for a in answers if a["status"] != 201][:3]
    opensearch.records = [json.loads(line) for line in lines]
    return opensearch


def rows(aggregations, above=()):
    """An answer as a flat list: (keys..., count or value)."""
    names = [k for k, v in aggregations.items() if isinstance(v, dict)]
    out = []
    for name in names:
        one = aggregations[name]
        if "buckets" in one:
            for b in one["buckets"]:
                below = {k: v for k, v in b.items() if isinstance(v, dict)}
                key = (*above, b.get("key_as_string", b["key"]))
                out += rows(below, key) if below else [(*key, b["doc_count"])]
        else:
            out.append((*above, tuple(one["values"].values()) if "values" in one else one["value"]))
    return out


def answer(node, name):
    return rows(node.search(PANELS[name])["aggregations"])


def of(node, tnx, **keys):
    return [r for r in node.records if r["tnx"] == tnx and
            all(v(r.get(k)) if callable(v) else r.get(k) == v for k, v in keys.items())]


def without_time(found):
    """Counts over all intervals."""
    out = Counter()
    for _, *key, n in found:
        out[tuple(key)] += n
    return out


def counted(found):
    return Counter({tuple(key): n for *key, n in found})


def expect(records, *keys):
    return Counter(tuple(k(r) if callable(k) else r.get(k, "-") for k in keys) for r in records)


def test_throughput(indexed, mail):
    got = without_time(answer(indexed, "throughput"))
    assert got == expect(of(indexed, "message"), "status")
    assert {k: v for (k,), v in got.items()} == mail.counts


def test_volume(indexed):
    total = sum(n for _, n in answer(indexed, "volume"))
    assert total == sum(r["size"] for r in of(indexed, "message", status="accepted")) > 0


def test_latency(indexed):
    values = sorted(r["timing"]["total"] for r in of(indexed, "message", status="accepted"))
    got = [v for v in answer(indexed, "latency") if not any(map(math.isnan, map(float, v[1])))]
    assert got
    for _, (half, most, nearly_all) in got:
        assert values[0] <= half <= most <= nearly_all <= values[-1] + 0.01
    if len(got) == 1:
        assert values[len(values) // 2 - 1] - 0.01 <= got[0][1][0] <= values[len(values) // 2] + 0.01


def test_phases(indexed):
    """The mean of each phase; the interval may be split by the clock, so means are weighed."""
    accepted = of(indexed, "message", status="accepted")
    weights = [b["doc_count"] for b in indexed.search(PANELS["phases"])["aggregations"]["time"]["buckets"]]
    buckets = [b for b in indexed.search(PANELS["phases"])["aggregations"]["time"]["buckets"]]
    assert sum(weights) == len(accepted)
    for phase in ("mail", "rcpt", "data", "transfer", "end"):
        have = [r["timing"][phase] for r in accepted if phase in r["timing"]]
        assert len(have) == len(accepted)
        mean = sum(b[phase]["value"] * b["doc_count"] for b in buckets if b["doc_count"]) / len(accepted)
        assert mean == pytest.approx(sum(have) / len(have), rel=1e-3)


@pytest.mark.parametrize("name, tnx, keys, chosen", [
    ("outcomes", "rcpt", ["status"], {}),
    ("classes", "rcpt", ["class", "status"], {"status": REFUSED.__contains__}),
    ("senders", "message", ["mail_from", "status"], {}),
    ("clients", "message", ["host", "status"], {}),
    ("domains", "rcpt", ["rcpt_domain", "status"], {}),
    ("faults", "error", [lambda r: r["err"]["code"], "stage"], {}),
    ("sessions", "close", ["reason"], {"side": "client"}),
    ("tls-upstream", "message", [lambda r: r["upstream"]["tls"].get("version", "in clear")], {"upstream": lambda u: u}),
])
def test_counts(indexed, name, tnx, keys, chosen):
    got = counted(answer(indexed, name))
    assert got == expect(of(indexed, tnx, **chosen), *keys)
    assert len(got) > 1 or name in ("faults", "tls-upstream")


def test_tls_of_clients(indexed):
    got = without_time(answer(indexed, "tls-clients"))
    assert got == expect(of(indexed, "message"), lambda r: r["tls"].get("version", "in clear"))
    assert len(got) == 2


def test_replies(indexed, mail):
    """Like replies count as one, though each has another address or id in its text."""
    got = counted(answer(indexed, "replies"))
    rounds = mail.counts["accepted"] // 5
    assert got == {
        (550, "5.1.1", "upstream", "550 5.1.1 <ADDRESS>: Recipient address rejected: User unknown in local recipient table"):
            2 * rounds,
        (452, "4.2.2", "upstream", "452 4.2.2 <ADDRESS>: Mailbox full"): rounds,
        (450, "4.2.0", "upstream", "450 4.2.0 <ADDRESS>: Recipient address rejected: Greylisted, see URL"): rounds,
        (454, "4.7.1", "upstream", "454 4.7.1 <ADDRESS>: Relay access denied"): rounds,
        (554, "5.7.1", "upstream", "554 5.7.1 id=ID - spam, Message refused, see ID"): 2 * rounds,
        **{k: v for k, v in expect(of(indexed, "rcpt", decided_by="smtptap", status=REFUSED.__contains__), "code", "enhanced",
                                   "decided_by", "smtp_response").items()},
    }


def test_logins(indexed):
    assert without_time(answer(indexed, "logins")) == expect(of(indexed, "auth"), "result")
    got = counted(answer(indexed, "login-failures"))
    assert got == expect(of(indexed, "auth", result="fail"), "host", "username")
    rounds = len(of(indexed, "auth", result="ok")) // 2
    assert got == {("127.0.0.6", "root"): 2 * rounds, ("127.0.0.6", "admin"): rounds,
                   ("127.0.0.7", "alice@shop.example"): rounds}


def test_lost(indexed):
    assert answer(indexed, "lost") == [(sum(r["records"] for r in of(indexed, "dropped")),)]


def test_every_panel_is_tried():
    with open(__file__, encoding="utf-8") as f:
        text = f.read()
    assert [name for name in PANELS if f'"{name}"' not in text] == []


def test_pictures(indexed, tmp_path):
    """Each panel's answer is drawn: a picture of its own, and not a blank one."""
    import matplotlib.image
    import render
    render.render({name: indexed.search(panel) for name, panel in PANELS.items()}, str(tmp_path))
    for name in [*PANELS, "dashboard"]:
        pixels = matplotlib.image.imread(str(tmp_path / (name + ".png")))
        assert (pixels[:, :, :3].min(axis=2) < 0.9).mean() > 0.002, f"{name} is blank"
