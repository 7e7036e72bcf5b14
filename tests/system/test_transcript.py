"""log.transcript "failed": a session's dialogue is written only if something did not go well."""
import json

import pytest

from harness.client import SMALL
from harness.mta import CLOSE
from harness.tap import read_log, run_tool
from harness.util import wait_until

DIALOGUE = ("command", "send", "data")
FAILED = {"log": {"transcript": "failed"}}


def dialogue(tap, cid=None):
    """In the order in which it happened."""
    found = [r for r in tap.log.list if r["tnx"] in DIALOGUE and (cid is None or r["cid"] == cid)]
    return sorted(found, key=lambda r: r["time"])


def end(tap):
    """The books but those of the dialogue: seq, one message a transaction, one close a connection."""
    tap.level = "info"
    tap.stop()


def refused_at_rcpt(c):
    c.mail()
    c.cmd("RCPT TO:<c550@mta.example>", 550)
    c.cmd("RSET", 250)


def refused_at_the_end(c):
    assert c.deliver(sender="c554end@x.example").code == 554


def given_up(c):
    c.mail()
    c.rcpt()
    c.cmd("RSET", 250)


def wrong_command(c):
    c.cmd("FOO", 500)


def aborted(c):
    c.begin()
    c.send(b"half")
    c.reset()


BAD = [refused_at_rcpt, refused_at_the_end, given_up, wrong_command, aborted]


def test_what_goes_well_leaves_no_dialogue(world):
    tap = world.tap(world.mta(), FAILED)
    for _ in range(3):
        c = tap.client()
        c.ehlo()
        for _ in range(3):
            assert c.deliver().code == 250
        c.quit()
        tap.closed(c)
    end(tap)
    assert dialogue(tap) == []
    assert len(tap.records("message")) == 9 and len(tap.records("close", side="client")) == 3


@pytest.mark.parametrize("bad", BAD)
def test_what_does_not_is_told_from_the_beginning(world, bad):
    """The same dialogue with `always` has the same records."""
    taps = [world.tap(world.mta(), {"log": {"transcript": mode}}) for mode in ("always", "failed")]
    for tap in taps:
        well = tap.client()
        well.ehlo()
        assert well.deliver().code == 250
        c = tap.client()
        c.ehlo()
        assert c.deliver().code == 250
        bad(c)
        if bad is not aborted:
            assert c.deliver().code == 250
            c.quit()
        tap.cid = tap.closed(c)["cid"]
        wait_until(lambda: tap.records("close", side="upstream", cid=tap.cid), "the end of the upstream leg")
        well.quit()
        tap.closed(well)

    def told(tap):
        return sorted((r["tnx"], r["side"], r.get("command"), r.get("code"), r.get("bytes"),
                       "" if "queued" in r["msg"] else r["msg"]) for r in dialogue(tap, tap.cid))

    assert told(taps[0]) == told(taps[1])
    assert {r["cid"] for r in dialogue(taps[1])} == {taps[1].cid}, "the other session went well"
    late = [r for r in taps[1].log.list if r["tnx"] in DIALOGUE]
    assert late[0]["time"] == min(r["time"] for r in late)
    end(taps[1])


def test_an_error_without_a_reply(world):
    """The upstream is lost between two messages of a session that is idle: no one is told but the log."""
    tap = world.tap(world.mta(greeting=[b"554 no\r\n", CLOSE]), FAILED)
    c = tap.client()
    c.send(b"EHLO x\r\n")
    c.expect(421)
    cid = tap.wait("error")["cid"]
    assert {"EHLO x", "S: 554 no"} <= {r.get("line", r["msg"]) for r in dialogue(tap, cid)}


def test_the_oldest_gives_way_and_is_counted(world):
    many = 600
    tap = world.tap(world.mta(), FAILED)
    c = tap.client()
    c.ehlo()
    for n in range(many):
        c.cmd(b"NOOP %d" % n, 250)
    c.cmd("FOO", 500)
    c.quit()
    close = tap.closed(c)
    told = dialogue(tap, close["cid"])
    numbers = [int(r["line"][5:]) for r in told if r.get("command") == "NOOP"]
    assert numbers == list(range(numbers[0], many)) and numbers[0] > 0
    # greeting; EHLO and reply on both legs (upstream: its greeting, too); NOOPs; FOO; QUIT and its reply on both legs
    made = 1 + 2 + 3 + 2 * many + 2 + 2
    upstream_quit = len([r for r in told if r["side"] == "upstream"])
    assert close["transcript_lost"] in (made - (len(told) - upstream_quit) - k for k in range(0, 4))
    lines = sum(len(json.dumps(r, separators=(",", ":"))) for r in told if r["time"] <= told[-6]["time"])
    assert 45000 < lines < 80000
    end(tap)


def test_nothing_lost_nothing_told(world):
    tap = world.tap(world.mta(), FAILED)
    c = tap.client()
    c.cmd("FOO", 500)
    c.quit()
    assert "transcript_lost" not in tap.closed(c)


def test_each_output_has_its_own(world):
    paths = [world.path(n) for n in ("debug.json", "info.json", "ecs.json")]
    tap = world.tap(world.mta(), {"log": {"transcript": "failed", "outputs": [
        {"type": "stdout"}, {"type": "file", "path": paths[0]}, {"type": "file", "path": paths[1], "level": "info"},
        {"type": "file", "path": paths[2], "format": "ecs"}]}})
    c = tap.client()
    c.ehlo()
    assert c.deliver().code == 250
    refused_at_rcpt(c)
    c.quit()
    tap.closed(c)
    end(tap)
    assert bytes(read_log(paths[0]).raw) == bytes(tap.log.raw)
    assert not [r for r in read_log(paths[1]).list if r["tnx"] in DIALOGUE]
    with open(paths[2]) as f:
        actions = [json.loads(line)["event.action"] for line in f]
    assert sorted(a for a in actions if a in DIALOGUE) == sorted(r["tnx"] for r in dialogue(tap))


def test_sessions_at_once(world):
    """Many sessions that keep, one in three goes wrong; all under a small queue."""
    tap = world.tap(world.mta(), {"log": {"transcript": "failed", "queue_size": "64KiB"}, "workers": 2})
    clients = [tap.client() for _ in range(30)]
    for c in clients:
        c.ehlo()
    for c in clients:
        c.begin()
    for i, c in enumerate(clients):
        c.send(SMALL + b".\r\n").expect(250)
        if i % 3 == 0:
            c.cmd("FOO", 500)
    for c in clients:
        c.quit()
    bad = {tap.closed(c)["cid"] for c in clients[::3]}
    for c in clients:
        tap.closed(c)
    end(tap)
    assert {r["cid"] for r in dialogue(tap)} == bad


@pytest.mark.parametrize("log", [{"level": "info"}, {"outputs": [{"type": "stdout", "level": "info"}]}])
def test_check_refuses(world, log):
    path = world.path("bad.json")
    with open(path, "w") as f:
        json.dump({"log": {"transcript": "failed", **log}}, f)
    got = run_tool("check", "-c", path)
    assert got.returncode == 1 and "log.transcript" in got.stderr
