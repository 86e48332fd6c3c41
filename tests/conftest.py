"""Fixtures of the black-box and fault tests, and the rule that nothing may be skipped."""

import itertools
import re

import pytest
from harness import Daemon, RedisServer, Sink, senders
from harness.clients import NodeReceiver
from harness.cluster import Cluster
from harness.recorder import Recorder


def pytest_addoption(parser):
    group = parser.getgroup("long forms of the fault tests")
    group.addoption("--minutes", type=float, help="how long replicas are killed and paused; at 2,000 "
                    "events a second, with the lease and the heartbeat that users have")
    group.addoption("--rate", type=int, help="another number of events a second")
    group.addoption("--seed", type=int, help="whom what happens to: the seed that a run printed")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    """A test that does not run proves nothing: skipped and expected failures fail the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    idle = sum((reporter.stats.get(kind, []) for kind in ("skipped", "xfailed", "xpassed")), [])
    if idle and session.exitstatus in (0, pytest.ExitCode.OK):
        reporter.write_line(f"{len(idle)} tests were skipped, which counts as failure", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def start_daemon(tmp_path):
    """start_daemon(…): a server of this test's own; arguments as for Daemon. Checked at the end."""
    daemons = []

    def start(*arguments, started=True, **options):
        daemon = Daemon(tmp_path / f"server{len(daemons)}", *arguments, **options)
        daemons.append(daemon)
        return daemon.start() if started else daemon

    yield start
    _finish_all(daemons)


def _finish_all(daemons):
    problems = []
    for daemon in daemons:
        try:
            daemon.finish()
        except AssertionError as error:
            problems.append(str(error))
    assert not problems, "\n\n".join(problems)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for the tests of a module that only use its API. Checked at the module's end."""
    daemon = Daemon(tmp_path_factory.mktemp("server"))
    daemon.start()
    yield daemon
    daemon.finish()


@pytest.fixture(scope="module", params=["auto", "plain"])
def server_on_each_route(request, tmp_path_factory):
    """For modules that judge the wire: one server for each route that deliveries can take. They call
    it `server`."""
    daemon = Daemon(tmp_path_factory.mktemp("server"),
                    config=f"outbound:\n  route: {request.param}\n")
    daemon.start()
    yield daemon
    daemon.finish()


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client


@pytest.fixture
def sink():
    with Sink() as sink:
        yield sink


@pytest.fixture
def redis_server():
    """An external Redis that keeps what it acknowledged: append-only, synced with every write."""
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        yield server


@pytest.fixture
def make_cluster(tmp_path, redis_server):
    """make_cluster(…): replicas on one Redis, not started yet; arguments as for Cluster. Checked at
    the end."""
    clusters = []

    def make(*arguments, **options):
        directory = tmp_path / f"cluster{len(clusters)}"
        clusters.append(Cluster(directory, redis_server, *arguments, **options))
        return clusters[-1]

    yield make
    _finish_all(clusters)


@pytest.fixture
def recorder(tmp_path):
    with Recorder(tmp_path) as recorder:
        yield recorder


@pytest.fixture
def node_receiver():
    """node_receiver(library, secret, …): a receiver that verifies with a real client library;
    arguments as for NodeReceiver."""
    receivers = []

    def start(*arguments):
        receivers.append(NodeReceiver(*arguments))
        return receivers[-1]

    yield start
    for receiver in receivers:
        receiver.close()


@pytest.fixture
def make_source(client):
    """make_source(scheme, …): makes a source with that scheme, members as the API's; its name. Its
    secret is senders.SECRET if `secrets` are not given."""
    def make(scheme="github", **members):
        name = f"s{next(_numbers)}"
        client.post("/api/sources", {"name": name, "scheme": scheme, "secrets": [senders.SECRET],
                                     **members}).expect(201)
        return name
    return make


@pytest.fixture
def event_type(request):
    """A type no other test uses, so that tests can share a server: `t7.webhooks`."""
    return f"t{next(_numbers)}.{re.sub(r'[^a-z]+', '_', request.node.originalname[5:])[:40]}"


_numbers = itertools.count(1)
