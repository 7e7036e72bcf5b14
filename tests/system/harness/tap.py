"""The program under test: its configuration, its process, its log, and what must hold when it ends."""
import copy
import json
import os
import re
import signal
import subprocess

import pytest

from .client import RawClient
from .records import Ledger, Log
from .util import DEADLINE, ROOT, Child, Reader, wait_until

BINARY = os.path.abspath(os.environ.get("SMTPTAP") or os.path.join(ROOT, "smtptap"))
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|MemorySanitizer|runtime error:|==\d+==")
BASE = {
    "listeners": [{"address": "127.0.0.1:0"}],
    "server": {"hostname": "tap.example", "reverse_dns": False, "received_header": "off"},
    "timeouts": {"shutdown": "2s"},
    "upstream": {"servers": [], "tls": "none", "identity": "none"},
    "log": {"level": "debug", "outputs": [{"type": "stdout"}]},
    "workers": 2,
}


def merged(base, changes):
    """Objects are merged, everything else is replaced; None takes a key away."""
    out = copy.deepcopy(base)
    for key, value in changes.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merged(out[key], value)
        else:
            out[key] = copy.deepcopy(value)
    return out


def environment(more=None):
    env = dict(os.environ, **(more or {}))
    for name, more in (("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99"),
                       ("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1:exitcode=99"),
                       ("TSAN_OPTIONS", "exitcode=99")):
        env[name] = ":".join(x for x in (env.get(name), more) if x)
    return env


def run_tool(*args, timeout=DEADLINE):
    """A subcommand that ends by itself."""
    return subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=timeout, env=environment(),
                          stdin=subprocess.DEVNULL)


class Smtptap:
    def __init__(self, workdir, upstream=(), config=None, level="debug", start=True, limit=None, args=None,
                 env=None):
        """upstream: ScriptedMta objects or addresses."""
        if not os.access(BINARY, os.X_OK):
            raise RuntimeError(f"{BINARY} is not there: run `make`, or name the program by the variable SMTPTAP")
        self.upstream = upstream if isinstance(upstream, (list, tuple)) else [upstream]
        servers = [getattr(u, "address", u) for u in self.upstream]
        self.config = merged(BASE, {"upstream": {"servers": servers}, "log": {"level": level}})
        self.config = merged(self.config, config or {})
        self.level = level
        self.path = os.path.join(workdir, "smtptap.json")
        drop = "drop" in self.config["log"].get("redact", {}).values()
        self.log = Log(self.config["log"].get("max_record", 8000), ("host", "mail_from", "rcpt_to") if drop else ())
        self.stderr = bytearray()
        self.clients, self.stopped = [], False
        self.mark = 0  # where in the log the running test began
        self.limit, self.args, self.env = limit, args, env
        self.write_config()
        if start:
            self.start()

    def write_config(self):
        with open(self.path, "w") as f:
            json.dump(self.config, f, indent=1)

    def start(self):
        out_r, out_w = os.pipe()
        err_r, err_w = os.pipe()
        try:
            argv = [BINARY, "run", *(self.args or ["-c", self.path])]
            self.child = Child(argv, env=environment(self.env), stdout=out_w, stderr=err_w, limit=self.limit)
        finally:
            os.close(out_w)
            os.close(err_w)
        self.readers = [Reader(out_r, self.log.feed), Reader(err_r, self.stderr.extend)]
        self.pid = self.child.pid

    def ready(self):
        """Waits for the listen record of every listener."""
        def state():
            if self.child.returncode is not None:
                self.readers[1].join(DEADLINE)
            if self.child.returncode == 1 and "is not built into this version" in self.errors():
                self.kill()
                pytest.skip(self.errors().strip())
            if self.child.returncode is not None:
                raise AssertionError(f"the program ended with {self.child.returncode}: {self.errors()}")
            if self.log.bad:
                raise self.log.bad
            return len(self.log.find("listen")) >= len(self.config["listeners"])

        wait_until(state, lambda: f"listen records; had {self.log.list}, stderr {self.errors()!r}")
        return self

    def errors(self):
        return bytes(self.stderr).decode("utf-8", "replace")

    def addresses(self):
        return [(r["host"], r["port"]) for r in self.log.find("listen")]

    @property
    def port(self):
        return self.addresses()[0][1]

    def client(self, address=None, **options):
        if address is None:
            address = self.addresses()[0]
        c = RawClient(address, **options)
        self.clients.append(c)
        return c

    def wait(self, tnx=None, **keys):
        return self.log.wait(tnx, **keys)

    def records(self, tnx=None, **keys):
        return self.log.find(tnx, **keys)

    def message(self, count=1, **keys):
        """The count-th message record that matches."""
        return self.log.wait("message", count=count, **keys)

    def cid_of(self, client):
        """Ports are used again: the connection is the one after those of earlier clients with this port."""
        earlier = self.clients[:self.clients.index(client)]
        nth = 1 + sum(c.record_port == client.record_port for c in earlier)
        return self.log.wait("connection", count=nth, side="client", port=client.record_port)["cid"]

    def session(self, client):
        """The records of this client's session, once it has ended."""
        cid = self.cid_of(client)
        self.log.wait("close", side="client", cid=cid)
        return self.log.find(cid=cid)

    def closed(self, client):
        return self.log.wait("close", side="client", cid=self.cid_of(client))

    def send_signal(self, number):
        self.child.send_signal(number)

    def stop(self, status=0, lost=0, check=True, signum=signal.SIGTERM, timeout=None):
        """Ends the program and checks its books."""
        if self.stopped:
            return
        self.stopped = True
        try:
            for reader in filter(None, self.readers):
                reader.flowing.set()
            if self.child.returncode is None and signum:
                self.child.send_signal(signum)
            try:
                code = self.child.wait(timeout)
            except subprocess.TimeoutExpired:
                self.child.send_signal(signal.SIGKILL)
                self.child.wait()
                code = "no end in time"
            for reader in filter(None, self.readers):
                reader.join(DEADLINE)
        finally:
            self.release()
        report = SANITIZER.search(self.errors())
        assert not report, f"sanitizer report:\n{self.errors()[-6000:]}"
        assert code == status, f"exit status {code} instead of {status}; stderr: {self.errors()[-2000:]}"
        if check:
            self.check(lost)

    def kill(self):
        """For the end of a test that has failed, or that has killed the program itself."""
        if not self.stopped:
            self.stopped = True
            self.release()

    def release(self):
        self.child.end(signal.SIGKILL)
        self.close_output(0)
        self.close_output(1)

    def close_output(self, which):
        """Closes our end of its stdout (0) or stderr (1)."""
        reader = self.readers[which]
        if reader:
            self.readers[which] = None
            reader.stop()
            os.close(reader.fd)

    def check(self, lost=0, log=None, whole=True):
        ledger = Ledger(log or self.log, self.level, whole, lost)
        ledger.check()
        if self.config["log"].get("transcript") != "failed":
            ledger.check_logins()
        for client in self.clients:
            ledger.check_client(client)
        for mta in self.upstream:
            for session in getattr(mta, "sessions", ()):
                ledger.check_upstream(session, mta.port)
        return ledger


def read_log(path, max_record=8000):
    """A log file as it stands."""
    log = Log(max_record)
    with open(path, "rb") as f:
        log.feed(f.read())
    return log
