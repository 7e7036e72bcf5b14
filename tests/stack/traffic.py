"""Mail of many outcomes through the real program, and what a reader of its log must then find."""
import base64
import json
import re
from types import SimpleNamespace

from harness.mta import EHLO, RST, ScriptedMta
from harness.tap import Smtptap, read_log
from harness.tls import entry, server_context

REPLIES = {  # of the upstream at RCPT, by the local part
    "nobody": b"550 5.1.1 <%s>: Recipient address rejected: User unknown in local recipient table\r\n",
    "full": b"452 4.2.2 <%s>: Mailbox full\r\n",
    "grey": b"450 4.2.0 <%s>: Recipient address rejected: Greylisted, see http://postgrey.example/help/%s.html\r\n",
    "relay": b"454 4.7.1 <%s>: Relay access denied\r\n",
}
PASSWORD = "Tr0ub4dor-not-in-any-record"
SPAM = b"554 5.7.1 id=%05d-07 - spam, Message refused, see 4XyZ%dk2Lm3zQr1\r\n"
BODY = b"Subject: %s\r\nMessage-ID: <%d@client.example>\r\nFrom: a@client.example\r\n\r\n%s\r\n"


def on_rcpt(session, line):
    address = re.search(rb"<([^>]*)>", line).group(1)
    reply = REPLIES.get(address.split(b"@")[0].decode())
    if reply:
        return reply.replace(b"%s.html", address.split(b"@")[1] + b".html").replace(b"%s", address)
    return None


def on_end(session, line):
    n = len(session.mta.sessions)
    return SPAM % (n, n % 10) if b"spammer" in session.sender else None


def on_data(session, line):
    return RST if b"lost" in session.sender else None


def upstream(certs, tls=True):
    return ScriptedMta(rcpt=on_rcpt, data=on_data, end=on_end, context=server_context(certs.mta) if tls else None,
                       ehlo=[*EHLO, "AUTH PLAIN LOGIN"], users={"alice@shop.example": PASSWORD})


def login(client, username, password):
    """The code of the reply to AUTH PLAIN."""
    return client.cmd(b"AUTH PLAIN " + base64.b64encode(f"\0{username}\0{password}".encode())).code


def configuration(certs, outputs, **more):
    return {"auth": {"mode": "optional", "backend": "upstream"}, "tls": {"certificates": [entry(certs.a)]},
            "upstream": {"tls": "opportunistic"},
            "log": {"outputs": outputs, **more}}


class Mail:
    """One client session's worth of mail: host, TLS or not, and transactions (sender, recipients, how)."""

    def __init__(self, tap):
        self.tap, self.n = tap, 0

    def session(self, host, tls, *transactions):
        client = self.tap.client(source=host)
        client.ehlo()
        if tls:
            client.starttls()
            client.ehlo()
        for sender, rcpts, how in transactions:
            if self.transaction(client, sender, rcpts, how) == "gone":
                client.reset()
                return
        client.quit()

    def guesses(self, host, *names):
        """Logins with a wrong password, one session each; then the right one."""
        for name, password in [(name, "wrong") for name in names] + [("alice@shop.example", PASSWORD)]:
            client = self.tap.client(source=host)
            client.ehlo()
            client.starttls()
            client.ehlo()
            assert login(client, name, password) == (235 if password == PASSWORD else 535)
            client.quit()

    def transaction(self, client, sender, rcpts, how):
        self.n += 1
        if client.cmd(f"MAIL FROM:<{sender}>").code != 250 or how == "mail":
            return None
        good = [client.cmd(f"RCPT TO:<{to}>").code == 250 for to in rcpts]
        if how == "reset":
            client.cmd("RSET", 250)
            return None
        if client.cmd("DATA").code != 354:
            assert not any(good) or sender.startswith("lost")
            return None
        body = BODY % (b"mail %d" % self.n, self.n, b"x" * (100 * (self.n % 7)))
        if how == "gone":
            client.send(body)
            client.drained()
            return "gone"
        client.send(body + b".\r\n")
        client.reply()
        return None


def send(tap, rounds=3):
    """The same mix each round; returns what was sent, as counts of statuses of the messages."""
    mail = Mail(tap)
    for i in range(rounds):
        mail.session("127.0.0.1", True, ("news@shop.example", ["alice@one.example", "bob@two.example"], None),
                     ("news@shop.example", ["carol@one.example"], None), ("news@shop.example", ["nobody@two.example"], None))
        mail.session("127.0.0.8", i % 3 != 0, ("billing@shop.example", ["erin@five.example", "frank@one.example"], None))
        mail.session("127.0.0.2", False, ("cron@host.example", ["root@one.example"], None),
                     ("", ["alice@one.example", "nobody@one.example", "full@three.example"], None))
        mail.session("127.0.0.3", True, ("spammer@bad.example", ["alice@one.example", "dave@four.example"], None),
                     ("spammer@bad.example", ["relay@elsewhere.example"], None))
        mail.session("127.0.0.2", True, ("desk@shop.example", ["grey@three.example"], None),
                     ("desk@shop.example", ["alice@one.example"], "reset"))
        mail.session("127.0.0.4", False, ("phone@home.example", ["alice@one.example"], "gone"))
        mail.guesses("127.0.0.6", "root", "admin", "root")
        mail.guesses("127.0.0.7", "alice@shop.example")
    mail.session("127.0.0.5", False, ("lost@home.example", ["alice@one.example"], None))
    return {"accepted": 5 * rounds, "rejected": 2 * rounds, "deferred": 2 * rounds + 1, "reset": rounds, "aborted": rounds}


def run(world, certs, path, rounds=3, tap=None, **log):
    """A whole run of the program with a file output; the records, in order, and the counts."""
    up = upstream(certs)
    world.mtas.append(up)
    tap = Smtptap(world.workdir(), up, configuration(certs, [{"type": "file", "path": path}, {"type": "stdout"}], **log))
    world.taps.append(tap)
    tap.ready()
    counts = send(tap, rounds)
    for client in tap.clients:
        client.close()
    tap.stop()
    records = read_log(path)
    assert not records.bad, records.bad
    return SimpleNamespace(records=records.list, counts=counts, path=path, tap=tap,
                           lines=[line for line in bytes(records.raw).decode().split("\n") if line])


def losses(like):
    """What an output that can't keep up writes, as lines; run and time are those of `like`."""
    return [json.dumps({"time": like["time"], "level": "error", "component": "smtptap", "tnx": "dropped", "output": "syslog",
                        "records": n, "msg": f"{n} records lost", "run": like["run"], "seq": 10 ** 6 + n},
                       separators=(",", ":")) for n in (3, 4)]
