import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "system"), HERE, os.path.join(os.path.dirname(HERE), "..", "deploy", "elk")]

import traffic  # noqa: E402
from harness.fixtures import certs, pytest_runtest_makereport, world  # noqa: E402, F401
from harness.world import World  # noqa: E402
from servers import Kafka, OpenSearch  # noqa: E402


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
