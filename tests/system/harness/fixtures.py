"""What the conftest.py of every folder of tests gives: a world that is balanced after each test, and certificates."""
import pytest

from .tls import Certificates
from .world import World


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
