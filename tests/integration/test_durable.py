"""Durable tasks: a real broker with its journal in a real Redis, two workers, real clients, while each of them dies.
A test's name is the sentence that it checks; "durables" leaves a line for each execution of a task."""

import collections
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest
from programs import binary, environment, eventually, is_alive, run
from redis_server import RedisServer
from test_recovery import Cluster

PROGRAM = "../tests/programs/durables"


class DurableCluster(Cluster):
    def __init__(self, start, folder, **redis):
        super().__init__(start, folder)
        (folder / "redis").mkdir()
        self.redis = RedisServer(folder / "redis", **redis)

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


@pytest.mark.fault("A09", "D05")
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


@pytest.mark.fault("D03")
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


def assert_goes_on(cluster):
    assert run("scoop", "map", "--broker", cluster.url, "echo", ":::", "a", "b").stdout == "a\nb\n"


@pytest.mark.fault("D01")
def test_a_full_disk_refuses_durable_tasks_by_name_and_others_go_on(start, tmp_path):
    cluster = DurableCluster(start, tmp_path / "cluster", appendfsync="everysec")
    cluster.start_broker()
    cluster.start_worker()
    assert_accepted(cluster.durables("submit", 0, 1, 0), 1)
    assert_all_right(cluster.durables("wait", 0, 1), 0, 1)
    cluster.redis.fill_disk()
    try:
        cluster.durables("submit", 1, 1, 0)  # Redis finds out when it writes, within a second
        refused = eventually(lambda: [line for line in cluster.durables("submit", 2, 1, 0) if line[1] == "refused"],
                             "durable tasks are refused")
        assert "the journal is full: " in " ".join(refused[0]) and "MISCONF" in refused[0]
        assert_goes_on(cluster)
        assert_all_right(cluster.durables("wait", 0, 1), 0, 1)
        cluster.redis.clear_disk()
        eventually(lambda: cluster.durables("submit", 1, 2, 0)[1][1] == "ok", "it is accepted when there is room")
        assert_all_right(cluster.durables("wait", 0, 3), 0, 3)
    finally:
        cluster.redis.end()


def test_a_redis_that_ends_by_a_full_disk_loses_nothing_that_was_accepted(cluster):
    assert_accepted(cluster.durables("submit", 0, 20, 0), 20)
    cluster.redis.fill_disk()
    submitter = cluster.start_durables("submit", 20, 20, 0)
    assert cluster.redis.process.wait(10) != 0, "with appendfsync always it cannot go on"
    assert_goes_on(cluster)
    cluster.redis.start()
    assert submitter.wait() == 0
    assert_accepted([line.split() for line in submitter.lines], 20)
    assert_all_right(cluster.durables("wait", 0, 40), 0, 40)


# ---- a host that is cut off ----


@pytest.mark.fault("B01")
@pytest.mark.tsan
def test_durable_tasks_of_a_host_that_is_cut_off_run_elsewhere_and_end_once(cluster):
    silent = cluster.workers[0]
    submitter = cluster.start_durables("submit", 0, 200, 20)
    cluster.wait_for_executions(10)
    silent.send_signal(signal.SIGSTOP)
    assert submitter.wait() == 0
    assert_all_right(cluster.durables("wait", 0, 200), 0, 200)
    silent.send_signal(signal.SIGCONT)
    eventually(lambda: cluster.info()["workers"] == 2, "it is back, as a new incarnation")
    assert_all_right(cluster.durables("wait", 0, 200), 0, 200)
    assert set(cluster.times_run()) == set(range(200))


# ---- brokers ----


@pytest.mark.fault("D08")
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


@pytest.mark.tsan
def test_the_example_starts_in_one_program_and_finishes_in_another(idle):
    idle.start_broker()
    for _ in range(2):
        started = run("examples/durable", "start", env={"SCOOP_BROKER": idle.url})
        assert started.stdout == "8 slices are in the broker's journal; this program need not stay\n"
    idle.broker.kill()
    idle.start_broker()
    idle.start_worker(programs=pathlib.Path(binary("examples/durable")).parent)
    finished = run("examples/durable", "finish", env={"SCOOP_BROKER": idle.url})
    assert abs(float(finished.stdout) - math.pi ** 2 / 6) < 1.3e-7, finished.stderr
    assert run("examples/durable", "finish", env={"SCOOP_BROKER": idle.url}).returncode == 1, "they are forgotten"


# ---- the command line ----


@pytest.fixture
def scoop(cluster):
    return lambda *words: run("scoop", *words, env={"SCOOP_BROKER": cluster.url})


def submitted(scoop, *words):
    done = scoop("submit", *words)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"([0-9a-f]{16}\n)+", done.stdout)
    return done.stdout.strip()


def test_a_command_is_submitted_waited_for_and_its_output_fetched_once(scoop, tmp_path):
    task = submitted(scoop, "--durable", "sh", "-c", "echo out; echo err >&2")
    assert scoop("wait", task).stdout == f"{task} ok\n"
    kept = scoop("result", "--keep", task)
    assert (kept.returncode, kept.stdout, kept.stderr) == (0, "out\n", "err\n")
    assert scoop("result", "-o", tmp_path / "missing" / "file", task).returncode == 1
    assert scoop("result", "-o", tmp_path / "file", task).returncode == 0
    assert (tmp_path / "file").read_text() == "out\n"
    gone = scoop("result", task)
    assert gone.returncode == 1
    assert f"no durable task {task} is kept here" in gone.stderr


def test_a_command_with_arguments_is_one_task_for_each(scoop, tmp_path):
    tasks = submitted(scoop, "echo", "{2}-{1}", ":::", "a", "b", ":::", "c", "d").split()
    assert [scoop("result", task).stdout for task in tasks] == ["c-a\n", "d-a\n", "c-b\n", "d-b\n"]
    (tmp_path / "lines").write_text("".join(f"{number}\n" for number in range(1, 10001)))
    lines = ["--key", "ten thousand", "-a", tmp_path / "lines", "sh", "-c", "echo $(({#} * 2))"]
    tasks = submitted(scoop, *lines).split()
    assert len(set(tasks)) == 10000
    assert submitted(scoop, *lines).split() == tasks
    assert submitted(scoop, "--key", "ten thousand/10000", "false") == tasks[-1]
    done = scoop("result", *tasks)
    assert (done.returncode, done.stderr) == (0, "")
    assert [int(line) for line in done.stdout.split()] == [2 * number for number in range(1, 10001)]
    assert scoop("tasks", "--ids").stdout == "", "each was handed out, and forgotten"


def test_a_bad_argument_ends_the_submission_and_what_was_accepted_is_said(scoop, tmp_path):
    (tmp_path / "lines").write_bytes(b"one\nzero \0 byte\nthree\n")
    done = scoop("submit", "-a", tmp_path / "lines", "echo", ":::", "x")
    assert done.returncode == 2
    assert "--arg-file and --null are for arguments that are read" in done.stderr
    done = scoop("submit", "-a", tmp_path / "lines", "echo")
    assert done.returncode == 1
    assert done.stderr == "scoop submit: an input line holds a zero byte\n"
    assert scoop("result", done.stdout.strip()).stdout == "one\n"
    done = scoop("submit", "-a", tmp_path / "no", "echo")
    assert done.returncode == 2
    assert f"--arg-file: {tmp_path}/no: No such file" in done.stderr


def test_a_command_that_fails_is_exit_code_1_and_named(scoop):
    task, missing = submitted(scoop, "sh", "-c", "exit 3"), submitted(scoop, "no-such-command")
    done = scoop("wait", task, missing)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == f"{task} exit code 3"
    assert done.stdout.splitlines()[1].startswith(f"{missing} failed: command no-such-command: ")
    fine = submitted(scoop, "echo", "fine")
    done = scoop("result", task, fine)
    assert (done.returncode, done.stdout) == (1, "fine\n")
    assert done.stderr == "scoop result: the command ended with exit code 3\n"


def test_wait_gives_up_after_its_time_and_says_so_in_json(scoop):
    task = submitted(scoop, "sleep", "3")
    done = scoop("wait", "--timeout-ms", "200", "--json", task)
    assert done.returncode == 1
    (entry,) = json.loads(done.stdout)
    assert (entry["id"], entry["ended"], entry["text"]) == (task, False, "has not ended")


def test_a_key_names_one_task(scoop):
    assert submitted(scoop, "--key", "nightly", "date", "+%N") == submitted(scoop, "--key", "nightly", "date", "+%N")
    assert submitted(scoop, "--key", "other", "true") != submitted(scoop, "--key", "nightly", "true")


def test_a_durable_command_survives_broker_and_client(cluster, scoop):
    task = submitted(scoop, "echo", "still here")
    cluster.broker.kill()
    cluster.start_broker()
    assert scoop("result", task).stdout == "still here\n"


def test_the_result_of_a_function_is_written_raw(cluster, scoop):
    cluster.durables("submit", 5, 1, 0)
    task = f"{6:016x}"
    assert scoop("wait", task).returncode == 0
    assert "--raw" in scoop("result", task).stderr
    done = subprocess.run([binary("scoop"), "result", "--raw", task], env=environment({"SCOOP_BROKER": cluster.url}),
                          capture_output=True, check=True)
    assert int.from_bytes(done.stdout, sys.byteorder) == 25


def test_tasks_are_listed_with_their_state_and_function(cluster, scoop):
    ended, failed, running = (submitted(scoop, "true"), submitted(scoop, "no-such-command"),
                              submitted(scoop, "sleep", "30"))
    cluster.durables("submit", 5, 1, 0)
    scoop("wait", ended, failed, f"{6:016x}")
    eventually(lambda: "running" in scoop("tasks").stdout, "it runs")
    tasks = {task["id"]: task for task in json.loads(scoop("tasks", "--json").stdout)}
    assert {id: (task["state"], task["status"]) for id, task in tasks.items()} == {
        ended: ("ended", "ok"), failed: ("ended", "failed"), running: ("running", "ok"),
        f"{6:016x}": ("ended", "ok")}
    assert (tasks[ended]["program"], tasks[ended]["function"]) == ("", "command")
    assert (tasks[f"{6:016x}"]["program"], tasks[f"{6:016x}"]["function"]) == ("durables", "durable_square")
    assert scoop("tasks", "--failed", "--ids").stdout == f"{failed}\n"
    cut = scoop("tasks", "--most", "1")
    assert len(cut.stdout.splitlines()) == 2 and cut.stderr == "scoop tasks: 4 tasks are kept; --most shows more\n"


def test_a_running_durable_task_is_listed_with_its_progress_and_can_be_cancelled_by_that_id(cluster, scoop):
    cluster.durables("submit", 5, 1, 60000)
    (task,) = eventually(lambda: [task for task in json.loads(scoop("tasks", "--json").stdout) if task["total"]],
                         "it runs")
    assert (task["state"], task["done"], task["total"]) == ("running", 1, 4)
    assert scoop("tasks").stdout.endswith("durables:durable_square 25%\n")
    (running,) = json.loads(scoop("status", "--json").stdout)["running"]
    assert (running["id"], running["client"], running["done"]) == (task["id"], "durable", 1)
    assert scoop("cancel", running["id"]).returncode == 0


def test_a_cancelled_task_ends_as_cancelled_and_its_process_is_gone(cluster, scoop, tmp_path):
    task = submitted(scoop, "sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 60")
    pid = int(eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "it runs"))
    assert scoop("cancel", task).returncode == 0
    assert scoop("wait", task).stdout.startswith(f"{task} cancelled")
    eventually(lambda: not is_alive(pid), "its process is gone", 5)
    assert scoop("cancel", task).returncode == 0, "once more does no harm"
    well = submitted(scoop, "true")
    scoop("wait", well)
    refused = scoop("cancel", well)
    assert refused.returncode == 1 and f"durable task {well} has ended" in refused.stderr
    assert f"no durable task {1:016x} is kept here" in scoop("cancel", f"{1:016x}").stderr


def test_a_failed_task_is_tried_again_also_after_the_broker_was_restarted(cluster, scoop, tmp_path):
    script = tmp_path / "script"
    task = submitted(scoop, script, "again")
    assert scoop("wait", task).returncode == 1
    script.write_text("#!/bin/sh\necho $1\n")
    script.chmod(0o755)
    cluster.broker.kill()
    cluster.start_broker()
    assert scoop("retry", task).returncode == 0
    assert scoop("wait", task).stdout == f"{task} ok\n"
    cluster.broker.kill()
    cluster.start_broker()
    assert scoop("result", "--keep", task).stdout == "again\n"
    refused = scoop("retry", task)
    assert refused.returncode == 1 and f"durable task {task} has ended well" in refused.stderr
