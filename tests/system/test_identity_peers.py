"""The real ones: HAProxy before, Postfix behind, each as deploy/ has it. What Postfix logs and judges is the client, not
us; and a stranger relays nowhere, though Postfix trusts our address."""
import os
import random
import re
import shutil

import pytest

from harness.auth import plain
from harness.postfix import Postfix
from harness.util import ROOT, Child, free_port, listening, wait_until
from test_auth_local import file_backend

RELAY = """
inet_protocols = all
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
smtpd_client_restrictions = check_client_access inline:{ { 192.0.2.66=REJECT 5.7.1 listed }, { bad.example=450 4.7.1 later } }
smtpd_helo_restrictions = check_helo_access inline:{ { bad.helo=REJECT 5.7.1 odd greeting } }
smtpd_helo_required = yes
"""
EARLY = """
127.0.0.1:{early} inet n - n - - smtpd
    -o smtpd_delay_reject=no
127.0.0.1:{untold} inet n - n - - smtpd
    -o smtpd_authorized_xclient_hosts=
127.0.0.1:{nothing} inet n - n - - smtpd
    -o smtpd_authorized_xclient_hosts=
    -o smtpd_authorized_xforward_hosts=
"""


def deployed(name):
    with open(os.path.join(ROOT, "deploy", name)) as f:
        return f.read()


class Behind(Postfix):
    """With the lines of deploy/postfix, on ports of our own."""

    def __init__(self):
        super().__init__()
        for name in ("xclient", "proxy", "early", "untold", "nothing"):
            self.ports[name] = free_port()

    def prepare(self):
        super().prepare()
        services = deployed("postfix/master.cf")
        for port, name in (("10025", "xclient"), ("10026", "proxy")):
            services, n = re.subn(rf"^127\.0\.0\.1:{port}\b", f"127.0.0.1:{self.ports[name]}", services, flags=re.M)
            assert n == 1
        added = deployed("postfix/main.cf") + RELAY
        with open(f"{self.dir}/etc/main.cf") as f:
            main = f.read()
        for key in re.findall(r"^(\w+) =", added, flags=re.M):  # a key twice is a warning of every process, too many at once
            main = re.sub(rf"^{key} =.*\n", "", main, flags=re.M)
        with open(f"{self.dir}/etc/main.cf", "w") as f:
            f.write(main + added)
        with open(f"{self.dir}/etc/master.cf", "a") as f:
            f.write(services + EARLY.format(**self.ports))

    def client_of(self, queue_id):
        """What the log says of the client: the words behind the queue id."""
        def line():
            return next((x for x in self.maillog().splitlines() if f" {queue_id}: client=" in x), None)

        found = wait_until(line, lambda: f"the client of {queue_id}: {self.maillog()[-1500:]}")
        return dict(re.findall(r"(\w+)=([^,\s]+)", found.split(f" {queue_id}: ", 1)[1]))


    def mail_of(self, name, queue_id):
        """The message as it was delivered."""
        def found():
            return next((x for x in self.mailbox(name) if f" id {queue_id}".encode() in x), None)

        return wait_until(found, lambda: f"the message {queue_id}: {self.maillog()[-1500:]}").decode()


@pytest.fixture(scope="module")
def behind():
    if os.geteuid() != 0:
        pytest.skip("a private Postfix needs root")
    if not shutil.which("postfix", path="/usr/sbin:/usr/bin"):
        pytest.skip("Postfix is not installed")
    instance = Behind()
    try:
        yield instance.start()
    finally:
        instance.stop()


def server(**more):
    return {"received_header": "auto", "proxy_protocol": ["127.0.0.1"], "xclient": ["127.0.0.2"], **more}


def tap_before(world, behind, service, identity, **upstream):
    return world.tap(behind.address(service), {"server": server(), "upstream": {"identity": identity, **upstream}})


def told(tap, host="192.0.2.7", to="198.51.100.9"):
    port = random.SystemRandom().randrange(1024, 65536)
    header = f"PROXY TCP{6 if ':' in host else 4} {host} {to} {port} 25\r\n".encode()
    return tap.client(prelude=header, port=port)


def send(c, to="b@box.example", helo="its.name"):
    c.ehlo(helo)
    reply = c.deliver(to=to)
    assert reply.code == 250, reply
    c.quit()


@pytest.mark.parametrize("identity", ["auto", "xclient"])
@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7"])
def test_xclient(world, behind, identity, host):
    tap = tap_before(world, behind, "xclient", identity)
    send(told(tap, host, "2001:db8::9" if ":" in host else "198.51.100.9"))
    m = tap.message()
    assert m["upstream"]["identity"] == "xclient"
    entry = behind.client_of(m["queue_id"])
    assert entry["client"] == f"unknown[{host}]" and entry["orig_queue_id"] == m["tid"]
    mail = behind.mail_of("b", m["queue_id"])
    assert f"Received: from its.name (unknown [{'IPv6:' if ':' in host else ''}{host}])" in mail
    assert "(smtptap)" not in mail  # Postfix knows whom it is from


def test_xclient_name_and_login(world, behind):
    tap = world.tap(behind.address("xclient"), {"server": server(xclient=["127.0.0.1"], proxy_protocol=[]),
                                                "upstream": {"identity": "auto"}})
    c = tap.client()
    c.cmd("XCLIENT NAME=good.example ADDR=192.0.2.7 LOGIN=jo@box.example HELO=her.laptop", 220)
    send(c, helo="front.end")
    entry = behind.client_of(tap.message()["queue_id"])
    assert entry["client"] == "good.example[192.0.2.7]" and entry["sasl_username"] == "jo@box.example"
    assert entry["sasl_method"] == "XCLIENT"
    assert "from her.laptop (good.example [192.0.2.7])" in behind.mail_of("b", tap.message()["queue_id"])


def test_a_login_here_is_one_there(world, behind):
    """The user of XCLIENT LOGIN; who is none, is none there."""
    config = file_backend(world)
    config["auth"]["mode"] = "optional"
    tap = world.tap(behind.address("xclient"), {**config, "server": server(), "upstream": {"identity": "auto"}})
    c = told(tap)
    c.ehlo("its.name")
    assert c.deliver(to="b@box.example").code == 250
    assert "sasl_username" not in behind.client_of(tap.message()["queue_id"])
    c.cmd("AUTH PLAIN " + plain("alice", "wonderland"), 235)
    reply = c.deliver(to="b@box.example")
    assert reply.code == 250, reply
    c.quit()
    entry = behind.client_of(tap.message(count=2)["queue_id"])
    assert entry["sasl_username"] == "alice" and entry["sasl_method"] == "XCLIENT"
    assert entry["client"] == "unknown[192.0.2.7]"


@pytest.mark.parametrize("identity", ["proxy-v1", "proxy-v2"])
@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7"])
def test_proxy(world, behind, identity, host):
    tap = tap_before(world, behind, "proxy", identity)
    send(told(tap, host, "2001:db8::9" if ":" in host else "198.51.100.9"))
    m = tap.message()
    assert m["upstream"]["identity"] == identity
    assert behind.client_of(m["queue_id"])["client"] == f"unknown[{host}]"


def test_xforward(world, behind):
    tap = tap_before(world, behind, "untold", "xforward")
    c = told(tap)
    c.ehlo("its.name")
    for n in (1, 2):
        assert c.deliver(to="b@box.example").code == 250
        m = tap.message(count=n)
        assert m["upstream"]["identity"] == "xforward"
        entry = behind.client_of(m["queue_id"])
        assert entry["client"].endswith("[127.0.0.1]") and entry["orig_client"] == "unknown[192.0.2.7]"
        assert entry["orig_queue_id"] == m["tid"]


def test_auto_takes_what_there_is(world, behind):
    for service, identity in (("xclient", "xclient"), ("untold", "xforward"), ("nothing", "none")):
        tap = world.tap(behind.address(service), {"server": server(), "upstream": {"identity": "auto"}})
        c = told(tap, "127.0.0.8", "127.0.0.1")
        send(c)
        assert tap.message()["upstream"]["identity"] == identity


RULES = {"address": ("192.0.2.66", "n.example", "its.name", 554), "name": ("192.0.2.7", "bad.example", "its.name", 450),
         "helo": ("192.0.2.7", "n.example", "bad.helo", 554)}


@pytest.mark.parametrize("rule", RULES)
def test_rules_see_the_client(world, behind, rule):
    host, name, helo, code = RULES[rule]
    config = {"server": server(xclient=["127.0.0.1"], proxy_protocol=[]), "upstream": {"identity": "auto"}}
    tap = world.tap(behind.address("xclient"), config)
    c = tap.client()
    c.cmd(f"XCLIENT NAME={name} ADDR={host}", 220)
    c.ehlo(helo)
    c.mail()
    c.cmd("RCPT TO:<b@box.example>", code)


def test_refused_at_xclient(world, behind):
    """smtpd_delay_reject=no: Postfix judges the client before its HELO."""
    config = {"server": server(xclient=["127.0.0.1"], proxy_protocol=[]), "upstream": {"identity": "auto"}}
    tap = world.tap(behind.address("early"), config)
    for name, host, code in (("n.example", "192.0.2.66", 554), ("bad.example", "192.0.2.7", 421)):
        c = tap.client()
        c.cmd(f"XCLIENT NAME={name} ADDR={host}", 220)
        got = c.cmd("EHLO its.name", code)
        assert name in got.text
        c.eof()
    assert tap.wait("error", count=2)["err"]["code"] == "xclient_refused"


# Postfix trusts loopback, and so us: strangers must not profit.


@pytest.mark.parametrize("service, identity", [("xclient", "auto"), ("xclient", "xclient"), ("untold", "auto"), ("nothing", "auto"),
                                               ("proxy", "proxy-v1"), ("proxy", "proxy-v2")])
@pytest.mark.parametrize("host", ["203.0.113.9", "2001:db8::9"])
def test_a_stranger_relays_nowhere(world, behind, service, identity, host):
    tap = tap_before(world, behind, service, identity)
    to = "2001:db8::1" if ":" in host else "198.51.100.9"
    c = told(tap, host, to)
    c.ehlo("localhost")
    c.send(b"MAIL FROM:<root@mx.example>\r\nRCPT TO:<far@away.example>\r\nDATA\r\n")
    assert [c.reply().code // 100 for _ in range(3)][1] in (4, 5)
    c.cmd("RSET")
    c.cmd("XCLIENT ADDR=127.0.0.1 LOGIN=root", 550)
    c.cmd("XFORWARD ADDR=127.0.0.1", 550)
    c.ehlo("localhost")
    c.send(b"MAIL FROM:<root@mx.example>\r\nRCPT TO:<far@away.example>\r\n")
    assert [c.reply().code // 100 for _ in range(2)][1] in (4, 5)
    c.quit()
    assert not [m for m in tap.records("message") if m["status"] == "accepted"]
    # and one of us may
    c = told(tap, "127.0.0.8", "127.0.0.1")
    send(c, to="far@away.example")


def test_an_unknown_client_relays_nowhere(world, behind):
    for service, identity in (("xclient", "auto"), ("proxy", "proxy-v2"), ("nothing", "auto")):
        tap = world.tap(behind.address(service), {"server": server(xclient=["127.0.0.1"], proxy_protocol=[]),
                                                  "upstream": {"identity": identity}})
        c = tap.client()
        c.cmd("XCLIENT ADDR=[UNAVAILABLE]", 220)
        c.ehlo("localhost")
        c.send(b"MAIL FROM:<root@mx.example>\r\nRCPT TO:<far@away.example>\r\n")
        assert [c.reply().code // 100 for _ in range(2)][1] in (4, 5)


# HAProxy


class Haproxy:
    """deploy/haproxy/haproxy.cfg with other ports and another certificate."""

    def __init__(self, world, certs, tap_port):
        self.ports = {port: free_port() for port in ("2501", "2502", "2503")}
        pem = world.path("mail.pem")
        with open(pem, "wb") as out:
            for part in certs.a:
                with open(part, "rb") as f:
                    out.write(f.read())
        places = {"2525": tap_port, **self.ports}
        config, n = re.subn(r"127\.0\.0\.1:(\d+)", lambda m: f"127.0.0.1:{places[m.group(1)]}",
                            deployed("haproxy/haproxy.cfg").replace("/etc/haproxy/mail.pem", pem))
        assert n >= len(places), config
        path = world.path("haproxy.cfg")
        with open(path, "w") as f:
            f.write(config)
        world.child(Child(["/usr/sbin/haproxy", "-db", "-f", path]))
        wait_until(lambda: all(listening(p) for p in self.ports.values()), "HAProxy")

    def address(self, port):
        return "127.0.0.1", self.ports[port]


@pytest.fixture
def front(world, certs):
    if not os.access("/usr/sbin/haproxy", os.X_OK):
        pytest.skip("HAProxy is not installed")
    return lambda tap: Haproxy(world, certs, tap.port)


def through(tap, haproxy, port, **options):
    c = tap.client(haproxy.address(port), source="127.0.0.9", **options)
    return c


FRONTS = {"2501": 2, "2502": 2, "2503": 1}


@pytest.mark.parametrize("port", FRONTS)
def test_haproxy(world, front, port):
    tap = world.tap(world.mta(), {"server": server(), "log": {"ignore_clients": ["127.0.0.1"]}})
    haproxy = front(tap)
    c = through(tap, haproxy, port, tls=port == "2502", name="a.example" if port == "2502" else None)
    c.ehlo()
    assert c.deliver().code == 250
    c.quit()
    m = tap.message()
    assert m["host"] == "127.0.0.9" and m["protocol"] == "ESMTP"
    proxy = tap.wait("proxy")
    assert (proxy["proxy"], proxy["version"], proxy["port"]) == ("127.0.0.1", FRONTS[port], c.local_port)
    if port == "2502":
        assert proxy["tls"]["used"] and proxy["tls"]["version"].startswith("TLSv1.") and proxy["tls"]["cipher"]
        assert proxy["servername"] == "a.example" and proxy["unique_id"]


@pytest.mark.parametrize("port", FRONTS)
@pytest.mark.parametrize("service, identity", [("xclient", "auto"), ("proxy", "proxy-v2")])
def test_haproxy_before_postfix_behind(world, behind, front, port, service, identity):
    tap = world.tap(behind.address(service), {"server": server(), "upstream": {"identity": identity}, "log": {"ignore_clients": ["127.0.0.1"]}})
    c = through(tap, front(tap), port, tls=port == "2502", name="a.example" if port == "2502" else None)
    send(c)
    m = tap.message()
    assert behind.client_of(m["queue_id"])["client"].endswith("[127.0.0.9]")
    mail = behind.mail_of("b", m["queue_id"])
    helo = "its.name" if identity == "auto" else "tap.example"  # PROXY tells of no HELO
    assert f"from {helo} (" in mail and "[127.0.0.9])" in mail


def test_haproxy_its_health_checks_are_not_clients(world, front):
    tap = world.tap(world.mta(), {"server": server()})
    front(tap)
    proxy = tap.wait("proxy")
    assert proxy["host"] == proxy["proxy"] == "127.0.0.1" and "err" not in proxy
    assert tap.wait("close", side="client")["reason"] in ("gone", "quit")
