"""Processes of a cluster are killed: broker, agents, executors, clients, and ssh below them."""

import os
import random
import signal
import subprocess
import threading
import time

import catalogue
import pytest
from cluster import Cluster, TcpCluster, measured_s
from programs import children, eventually, free_port, is_alive
from proxy import Proxy
from redis_server import RedisServer

FEW = 5
DICE = random.Random(4)


@pytest.fixture
def redis(tmp_path):
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis")
    yield server
    server.end()


@pytest.fixture
def cluster(start, private):
    return Cluster(start, private / "cluster")


@pytest.mark.fault("A01")
def test_an_idle_broker_that_is_killed_is_back_within_2_s_and_sessions_go_on(cluster):
    session = cluster.start("scoop", "map", "echo", env=cluster.client_environment, ready=None, stdin=subprocess.PIPE)
    session.write("before")
    session.wait_for("before", stdout=True)
    cluster.broker.kill()
    cluster.start_broker()
    session.write("after")
    took_s = measured_s(lambda: session.wait_for("after", stdout=True))
    assert took_s < 2
    session.process.stdin.close()
    assert session.wait() == 0


@pytest.mark.slow
@pytest.mark.fault("A02", weaker="at some thousand tasks a second", short=f"{FEW} times, not 1000")
def test_nothing_is_lost_when_the_broker_is_killed_again_and_again(cluster):
    for _ in range(1000 if catalogue.LONG else FEW):
        client = cluster.run(2000)
        time.sleep(DICE.uniform(0, 0.5))
        cluster.broker.kill()
        cluster.start_broker()
        cluster.ends_well(client)


@pytest.mark.fault("A03", short=f"{FEW} times, not 100")
def test_nothing_is_lost_when_the_broker_is_killed_while_it_reads_its_journal(start, private, redis):
    cluster = Cluster(start, private / "cluster", redis=redis, agents=0)
    count = 3000
    submitter = cluster.submit(count)
    assert submitter.wait(60) == 0
    cluster.broker.kill()
    reads_s = measured_s(lambda: cluster.start_broker().wait_for("ev=durables_open"))
    for _ in range(100 if catalogue.LONG else FEW):
        cluster.broker.kill()
        cluster.start_broker(ready=None)
        time.sleep(DICE.uniform(0, reads_s))
    cluster.broker.kill()
    cluster.start_broker()
    cluster.start_agent()
    cluster.ends_well(cluster.wait(count), runs_allowed=1)


@pytest.mark.fault("A05")
@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
def test_a_broker_that_ends_by_its_own_fault_leaves_no_core_and_is_started_again(cluster, number):
    with open(f"/proc/{cluster.broker.pid}/limits", encoding="ascii") as limits:
        assert any(line.split()[:6] == ["Max", "core", "file", "size", "0", "0"] for line in limits)
    client = cluster.run(200, 10)
    cluster.wait_for(10)
    cluster.broker.send_signal(number)
    assert cluster.broker.wait() == -number
    cluster.start_broker()
    cluster.ends_well(client)


@pytest.mark.fault("A06")
def test_the_executors_of_a_killed_agent_die_and_its_tasks_run_elsewhere_at_once(cluster):
    """How soon that is, tests/faults/recovery measures over many."""
    busy = cluster.run(4, 1000)
    cluster.wait_for(4)
    executors = children(cluster.agents[0].pid)
    killed_ns = time.monotonic_ns()
    cluster.agents[0].kill()
    eventually(lambda: not any(map(is_alive, executors)), "its executors are gone", 1)
    cluster.wait_for(6)
    again = [event for event in cluster.history.events("start") if event.ns > killed_ns]
    assert max(event.ns for event in again) - killed_ns < 2e9, "as soon as the other agent's own tasks have ended"
    cluster.ends_well(busy, runs_allowed=2)


@pytest.mark.fault("A09")
def test_a_client_that_is_killed_and_started_again_gets_each_durable_result_once(start, private, redis):
    cluster = Cluster(start, private / "cluster", redis=redis)
    count = 200
    first = cluster.submit(count, 5)
    eventually(lambda: cluster.history.count("start") > 20, "it is in the middle")
    first.kill()
    again = cluster.submit(count, 5)
    assert again.wait(60) == 0, again.log
    cluster.ends_well(cluster.wait(count), runs_allowed=1)


@pytest.mark.fault("A11", weaker="the agent is started anew with another key, and its tasks run again")
def test_ssh_of_an_agent_is_killed_and_made_anew(start, private):
    cluster = TcpCluster(start, private / "cluster")
    broker = cluster.start_all()
    client = cluster.run(200, 20)
    cluster.wait_for(8)
    os.kill(cluster.logins()[0], signal.SIGKILL)
    eventually(lambda: broker.log.count("ev=agent_joined") == 3, "another agent is there")
    cluster.ends_well(client, runs_allowed=2)


@pytest.mark.fault("A14")
def test_the_result_of_an_agent_that_dies_before_it_is_acknowledged_counts_once(start, private):
    port = free_port()
    proxy = Proxy(port)
    cluster = TcpCluster(start, private / "cluster", hosts=("red",), advertise=f"tcp://127.0.0.1:{proxy.port}",
                         agent_port=port)
    cluster.start_all()
    (agent,) = cluster.agents()
    client = cluster.run(1, 300)
    cluster.wait_for(1)
    silence_over = threading.Event()
    proxy.on_reply = lambda data: cluster.history.count("end") > 0 and silence_over.wait()  # no acknowledgement comes through
    cluster.wait_for(1, "deliver")
    os.kill(agent, signal.SIGKILL)
    proxy.on_reply = None
    silence_over.set()
    cluster.ends_well(client, runs_allowed=1)
    proxy.close()


@pytest.fixture
def between(start, private, redis):
    """A cluster whose broker reaches Redis through a proxy."""
    proxy = Proxy(redis.port)

    class Through:
        url = f"redis://127.0.0.1:{proxy.port}"

    yield Cluster(start, private / "cluster", redis=Through), proxy
    proxy.close()


def kill_when(cluster, proxy, where, condition):
    """The broker is killed at the next record that is written: "before" that reaches Redis, or "after"."""
    done = []

    def look(data):
        if done or not condition(data):
            return False
        done.append(data)
        cluster.broker.kill()
        return True

    setattr(proxy, {"before": "on_request", "after": "on_reply"}[where], look)
    return lambda: eventually(lambda: done, "the broker was killed")


@pytest.mark.fault("D05")
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_broker_that_dies_around_the_write_of_a_task_has_it_once(between, where):
    cluster, proxy = between
    written = []
    proxy.on_request = lambda data: written.append(b"XADD" in data)
    killed = kill_when(cluster, proxy, where, lambda data: b"XADD" in data if where == "before" else any(written))
    submitter = cluster.submit(1)
    killed()
    proxy.on_request = proxy.on_reply = None
    cluster.start_broker()
    assert submitter.wait(30) == 0, submitter.log
    cluster.ends_well(cluster.wait(1), runs_allowed=1)


@pytest.mark.fault("A15")
def test_an_outcome_in_the_journal_is_delivered_after_the_next_start_and_not_computed_again(between):
    cluster, proxy = between
    assert cluster.submit(1, 300).wait() == 0
    waiter = cluster.wait(1)
    cluster.wait_for(1)
    ends = []
    proxy.on_request = lambda data: ends.append(b"XADD" in data and cluster.history.count("end") > 0)
    killed = kill_when(cluster, proxy, "after", lambda data: any(ends))
    killed()
    proxy.on_request = proxy.on_reply = None
    cluster.start_broker()
    cluster.ends_well(waiter, runs_allowed=1)


@pytest.mark.fault("M07")
def test_what_was_cancelled_when_the_broker_died_has_one_true_end(between):
    cluster, proxy = between
    busy = cluster.run(4, 30000)
    cluster.wait_for(4)
    assert cluster.submit(1, first=100).wait() == 0
    written = []
    proxy.on_request = lambda data: written.append(b"XADD" in data)
    killed = kill_when(cluster, proxy, "after", lambda data: any(written))
    cancel = cluster.start("scoop", "cancel", f"{101:016x}", env=cluster.client_environment, ready=None)
    killed()
    proxy.on_request = proxy.on_reply = None
    cluster.start_broker()
    assert cancel.wait(30) == 0, cancel.log
    busy.kill()
    assert not [event for event in cluster.history.events("start") if event.number == 100], "it never ran, and never does"
