#!/usr/bin/python3
"""What the program costs beside what people would use instead: client -> peer -> smtp-sink, all on loopback.

    bench.py --records
    bench.py [--peers direct,haproxy,nginx,smtptap,smtptap-debug] [--workloads W1,W2,W3,W4,W5,T1,T1r,T2,T3] [--rounds 5] [--secs 2]

W1  1 KiB, one message a connection, 50 sessions      W4  idle sessions after EHLO and after RCPT: memory of each
W2  1 KiB, many messages a connection, 50 sessions    W5  one session, one transaction after the other: latency
W3  1 MiB, many messages a connection, 8 sessions
smtptap-write, smtptap-fsync: with log.sync (TMPDIR says on which disk); smtptap-failed: with log.transcript
T1, T2, T3  as W1, W2, W3, the client's leg in TLS 1.3 (ECDSA P-256); T1r: T1 with TLS sessions resumed

--records: only what smtptap needs to write the records of W2 at debug; see bench_record.c.

Peers run interleaved in one round, in reversed order every other round; figures are medians over the rounds. `ratio` is
to `direct` (no peer, no TLS) of the same round, CPU is user + system of all the peer's processes, also as a ratio to HAProxy's
of the same round. Absolute figures mean nothing across machines: compare ratios of one run, and CPU first.
The table goes to stdout and to --out; progress to stderr. SMTPTAP names the program (default ./smtptap)."""
import argparse
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/libexec/postfix"
HZ = os.sysconf("SC_CLK_TCK")
WARM = 200
WORKLOADS = {  # bytes a message, sessions, whether each message has its own connection, messages of the first guess
    "W1": (1024, 50, True, 1000),
    "W2": (1024, 50, False, 3000),
    "W3": (1 << 20, 8, False, 48),
    "W5": (1024, 1, False, 500),
    "T1": (1024, 50, True, 500),
    "T1r": (1024, 50, True, 500),
    "T2": (1024, 50, False, 2000),
    "T3": (1 << 20, 8, False, 48),
}
LOAD = os.path.join(ROOT, "build", "release", "tests", "bench", "smtp_load")
RECORD = os.path.join(ROOT, "build", "release", "tests", "bench", "bench_record")


class Failed(Exception):
    pass


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def find(program):
    return shutil.which(program, path=PATH)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(condition, what, timeout=10):
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"waited in vain for {what}")
        time.sleep(0.01)


def answers(port, tls=False):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as s:
            if tls:
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                s = context.wrap_socket(s)
            return s.recv(100).startswith(b"220")
    except OSError:
        return False


# processes


def family(pid):
    """A process and its descendants."""
    found, todo = [], [pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children") as f:
                    todo += map(int, f.read().split())
    return found


def cpu_seconds(pid):
    """User and system time of the family, with that of children that have ended."""
    ticks = 0
    for one in family(pid):
        with contextlib.suppress(OSError), open(f"/proc/{one}/stat") as f:
            ticks += sum(map(int, f.read().rsplit(")", 1)[1].split()[11:15]))
    return ticks / HZ


def pss_kib(pid):
    total = 0
    for one in family(pid):
        with contextlib.suppress(OSError), open(f"/proc/{one}/smaps_rollup") as f:
            total += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))
    return total


class Process:
    """A child in a session of its own, ended by its process id."""

    def __init__(self, argv, log):
        self.log = open(log, "ab")
        self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                      start_new_session=True)
        self.pid = self.child.pid

    def end(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.child.wait()
        self.log.close()


class Sink:
    def __init__(self, run):
        self.port, self.out = free_port(), os.path.join(run, "sink.out")
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.process = Process([find("smtp-sink"), *user, "-c", "-m", "30000", f"127.0.0.1:{self.port}", "4096"],
                               self.out)
        wait_for(lambda: answers(self.port), "smtp-sink")

    def messages(self):
        with open(self.out, "rb") as f:
            f.seek(max(0, os.path.getsize(self.out) - 300))
            found = re.findall(rb"mesg=(\d+)", f.read())
        return int(found[-1]) if found else 0

    def end(self):
        self.process.end()


# peers: each takes (directory, its port, the sink's port, certificate and key in one file or None) and returns (command
# line, log files)


HAPROXY = """
global
    log stdout format raw local0
    maxconn {connections}
defaults
    mode tcp
    option tcplog
    log global
    timeout connect 10s
    timeout client 300s
    timeout server 300s
frontend smtp
    bind 127.0.0.1:{port} backlog 4096{tls}
    default_backend sink
backend sink
    server sink 127.0.0.1:{sink}
"""
NGINX = """
load_module {module};
daemon off;
pid {run}/nginx.pid;
worker_processes auto;
worker_rlimit_nofile {files};
error_log {run}/error.log info;
events {{ worker_connections {connections}; }}
mail {{
    server_name proxy.example;
    auth_http 127.0.0.1:{aux}/auth;
    smtp_auth none;
    smtp_capabilities "SIZE 52428800" 8BITMIME PIPELINING;
    xclient off;
    timeout 300s;
    proxy_timeout 300s;
    server {{ listen 127.0.0.1:{port} backlog=4096{tls}; protocol smtp; }}
}}
http {{
    access_log off;
    client_body_temp_path {run}/t1; proxy_temp_path {run}/t2; fastcgi_temp_path {run}/t3; uwsgi_temp_path {run}/t4; scgi_temp_path {run}/t5;
    server {{
        listen 127.0.0.1:{aux} backlog=4096;
        location /auth {{ add_header Auth-Status OK; add_header Auth-Server 127.0.0.1; add_header Auth-Port {sink}; return 204; }}
    }}
}}
"""
NGINX_MODULES = ("/usr/lib/nginx/modules/ngx_mail_module.so", "/usr/lib64/nginx/modules/ngx_mail_module.so",
                 "/usr/share/nginx/modules/ngx_mail_module.so")


def written(run, name, text):
    path = os.path.join(run, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def haproxy(run, port, sink, pem):
    connections = (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200) // 2
    config = written(run, "haproxy.cfg", HAPROXY.format(port=port, sink=sink, connections=connections,
                                                         tls=f" ssl crt {pem}" if pem else ""))
    return [find("haproxy"), "-f", config, "-db"], ["out"]


def nginx(run, port, sink, pem):
    module = next(m for m in NGINX_MODULES if os.path.exists(m))
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    text = NGINX.format(run=run, port=port, sink=sink, aux=free_port(), module=module, files=files,
                        connections=files - 100,
                        tls=f" ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {pem}; ssl_certificate_key {pem}" if pem else "")
    return [find("nginx"), "-p", run, "-e", f"{run}/error.log", "-c", written(run, "nginx.conf", text)], ["error.log"]


def smtptap(level, **log):
    def start(run, port, sink, pem):
        listener = {"address": f"127.0.0.1:{port}"}
        if pem:
            listener.update(tls="implicit", certificates=[{"cert": pem, "key": pem}])
        config = {
            "listeners": [listener],
            "server": {"hostname": "proxy.example", "reverse_dns": False, "received_header": "off"},
            "limits": {"max_connections": 30000},
            "timeouts": {"shutdown": "2s"},
            "upstream": {"servers": [f"127.0.0.1:{sink}"], "tls": "none", "identity": "none"},
            "log": {"level": level, "outputs": [{"type": "file", "path": f"{run}/smtptap.log"}], **log},
        }
        return [program(), "run", "-c", written(run, "smtptap.json", json.dumps(config))], ["smtptap.log"]
    return start


def program():
    return os.path.abspath(os.environ.get("SMTPTAP") or os.path.join(ROOT, "smtptap"))


PEERS = {"haproxy": haproxy, "nginx": nginx, "smtptap": smtptap("info"), "smtptap-error": smtptap("error"),
         "smtptap-debug": smtptap("debug"),
         "smtptap-write": smtptap("info", sync="write"), "smtptap-fsync": smtptap("info", sync="fsync"),
         "smtptap-failed": smtptap("debug", transcript="failed")}


def missing(peer):
    """Why a peer can't run here, or None."""
    if peer == "direct":
        return None
    if peer.startswith("smtptap"):
        return None if os.access(program(), os.X_OK) else f"{program()} is not there: run make"
    if not find(peer):
        return f"{peer} is not installed"
    if peer == "nginx" and not any(map(os.path.exists, NGINX_MODULES)):
        return "nginx has no mail module (libnginx-mod-mail)"
    return None


class Peer:
    """A peer between client and sink; `direct` is the sink itself."""

    def __init__(self, name, sink, run, tls=False):
        self.name, self.port, self.process, self.logs = name, sink.port, None, []
        if name == "direct":
            return
        where = tempfile.mkdtemp(prefix=name + "-", dir=run)
        os.chmod(where, 0o755)
        self.port = free_port()
        argv, logs = PEERS[name](where, self.port, sink.port, certificate(run) if tls else None)
        self.logs = [os.path.join(where, x) for x in logs]
        self.process = Process(argv, os.path.join(where, "out"))
        try:
            wait_for(lambda: answers(self.port, tls), f"{name} to answer")
        except Failed:
            self.end()
            with open(os.path.join(where, "out"), errors="replace") as f:
                raise Failed(f"{name} does not answer: {f.read()[-300:]}") from None

    def cpu(self):
        return cpu_seconds(self.process.pid) if self.process else 0.0

    def log_bytes(self):
        return sum(os.path.getsize(x) for x in self.logs if os.path.exists(x))

    def end(self):
        if self.process:
            self.process.end()


def certificate(run):
    """A certificate and its key in one file, as all peers read it."""
    path = os.path.join(run, "peer.pem")
    if not os.path.exists(path):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=proxy.example", "-keyout", path + ".key", "-out", path + ".crt"],
                       check=True, capture_output=True)
        with open(path, "w") as f:
            for part in (".crt", ".key"):
                with open(path + part) as one:
                    f.write(one.read())
        os.chmod(path, 0o644)
    return path


@contextlib.contextmanager
def chain(name, run, tls=False):
    sink = Sink(run)
    try:
        peer = Peer(name, sink, run, tls)
        try:
            yield peer, sink
        finally:
            peer.end()
    finally:
        sink.end()


# load


class Client:
    def __init__(self, port, source=None):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0) if source
                                             else None)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reply(b"220")

    def reply(self, code):
        data = b""
        while not (data.endswith(b"\n") and re.search(rb"(?:^|\n)\d{3} [^\n]*\n$", data)):
            more = self.sock.recv(65536)
            if not more:
                raise Failed("closed by the peer")
            data += more
        if not data.startswith(code):
            raise Failed(f"expected {code.decode()}, got {data[:100]!r}")

    def cmd(self, line, code=b"250"):
        self.sock.sendall(line + b"\r\n")
        self.reply(code)

    def transaction(self, message):
        self.cmd(b"MAIL FROM:<load@client.example>")
        self.cmd(b"RCPT TO:<rcpt@sink.example>")
        self.cmd(b"DATA", b"354")
        self.cmd(message + b"\r\n.")


def source(port, workload, messages, timeout=120):
    """smtp-source; returns the seconds that it took."""
    size, sessions, single, _ = WORKLOADS[workload]
    argv = [find("smtp-source"), "-s", str(min(sessions, messages)), "-m", str(messages), "-l", str(size), "-f",
            "load@client.example", "-t", "rcpt@sink.example"]
    if not single:
        argv.append("-d")
    start = time.monotonic()
    try:
        done = subprocess.run([*argv, f"127.0.0.1:{port}"], capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed("the load client was stuck") from None
    if done.returncode:
        raise Failed(done.stderr.decode("utf-8", "replace")[-200:])
    return time.monotonic() - start


def tls_load(port, workload, messages, tls):
    """Our own load client; returns (seconds, [])."""
    size, sessions, single, _ = WORKLOADS[workload]
    options = (["-T"] if tls else []) + (["-r"] if workload.endswith("r") else [])
    argv = [LOAD, "-p", str(port), "-s", str(min(sessions, messages)), "-m", str(messages), "-l", str(size), "-n",
            "1" if single else "0", *options]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        raise Failed("the load client was stuck") from None
    if done.returncode:
        raise Failed(f"the load client: {done.stdout}{done.stderr}"[-200:])
    return json.loads(done.stdout)["seconds"], []


def sequence(port, messages):
    """One session, one transaction after the other; returns (seconds, seconds of each)."""
    client, message, each = Client(port), b"Subject: x\r\n\r\n" + b"x" * 1000, []
    client.cmd(b"EHLO client.example")
    start = time.monotonic()
    for _ in range(messages):
        before = time.perf_counter()
        client.transaction(message)
        each.append(time.perf_counter() - before)
    spent = time.monotonic() - start
    client.cmd(b"QUIT", b"221")
    return spent, each


def measure(name, workload, messages, run):
    """One run of one peer: a dictionary of what was found."""
    tls = workload.startswith("T")
    with chain(name, run, tls) as (peer, sink):
        def load(n):
            if tls:
                return tls_load(peer.port, workload, n, name != "direct")
            return sequence(peer.port, n) if workload == "W5" else (source(peer.port, workload, n), [])

        warm = min(WARM, messages) if not workload.endswith("3") else 8
        load(warm)
        wait_for(lambda: sink.messages() >= warm, "the warm-up's messages")
        got, cpu, log = sink.messages(), peer.cpu(), peer.log_bytes()
        seconds, each = load(messages)
        wait_for(lambda: sink.messages() >= got + messages,
                 f"{messages} messages at the sink; it has {sink.messages() - got}")
        if peer.logs and name.startswith("smtptap"):  # records are batched for a moment
            wait_for(lambda: settled(peer), "the log")
        found = {"rate": messages / seconds, "cpu": (peer.cpu() - cpu) / messages * 1000,
                 "log": (peer.log_bytes() - log) / messages}
        if sink.messages() != got + messages:
            raise Failed(f"{sink.messages() - got} messages at the sink instead of {messages}")
        if each:
            each.sort()
            found.update(p50=each[len(each) // 2] * 1e6, p99=each[len(each) * 99 // 100] * 1e6)
        return found


def settled(peer):
    before = peer.log_bytes()
    time.sleep(0.12)
    return before == peer.log_bytes()


def record_cost(run):
    """Mean CPU time to write a record, for each kind, from the log of a run of W2."""
    with chain("smtptap-debug", run, False) as (peer, sink):
        source(peer.port, "W2", 2000)
        wait_for(lambda: sink.messages() >= 2000, "the messages")
        wait_for(lambda: settled(peer), "the log")
        return subprocess.run([RECORD, peer.logs[0]], stdout=subprocess.PIPE, text=True, check=True).stdout


def calibrated(name, workload, seconds, run):
    """How many messages take about this long."""
    guess = WORKLOADS[workload][3]
    rate = measure(name, workload, guess, run)["rate"]
    return max(guess // 4, int(rate * seconds))


def idle(name, count, stage, run):
    """Memory of each of many idle sessions, and what is left when they have gone."""
    with chain(name, run) as (peer, _):
        pid = peer.process.pid
        sequence(peer.port, 20)
        before, held = pss_kib(pid), []
        try:
            for i in range(count):
                held.append(Client(peer.port, f"127.0.1.{i % 250 + 1}"))
                held[-1].cmd(b"EHLO client.example")
                if stage == "rcpt":
                    held[-1].cmd(b"MAIL FROM:<load@client.example>")
                    held[-1].cmd(b"RCPT TO:<rcpt@sink.example>")
            during = pss_kib(pid)
        finally:
            for client in held:
                client.sock.close()
        wait_for(lambda: not connected(peer.port), "the sessions' end", 30)
        return {"each": (during - before) / count, "before": before, "after": pss_kib(pid)}


def connected(port):
    """Whether a connection to this port is still open on the server's side."""
    with open("/proc/net/tcp") as f:
        return any(x.split()[1].endswith(":%04X" % port) and x.split()[3] in ("01", "08") for x in f.readlines()[1:])


# rounds and tables


def rounds_of(workload, peers, options, run):
    """results[peer] = list of rounds, None where a run failed."""
    counts, results = {}, {p: [] for p in peers}
    for name in list(peers):
        try:
            counts[name] = calibrated(name, workload, options.secs, run)
        except (Failed, OSError) as e:
            say(f"{workload} {name}: {e}")
            results.pop(name)
    names = [p for p in peers if p in results]
    for n in range(options.rounds):
        for name in names if n % 2 == 0 else names[::-1]:
            try:
                found = measure(name, workload, counts[name], run)
                say(f"{workload} round {n + 1}/{options.rounds} {name}: {counts[name]} messages, {found['rate']:.0f}/s, {found['cpu']:.3f} CPU s/1000")
            except (Failed, OSError) as e:
                found = None
                say(f"{workload} round {n + 1}/{options.rounds} {name}: {e}")
            results[name].append(found)
    return results


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def show(value, form="{:.2f}"):
    return form.format(value) if value is not None else "-"


def ratios(mine, base, key):
    return [a[key] / b[key] if a and b and b[key] else None for a, b in zip(mine, base)]


def table(workload, results):
    size, sessions, single, _ = WORKLOADS[workload]
    over = {"T": " over TLS, resumed" if workload.endswith("r") else " over TLS"}.get(workload[0], "")
    lines = [f"### {workload}: {size} bytes, {sessions} session{'s' * (sessions > 1)}, {'one message' if single else 'many messages'} a connection{over}", ""]
    latency = workload == "W5"
    head = ["peer", "messages/s", "MB/s", "ratio to direct", "lowest - highest", "CPU s/1000", "CPU to HAProxy",
            "log bytes/message", "runs"]
    head += ["p50 µs", "p99 µs"] if latency else []
    lines += ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    none = []
    for name, found in results.items():
        to_direct = [r for r in ratios(found, results.get("direct", none), "rate") if r is not None]
        to_haproxy = ratios(found, results.get("haproxy", none), "cpu") if name != "direct" else []
        rate = median([f and f["rate"] for f in found])
        row = [name, show(rate, "{:.0f}"), show(rate and rate * size / 1e6, "{:.1f}"), show(median(to_direct)),
               f"{min(to_direct):.2f} - {max(to_direct):.2f}" if to_direct else "-",
               show(median([f and f["cpu"] for f in found]), "{:.3f}") if name != "direct" else "-",
               show(median(to_haproxy)), show(median([f and f["log"] for f in found]), "{:.0f}"),
               f"{sum(f is not None for f in found)}/{len(found)}"]
        if latency:
            row += [show(median([f and f["p50"] for f in found]), "{:.0f}"),
                    show(median([f and f["p99"] for f in found]), "{:.0f}")]
        lines.append("| " + " | ".join(row) + " |")
    return lines + [""]


def idle_table(peers, options, run):
    lines = [f"### W4: {options.idle} idle sessions", "",
             "| peer | stage | PSS KiB/session | PSS MiB before | PSS MiB after they left |",
             "| --- | --- | ---: | ---: | ---: |"]
    for name in (p for p in peers if p != "direct"):
        for stage in ("ehlo", "rcpt"):
            try:
                got = idle(name, options.idle, stage, run)
                say(f"W4 {name} {stage}: {got['each']:.2f} KiB a session")
                lines.append(f"| {name} | {stage} | {got['each']:.2f} | {got['before'] / 1024:.1f} | {got['after'] / 1024:.1f} |")
            except (Failed, OSError) as e:
                say(f"W4 {name} {stage}: {e}")
                lines.append(f"| {name} | {stage} | - | - | - |")
    return lines + [""]


def machine():
    with open("/proc/cpuinfo") as f:
        model = re.search(r"^model name\s*:\s*(.*)$", f.read(), re.M)
    return f"{os.cpu_count()} × {model.group(1) if model else os.uname().machine}, Linux {os.uname().release}, load {os.getloadavg()[0]:.1f} at the start"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--peers", default="direct,haproxy,nginx,smtptap,smtptap-debug")
    p.add_argument("--workloads", default="W1,W2,W3,W4,W5,T1,T1r,T2,T3")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--secs", type=float, default=2, help="about how long one run of a peer takes")
    p.add_argument("--idle", type=int, default=5000, help="sessions of W4")
    p.add_argument("--records", action="store_true", help="only the cost of writing records")
    p.add_argument("--out", default=os.path.join(ROOT, "build", "bench.md"))
    options = p.parse_args()
    for tool in ("smtp-source", "smtp-sink"):
        if not find(tool):
            sys.exit(f"bench: {tool} is not installed (it comes with Postfix)")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY:
        options.idle = max(1, min(options.idle, (hard - 500) // 2))
    peers = []
    for name in options.peers.split(","):
        if name != "direct" and name not in PEERS:
            p.error(f"no such peer: {name}; there are direct, {', '.join(PEERS)}")
        why = missing(name)
        say(f"without {name}: {why}") if why else peers.append(name)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.records:
        with tempfile.TemporaryDirectory(prefix="smtptap-bench-") as run:
            os.chmod(run, 0o755)
            print(record_cost(run), end="")
        return
    lines = ["# smtptap and its peers", "",
             f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, {machine()}; medians of {options.rounds} rounds",
             ""]
    with tempfile.TemporaryDirectory(prefix="smtptap-bench-") as run:
        os.chmod(run, 0o755)
        for workload in options.workloads.split(","):
            if workload == "W4":
                lines += idle_table(peers, options, run)
            elif workload in WORKLOADS:
                lines += table(workload, rounds_of(workload, peers, options, run))
            else:
                p.error(f"no such workload: {workload}")
    text = "\n".join(lines)
    print(text, flush=True)
    os.makedirs(os.path.dirname(os.path.abspath(options.out)), exist_ok=True)
    with open(options.out, "w") as f:
        f.write(text)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
