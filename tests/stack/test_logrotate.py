"""The real logrotate while mail flows: every record is in one of the files, once, and none is cut."""
import glob
import gzip
import os
import shutil
import subprocess
import time

import traffic
from harness.records import Ledger, Log
from harness.tap import Smtptap
from harness.util import wait_until
from servers import configured


def rotate(world, config, pid):
    """logrotate -f; the systemctl of its postrotate reaches our process."""
    tools = world.path("tools")
    os.makedirs(tools, exist_ok=True)
    fake = os.path.join(tools, "systemctl")
    with open(fake, "w") as f:
        f.write('#!/bin/sh\n[ "$*" = "kill --kill-who=main --signal=SIGUSR1 smtptap.service" ] && kill -USR1 '
                f"{pid}\n")
    os.chmod(fake, 0o755)
    program = shutil.which("logrotate", path="/usr/sbin:/usr/bin")
    done = subprocess.run([program, "-v", "-f", "-s", world.path("state"), config], capture_output=True, text=True,
                          timeout=30, env=dict(os.environ, PATH=tools + ":" + os.environ["PATH"]))
    assert done.returncode == 0 and "error" not in done.stderr.lower(), done.stderr
    return done


def test_no_record_is_lost(world, certs):
    logs = world.path("logs")
    os.mkdir(logs, 0o755)
    path = os.path.join(logs, "smtptap.json")
    config = configured("logrotate/smtptap", world.dir, ("/var/log/smtptap/", logs + "/"))
    os.chmod(config, 0o644)
    up = traffic.upstream(certs)
    world.mtas.append(up)
    tap = Smtptap(world.workdir(), up, traffic.configuration(certs, [{"type": "file", "path": path}, {"type": "stdout"}]))
    world.taps.append(tap)
    tap.ready()
    for n in range(3):
        traffic.send(tap, 1)
        with open(path, "rb") as f:
            inode = os.fstat(f.fileno()).st_ino
        rotate(world, config, tap.pid)
        wait_until(lambda: os.path.exists(path) and os.stat(path).st_ino != inode, "the new file")
        wait_until(lambda: len(glob.glob(path + "-*")) == n + 1, lambda: f"{n + 1} rotated files, {os.listdir(logs)}")
        wait_for_next_second()
    traffic.send(tap, 1)
    for client in tap.clients:
        client.close()
    tap.stop()
    log = Log()
    rotated = sorted(glob.glob(path + "-*"))
    assert [name.endswith(".gz") for name in rotated] == [True, True, False], rotated
    for name in [*rotated, path]:
        with (gzip.open if name.endswith(".gz") else open)(name, "rb") as f:
            data = f.read()
        assert data.endswith(b"\n"), f"{name} ends in half a record"
        log.feed(data)
    Ledger(log, "debug").check()
    assert bytes(log.raw) == bytes(tap.log.raw)


def wait_for_next_second():
    """The names of rotated files count seconds."""
    now = int(time.time())
    wait_until(lambda: int(time.time()) > now, "the next second", 3)
