"""TLS under load, and as a scanner sees it."""
import json
import os
import re
import shutil
import subprocess

import pytest

from harness.tap import BINARY, environment
from harness.tls import entry
from harness.util import ROOT, Child, free_port, listening, wait_until

pytestmark = pytest.mark.long
LOAD = os.path.join(ROOT, "build", "release", "tests", "bench", "smtp_load")


@pytest.fixture
def tap(world, certs):
    """Implicit TLS, STARTTLS and clear text in front of a sink; the log goes to a file. Returns the three ports."""
    sink, *ports = [free_port() for _ in range(4)]
    config = {
        "listeners": [{"address": f"127.0.0.1:{ports[0]}", "tls": "implicit"},
                      {"address": f"127.0.0.1:{ports[1]}", "tls": "starttls"},
                      {"address": f"127.0.0.1:{ports[2]}", "tls": "none"}],
        "server": {"reverse_dns": False},
        "tls": {"certificates": [entry(certs.a), entry(certs.a_ec)]},
        "upstream": {"servers": [f"127.0.0.1:{sink}"], "tls": "none", "identity": "none"},
        "log": {"outputs": [{"type": "file", "path": world.path("tap.log")}]},
    }
    path = world.path("smtptap.json")
    with open(path, "w") as f:
        json.dump(config, f)
    for argv in (["sink", "-l", f"127.0.0.1:{sink}"], ["run", "-c", path]):
        world.child(Child([BINARY, *argv], env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    for port in (sink, *ports):
        wait_until(lambda: listening(port), f"port {port} to answer")
    return ports


def load(port, *options):
    return subprocess.Popen([LOAD, "-p", str(port), *map(str, options)], stdout=subprocess.PIPE, text=True)


@pytest.mark.timeout(120)
@pytest.mark.skipif(not os.path.exists(LOAD), reason="build/release/tests/bench/smtp_load is not built")
@pytest.mark.parametrize("running", ["clear", "tls"])
def test_a_thousand_handshakes_a_second_disturb_nobody(tap, running):
    tls, _, clear = tap
    storm = load(tls, "-T", "-H", "-s", 50, "-R", 1000, "-m", 8000)
    steady = load(*((tls, "-T") if running == "tls" else (clear,)), "-s", 8, "-n", 0, "-g", 25, "-m", 1200)
    found, other = json.loads(steady.communicate()[0]), json.loads(storm.communicate()[0])
    assert found["failed"] == other["failed"] == 0 and found["messages"] == 1200
    assert other["handshakes"] == 8000 and other["resumed"] == 0
    assert 8000 / other["seconds"] > 900, f"the storm itself was too slow to count: {other}"
    assert found["p99"] <= 20000, found


# What it says of every self-made certificate and of a host that is no web server.
NOT_OURS = re.compile(r"^(cert_|OCSP|CRL|DNS_CAArecord|certificate_transparency|overall_grade|grade_|.*_score|engine_|"
                      r"service$|id$|scan|DROWN_hint|old_fart|early_data)")


@pytest.mark.timeout(600)
@pytest.mark.skipif(not shutil.which("testssl"), reason="testssl is not installed")
@pytest.mark.parametrize("mode", ["implicit", "starttls"])
def test_testssl_has_nothing_of_weight_to_say(world, tap, mode):
    out = world.path("testssl.json")
    argv = ["testssl", "--quiet", "--color", "0", "--warnings", "off", "--jsonfile", out, "--openssl-timeout", "5",
            "-p", "-s", "-f", "-P", "-S", "-U"]
    argv += ["-t", "smtp"] if mode == "starttls" else []
    subprocess.run([*argv, f"127.0.0.1:{tap[0 if mode == 'implicit' else 1]}"], stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=580)
    with open(out) as f:
        found = json.load(f)
    assert any(x["id"] == "TLS1_3" and x["finding"].startswith("offered") for x in found), found
    assert any(x["id"] == "TLS1" and "not offered" in x["finding"] for x in found)
    assert any(x["id"] == "FS" and x["severity"] == "OK" for x in found) or any(x["id"] == "PFS" for x in found)
    weighty = [x for x in found if x["severity"] not in ("OK", "INFO", "DEBUG") and not NOT_OURS.match(x["id"])]
    assert not weighty, weighty
