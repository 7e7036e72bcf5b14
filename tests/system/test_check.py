"""`smtptap check`, and what `run` and a reload say of a faulty configuration: everything at once, as a person needs it."""
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile

import pytest

from harness.tap import BINARY, environment, run_tool
from harness.util import wait_until

COMMANDS = ["demo", "run", "check", "tail", "verify", "sink", "help", "version"]
FAULTY = {"tls": {"certificates": [{"cert": "/nonexistent/c", "key": "/nonexistent/k"}]},
          "upstream": {"password": "x"}, "workers": "4"}
TOLD = ["tls.certificates[0].cert: /nonexistent/c: No such file", "tls.certificates[0].key: /nonexistent/k: No such file",
        'upstream.password: unknown key; did you mean "password_file"?', '"4" is not "auto" or a whole number']


def check(path, *more):
    return run_tool("check", "-c", str(path), *more)


@pytest.mark.parametrize("content, code, words", [
    (b"", 1, ":1: the file is empty"),
    (b"\xef\xbb\xbf{}", 0, ": no faults, no warnings"),
    ("{}".encode("utf-16"), 1, ":1: the file is UTF-16: save it as UTF-8"),
    (b"# comment\n{}", 1, ":1: expected an object: {, found #: comments begin with // or /*"),
    (b"server:\n  hostname: x\n", 1, ":1: expected an object: {, found server: the file is JSON"),
    (b"\x7fELF\x02\x01", 1, ":1: expected an object: {, found ?"),
    (b"{" + b" " * (4 << 20) + b"}", 1, ": is larger than 4 MiB"),
    (b'{\n"workers": 1,\n}\n', 1, ':2: the comma before "}" is one too many'),
    (b'{\n"workers": 1\n"user": "root"}\n', 1, ":2: a comma is missing at the end of this line, or before what follows"),
    (b'{\n"user: "root"}\n', 1, ':2: expected ":", found root: a double quote may be missing before it'),
    (b'{"server": {\n"banner": "x"\n', 1, ':3: found the end of the file: the "{" of line 1 has no "}"'),
], ids=lambda x: x.decode("latin1")[:12] if isinstance(x, bytes) else None)
def test_files(tmp_path, content, code, words):
    path = tmp_path / "c.json"
    path.write_bytes(content)
    got = check(path)
    assert got.returncode == code and f"{path}{words}" in got.stderr, got.stderr
    assert got.stderr.splitlines()[-1].startswith(f"{path}: {'1 fault' if code else 'no faults'}, ")


def test_no_file(tmp_path):
    for path, why in ((tmp_path, "Is a directory"), (tmp_path / "no", "No such file"), (tmp_path / "c" / "d", "No such")):
        got = check(path)
        assert got.returncode == 1 and f"{path}: can't be read: {why}" in got.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_unreadable_file(tmp_path):
    path = tmp_path / "c.json"
    path.write_text("{}")
    path.chmod(0)
    script = ("import os, sys; os.chdir('/'); os.setgid(65534); os.setuid(65534);"
              "os.execv(sys.argv[1], sys.argv[1:])")
    # the program and the directories above the file may be closed to others: by open descriptors
    fd, program = os.open(path, os.O_PATH), os.open(BINARY, os.O_RDONLY)
    got = subprocess.run(["python3", "-c", script, f"/proc/self/fd/{program}", "check", "-c", f"/proc/self/fd/{fd}"],
                         capture_output=True, text=True, pass_fds=(fd, program), env=environment())
    os.close(fd), os.close(program)
    assert got.returncode == 1 and "can't be read: Permission denied" in got.stderr, got.stderr


def test_everything_at_once(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(FAULTY, indent=1))
    got = check(path)
    assert got.returncode == 1
    for words in TOLD:
        assert words in got.stderr, got.stderr
    assert got.stderr.endswith("c.json: 4 faults, no warnings\n")
    run = run_tool("run", "-c", str(path))
    assert run.returncode == 1 and run.stderr.splitlines() == got.stderr.splitlines()[:-1] and not run.stdout


def test_reload_tells_everything(world):
    tap = world.tap(world.mta())
    config = json.load(open(tap.path))
    for key, value in FAULTY.items():
        config[key] = {**config.get(key, {}), **value} if isinstance(value, dict) else value
    with open(tap.path, "w") as f:
        json.dump(config, f)
    tap.child.send_signal(signal.SIGHUP)

    def told():
        return [r for r in tap.records() if "not reloaded" in r["msg"]]
    wait_until(told, "the refusal is in the log")
    assert told()[0]["ok"] is False and "(and 3 more, all on stderr)" in told()[0]["err"]["message"]
    # stderr comes by another pipe than the log
    wait_until(lambda: all(words in tap.errors() for words in TOLD), lambda: f"every fault; stderr {tap.errors()!r}")
    c = tap.client()
    c.ehlo()
    c.quit()


def test_no_mail_could_ever_work(world, certs):
    """Refused by run as by check; the same listener behind a peer that sees to the login serves."""
    path = world.path("c.json")
    for server, auth in (({"require_tls": True}, {}), ({}, {"mode": "required"}), ({"disabled_commands": ["RCPT"]}, {})):
        with open(path, "w") as f:
            json.dump({"listeners": [{"address": "127.0.0.1:0"}], "server": server, "auth": auth}, f)
        for command in ("check", "run"):
            assert run_tool(command, "-c", path).returncode == 1
    config = {"auth": {"mode": "required"}, "server": {"xclient": ["127.0.0.1"]}}
    tap = world.tap(world.mta(), config)
    c = tap.client()
    c.ehlo()
    c.cmd("MAIL FROM:<a@x.example>", 530)
    c.cmd("XCLIENT LOGIN=bob", 220)
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()


def told_by_both(path, config):
    """What check and run refuse it for, without the file's name."""
    path.write_text(json.dumps(config, indent=1))
    got, run = check(path), run_tool("run", "-c", str(path))
    assert run.returncode == 1 and not run.stdout and run.stderr.splitlines() == got.stderr.splitlines()[:-1]
    assert got.returncode == 1
    return [line.split(": ", 1)[1] for line in run.stderr.splitlines()]


@pytest.mark.parametrize("first, second, there", [
    ("log", "./log", False), ("log", "d/../log", False), ("log", "same/log", False), ("d/log", "link/log", False),
    ("log", "soft", False), ("log", "soft", True), ("log", "softer", False), ("log", "hard", True),
    ("d/log", "deep", False),
])
def test_one_file_under_two_names(tmp_path, first, second, there):
    (tmp_path / "d").mkdir()
    for name, to in (("same", "."), ("link", tmp_path / "d"), ("soft", "log"), ("softer", "d/../soft"),
                     ("deep", "link/log")):
        (tmp_path / name).symlink_to(to)
    if there:
        (tmp_path / "log").touch()
        os.link(tmp_path / "log", tmp_path / "hard")
    for one, other in ((first, second), (second, first)):
        outputs = [{"type": "file", "path": f"{tmp_path}/{name}"} for name in (one, other)]
        told = told_by_both(tmp_path / "c.json", {"log": {"outputs": outputs}})
        assert told == [f'log.outputs[1]: "{tmp_path}/{other}" is the same file as log.outputs[0], "{tmp_path}/{one}"']


def test_stdout_is_an_output_too(tmp_path):
    path, log = tmp_path / "c.json", tmp_path / "log"
    path.write_text(json.dumps({"log": {"outputs": [{"type": "stdout"}, {"type": "file", "path": str(log)}]}}))
    with open(log, "a") as f:
        got = subprocess.run([BINARY, "run", "-c", path], stdout=f, stderr=subprocess.PIPE, text=True, timeout=60,
                             env=environment())
    assert got.returncode == 1 and f'"{log}" is the same file as log.outputs[0], "stdout"' in got.stderr


@pytest.mark.parametrize("other, told", [
    ("log.1", "puts an old file"), ("./log.3", "puts an old file"), ("soft", "puts an old file"),
    ("log.4", None), ("log.01", None), ("log.1x", None), ("d/log.1", None), ("log.head", "has the head of its chain"),
    ("d/../log.head", "has the head of its chain"), ("log.heads", None),
])
@pytest.mark.parametrize("turned", [False, True])
def test_names_that_an_output_makes(tmp_path, other, told, turned):
    (tmp_path / "d").mkdir()
    (tmp_path / "soft").symlink_to("log.2")
    (tmp_path / "key").write_text("k" * 32)
    (tmp_path / "key").chmod(0o600)
    outputs = [{"type": "file", "path": f"{tmp_path}/log", "rotate_size": "16KiB", "rotate_keep": 3},
               {"type": "file", "path": f"{tmp_path}/{other}"}]
    config = {"log": {"outputs": outputs[::-1] if turned else outputs, "integrity": "chain",
                      "integrity_key_file": f"{tmp_path}/key"}}
    path = tmp_path / "c.json"
    if told is None:
        path.write_text(json.dumps(config))
        got = check(path)
        assert got.returncode == 0, got.stderr
        return
    lines = told_by_both(path, config)
    mine, owner = (0, 1) if turned else (1, 0)
    assert len(lines) == 1 and lines[0].startswith(
        f'log.outputs[{mine}].path: "{tmp_path}/{other}" is where log.outputs[{owner}], "{tmp_path}/log", {told}'), lines


def test_names_that_nobody_makes(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"log": {"outputs": [
        {"type": "file", "path": f"{tmp_path}/log{end}"} for end in ("", ".1", ".head")]}}))
    assert check(path).returncode == 0


def test_an_output_that_cannot_be_opened(tmp_path):
    path = tmp_path / "c.json"
    path.write_text('{"listeners": [{"address": "127.0.0.1:0"}],\n"log": {"outputs": [\n'
                    '{"type": "file", "path": "/nonexist/x.json"}]}}')
    run = run_tool("run", "-c", str(path))
    assert run.returncode == 1
    assert run.stderr == f"{path}:3: log.outputs[0]: /nonexist/x.json: No such file or directory\n"


def rights_told(path):
    got = check(path)
    assert got.returncode == 0, got.stderr
    return [line for line in got.stderr.splitlines() if "can't read" in line]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_files_that_the_user_cannot_read(certs):
    """Root, who checks, can; the user, who reloads, can't."""
    with tempfile.TemporaryDirectory(dir="/tmp") as top:  # pytest's own directories are closed to others
        os.chmod(top, 0o755)
        os.mkdir(f"{top}/d", 0o755)
        for name, source in zip(("cert", "key"), certs.a):
            shutil.copy(source, f"{top}/{name}")
        for name, text in (("users", "bob:{PLAIN}secret\n"), ("d/password", "secret\n")):
            with open(f"{top}/{name}", "w", encoding="ascii") as f:
                f.write(text)
        for name, mode in (("cert", 0o644), ("key", 0o600), ("users", 0o600), ("d/password", 0o600)):
            os.chmod(f"{top}/{name}", mode)
        os.symlink(f"{top}/d", f"{top}/link")
        path = f"{top}/c.json"
        config = {"user": "nobody", "tls": {"certificates": [{"cert": f"{top}/cert", "key": f"{top}/key"}]},
                  "auth": {"mode": "optional", "backend": "file", "file": f"{top}/users"},
                  "upstream": {"servers": ["127.0.0.1:25"], "username": "u", "password_file": f"{top}/link/password"}}
        with open(path, "w", encoding="ascii") as f:
            json.dump(config, f, indent=1)
        os.chmod(path, 0o644)
        told = rights_told(path)
        for key, name in (("tls.certificates[0].key", "key"), ("auth.file", "users"),
                          ("upstream.password_file", "link/password")):
            assert any(f'{key}: warning: user "nobody" can\'t read "{top}/{name}"' in x and "mode 0600" in x
                       for x in told), told
        assert len(told) == 3
        gid = pwd.getpwnam("nobody").pw_gid
        os.chown(f"{top}/key", 0, gid)
        os.chmod(f"{top}/key", 0o640)
        os.chown(f"{top}/users", pwd.getpwnam("nobody").pw_uid, 0)
        os.chmod(f"{top}/d/password", 0o644)
        assert not rights_told(path)
        os.chmod(f"{top}/d", 0o700)
        assert [f'"{top}/d" has mode 0700' in x for x in rights_told(path)] == [True]
        os.chmod(f"{top}/d", 0o711)
        os.chmod(path, 0o600)
        assert [f'user: warning: user "nobody" can\'t read "{path}"' in x for x in rights_told(path)] == [True]
        config["user"] = "root"
        with open(path, "w", encoding="ascii") as f:
            json.dump(config, f)
        assert not rights_told(path)


def test_print_shows_what_is_in_force(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"auth": {"mode": "optional"}, "upstream": {"servers": ["mx.example.com:25"]}}))
    shown = json.loads(check(path, "--print").stdout)
    assert shown["upstream"]["tls"] == shown["listeners"][0]["upstream"]["tls"] == "required"
    assert shown["upstream"]["tls_verify"] is True


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_screen(command):
    for args in ((command, "--help"), (command, "-h"), ("help", command)):
        got = run_tool(*args)
        lines = got.stdout.splitlines()
        assert got.returncode == 0 and not got.stderr and lines[0].startswith(f"usage: smtptap {command}")
        assert 3 <= len(lines) <= 23 and max(map(len, lines)) <= 79
    got = run_tool(command, "--no-such-option")
    assert got.returncode == 2 and not got.stdout and f"smtptap help {command}" in got.stderr


def test_overview_fits_a_screen():
    for args in (("help",), ("--help",), ("-h",)):
        got = run_tool(*args)
        lines = got.stdout.splitlines()
        assert got.returncode == 0 and len(lines) <= 23 and max(map(len, lines)) <= 79
        assert all(f"\n  {c} " in got.stdout for c in COMMANDS)
