"""Clients, peers and functions that want more than there is: memory, descriptors, CPUs, room."""

import os
import pathlib
import resource
import signal
import socket
import time

import catalogue
import pytest
from cluster import Cluster, TcpCluster
from programs import eventually, sanitized

MIB = 1 << 20


@pytest.fixture
def cluster(start, private):
    return Cluster(start, private / "cluster")


def lost(cluster):
    return cluster.broker.log.count("ev=agent_lost")


def cpu_s(pid):
    """CPU time that a process has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
@pytest.mark.fault("E02", short="for seconds, not ten minutes")
def test_a_client_that_submits_faster_than_the_work_is_done_is_held_back(cluster):
    cluster.ends_well(cluster.run(100))
    client = cluster.run(1000000 if catalogue.LONG else 20000, 2 if catalogue.LONG else 0.1)
    cluster.wait_for(500)
    before = cluster.broker.resident_bytes()
    cluster.wait_for(10000)
    assert sanitized() or cluster.broker.resident_bytes() - before < 4 * MIB
    cluster.ends_well(client, timeout=1200, runs_allowed=1)


@pytest.mark.fault("E04")
def test_a_broker_without_a_free_descriptor_lives_does_not_spin_and_recovers(start, private):
    cluster = TcpCluster(start, private / "cluster", hosts=("red",))
    broker = cluster.start_all()
    usual = resource.prlimit(broker.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, (broker.descriptors() + 4, usual[1]))
    strangers = [socket.create_connection(("127.0.0.1", cluster.client_port)) for _ in range(40)]
    before_s = cpu_s(broker.pid)
    time.sleep(2)
    used_s = cpu_s(broker.pid) - before_s
    for stranger in strangers:
        stranger.close()
    assert broker.process.poll() is None
    assert used_s < 2, "less than one core"
    resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, usual)
    cluster.ends_well(cluster.run(50), runs_allowed=1)
    assert lost(cluster) == 0


@pytest.mark.slow
@pytest.mark.fault("E05", weaker="results of a few bytes")
def test_a_client_that_does_not_read_holds_back_only_itself(cluster):
    slow = cluster.run(20000)
    cluster.wait_for(2000)
    slow.send_signal(signal.SIGSTOP)
    before = cluster.broker.resident_bytes()
    other = cluster.start("scoop", "map", "echo", ":::", *range(200), env=cluster.client_environment, ready=None)
    assert other.wait(30) == 0, other.log
    assert sanitized() or cluster.broker.resident_bytes() - before <= MIB
    slow.send_signal(signal.SIGCONT)
    cluster.ends_well(slow, runs_allowed=1)


@pytest.mark.slow
@pytest.mark.fault("E06", short="8 arguments, not a hundred")
def test_large_arguments_go_in_pieces_and_the_broker_does_not_hold_them(cluster):
    before = cluster.broker.resident_bytes()
    count = 100 if catalogue.LONG else 8
    client = cluster.start("../tests/programs/large", "echo", 16 * MIB, count, env=cluster.client_environment, ready=None)
    peak = before
    while client.process.poll() is None:
        peak = max(peak, cluster.broker.resident_bytes())
        time.sleep(0.02)
    assert client.wait() == 0, client.log
    assert client.lines[-1] == f"{count} of {count}"
    assert sanitized() or peak - before < 64 * MIB


@pytest.mark.slow
@pytest.mark.fault("E07")
def test_nobody_is_given_up_while_32_tasks_spin_on_few_cpus(start, private):
    cluster = Cluster(start, private / "cluster", slots=16)
    spin = cluster.start("scoop", "map", "--timeout", "4", "while :; do :; done #{}", ":::", *range(32),
                         env=cluster.client_environment, ready=None)
    assert spin.wait(60) == 32, "all were ended at their limit"
    assert lost(cluster) == 0
    cluster.ends_well(cluster.run(50), runs_allowed=1)


@pytest.mark.slow
@pytest.mark.fault("E13", weaker="of a command; the rate is not looked at", short="a hundredth of it")
def test_a_flood_of_output_is_cut_and_harms_nobody(cluster):
    size = (1000 if catalogue.LONG else 10) * MIB
    flood = cluster.start("scoop", "map", f"yes | head -c {size} #{{}}", ":::", "1", env=cluster.client_environment, ready=None)
    cluster.ends_well(cluster.run(50), runs_allowed=1)
    assert flood.wait(300) in (0, 1)
    assert sum(map(len, flood.lines)) <= 64 * MIB
    assert lost(cluster) == 0


@pytest.mark.slow
@pytest.mark.fault("E14", short="with 16 agents, not 64")
def test_many_agents_of_one_slot_all_work(start, private):
    agents = 64 if catalogue.LONG else 16
    cluster = Cluster(start, private / "cluster", agents=0, slots=1)
    for _ in range(agents):
        cluster.start_agent()
    client = cluster.run(agents * 10, 100)
    assert client.wait(60) == 0
    assert len({event.pid for event in cluster.history.events("start")}) == agents
    cluster.ends_well(client, runs_allowed=1)


@pytest.mark.fault("E15", short="beside 20 000 tasks, not a million")
def test_a_client_of_one_task_beside_one_of_many_waits_for_its_turn_only(cluster):
    greedy = cluster.run(1000000 if catalogue.LONG else 20000, 1)
    cluster.wait_for(50)
    began_s = time.monotonic()
    other = cluster.start("scoop", "map", "echo", ":::", "mine", env=cluster.client_environment, ready=None)
    assert other.wait() == 0 and other.lines == ["mine"]
    assert time.monotonic() - began_s < 3
    assert greedy.process.poll() is None, "it still has many"
    greedy.kill()
