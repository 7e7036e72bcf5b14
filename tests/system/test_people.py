"""The commands for people: demo, sink, tail, help, version."""
import json
import os
import signal
import subprocess
import time

import pytest

from harness.client import RawClient
from harness.tap import BINARY, SANITIZER, environment, run_tool
from harness.util import DEADLINE, wait_until

COMMANDS = ["demo", "run", "check", "tail", "sink", "help", "version"]
ARROWS = {**environment(), "LC_ALL": "C.UTF-8"}


class Tool:
    """A subcommand that runs until it is told to end; its stdout is read as it comes."""

    def __init__(self, *args, env=None, stdin=subprocess.DEVNULL):
        self.process = subprocess.Popen([BINARY, *args], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=env or environment())
        os.set_blocking(self.process.stdout.fileno(), False)
        self.text = ""

    def read(self):
        self.text += (self.process.stdout.read() or b"").decode()
        return self.text

    def until(self, what):
        wait_until(lambda: what in self.read(), lambda: f"{what!r} in {self.text!r}")
        return self.text

    def end(self, number=signal.SIGINT):
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(DEADLINE)
        self.read()
        errors = self.process.stderr.read().decode()
        assert not SANITIZER.search(errors), errors
        return self.process.returncode


@pytest.fixture
def tool():
    tools = []

    def start(*args, **more):
        tools.append(Tool(*args, **more))
        return tools[-1]
    yield start
    for one in tools:
        one.end(signal.SIGKILL)


@pytest.fixture
def sink(tool):
    def start(*args):
        one = tool("sink", "-l", "127.0.0.1:0", *args)
        first = one.until("\n").split("\n")[0]
        one.address = "127.0.0.1", int(first.rsplit(":", 1)[1])
        return one
    return start


def descendants(pid):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as f:
                state, parent = f.read().rsplit(")", 1)[1].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(name))
    return found


def exists(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("args", [["help"], *(["help", c] for c in COMMANDS)], ids=" ".join)
def test_help_fits_a_screen(args):
    r = run_tool(*args)
    assert r.returncode == 0 and r.stderr == ""
    lines = r.stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    if len(args) == 1:
        assert all(f"  {c} " in r.stdout for c in COMMANDS)
    else:
        assert lines[0].startswith(f"usage: smtptap {args[1]}")


@pytest.mark.parametrize("args, told", [
    (["help", "tial"], "did you mean tail"),
    (["tail", "--status", "acepted"], "accepted, deferred"),
    (["tail", "--no-such"], "help tail"),
    (["sink", "--reply", "rcpt=9"], "450 4.2.1 busy"),
    (["sink", "--reply", "rcpt%0=drop"], "0.01 to 100"),
    (["demo", "now"], "--stay"),
    (["run", "-l", "nowhere"], '-l: "nowhere" is not'),
    (["run", "-u", "127.0.0.1:70000"], '-u: "127.0.0.1:70000" is not'),
    (["run", "-c", "/nonexistent", "-l", ""], '-l: "" is not'),
    (["sink", "-l", "nowhere"], '-l: "nowhere" is not'),
])
def test_bad_usage_says_what_to_do(args, told):
    r = run_tool(*args)
    assert r.returncode == 2 and r.stdout == ""
    assert told in r.stderr


def test_help_names_the_signals():
    for name in ("TERM", "INT", "HUP", "USR1", "USR2"):
        assert name in run_tool("help", "run").stdout


def test_version():
    r = run_tool("version")
    assert r.returncode == 0 and r.stdout.startswith("smtptap ")


def test_demo_shows_a_message_and_ends():
    began = time.monotonic()
    r = subprocess.run([BINARY, "demo"], capture_output=True, text=True, timeout=10, env=ARROWS)
    assert r.returncode == 0 and r.stderr == ""
    assert time.monotonic() - began < 5
    for piece in ("→ MAIL FROM:<alice@example.com>", "     ⇒ MAIL FROM:<alice@example.com>",
                  "← 550 5.1.1 No such mailbox here", "■ accepted from <alice@example.com>", "(1 of 2)",
                  "smtptap run -u"):
        assert piece in r.stdout
    assert "What is written here" not in r.stdout
    assert "\033" not in r.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_demo_leaves_no_process_behind(tool, number):
    demo = tool("demo", "--stay")
    text = demo.until("Ctrl-C ends it")
    port = int(text.split("your own to 127.0.0.1:")[1].split()[0])
    children = descendants(demo.process.pid)
    assert len(children) == 2
    c = RawClient(("127.0.0.1", port))
    c.quit()
    demo.until("closed: quit, 1 command,")
    assert demo.end(number) == (0 if number != signal.SIGKILL else -9)
    wait_until(lambda: not any(map(exists, children)), "the children's end")


def test_sink_keeps_messages_as_they_were(sink, tmp_path):
    s = sink("--store", str(tmp_path))
    c = RawClient(s.address)
    c.ehlo()
    c.mail()
    c.rcpt("one@mta.example")
    c.rcpt("two@mta.example")
    c.cmd("DATA", 354)
    c.send(b"Subject: x\r\n\r\n..a\r\n..\r\nb.\r\n.\r\n")
    name = c.expect(250).lines[0].split()[-1].decode()
    assert (tmp_path / f"{name}.eml").read_bytes() == b"Subject: x\r\n\r\n.a\r\n.\r\nb.\r\n"
    envelope = json.loads((tmp_path / f"{name}.json").read_text())
    assert envelope["mail_from"] == "a@client.example"
    assert envelope["rcpt_to"] == ["one@mta.example", "two@mta.example"]
    c.begin()
    c.send(b"half a message")
    c.close()
    assert s.end() == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{name}.eml", f"{name}.json"]
    assert f"{name} accepted" in s.text and "1 message accepted, 0 refused" in s.text


def test_sink_rules_have_exact_shares(sink):
    s = sink("--reply", "rcpt%25=450 4.2.1 busy", "--reply", "end%50=552 5.3.4 no")
    c = RawClient(s.address)
    c.ehlo()
    codes = []
    for _ in range(4):
        c.mail()
        codes += [c.cmd(f"RCPT TO:<{i}@mta.example>").code for i in range(2)]
        c.cmd("DATA", 354)
        c.send(b"x\r\n.\r\n")
        codes.append(c.reply().code)
    assert codes == [250, 250, 250, 250, 450, 552, 250, 250, 250, 250, 450, 552]
    assert s.end() == 0
    assert "--reply 'rcpt%25=450 4.2.1 busy': 2 of 8" in s.text
    assert "2 messages accepted, 2 refused" in s.text


@pytest.mark.parametrize("rule, said", [
    ("greeting=421 4.3.2 no", b"421 4.3.2 no\r\n"),
    ("helo=554 5.7.1 no", b"554 5.7.1 no\r\n"),
    ("data=451 4.3.0 no", b"451 4.3.0 no\r\n"),
    ("body=451 4.3.0 early", b"451 4.3.0 early\r\n"),
    ("helo=drop", None), ("body=drop", None), ("end=drop", None),
])
def test_sink_rules_act_where_they_say(sink, rule, said):
    s = sink("--reply", rule)
    c = RawClient(s.address, greet=False)
    c.send(b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n")
    got = b""
    try:
        while True:
            piece = c.sock.recv(4096)
            if not piece:
                break
            got += piece
        assert said is not None and said in got
    except ConnectionResetError:
        assert said is None
    assert s.end() == 0


def test_sink_waits_and_hangs(sink):
    s = sink("--reply", "mail=delay:200ms", "--reply", "rcpt=hang")
    c = RawClient(s.address)
    c.ehlo()
    began = time.monotonic()
    c.mail()
    assert 0.2 <= time.monotonic() - began < 2
    c.send(b"RCPT TO:<c@d.example>\r\n")
    c.silent(0.3)
    assert s.end() == 0


def test_tail_follows_through_rotation_and_truncation(tool, tmp_path):
    log = tmp_path / "log"
    record = '{"time":"2026-03-03T10:30:15.100000Z","tnx":"command","cid":"x","side":"client","line":"%s"}\n'
    log.write_text("".join(record % f"OLD {i}" for i in range(20)))
    t = tool("tail", "-n", "2", str(log))
    t.until("OLD 19")
    assert "OLD 17" not in t.text
    log.rename(tmp_path / "log.1")
    with open(tmp_path / "log.1", "a") as f:
        f.write(record % "LATE")
    t.until("LATE")
    log.write_text(record % "NEW, LONGER")
    t.until("NEW, LONGER")
    log.write_text(record % "AFTER")
    t.until("AFTER")
    assert t.text.count("OLD 19") == 1 and t.text.count("LATE") == 1


def test_tail_cannot_be_steered(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b'{"tnx":"command","side":"client","line":"\\u001b]0;x\\u0007"}\nplain \033[2J \x9b1m\n')
    r = subprocess.run([BINARY, "tail", "--no-follow", "--color", "always", str(log)], capture_output=True, env=ARROWS)
    assert b"\\x1b]0;x\\x07" in r.stdout and b"plain \\x1b[2J" in r.stdout
    assert b"\x9b" not in r.stdout and b"\033]" not in r.stdout and b"\033[2J" not in r.stdout


@pytest.mark.parametrize("args, shown", [
    (["--status", "rejected"], ["rejected"]), (["--level", "info"], ["rejected", "accepted"]),
    (["--cid", "2"], ["accepted"]), (["--domain", "x.example"], ["rejected"]), (["--client", "10.0.0.0/8"], ["accepted"]),
])
def test_tail_filters(tmp_path, args, shown):
    log = tmp_path / "log"
    rows = [dict(level="debug", tnx="command", cid="c3", side="client", line="QUIT", host="192.0.2.1"),
            dict(level="info", tnx="message", cid="c1", host="192.0.2.1", status="rejected", mail_from="a@x.example"),
            dict(level="info", tnx="message", cid="c2", host="10.0.0.1", status="accepted", mail_from="a@y.example")]
    log.write_text("".join(json.dumps(r) + "\n" for r in rows))
    r = run_tool("tail", "--no-follow", *args, str(log))
    assert r.returncode == 0
    assert [w for w in ("QUIT", "rejected", "accepted") if w in r.stdout] == shown
