"""Durable tasks: a real broker with its journal in a real Redis, two workers, real clients, while each of them dies.
A test's name is the sentence that it checks; "durables" leaves a line for each execution of a task."""

import collections
import os

import pytest
from programs import eventually, run
from redis_server import RedisServer
from test_recovery import Cluster

PROGRAM = "../tests/programs/durables"


class DurableCluster(Cluster):
    def __init__(self, start, folder):
        super().__init__(start, folder)
        (folder / "redis").mkdir()
        self.redis = RedisServer(folder / "redis")

    def start_broker(self, *arguments, journal=True):
        if journal:
            arguments += ("--journal", self.redis.url)
        self.broker = self.start("scoop-broker", "--client-listen", self.url, "--worker-listen", self.workers_url,
                                 *arguments)

    def durables(self, *arguments, timeout=60):
        """Run the client; its lines, split."""
        ended = run(PROGRAM, *arguments, env={"SCOOP_BROKER": self.url}, timeout=timeout)
        assert ended.returncode == 0, ended.stderr
        return [line.split() for line in ended.stdout.splitlines()]

    def start_durables(self, *arguments):
        return self.start(PROGRAM, *arguments, env={"SCOOP_BROKER": self.url}, ready=None)


@pytest.fixture
def cluster(start, tmp_path):
    cluster = DurableCluster(start, tmp_path / "cluster")
    cluster.start_broker()
    cluster.start_worker()
    cluster.start_worker()
    yield cluster
    cluster.redis.end()


@pytest.fixture
def idle(start, tmp_path):
    """Without broker and workers."""
    cluster = DurableCluster(start, tmp_path / "cluster")
    yield cluster
    cluster.redis.end()


def assert_accepted(lines, count):
    assert [line[1] for line in lines] == ["ok"] * count


def assert_all_right(lines, first, count):
    assert [(int(line[0]), line[1], int(line[2])) for line in lines] == \
        [(number, "ok", number ** 2) for number in range(first, first + count)]


# ---- 11. Accepted only when it is in the journal; outlives client, broker and Redis. ----


def test_a_durable_task_outlives_its_client(cluster):
    assert_accepted(cluster.durables("submit", 0, 20, 100), 20)
    assert_all_right(cluster.durables("wait", 0, 20), 0, 20)
    assert_all_right(cluster.durables("wait", 0, 20), 0, 20)
    assert cluster.times_run() == collections.Counter(range(20))


def test_a_durable_task_outlives_the_broker(idle):
    idle.start_broker()
    assert_accepted(idle.durables("submit", 0, 100, 0), 100)
    idle.broker.kill()
    idle.start_broker()
    idle.start_worker()
    assert_all_right(idle.durables("wait", 0, 100), 0, 100)
    idle.broker.kill()
    idle.start_broker()
    assert_all_right(idle.durables("wait", 0, 100), 0, 100)
    assert idle.times_run() == collections.Counter(range(100)), "an outcome that is in the journal is not computed again"


@pytest.mark.tsan
def test_no_durable_task_is_lost_or_told_twice_whatever_is_killed(cluster):
    count = 2000
    submitter = cluster.start_durables("submit", 0, count, 2)
    waiter = cluster.start_durables("wait", 0, count)
    for step in range(5):
        cluster.wait_for_executions(step * count // 8 + 1)
        if step in (1, 3):
            cluster.redis.kill()
            cluster.redis.start()
        cluster.broker.kill()
        cluster.start_broker()
        if step == 2:
            submitter.kill()
            submitter = cluster.start_durables("submit", 0, count, 2)
        if step == 3:
            waiter.kill()
    assert submitter.wait(60) == 0, submitter.log
    assert_accepted([line.split() for line in submitter.lines], count)
    assert_all_right(cluster.durables("wait", 0, count), 0, count)
    again = cluster.times_run()
    assert set(again) == set(range(count))
    assert cluster.durables("forget", 0, count) == [[str(number), "ok"] for number in range(count)]
    assert cluster.durables("wait", 7, 1)[0][1] == "refused"


def test_durable_tasks_wait_for_a_redis_that_is_stopped_and_others_go_on(cluster):
    cluster.redis.pause()
    submitter = cluster.start_durables("submit", 0, 50, 0)
    assert run("scoop", "map", "--broker", cluster.url, "echo", ":::", "a", "b").stdout == "a\nb\n"
    assert submitter.lines == []
    assert cluster.executions() == []
    cluster.redis.go_on()
    assert submitter.wait() == 0
    assert_accepted([line.split() for line in submitter.lines], 50)
    assert_all_right(cluster.durables("wait", 0, 50), 0, 50)


def test_a_redis_that_was_emptied_gets_all_that_is_needed_again(cluster):
    assert_accepted(cluster.durables("submit", 0, 50, 0), 50)
    assert_all_right(cluster.durables("wait", 0, 50), 0, 50)
    cluster.redis.connect().flushall()
    cluster.broker.wait_for("ev=journal_lost", timeout=5)
    assert_accepted(cluster.durables("submit", 50, 1, 0), 1)
    cluster.broker.kill()
    cluster.start_broker()
    assert_all_right(cluster.durables("wait", 0, 51), 0, 51)


# ---- 12. The same id is the same task. ----


def test_a_durable_task_that_is_submitted_again_is_the_same_task(cluster):
    for _ in range(3):
        assert_accepted(cluster.durables("submit", 0, 10, 0), 10)
    assert_all_right(cluster.durables("wait", 0, 10), 0, 10)
    assert_accepted(cluster.durables("submit", 0, 10, 0), 10)
    assert cluster.times_run() == collections.Counter(range(10))


# ---- 13. What cannot be journaled is refused by name. ----


def test_a_durable_task_is_refused_by_a_broker_without_a_journal(idle):
    idle.start_broker(journal=False)
    line = idle.durables("submit", 0, 1, 0)[0]
    assert line[1] == "refused"
    assert " ".join(line[2:]) == "this broker keeps no durable tasks: it was started without --journal"


def test_a_durable_task_is_refused_by_a_journal_without_memory_and_accepted_later(cluster):
    cluster.redis.connect().config_set("maxmemory", "1")
    line = cluster.durables("submit", 0, 1, 0)[0]
    assert line[1] == "refused" and "the journal is full: " in " ".join(line) and "OOM" in line
    cluster.redis.connect().config_set("maxmemory", "0")
    cluster.broker.wait_for("ev=journal_full")
    eventually(lambda: cluster.durables("submit", 0, 1, 0)[0][1] == "ok", "it is accepted")
    assert_all_right(cluster.durables("wait", 0, 1), 0, 1)
    assert cluster.times_run() == {0: 1}


# ---- brokers ----


def test_a_second_broker_on_one_journal_ends_the_first(idle, tmp_path):
    idle.start_broker()
    first = idle.broker
    first.wait_for("ev=durables_open")
    (tmp_path / "other").mkdir(mode=0o700)
    second = idle.start("scoop-broker", "--client-listen", f"ipc://{tmp_path}/other/client", "--worker-listen",
                        f"ipc://{tmp_path}/other/worker", "--journal", idle.redis.url)
    assert first.wait() == 1
    assert first.events[-1] == "scoop-broker: the loop ended: another broker has taken scoop:scoop:journal over; " \
        "who: redis-cli HGETALL scoop:scoop:broker"
    owner = idle.redis.connect().hget("scoop:scoop:broker", "owner").decode()
    assert owner == f"{os.uname().nodename} pid {second.pid}"


@pytest.mark.parametrize("arguments, problem", [
    (("--journal", "http://x"), "journal: what is set is not redis://[:PASSWORD@]HOST[:PORT][/DATABASE]"),
    (("--journal", "redis://x", "--journal-name", "a b"),
     "journal-name: \"a b\" is not 1 to 64 letters, digits, '-', '_', '.'"),
    (("--journal", "redis://x", "--journal-mark", "/proc/version"),
     "journal-mark: /proc/version does not hold the name of a journal"),
])
def test_a_bad_setting_of_the_journal_ends_the_broker_with_one_line(tmp_path, arguments, problem):
    ended = run("scoop-broker", "--client-listen", f"ipc://{tmp_path}/c", "--worker-listen", f"ipc://{tmp_path}/w",
                *arguments)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == f"scoop-broker: {problem}"
