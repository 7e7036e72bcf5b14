import os
import shutil

import pytest

from harness import dovecot as private_dovecot
from harness.fixtures import certs, pytest_runtest_makereport, world  # noqa: F401
from harness.postfix import Postfix
from harness.world import World


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also the tests marked long")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--long") or "long" in (config.getoption("-m") or ""):
        return
    skip = pytest.mark.skip(reason="long; run with --long or -m long")
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(skip)


@pytest.fixture(scope="module")
def shared(request):
    """For tables: one program and one accepting upstream for all rows; the books are checked at the end."""
    w = World()
    w.up = w.mta(**getattr(request.module, "SHARED_MTA", {}))
    w.proxy = w.tap(w.up, getattr(request.module, "SHARED_CONFIG", None))
    yield w
    w.end(False)


@pytest.fixture
def tap(shared):
    """The module's program. Sessions of a row are ended before the next one."""
    before = len(shared.proxy.clients)
    shared.proxy.mark = len(shared.proxy.log.raw)
    yield shared.proxy
    for client in shared.proxy.clients[before:]:
        client.close()


@pytest.fixture
def up(shared):
    return shared.up


@pytest.fixture(scope="session")
def postfix(certs):
    if os.geteuid() != 0:
        pytest.skip("a private Postfix needs root")
    if not shutil.which("postfix", path="/usr/sbin:/usr/bin"):
        pytest.skip("Postfix is not installed")
    instance = Postfix(certs.mta)
    try:
        yield instance.start()
    finally:
        instance.stop()


@pytest.fixture
def make_dovecot():
    """dovecot(users, ...): a private one that is started, as many as a test wants."""
    if private_dovecot.why_not():
        pytest.skip(private_dovecot.why_not())
    made = []

    def make(*args, **options):
        made.append(private_dovecot.Dovecot(*args, **options))
        return made[-1].start()

    yield make
    for one in made:
        one.stop()
