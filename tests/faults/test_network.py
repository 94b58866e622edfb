"""The network fails: between hosts that are network namespaces of this machine, and on a proxy before the broker."""

import random
import threading
import time

import catalogue
import lab as labs
import pytest
from cluster import TcpCluster, measured_s
from programs import DEADLINE_S, eventually, free_port, sanitized
from proxy import Proxy

LEASE_S = 3
SHORT_CUT = "a cut of 2 s may cost the lease: TCP repeats what was lost after 3 s only"


def slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


@pytest.fixture
def lab():
    reason = labs.why_not()
    if reason:
        pytest.skip(reason)
    lab = labs.Lab("red", "blue", "client")
    yield lab
    lab.end()


@pytest.fixture
def cluster(start, private, lab):
    """Two agents and the clients, each on a host of its own."""
    cluster = TcpCluster(start, private / "cluster", lab=lab)
    cluster.start_all()
    return cluster


def lost(cluster):
    """How many agents were given up."""
    return cluster.broker.log.count("ev=agent_lost")


# ---- cut off ----


@pytest.mark.slow
@pytest.mark.fault("C01", weaker=SHORT_CUT)
def test_an_agent_that_is_cut_off_for_less_than_its_lease_keeps_its_tasks(cluster, lab):
    client = cluster.run(40, 100)
    cluster.wait_for(4)
    lab.cut("red")
    time.sleep(0.5)
    lab.heal("red")
    cluster.ends_well(client, runs_allowed=1)
    assert lost(cluster) == 0


@pytest.mark.slow
@pytest.mark.fault("C01", weaker=SHORT_CUT)
@pytest.mark.parametrize("seconds", [10, 600] if catalogue.LONG else [5])
def test_an_agent_that_is_cut_off_for_longer_has_its_tasks_run_elsewhere_and_comes_back(cluster, lab, seconds):
    client = cluster.run(300, 100)
    cluster.wait_for(8)
    lab.cut("red")
    time.sleep(seconds)
    assert lost(cluster) == 1
    lab.heal("red")
    cluster.wait_for_agents(2)
    cluster.ends_well(client, runs_allowed=2)
    assert len(cluster.history.events("start")) <= 300 + 2, "only what ran there runs again"


@pytest.mark.slow
@pytest.mark.fault("C02")
@pytest.mark.parametrize("towards", ["red", "broker"])
def test_an_agent_that_is_cut_off_in_one_direction_is_noticed_by_both(cluster, lab, towards):
    client = cluster.run(100, 100)
    cluster.wait_for(8)
    lab.cut("red", towards)
    took_s = measured_s(lambda: eventually(lambda: lost(cluster) == 1, "the broker has noticed"))
    assert took_s < LEASE_S + 1.5
    eventually(lambda: "ev=lease_expired" in cluster.agent_log("red"), "the agent has noticed", 5)
    lab.heal("red")
    cluster.wait_for_agents(2)
    cluster.ends_well(client)


@pytest.mark.slow
@pytest.mark.fault("C03")
def test_a_client_that_is_cut_off_goes_on_when_it_is_back(cluster, lab):
    client = cluster.run(100, 50)
    cluster.wait_for(10)
    lab.cut("client")
    time.sleep(5)
    lab.heal("client")
    cluster.ends_well(client, runs_allowed=1)


@pytest.mark.fault("C12")
def test_a_host_that_vanishes_without_a_word_is_noticed_within_4_s(cluster, lab):
    client = cluster.run(100, 50)
    cluster.wait_for(8)
    lab.unplug("red")
    assert measured_s(lambda: eventually(lambda: lost(cluster) == 1, "it was given up")) < LEASE_S + 1
    cluster.ends_well(client, runs_allowed=2)


@pytest.mark.slow
@pytest.mark.fault("C13")
def test_it_goes_on_when_all_lines_were_clogged_and_freed_one_by_one(cluster, lab):
    client = cluster.run(100, 50)
    cluster.wait_for(8)
    names = ["red", "blue", "client"]
    for name in names:
        lab.cut(name)
        time.sleep(1)
    for name in random.Random(1).sample(names, 3):
        lab.heal(name)
        time.sleep(1)
    cluster.ends_well(client)


# ---- bad lines ----


@pytest.mark.fault("C04")
@pytest.mark.parametrize("share", [0.01, 0.1, slow(0.3)])
def test_tasks_are_right_on_lines_that_lose_packets_and_nobody_is_given_up_for_a_few(cluster, lab, share):
    for name in cluster.hosts:
        lab.lose(name, share)
    cluster.ends_well(cluster.run(200, 10), timeout=120)
    if share <= 0.1:
        assert lost(cluster) == 0


@pytest.mark.fault("C08")
def test_a_slow_line_holds_back_who_sends_and_the_broker_does_not_grow(cluster, lab):
    cluster.ends_well(cluster.run(10))
    before = cluster.broker.resident_bytes()
    lab.slow_down("red", "256kbit")
    lab.slow_down("blue", "256kbit")
    cluster.ends_well(cluster.run(2000), timeout=120)
    assert sanitized() or cluster.broker.resident_bytes() - before < 8 << 20
    assert lost(cluster) == 0


@pytest.mark.fault("C14")
def test_where_large_packets_vanish_an_agent_is_given_up_and_nothing_hangs(cluster, lab):
    """Small frames and heartbeats of TCP go through; a frame with many tasks never does."""
    lab.lose_large("red", 1000)
    cluster.ends_well(cluster.run(5000))


# ---- a proxy between the agents and the broker ----


@pytest.fixture
def through(start, private):
    """through() -> (cluster, proxy): agents reach the broker through the proxy only."""
    proxies = []

    def made():
        port = free_port()
        proxy = Proxy(port)
        proxies.append(proxy)
        cluster = TcpCluster(start, private / "cluster", advertise=f"tcp://127.0.0.1:{proxy.port}", agent_port=port)
        return cluster, proxy

    yield made
    for proxy in proxies:
        proxy.close()


@pytest.mark.fault("C05", weaker="the slots are busy when the client asks for batches")
def test_a_delay_with_jitter_costs_no_more_than_a_few_of_it(through):
    cluster, proxy = through()
    cluster.start_all()
    cluster.ends_well(cluster.run(20, 10))
    dice = random.Random(1)
    proxy.delay_s = lambda: dice.uniform(0.1, 0.2)
    took_s = measured_s(lambda: cluster.ends_well(cluster.run(400, 10, batch=40)))
    assert took_s < 400 * 0.010 / 4 + 4, "the slots are kept busy"


@pytest.mark.slow
@pytest.mark.fault("C09")
def test_a_storm_of_resets_leaves_half_of_the_speed(through):
    cluster, proxy = through()
    cluster.start_all()
    tasks = 400
    calm_s = measured_s(lambda: cluster.ends_well(cluster.run(tasks, 50)))
    over = threading.Event()
    storm = threading.Thread(target=lambda: [proxy.reset() for _ in iter(lambda: over.wait(1), True)])
    storm.start()
    try:
        storm_s = measured_s(lambda: cluster.ends_well(cluster.run(tasks, 50)))
    finally:
        over.set()
        storm.join()
    assert storm_s < 2 * calm_s
    assert lost(cluster) == 0


@pytest.mark.slow
@pytest.mark.fault("C10", short="at every 37th byte of the first 1200")
def test_a_connection_that_is_cut_at_any_byte_harms_nothing(through):
    cluster, proxy = through()
    cluster.start_all()
    client = cluster.run(200, 50)
    for offset in range(1, 1200, 1 if catalogue.LONG else 37):
        ends = proxy.cut_ends
        proxy.cut_after = offset
        proxy.reset()
        eventually(lambda: proxy.cut_ends > ends, f"a connection was cut after {offset} bytes")
    proxy.cut_after = None
    cluster.ends_well(client)
    cluster.ends_well(cluster.run(20))


@pytest.mark.fault("C11")
@pytest.mark.parametrize("offset", [70, 300, 2000, *map(slow, (5, 5000))])
def test_a_bit_that_flips_on_the_way_is_never_obeyed(through, offset):
    cluster, proxy = through()
    cluster.start_all()
    proxy.flip_at = offset
    proxy.reset()
    cluster.ends_well(cluster.run(2000))
    assert proxy.flipped == 1


@pytest.mark.fault("C12")
def test_a_line_that_stalls_is_noticed_within_4_s(through):
    cluster, proxy = through()
    cluster.start_all()
    proxy.stall()
    assert measured_s(lambda: eventually(lambda: lost(cluster) == 2, "both are given up", DEADLINE_S)) < LEASE_S + 1
    proxy.go_on()
    cluster.wait_for_agents(2)
    cluster.ends_well(cluster.run(20))
