"""Processes stand still, clocks are wrong, CPUs are taken."""

import pathlib
import signal
import subprocess
import time

import catalogue
import pytest
from cluster import Cluster
from programs import environment, eventually, sanitized
from redis_server import RedisServer

FAKETIME = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@pytest.fixture
def redis(tmp_path):
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis")
    yield server
    server.end()


@pytest.fixture
def cluster(start, private):
    return Cluster(start, private / "cluster")


def lost(cluster):
    return cluster.broker.log.count("ev=agent_lost")


def pause(program, seconds):
    program.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    program.send_signal(signal.SIGCONT)


@pytest.mark.slow
@pytest.mark.fault("B01", short="for 5 s, not 10")
def test_a_stopped_agent_has_its_tasks_run_elsewhere_and_what_it_says_later_changes_nothing(cluster):
    client = cluster.run(200, 50)
    cluster.wait_for(8)
    pause(cluster.agents[0], 10 if catalogue.LONG else 5)
    eventually(lambda: cluster.info()["workers"] == 2, "it is back, as a new incarnation")
    cluster.ends_well(client, runs_allowed=2)
    assert lost(cluster) == 1


@pytest.mark.fault("B02", weaker="for 2 s; after 3 s agents end what they run by themselves")
def test_a_broker_that_is_stopped_for_less_than_a_lease_gives_nobody_up(cluster):
    client = cluster.run(100, 50)
    cluster.wait_for(8)
    pause(cluster.broker, 2)
    cluster.ends_well(client, runs_allowed=1)
    assert lost(cluster) == 0


@pytest.mark.slow
@pytest.mark.fault("B02", weaker="what runs begins anew, as agents end it by themselves after 3 s")
def test_a_broker_that_is_stopped_for_longer_runs_only_that_again_which_was_running(cluster):
    client = cluster.run(200, 50)
    cluster.wait_for(8)
    pause(cluster.broker, 10 if catalogue.LONG else 5)
    assert client.wait(60) == 0
    assert cluster.history.count("start") <= 200 + 4
    cluster.ends_well(client, runs_allowed=2)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["client", "executor"])
@pytest.mark.fault("B01")
def test_whoever_else_stands_still_for_5_s_loses_nothing(cluster, who):
    client = cluster.run(100, 50)
    cluster.wait_for(8)
    if who == "client":
        pause(client, 5)
    else:
        victim = cluster.history.events("start")[-1].pid
        subprocess.run(["kill", "-STOP", str(victim)], check=True)
        time.sleep(5)
        subprocess.run(["kill", "-CONT", str(victim)], check=False)
    cluster.ends_well(client, runs_allowed=1)
    assert lost(cluster) == 0


@pytest.mark.fault("B05")
def test_a_wall_clock_that_jumps_an_hour_changes_nothing(start, private, tmp_path):
    if not FAKETIME.exists():
        pytest.skip("libfaketime is not installed")
    jump = tmp_path / "jump"
    jump.write_text("+0")
    fake = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(jump), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "ASAN_OPTIONS": environment()["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}
    cluster = Cluster(start, private / "cluster", agents=0, environment=fake)
    cluster.start_agent()
    cluster.start_agent()
    client = cluster.run(150, 50)
    cluster.wait_for(8)
    for offset in ("+3600", "-3600"):
        jump.write_text(offset)
        seen = cluster.history.count("start")
        cluster.wait_for(min(seen + 40, 150))
    cluster.ends_well(client, runs_allowed=1)
    assert lost(cluster) == 0
    assert not any("ev=lease_expired" in agent.log for agent in cluster.agents)


@pytest.mark.fault("B06")
def test_a_broker_whose_monotonic_clock_begins_elsewhere_after_a_restart_goes_on(start, private, redis):
    why = subprocess.run(["unshare", "--time", "--monotonic", "1", "true"], check=False, capture_output=True, text=True)
    if why.returncode != 0:
        pytest.skip(f"no time namespaces: {why.stderr.strip()}")
    cluster = Cluster(start, private / "cluster", redis=redis)
    assert cluster.submit(100, 20).wait() == 0
    cluster.broker.kill()
    for offset in ("10000000", "-1000"):
        cluster.start_broker(words=("/usr/bin/unshare", "--time", "--monotonic", offset, "--fork", "--kill-child"))
        cluster.wait_for_agents(2)
        cluster.broker.kill()
    cluster.start_broker()
    cluster.ends_well(cluster.wait(100), runs_allowed=4)


@pytest.mark.slow
@pytest.mark.fault("B08", short="for 5 s, not a minute")
def test_nobody_is_given_up_while_32_processes_take_the_cpus(cluster):
    hogs = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(32)]
    try:
        until = time.monotonic() + (60 if catalogue.LONG else 5)
        waits_s = []
        while time.monotonic() < until:
            client = cluster.run(4, 1)
            assert client.wait() == 0
            submits = {event.number: event.ns for event in cluster.history.events("submit")}
            waits_s += [(event.ns - submits[event.number]) / 1e9 for event in cluster.history.events("start")]
            cluster.ends_well(client, runs_allowed=1)
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    assert lost(cluster) == 0
    assert sanitized() or sorted(waits_s)[len(waits_s) * 99 // 100] < 0.25


@pytest.mark.slow
@pytest.mark.fault("B09")
def test_a_disk_that_stalls_for_5_s_lets_only_acknowledgements_wait(start, private, redis):
    cluster = Cluster(start, private / "cluster", redis=redis)
    stall = subprocess.Popen(["strace", "-f", "-qq", "-e", "trace=fdatasync", "-e",
                              "inject=fdatasync:delay_enter=5000000:when=1", "-p", str(redis.process.pid)],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: "TracerPid:\t0" not in pathlib.Path(f"/proc/{redis.process.pid}/status").read_text(), "strace is there")
        before_s = time.monotonic()
        submitter = cluster.submit(10)
        cluster.wait_for(1, "submit")
        meanwhile = cluster.run(50, 1)
        assert meanwhile.wait() == 0
        assert cluster.history.count("ack") == 0 or time.monotonic() - before_s > 5
        assert submitter.wait(30) == 0
        assert time.monotonic() - before_s > 4.5
    finally:
        stall.terminate()
        stall.wait()
    assert lost(cluster) == 0
