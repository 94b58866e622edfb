"""Constants with a real broker, real workers and real clients. A test's name is the sentence that it checks."""

import os
import pathlib
import signal

import pytest
from programs import binary, eventually, run
from redis_server import RedisServer

HOST = os.uname().nodename
NAME = "../tests/programs/constants"
PROGRAM = binary(NAME)
FOLDER = pathlib.Path(PROGRAM).parent


class Cluster:
    def __init__(self, start, folder, *options):
        folder.mkdir(mode=0o700)
        self.start = start
        self.url = f"ipc://{folder}/client"
        self.workers_url = f"ipc://{folder}/worker"
        self.options = options
        self.start_broker()
        self.worker = start("scoop-worker", "run", "--broker", self.workers_url, "--slots", 2, "--programs", FOLDER,
                            "--grace-ms", "0", ready=None)

    def start_broker(self):
        self.broker = self.start("scoop-broker", "--client-listen", self.url, "--worker-listen", self.workers_url,
                                 *self.options)

    def begin(self, *arguments):
        return self.start(NAME, *arguments, env={"SCOOP_BROKER": self.url}, ready=None)

    def program(self, *arguments):
        return run(NAME, *arguments, env={"SCOOP_BROKER": self.url})

    def const(self, *words, text=""):
        return run("scoop", "const", *words, stdin=text, env={"SCOOP_BROKER": self.url})

    def kill_broker(self):
        links = self.worker.log.count(" ev=link_open ")
        self.broker.kill()
        self.start_broker()
        eventually(lambda: self.worker.log.count(" ev=link_open ") > links, "the worker has a link again")


@pytest.fixture
def cluster(start, tmp_path):
    return Cluster(start, tmp_path / "cluster")


@pytest.mark.tsan
def test_shared_is_the_same_serially_and_on_workers():
    total = sum(7 + 5 * x + 3 * x ** 2 + x ** 3 for x in range(1000))
    assert run("examples/shared").stdout == f"{total}\n"
    assert run("scoop", "run", "-n", 2, binary("examples/shared")).stdout == f"{total}\n"


@pytest.mark.tsan
def test_a_constant_is_read_by_functions_and_their_children(cluster):
    done = cluster.program("set", "a", "one", 200, 0)
    assert (done.stdout, done.stderr) == ("set\n200 of 200\n", "")


def test_a_second_session_of_the_same_executors_reads_its_own_value(cluster):
    for value in ("one", "two", "three"):
        assert cluster.program("set", "a", value, 20, 0).stdout == "set\n20 of 20\n"
    done = cluster.program("read", "a")
    assert (done.returncode, done.stdout) == (1, "")
    assert 'no constant "a" is set' in done.stderr


def test_a_second_set_is_an_error_that_names_who_was_first(cluster):
    first = cluster.begin("set", "a", "one", 1000, 50)
    first.wait_for("set", stdout=True)
    done = cluster.program("set", "a", "one")
    assert done.returncode == 1
    assert f'constant "a" is set already, by constants@{HOST} (process {first.pid})' in done.stderr
    assert cluster.program("read", "a").stdout == "one\n"
    first.stop(signal.SIGKILL)
    cluster.worker.stop()


@pytest.mark.parametrize("where", ["serially", "on workers"])
def test_a_program_sets_a_constant_once_and_not_in_a_function(cluster, where):
    done = cluster.program("twice", "a") if where == "on workers" else run(NAME, "twice", "a")
    lines = done.stdout.splitlines()
    assert lines[0] == 'scoop_constant_set: constant "a" is set already, by this program'
    assert "scoop_constant_set: not inside a function" in lines[1]
    assert lines[2:] == ["a"]


@pytest.mark.tsan
def test_of_many_threads_one_sets_a_constant(cluster):
    assert cluster.program("race", "a").stdout == "1\n"


def test_constants_are_set_anew_before_tasks_go_out_when_the_broker_was_killed(cluster):
    program = cluster.begin("set", "a", "one", 100, 20)
    program.wait_for("set", stdout=True)
    for lives in (1, 2):
        eventually(lambda n=lives: cluster.worker.log.count(" ev=link_open ") == n, "the worker has a link")
        cluster.broker.kill()
        cluster.start_broker()
    assert program.wait() == 0, program.log
    assert program.lines == ["set", "100 of 100"]
    cluster.worker.stop()


def test_a_session_ends_when_another_one_has_taken_its_constant(cluster):
    program = cluster.begin("set", "a", "one", 1000, 20)
    program.wait_for("set", stdout=True)
    program.send_signal(signal.SIGSTOP)
    cluster.broker.kill()
    cluster.start_broker()
    other = cluster.begin("set", "a", "two", 1000, 20)
    other.wait_for("set", stdout=True)
    program.send_signal(signal.SIGCONT)
    assert program.wait() == 1
    assert f'the broker was lost, and then: constant "a" is set already, by constants@{HOST}' in program.log
    assert cluster.program("read", "a").stdout == "two\n"
    other.stop(signal.SIGKILL)
    cluster.worker.stop()


@pytest.fixture
def redis(tmp_path):
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis")
    yield server
    server.end()


def test_a_kept_constant_is_there_after_the_broker_and_redis_were_killed_until_it_is_unset(start, tmp_path, redis):
    cluster = Cluster(start, tmp_path / "cluster", "--journal", redis.url)
    assert cluster.const("set", "a", "one").returncode == 0
    assert cluster.const("set", "b", text="x" * 2 ** 20).returncode == 0
    cluster.broker.kill()
    redis.kill()
    redis.start()
    cluster.start_broker()
    assert (cluster.const("get", "a").stdout, cluster.program("read", "a").stdout) == ("one", "one\n")
    assert cluster.const("get", "b").stdout == "x" * 2 ** 20
    assert f'constant "a" is set already, by scoop@{HOST}' in cluster.const("set", "a", "two").stderr
    assert cluster.const("unset", "a").returncode == 0
    assert cluster.const("set", "a", "two").returncode == 0
    cluster.kill_broker()
    assert cluster.program("read", "a").stdout == "two\n"


def test_scoop_const_keeps_a_constant_until_it_is_unset(cluster):
    const = cluster.const
    assert const("set", "a", "one").returncode == 0
    assert (const("get", "a").stdout, cluster.program("read", "a").stdout) == ("one", "one\n")
    again = const("set", "a", "two")
    assert again.returncode == 1
    assert f'constant "a" is set already, by scoop@{HOST}' in again.stderr
    assert 'constant "a" is set already' in cluster.program("set", "a", "two").stderr
    assert const("unset", "a").returncode == 0
    assert const("get", "a").returncode == 1
    assert const("set", "b", text="x" * 2 ** 20).returncode == 0
    assert const("get", "b").stdout == "x" * 2 ** 20
    large = const("set", "c", text="x" * 2 ** 20 + "x")
    assert (large.returncode, large.stderr.count("\n")) == (1, 1)
    assert 'constant "c" has 1048577 bytes; the limit is 1048576' in large.stderr
