"""Real servers on loopback and free ports, each ended by closing its standard input: OpenSearch, Kafka, rsyslog."""
import http.client
import json
import os
import shutil
import subprocess

from harness.util import ROOT, Child, Reader, free_port, wait_until

BUILT = os.path.join(ROOT, "build", "stack")
DEPLOY = os.path.join(ROOT, "deploy")
BEGIN = 90  # seconds that a server may take to serve, on a busy machine


class Java:
    """A class of tests/stack that says `port N` when it serves."""

    def __init__(self, module, name, *args, heap="512m"):
        with open(os.path.join(BUILT, module, "classpath")) as f:
            path = os.path.join(BUILT, module, "classes") + ":" + f.read().strip()
        self.out, self.log = bytearray(), bytearray()
        self.process = subprocess.Popen(
            ["java", "-Xmx" + heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", path, name, *map(str, args)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.readers = [Reader(self.process.stdout.fileno(), self.out.extend),
                        Reader(self.process.stderr.fileno(), self.log.extend)]
        self.name = name

    def ready(self):
        def port():
            assert self.process.poll() is None, f"{self.name} ended: {bytes(self.out + self.log)[-3000:].decode()}"
            said = [line for line in bytes(self.out).split(b"\n")[:-1] if line.startswith(b"port ")]
            return int(said[-1].split()[1]) if said else None

        self.port = wait_until(port, lambda: f"{self.name}: {bytes(self.out)[-1500:].decode()}", BEGIN)
        return self

    def stop(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for reader in self.readers:
            reader.stop()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()


class OpenSearch:
    def __init__(self, directory, port=0):
        self.directory = directory
        self.java = Java("opensearch", "OpenSearchNode", directory, port, heap="1g").ready()
        self.port = self.java.port
        self.url = f"http://127.0.0.1:{self.port}"

    def call(self, method, path, body=None, kind="application/json"):
        """The status and the answer as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": kind} if data else {})
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()

    def ask(self, method, path, body=None, kind="application/json"):
        status, answer = self.call(method, path, body, kind)
        assert status < 300, f"{method} {path}: {status} {json.dumps(answer)[:2000]}"
        return answer

    def bulk(self, index, records):
        lines = (json.dumps({"create": {"_index": index}}) + "\n" + (r if isinstance(r, str) else json.dumps(r)) + "\n"
                 for r in records)
        answer = self.ask("POST", "/_bulk?refresh=true", "".join(lines).encode(), "application/x-ndjson")
        return [one["create"] for one in answer["items"]]

    def refresh(self):
        self.ask("POST", "/smtptap-*/_refresh?ignore_unavailable=true")

    def count(self, index="smtptap-*", query=None):
        """-1 while an index is being made."""
        self.refresh()
        status, answer = self.call("POST", f"/{index}/_count?ignore_unavailable=true",
                                   {"query": query or {"match_all": {}}})
        assert status in (200, 503), answer
        return answer["count"] if status == 200 else -1

    def ingested(self):
        """How many records our pipeline has taken, also those that the index then refused."""
        nodes = self.ask("GET", "/_nodes/stats/ingest")["nodes"]
        return sum(n["ingest"]["pipelines"]["smtptap-native"]["count"] for n in nodes.values())

    def documents(self, index="smtptap-*", query=None):
        """Every document, as (id, index, source)."""
        self.refresh()
        body = {"size": 10000, "query": query or {"match_all": {}}, "sort": [{"@timestamp": "asc"}, {"seq": "asc"}]}
        answer = self.ask("POST", f"/{index}/_search", body)
        hits = answer["hits"]
        assert hits["total"] == {"value": len(hits["hits"]), "relation": "eq"}, hits["total"]
        return [(h["_id"], h["_index"], h["_source"]) for h in hits["hits"]]

    def search(self, panel, query=None):
        """The answer to a panel's query."""
        body = dict(panel["body"])
        if query:
            body["query"] = {"bool": {"must": [body["query"]], "filter": query}}
        return self.ask("POST", f"/{panel['index']}/_search", body)

    def install(self):
        done = subprocess.run(["sh", os.path.join(DEPLOY, "elk", "install.sh"), self.url], capture_output=True, text=True,
                              timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def stop(self):
        self.java.stop()


class Kafka:
    def __init__(self, directory):
        self.java = Java("kafka", "KafkaBroker", directory, free_port(), free_port()).ready()
        self.address = f"127.0.0.1:{self.java.port}"

    def topic(self, name, count, timeout=30):
        """The first `count` messages of a topic and whatever else is there by then: (partition, key, value) each."""
        def read():
            done = subprocess.run(
                ["kcat", "-b", self.address, "-C", "-t", name, "-e", "-q", "-o", "beginning", "-f", "%p\t%k\t%s\n"],
                capture_output=True, timeout=60)
            found = [line.split(b"\t", 2) for line in done.stdout.split(b"\n")[:-1]]
            self.seen = len(found), done.stderr
            return found if len(found) >= count else None

        return [(int(p), k.decode(), v) for p, k, v in
                wait_until(read, lambda: f"{count} messages in {name}; had {self.seen}", timeout)]

    def stop(self):
        self.java.stop()


def configured(path, directory, *changes):
    """A file of deploy/ with a few words replaced, in `directory`; each word must be there."""
    with open(os.path.join(DEPLOY, path)) as f:
        text = f.read()
    for old, new in changes:
        assert old in text, f"{old!r} is not in {path}"
        text = text.replace(old, new)
    made = os.path.join(directory, os.path.basename(path))
    with open(made, "w") as f:
        f.write(text)
    return made


class Rsyslog:
    """A private rsyslogd with one of our files, as it would be included by /etc/rsyslog.conf."""

    def __init__(self, directory, path, *changes):
        self.directory = directory
        self.work = os.path.join(directory, "rsyslog")
        os.makedirs(self.work, exist_ok=True)
        self.included = configured(path, directory, ("/var/spool/rsyslog", self.work), *changes)
        self.main = os.path.join(directory, "rsyslog.conf")
        self.said = os.path.join(directory, "rsyslog.out")
        with open(self.main, "w") as f:
            f.write(f'global(workDirectory="{self.work}")\ninclude(file="{self.included}")\n'
                    f'action(type="omfile" file="{self.work}/own.log")\n')

    def check(self):
        return subprocess.run([self.program(), "-N1", "-f", self.main], capture_output=True, text=True, timeout=30)

    @staticmethod
    def program():
        return shutil.which("rsyslogd", path="/usr/sbin:/usr/bin")

    def start(self):
        with open(self.said, "ab") as f:
            self.child = Child([self.program(), "-n", "-f", self.main, "-i", os.path.join(self.directory, "rsyslog.pid")],
                               stdout=f, stderr=f)
        return self

    def stop(self):
        self.child.end(timeout=60)

    def forget(self):
        """How far the files have been read."""
        for name in os.listdir(self.work):
            if name.startswith("imfile-state"):
                os.unlink(os.path.join(self.work, name))

    def own(self):
        """What rsyslog says of itself, and what it could not send or read."""
        with open(self.said) as f:
            out = f.read()[-3000:]
        for name in ("own.log", "smtptap-refused.json", "smtptap-unparsed", "smtptap-errors.json"):
            try:
                with open(os.path.join(self.work, name)) as f:
                    out += f"-- {name}\n" + f.read()[-3000:]
            except FileNotFoundError:
                pass
        return out
