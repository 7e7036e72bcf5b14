import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "system"), HERE, os.path.join(os.path.dirname(HERE), "..", "deploy", "elk")]

import traffic  # noqa: E402
from harness.tls import Certificates  # noqa: E402
from harness.world import World  # noqa: E402
from servers import Kafka, OpenSearch  # noqa: E402


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        item.failed_call = report.failed


@pytest.fixture
def world(request):
    w = World()
    yield w
    w.end(getattr(request.node, "failed_call", False))


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    return Certificates(str(tmp_path_factory.mktemp("certificates")))


@pytest.fixture(scope="session")
def opensearch(tmp_path_factory):
    """A node with what deploy/elk installs; each test that writes to it begins with `empty`."""
    node = OpenSearch(str(tmp_path_factory.mktemp("opensearch")))
    try:
        node.install()
        yield node
    finally:
        node.stop()


@pytest.fixture
def empty(opensearch):
    opensearch.ask("DELETE", "/_data_stream/smtptap-*,logs-smtptap*")
    return opensearch


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    broker = Kafka(str(tmp_path_factory.mktemp("kafka")))
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def mail(certs, tmp_path_factory):
    """One run of the program with mail of every outcome, ended; its log file and records."""
    world = World()
    failed = True
    try:
        done = traffic.run(world, certs, str(tmp_path_factory.mktemp("mail") / "smtptap.json"))
        failed = False
    finally:
        world.end(failed)
    return done
