"""The table in proxy/README.md: each option of nodemailer's smtp-server has its key here, which is read and works."""
import json
import os
import re

import pytest

from harness.mta import EHLO
from harness.tap import run_tool
from harness.tls import entry, server_context
from harness.util import ROOT

OPTIONS = """name banner heloResponse size hideSize lmtp secure needsUpgrade key cert ca ciphers requestCert
rejectUnauthorized sniOptions hideSTARTTLS hidePIPELINING hide8BITMIME hideSMTPUTF8 hideENHANCEDSTATUSCODES hideDSN
hideREQUIRETLS allowInsecureAuth authMethods authOptional authRequiredMessage maxAllowedUnauthenticatedCommands
disabledCommands socketTimeout closeTimeout maxClients disableReverseLookup resolver useProxy ignoredHosts useXClient
useXForward lenientAddressParsing""".split()


def rows():
    """option -> the JSON beside it."""
    with open(os.path.join(ROOT, "proxy", "README.md")) as f:
        found = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| `(\{.*?\})` \|", f.read(), re.M)
    return {name: json.loads(text) for names, text in found for name in re.findall(r"`(\w+)`", names)}


def test_no_option_is_missing():
    assert set(rows()) == set(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_key_is_read(option, tmp_path, certs):
    """Known to the reader with this value, also where what is behind it stands in another build."""
    config = json.dumps(rows()[option]).replace("cert.pem", certs.a[0]).replace("key.pem", certs.a[1])
    path = tmp_path / "c.json"
    path.write_text(config.replace("ca.pem", certs.ca))
    r = run_tool("check", "-c", str(path))
    faults = [line for line in r.stderr.splitlines() if "warning" not in line]
    assert r.returncode == 0 or all("not built" in line for line in faults), r.stderr


def started(world, certs, option, **more):
    text = json.dumps(rows()[option]).replace("cert.pem", certs.a[0]).replace("key.pem", certs.a[1])
    config = json.loads(text.replace("ca.pem", certs.ca))
    for key, value in more.items():
        config[key] = {**value, **config.get(key, {})}
    mta = world.mta(ehlo=(*EHLO, "REQUIRETLS"), context=server_context(certs.mta))
    return world.tap(mta, config)


def test_words_of_the_greeting(world, certs):
    for option in ("name", "banner", "heloResponse"):
        c = started(world, certs, option).client()
        line = c.greeting.lines[0].decode()
        ehlo = c.ehlo().lines[0].decode()
        if option == "name":
            assert line == "mx.example.com ESMTP"
        elif option == "banner":
            assert line.endswith(" ESMTP Welcome")
        else:
            assert ehlo == "tap.example greets [127.0.0.1]"


@pytest.mark.parametrize("option", [x for x in OPTIONS if x.startswith("hide")])
def test_hidden(world, certs, option):
    tls = {"tls": {"certificates": [entry(certs.a)]}, "server": {"tls": "starttls"},
           "upstream": {"tls": "required", "tls_ca": certs.ca, "tls_name": "mta.example", "tls_verify": True}}
    c = started(world, certs, option, **tls).client()
    lines = c.ehlo().lines
    if option == "hideREQUIRETLS":
        c.starttls()
        lines = c.ehlo().lines
    words = {x.split()[0].decode() for x in lines[1:]}
    assert option[4:].upper() not in words and "LIMITS" in words
    assert option == "hidePIPELINING" or "PIPELINING" in words


def test_size_and_commands(world, certs):
    assert b"SIZE 1048576" in started(world, certs, "size").client().ehlo().lines
    c = started(world, certs, "disabledCommands").client()
    c.ehlo()
    assert c.cmd("VRFY x").code == 502
    assert started(world, certs, "lmtp").client().cmd("LHLO x").code == 250


def test_addresses(world, certs):
    c = started(world, certs, "lenientAddressParsing").client()
    c.ehlo()
    c.cmd("MAIL FROM:<user.@client.example>", 501, "5.1.7")


def test_clients(world, certs):
    tap = started(world, certs, "maxClients")
    first = tap.client()
    assert tap.client().greeting.code == 421
    first.quit()


def test_ignored(world, certs):
    tap = started(world, certs, "ignoredHosts")
    c = tap.client()
    c.unrecorded = True
    c.cmd("NOOP", 250)
    c.quit()
    tap.stop()
    assert not [r for r in tap.records() if r.get("cid")]
