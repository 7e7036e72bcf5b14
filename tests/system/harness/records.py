"""The log as the contract has it: each line parsed strictly, and the books that must balance at the end."""
import json
import re
import threading
import time

from .util import DEADLINE, Timeout

HEAD = ["time", "level", "component", "tnx", "cid", "tid", "side", "user", "host"]
TAIL = ["msg", "run", "seq"]
LEVEL = {
    "listen": "info", "connection": "info", "proxy": "info", "sni": "debug", "starttls": "info", "caps": "debug",
    "auth": "info", "deauth": "info", "xclient": "info", "xforward": "info", "command": "debug", "send": "debug",
    "data": "debug", "policy": "info", "rcpt": "info", "message": "info", "error": "error", "close": "info",
    "dropped": "error", "reload": "info", "closing": "info", "closed": "info",
}
number = (int, float)
KEYS = {  # kind -> key -> type; keys that start with "?" may be missing
    "listen": {"host": str, "?port": int, "secure": bool, "protocol": str},
    "connection": {"cid": str, "side": str, "host": str, "?port": int, "?hostname": str, "?listener": str},
    "command": {"cid": str, "side": str, "command": str, "line": str},
    "send": {"cid": str, "side": str, "code": int, "?enhanced": str, "lines": list, "?ms": number},
    "data": {"cid": str, "tid": str, "side": str, "bytes": int, "?ms": number},
    "rcpt": {"cid": str, "tid": str, "mail_from": str, "rcpt_to": str, "?rcpt_domain": str, "status": str, "stage": str,
             "?code": int, "?enhanced": str, "?smtp_response": str, "decided_by": str, "?class": str},
    "message": {"cid": str, "tid": str, "listener": str, "host": str, "?helo": str, "protocol": str, "mail_from": str,
                "rcpt_to": list, "rcpt_count": int, "rcpt_accepted": int, "recipients": list, "status": str,
                "client_replied": bool, "?code": int, "?enhanced": str, "?smtp_response": str, "stage": str,
                "?class": str, "?anomalies": list, "decided_by": str, "?size": int, "?message_id": str, "?subject": str,
                "?headers": dict, "?body": str, "?smtputf8": bool, "?dsn": dict, "tls": dict, "?upstream": dict,
                "timing": dict},
    "error": {"err": dict, "?side": str, "?stage": str},
    "close": {"cid": str, "side": str, "host": str, "reason": str, "duration_ms": number, "bytes_in": int,
              "bytes_out": int, "commands": int, "messages": int, "errors": int},
    "dropped": {"output": str, "records": int},
    "reload": {"ok": bool},
    "closing": {"pending": int},
    "closed": {},
    "caps": {"cid": str, "offered": list, "upstream": list, "?withheld": list},
    "auth": {"?method": str, "result": str},
}
JOINING = {"cid", "tid", "status", "code", "queue_id", "message_id", "seq"}  # never cut away
STATUS = {"accepted", "deferred", "rejected", "indeterminate", "aborted", "reset"}
STAGE = {"mail", "rcpt", "data", "transfer", "end"}
BY = {"upstream", "smtptap", "policy", "client"}
REASON = {"quit", "gone", "timeout", "tls", "protocol", "limit", "policy", "upstream", "shutdown"}
CLASS = {"unknown-user", "mailbox-full", "greylisted", "rate-limit", "reputation", "content", "auth-policy",
         "relay-denied", "bad-sender", "size", "tls", "protocol", "network", "local", "other"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
ENHANCED = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}(?: |$)")


class Bad(AssertionError):
    pass


def _pairs(pairs):
    keys = [k for k, _ in pairs]
    if len(set(keys)) != len(keys):
        raise Bad(f"a key stands twice: {keys}")
    return dict(pairs)


def _no_constant(word):
    raise Bad(f"{word} is not JSON")


def parse_line(line, max_record=8000, dropped=()):
    """One line without its LF -> dict, or Bad."""
    if len(line) + 1 > max_record:
        raise Bad(f"record of {len(line) + 1} bytes: {line[:200]!r}")
    try:
        text = line.decode("utf-8")
        record = json.loads(text, object_pairs_hook=_pairs, parse_constant=_no_constant)
        json.dumps(record, ensure_ascii=False).encode("utf-8")
    except (ValueError, UnicodeError) as e:
        raise Bad(f"{e}: {line[:300]!r}") from None
    if not isinstance(record, dict):
        raise Bad(f"not an object: {line[:300]!r}")
    check_shape(record, dropped)
    return record


def check_shape(r, dropped=()):
    """dropped: keys that log.redact takes away."""
    def need(ok, why):
        if not ok:
            raise Bad(f"{why}: {r}")

    keys = list(r)
    need(keys[:4] == HEAD[:4], "does not begin with time, level, component, tnx")
    head = [k for k in HEAD if k in r]
    need(keys[:len(head)] == head, f"order of the first keys is not {head}")
    tail = [k for k in keys if k not in ("hash", "prev")][-3:]
    need(tail == TAIL, "does not end with msg, run, seq")
    need(TIME.fullmatch(r["time"]) is not None, "time is not RFC 3339 with microseconds and Z")
    need(r["tnx"] in LEVEL, "unknown tnx")
    need(r["level"] == LEVEL[r["tnx"]], "level is not that of its kind")
    need(isinstance(r["msg"], str) and isinstance(r["seq"], int), "msg or seq has the wrong type")
    need(isinstance(r["run"], str) and len(r["run"]) == 8, "run is not 8 characters")
    if "cid" in r:
        need(re.fullmatch("[0-9a-v]{16,}", r["cid"]) and r["cid"].startswith(r["run"]), "cid is malformed")
    if "tid" in r:
        need(re.fullmatch(re.escape(r["cid"]) + r"\.[1-9][0-9]*", r["tid"]), "tid is not cid.n")
    if "side" in r:
        need(r["side"] in ("client", "upstream"), "side is unknown")
    for key, kind in KEYS.get(r["tnx"], {}).items():
        optional, key = key.startswith("?"), key.lstrip("?")
        if key not in r:
            need(optional or key in dropped or (r.get("truncated") and key not in JOINING), f"{key} is missing")
            continue
        good = isinstance(r[key], kind) and not (isinstance(r[key], bool) and kind is not bool)
        need(good, f"{key} has the wrong type")
    for key, words in (("status", STATUS), ("stage", STAGE), ("decided_by", BY), ("class", CLASS), ("reason", REASON)):
        if key in r and r["tnx"] in ("rcpt", "message", "close"):
            need(r[key] in words, f"{key} is no word of its set")
    if r["tnx"] == "message":
        check_message(r, need)


def check_message(r, need):
    if r.get("truncated") is True:
        return
    need("hostname" in r and (r["hostname"] is None or isinstance(r["hostname"], str)),
         "hostname is neither string nor null")
    need("queue_id" in r and (r["queue_id"] is None or isinstance(r["queue_id"], str)),
         "queue_id is neither string nor null")
    need(isinstance(r["tls"].get("used"), bool), "tls.used is no bool")
    need(isinstance(r["timing"].get("total"), number), "timing.total is missing")
    need(len(r.get("rcpt_to", r["recipients"])) == r["rcpt_count"] == len(r["recipients"]), "numbers of recipients differ")
    need([x["address"] for x in r["recipients"] if "address" in x] == r.get("rcpt_to", []), "recipients differ from rcpt_to")
    need(r["rcpt_accepted"] <= r["rcpt_count"], "more recipients accepted than given")
    why = r["status"] in ("deferred", "rejected", "indeterminate")
    need(("class" in r) == why, "class stands where there is nothing to explain, or is missing")
    first = {"accepted": 2, "deferred": 4, "rejected": 5}.get(r["status"])
    if first and "code" in r:
        need(r["code"] // 100 == first, "code is of another class than status")
    if r["status"] == "accepted":
        need(r["decided_by"] == "upstream" and r["stage"] == "end", "accepted by another than the upstream")
        need("code" in r and "smtp_response" in r, "accepted without the reply that decided")
    if r["decided_by"] == "smtptap" and r["status"] == "deferred":
        need(r["queue_id"] is None, "queue_id without the upstream's acceptance")
    if "code" in r and "smtp_response" in r:
        need(r["smtp_response"].startswith(str(r["code"])), "smtp_response is not of code")


INDEXED = ("tnx", "cid", "port")


class Log:
    """Records as they arrive."""

    def __init__(self, max_record=8000, dropped=()):
        self.raw = bytearray()
        self.list = []
        self.by = {}  # (key, value) -> its records, of the keys in INDEXED
        self.bad = None
        self.max_record, self.dropped = max_record, dropped
        self._rest = b""
        self._cond = threading.Condition()

    def feed(self, data):
        with self._cond:
            self.raw += data
            lines = (self._rest + data).split(b"\n")
            self._rest = lines.pop()
            for line in lines:
                try:
                    self.add(parse_line(line, self.max_record, self.dropped))
                except Bad as e:
                    self.bad = self.bad or e
            self._cond.notify_all()

    @property
    def rest(self):
        return self._rest

    def add(self, record):
        self.list.append(record)
        for key in INDEXED:
            if key in record:
                self.by.setdefault((key, record[key]), []).append(record)

    def candidates(self, tnx, keys):
        """The shortest list, growing as records arrive, that has all records which match."""
        wanted = [(key, keys[key]) for key in INDEXED if isinstance(keys.get(key), (str, int))]
        if isinstance(tnx, str):
            wanted.append(("tnx", tnx))
        return min((self.by.setdefault(one, []) for one in wanted), key=len, default=self.list)

    def find(self, tnx=None, **keys):
        with self._cond:
            return [r for r in self.candidates(tnx, keys) if matches(r, tnx, keys)]

    def wait(self, tnx=None, count=1, timeout=None, **keys):
        """Waits until `count` records match; returns the count-th."""
        end = time.monotonic() + (DEADLINE if timeout is None else timeout)
        seen, found = 0, []
        with self._cond:
            candidates = self.candidates(tnx, keys)
            while True:
                while seen < len(candidates):
                    if matches(candidates[seen], tnx, keys):
                        found.append(candidates[seen])
                    seen += 1
                if len(found) >= count:
                    return found[count - 1]
                if self.bad:
                    raise self.bad
                left = end - time.monotonic()
                if left <= 0:
                    tail = "\n  ".join(json.dumps(r)[:400] for r in self.list[-12:])
                    raise Timeout(f"no record {tnx} {keys} ({len(found)} of {count}); the last ones:\n  {tail}")
                self._cond.wait(left)


def matches(r, tnx, keys):
    if callable(tnx):
        return tnx(r)
    if tnx is not None and r["tnx"] != tnx:
        return False
    return all(v(r.get(k)) if callable(v) else r.get(k) == v for k, v in keys.items())


def text_of(reply_line):
    """A reply line's text as records have it: without code and enhanced code, repaired UTF-8."""
    m = ENHANCED.match(reply_line)
    return (reply_line[m.end():] if m else reply_line).decode("utf-8", "replace")


class Ledger:
    """The books of one run: every promise that can be checked from the records alone."""

    def __init__(self, log, level="debug", whole=True, lost=0):
        self.log, self.level, self.whole, self.lost = log, level, whole, lost
        self.records, self.by_cid, self.by_side, self.by_ports = log.list, {}, {}, {}
        for r in self.records:
            if "cid" not in r:
                continue
            self.by_cid.setdefault(r["cid"], []).append(r)
            leg = self.by_side.setdefault((r["cid"], r.get("side")), [])
            leg.append(r)
            if r["tnx"] == "connection":  # a pair of ports may come again
                ports = (r.get("port"),) if r["side"] == "client" else (r.get("port"), r.get("local_port"))
                self.by_ports.setdefault((r["side"], *ports), []).append((leg, len(leg)))

    def check(self):
        if self.log.bad:
            raise self.log.bad
        assert not self.log.rest, f"half a record at the end: {bytes(self.log.rest)[:200]!r}"
        assert self.records, "no record at all"
        self.check_sequence()
        if self.level != "error" and not self.lost:
            self.check_connections()
            self.check_transactions()
        if self.whole:
            last = self.records[-1]
            assert last["tnx"] == "closed", f"the last record is {last}"

    def check_sequence(self):
        runs = {}
        for r in self.records:
            runs.setdefault(r["run"], []).append(r["seq"])
        for run, seq in runs.items():
            assert seq[0] in (0, 1), f"run {run} begins with seq {seq[0]}"
            if self.lost:
                assert seq == sorted(set(seq)), "seq is not in order"
                missing = seq[-1] - seq[0] + 1 - len(seq)
                told = sum(r["records"] for r in self.records if r["tnx"] == "dropped" and r["run"] == run)
                assert missing == told, f"{missing} records are missing, `dropped` tells of {told}"
            else:
                gaps = [(a, b) for a, b in zip(seq, seq[1:]) if b != a + 1]
                assert not gaps, f"gaps or disorder in seq: {gaps[:5]}"

    def check_connections(self):
        """Each connection has exactly one close, on each side; a cid has one client connection."""
        open_, seen = {}, {}
        for r in self.records:
            if r["tnx"] not in ("connection", "close"):
                continue
            key = (r["cid"], r["side"])
            if r["tnx"] == "connection":
                open_[key] = open_.get(key, 0) + 1
                seen[key] = seen.get(key, 0) + 1
                assert r["side"] == "upstream" or seen[key] == 1, f"two client connections in {r['cid']}"
            else:
                open_[key] = open_.get(key, 0) - 1
                assert open_[key] >= 0, f"close without connection: {r}"
        left = {k: v for k, v in open_.items() if v}
        assert not left, f"connection without close: {left}"

    def check_transactions(self):
        """Exactly one message a tid, its rcpt records right before it; tids are numbered from 1 without a gap."""
        messages, rcpts, tids = {}, {}, {}
        for i, r in enumerate(self.records):
            tid = r.get("tid")
            if not tid:
                continue
            tids.setdefault(r["cid"], {})[int(tid.rsplit(".", 1)[1])] = True
            if r["tnx"] == "message":
                assert tid not in messages, f"two message records for {tid}: {messages[tid]} and {r}"
                messages[tid] = r
            elif r["tnx"] == "rcpt":
                assert tid not in messages, f"rcpt after its message: {r}"
                rcpts.setdefault(tid, []).append(r)
        for cid, numbers in tids.items():
            assert sorted(numbers) == list(range(1, len(numbers) + 1)), f"transactions of {cid}: {sorted(numbers)}"
            for n in numbers:
                if f"{cid}.{n}" not in messages:
                    story = "\n  ".join(r["tnx"] + " " + r["msg"] for r in self.records if r.get("cid") == cid)
                    raise Bad(f"no message record for {cid}.{n}:\n  {story}")
        for tid, m in messages.items():
            mine = rcpts.get(tid, [])
            assert len(mine) == m.get("rcpt_count", len(mine)), f"{len(mine)} rcpt records for {m}"
            if m.get("truncated"):
                continue
            for r, entry in zip(mine, m["recipients"]):
                assert (r["rcpt_to"], r["status"], r.get("code")) == (entry["address"], entry["status"],
                                                                      entry.get("code")), \
                    f"rcpt {r} differs from recipients {entry}"
                assert r["mail_from"] == m["mail_from"], f"{r} has another sender than {m}"
        for r in self.records:
            if r["tnx"] == "close" and r["side"] == "client":
                # of a client that was lost after the dot, the message is judged after the close
                mine = [m for m in self.by_cid[r["cid"]] if m["tnx"] == "message" and m["seq"] < r["seq"]]
                good = sum(m["status"] == "accepted" for m in mine)
                assert r["messages"] in (good, len(mine)), f"close counts {r['messages']}, records {len(mine)}: {r}"

    def check_logins(self):
        """Each AUTH command has exactly one `auth` record, with the code of the reply that the client saw; between the
        two it sees challenges only. A line that is logged as `?` may have been one."""
        if self.level != "debug" or self.lost:
            return
        for cid, records in self.by_cid.items():
            story = [r for r in records if r["tnx"] == "auth" or r.get("side") == "client"]
            if not any(r["tnx"] == "command" for r in story):
                continue
            open_ = maybe = over = None
            for r in story:
                if r["tnx"] == "auth":
                    assert open_ or maybe, f"no AUTH command for {r}"
                    assert ("code" in r) or r["result"] != "ok", f"a login without a reply: {r}"
                    open_, maybe, over = None, None, r
                elif r["tnx"] == "command":
                    assert not open_ or r["command"] == "?", f"{r} in the exchange of {open_}"
                    if r["command"] == "AUTH":
                        open_ = r
                    elif r["command"] == "?":
                        maybe = r
                elif r["tnx"] == "send":
                    assert not over or r["code"] == over.get("code"), f"{over} is of another reply than {r}"
                    assert not open_ or r["code"] == 334, f"no auth record before {r}, which ends {open_}"
                    maybe = maybe if r["code"] == 334 else None
                    over = None
                elif r["tnx"] == "close":
                    assert not open_, f"no auth record for {open_}"

    def check_client(self, client):
        """Every reply that this client saw stands in a record, in order."""
        if self.level != "debug" or self.lost or client.local_port is None or client.raw_tail or client.unrecorded:
            return
        found = self.by_ports.get(("client", client.record_port), [])
        assert found or not client.replies, f"client {client.local_port} has replies and no record"
        sends = [[r for r in leg if r["tnx"] == "send"] for leg, _ in found]
        assert not sends or any(explained(client.replies, one) for one in sends), \
            f"client saw {client.replies}, records have {[[r['msg'] for r in one] for one in sends]}"

    def check_upstream(self, session, port):
        """Every command that the scripted upstream on this port read stands in a record, in order, and no other."""
        if self.level != "debug" or self.lost or session.peer_port is None:
            return
        found = self.by_ports.get(("upstream", port, session.peer_port), [])
        wire = [masked(c.decode("utf-8", "replace"), i in session.secrets) for i, c in enumerate(session.commands)]
        assert found or not wire, f"upstream read {wire}, no connection record with its port"
        assert not found or any(sent(wire, leg, start) for leg, start in found), \
            f"upstream read {wire}, records have {[[r['msg'] for r in leg[start:start + 100]] for leg, start in found]}"


def explained(replies, sends):
    """Whether these replies are the first of those recorded."""
    if len(sends) < len(replies):
        return False
    for reply, record in zip(replies, sends):
        if record["code"] != reply.code:
            return False
        if not record.get("truncated") and sum(map(len, reply.lines)) <= 500:
            if record["lines"] == ["*"]:  # a challenge, or what repeats a secret
                continue
            assert reply.code != 334, f"a challenge in the log: {record}"
            if record["lines"] != [text_of(x) for x in reply.lines]:
                return False
    return True


def masked(line, response):
    """As the log has a line that the upstream read."""
    if response:
        return "*"
    words = line.split(" ")
    return " ".join([*words[:2], "*"]) if words[0] == "AUTH" and len(words) > 2 else line


def sent(wire, leg, start):
    """Whether the commands read on this connection are those recorded after its begin. Connections of one session may
    overlap for a moment: then they are in order, with others between."""
    alone = start == 1 and not any(r["tnx"] == "connection" for r in leg[1:])
    want = iter(wire)
    line = next(want, None)
    for i in range(start, len(leg)):
        if line is None:
            return True
        r = leg[i]
        if r["tnx"] != "command":
            continue
        if r.get("truncated"):
            return True
        if r["line"] == line:
            line = next(want, None)
        elif alone:
            return False
    return line is None
