#!/usr/bin/python3
"""Draws the dashboard's panels from the answers of a real OpenSearch: render.py DIRECTORY. The records are those of real
runs of the program; for a picture of a day, each message's records are put at another time of it, and their timings are
stretched as a day's load would."""
import json
import math
import os
import random
import sys
import tempfile
from datetime import datetime, timedelta, timezone

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "system"), os.path.join(HERE, "..", "..", "deploy", "elk")]

import matplotlib  # noqa: E402

matplotlib.use("Agg")
import matplotlib.dates as mdates  # noqa: E402
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator  # noqa: E402

import dashboard  # noqa: E402

PALETTE = ["#2f6fab", "#e6a23c", "#3b9e77", "#c8443c", "#7d5ba6", "#8c6d4f", "#5fb0c9", "#8e8e93"]
PHASES = {"connect": "connect upstream", "mail": "MAIL", "rcpt": "RCPT", "data": "DATA", "transfer": "transfer",
          "end": "end of data"}
INK, FAINT = "#2b2f36", "#d9dce1"
plt.rcParams.update({"font.size": 9, "axes.titlesize": 11, "axes.titleweight": "bold", "axes.titlelocation": "left",
                     "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK,
                     "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
                     "grid.color": FAINT, "grid.linewidth": 0.6, "legend.frameon": False, "legend.fontsize": 8})


def color(name, n):
    return dashboard.COLORS.get(name) or PALETTE[n % len(PALETTE)]


def human(value, unit):
    if unit == "bytes":
        for step, word in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
            if value >= step:
                return f"{value / step:.3g} {word}"
        return f"{value:g} B"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def inner(bucket):
    """The one aggregation below this level, or None."""
    return next(((k, v) for k, v in bucket.items() if isinstance(v, dict)), (None, None))


def label(bucket):
    text = str(bucket.get("key_as_string", bucket["key"]))
    return "<> (null sender)" if text == "" else text if len(text) < 34 else text[:32] + "…"


def times(buckets):
    return [datetime.fromtimestamp(b["key"] / 1000, timezone.utc) for b in buckets]


def clock(ax, x):
    if len(x) < 4:
        ax.set_xlim(x[0] - timedelta(hours=1), x[-1] + timedelta(hours=1))
    ax.xaxis.set_major_locator(mdates.AutoDateLocator(maxticks=9))
    ax.xaxis.set_major_formatter(mdates.DateFormatter("%H:%M"))
    ax.set_xlabel("time of day (UTC)")
    ax.grid(axis="y")


def series(buckets):
    """name -> value per interval, of terms or of metrics below the time."""
    names = {}
    for i, b in enumerate(buckets):
        for key, one in b.items():
            if not isinstance(one, dict):
                continue
            for name, value in values(key, one):
                names.setdefault(name, [0.0] * len(buckets))[i] = value
    return dict(sorted(names.items(), key=lambda x: -sum(x[1]))) if "connect" not in names else \
        {k: names[k] for k in PHASES if k in names}


def values(key, one):
    if "buckets" in one:
        return [(b.get("key_as_string", b["key"]), b["doc_count"]) for b in one["buckets"]]
    if "values" in one:
        return [(f"{float(k):g}%", float(v) if v not in (None, "NaN") else math.nan) for k, v in one["values"].items()]
    return [(key, one["value"] or 0.0)]


def over_time(ax, panel, aggs):
    buckets = aggs["time"]["buckets"]
    x, found = times(buckets), series(buckets)
    width = timedelta(minutes=15)
    if panel["panel"] == "lines":
        for n, (name, ys) in enumerate(sorted(found.items(), key=lambda s: float(s[0].rstrip("%")))):
            there = [(a, b) for a, b in zip(x, ys) if not math.isnan(b)]
            ax.plot([a for a, _ in there], [b for _, b in there], color=PALETTE[n], lw=1.5, label=f"{name} are faster")
        ax.set_yscale("log")
    elif panel["panel"] == "area":
        (_, ys), = found.items()
        ax.fill_between(x, ys, color=PALETTE[0], alpha=0.75, step="mid", lw=0)
    else:
        below = [0.0] * len(x)
        total = [sum(v[i] for v in found.values()) or 1 for i in range(len(x))]
        for n, (name, ys) in enumerate(found.items()):
            shown = [100 * y / t for y, t in zip(ys, total)] if panel["panel"] == "shares" else ys
            ax.bar(x, shown, width, bottom=below, color=color(name, n), label=PHASES.get(name, name), align="edge", lw=0)
            below = [a + b for a, b in zip(below, shown)]
    clock(ax, x)
    per = " in 15 min" if panel["panel"] != "lines" and panel["unit"] != "ms" else ""
    ax.set_ylabel("share of messages (%)" if panel["panel"] == "shares" else panel["unit"] + per)
    if panel["panel"] == "shares":
        ax.set_ylim(0, 100)
    if panel["panel"] == "lines" or panel["unit"] == "bytes":
        ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: human(v, panel["unit"])))
    if panel["unit"] == "bytes":
        ax.yaxis.set_major_locator(MultipleLocator(2 ** math.ceil(math.log2(max(max(ys), 6) / 6))))
    if len(found) > 1:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def lying_bars(ax, panel, aggs):
    _, one = inner(aggs)
    buckets = one["buckets"][:10][::-1]
    names = []
    for b in buckets:
        _, sub = inner(b)
        names += [s["key"] for s in sub["buckets"] if s["key"] not in names]
    names.sort(key=lambda s: list(dashboard.COLORS).index(s) if s in dashboard.COLORS else 99)
    left = [0] * len(buckets)
    for n, name in enumerate(names):
        width = [next((s["doc_count"] for s in inner(b)[1]["buckets"] if s["key"] == name), 0) for b in buckets]
        ax.barh([label(b) for b in buckets], width, left=left, color=color(name, n), label=name, height=0.7)
        left = [a + b for a, b in zip(left, width)]
    for i, total in enumerate(left):
        ax.text(total, i, f" {total:,}", va="center", fontsize=8)
    ax.set_xlim(0, max(left) * 1.13)
    ax.set_ylim(min(-0.6, len(left) - 5.4), len(left) - 0.4)
    ax.set_xlabel(panel["unit"])
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.grid(axis="x")
    legend_rows = -(-len(names) // 3)
    ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncol=3, handlelength=1, columnspacing=1, borderpad=0.1)
    ax.set_title(ax.get_title(loc="left"), pad=8 + 13 * legend_rows)


def pie(ax, panel, aggs):
    buckets = inner(aggs)[1]["buckets"]
    total = sum(b["doc_count"] for b in buckets)
    parts, _ = ax.pie([b["doc_count"] for b in buckets], colors=[color(b["key"], n) for n, b in enumerate(buckets)],
                      startangle=90, counterclock=False, wedgeprops={"width": 0.38, "edgecolor": "white"})
    ax.text(0, 0, f"{total:,}\n{panel['unit']}", ha="center", va="center", fontsize=9)
    ax.legend(parts, [f"{label(b)}  {100 * b['doc_count'] / total:.1f}%" for b in buckets], loc="center left",
              bbox_to_anchor=(0.95, 0.5))


def table(ax, panel, aggs):
    fields, rows = [], []

    def walk(level, above):
        name, one = inner(level)
        if one is None:
            rows.append([*above, f"{level['doc_count']:,}"])
            return
        if len(above) == len(fields):
            fields.append(name)
        for b in one["buckets"]:
            walk(b, [*above, str(b["key"])])

    walk(aggs, [])
    rows.sort(key=lambda r: -int(r[-1].replace(",", "")))
    rows = [[cell if len(cell) < 74 else cell[:72] + "…" for cell in r] for r in rows[:9]]
    heads = [f.replace("_", " ").replace("reply form", "text of the reply") for f in fields] + [panel["unit"]]
    widths = [max(len(r[i]) for r in [heads, *rows]) + 2 for i in range(len(heads))]
    ax.axis("off")
    made = ax.table(rows, colLabels=heads, colWidths=[w / sum(widths) for w in widths], cellLoc="left", loc="upper left")
    made.auto_set_font_size(False)
    made.set_fontsize(8)
    made.scale(1, 1.35)
    for (row, column), cell in made.get_celld().items():
        cell.set_edgecolor(FAINT)
        cell.visible_edges = "B"
        cell.set_text_props(ha="right" if column == len(heads) - 1 else "left", weight="bold" if row == 0 else "normal")


def metric(ax, panel, aggs):
    value = next(iter(aggs.values()))["value"]
    ax.axis("off")
    ax.text(0.5, 0.55, f"{value:,.0f}", ha="center", va="center", fontsize=40, color="#c8443c" if value else "#3b9e77",
            transform=ax.transAxes)
    ax.text(0.5, 0.22, panel["unit"], ha="center", transform=ax.transAxes)


DRAW = {"bars": over_time, "shares": over_time, "lines": over_time, "area": over_time, "hbars": lying_bars, "pie": pie,
        "table": table, "metric": metric}


def draw(ax, panel, answer):
    ax.set_title(panel["title"])
    DRAW[panel["panel"]](ax, panel, answer["aggregations"])


def render(answers, directory):
    """One picture a panel, and one of the whole dashboard."""
    os.makedirs(directory, exist_ok=True)
    panels = dashboard.panels()
    widths = {name: width for _, row in dashboard.ROWS for name, width in row}
    for name, panel in panels.items():
        figure, ax = plt.subplots(figsize=(max(widths[name], 12) / 3.2, 3.4), layout="constrained")
        draw(ax, panel, answers[name])
        figure.savefig(os.path.join(directory, name + ".png"), dpi=100)
        plt.close(figure)
    figure = plt.figure(figsize=(17, 24), layout="constrained")
    rows = figure.subfigures(len(dashboard.ROWS), 1, height_ratios=[h for h, _ in dashboard.ROWS], hspace=0.02)
    for (_, row), part in zip(dashboard.ROWS, rows):
        given = [w for _, w in row] + [48 - sum(w for _, w in row)] * (sum(w for _, w in row) < 48)
        cells = part.subplots(1, len(given), gridspec_kw={"width_ratios": given}, squeeze=False)[0]
        for (name, _), ax in zip(row, cells):
            draw(ax, panels[name], answers[name])
        for ax in cells[len(row):]:
            ax.axis("off")
    figure.savefig(os.path.join(directory, "dashboard.png"), dpi=80)
    plt.close(figure)


def day(records, copies=160, seed=7):
    """A day's records from those of a few minutes: each session again at other times, busier by day, slower when busy."""
    chance = random.Random(seed)
    sessions, n = {}, 0
    for r in records:
        if "cid" in r and r["tnx"] in ("connection", "message", "rcpt", "auth", "error", "close"):
            sessions.setdefault(r["cid"], []).append(r)
    begin = datetime(2026, 3, 3, tzinfo=timezone.utc)
    for copy in range(copies):
        for cid, one in sessions.items():
            well = all(r.get("status", "accepted") == "accepted" and r.get("result", "ok") == "ok" for r in one)
            if not well and copy % 8:
                continue  # most mail goes well
            while True:
                hour = chance.uniform(0, 24)
                busy = 0.15 + 0.85 * math.exp(-((hour - 10.5) / 3) ** 2) + 0.5 * math.exp(-((hour - 15.5) / 2.5) ** 2)
                if chance.random() < busy / 1.4:
                    break
            slow = chance.lognormvariate(1.2, 0.9) * (1 + 3 * busy)
            at = (begin + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"
            for r in one:
                n += 1
                made = json.loads(json.dumps(r))
                made.update(time=at, seq=n, run="00000day", cid=f"{cid[:8]}{copy:04d}{cid[-8:]}")
                if "size" in made:
                    made["size"] = int(made["size"] * chance.lognormvariate(4, 1))
                if "timing" in made:
                    weights = {"end": 9, "transfer": 4, "rcpt": 3, "connect": 2}
                    made["timing"] = {k: round(v * slow * weights.get(k, 1), 3) for k, v in made["timing"].items() if k != "total"}
                    made["timing"]["total"] = round(sum(made["timing"].values()), 3)
                yield made


def main(directory):
    import traffic
    from harness.tls import Certificates
    from harness.world import World
    from servers import OpenSearch
    with tempfile.TemporaryDirectory() as place:
        world, node = World(), OpenSearch(os.path.join(place, "node"))
        try:
            node.install()
            done = traffic.run(world, Certificates(place), os.path.join(place, "smtptap.json"))
            world.end(False)
            made = list(day(done.records))
            for i in range(0, len(made), 2000):
                assert all(a["status"] == 201 for a in node.bulk("smtptap-events", made[i:i + 2000]))
            render({name: node.search(panel) for name, panel in dashboard.panels().items()}, directory)
        finally:
            node.stop()


if __name__ == "__main__":
    main(sys.argv[1])
