"""The `scoop` command: verbs, exit codes, what is left behind."""

import json
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import tempfile

import pytest
from programs import binary, children, environment, eventually, is_alive, run

HOST = os.uname().nodename
MISBEHAVE = binary("../tests/programs/misbehave")


@pytest.fixture
def private():
    """Where private clusters put their folders; a short path, because those of sockets are bounded."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sct"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def scoop(private):
    """scoop(*arguments) -> the finished process."""

    def finished(*arguments, text="", env=None, timeout=60):
        return run("scoop", *arguments, env={"XDG_RUNTIME_DIR": str(private), **(env or {})}, stdin=text,
                   timeout=timeout)

    return finished


@pytest.fixture
def started(start, private):
    """started(*arguments) -> Program under way."""

    def begun(*arguments):
        return start("scoop", *arguments, env={"XDG_RUNTIME_DIR": str(private)}, ready=None)

    return begun


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def names_below(pid):
    return [name_of(child) for child in descendants(pid)]


def nothing_left(folder, pids):
    return not any(is_alive(pid) for pid in pids) and not list(folder.iterdir())


def test_help_lists_the_verbs_and_each_has_an_example(scoop):
    done = scoop("--help")
    assert done.returncode == 0
    for verb in ("run", "map", "info", "workers"):
        assert re.search(rf"^  {verb} ", done.stdout, re.M)
        text = scoop(verb, "--help")
        assert text.returncode == 0
        assert f"usage: scoop {verb}" in text.stdout
        assert "example: scoop" in text.stdout
        assert scoop(verb, "--version").stdout.startswith(f"scoop {verb} ")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "usage: scoop"),
        (["nonsense"], 'unknown verb "nonsense"'),
        (["run"], "which program?"),
        (["run", "/nonexistent/program"], "/nonexistent/program: No such file or directory"),
        (["run", "-n", "0", "/bin/true"], '--slots: "0" is not a whole number from 1 to 1024'),
        (["map"], "which command?"),
        (["map", ":::", "a"], "which command?"),
        (["run", "/"], "/: Is a directory"),
        (["run", "--broker", "", "/bin/true"], '--broker: "" is not tcp://HOST:PORT or ipc:///PATH'),
        (["map", "--broker", "tcp://x", "echo"], '--broker: "tcp://x" is not tcp://HOST:PORT or ipc'),
        (["info", "--broker", "ipc://x"], '--broker: "ipc://x" is not tcp://HOST:PORT or ipc:///PATH'),
        (["info", "extra"], "unexpected argument"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2_and_one_line(scoop, arguments, message):
    done = scoop(*arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_run_has_the_exit_code_of_the_program(scoop):
    assert scoop("run", "sh", "-c", "exit 7").returncode == 7
    assert scoop("run", "sh", "-c", "kill -9 $$").returncode == 137


def test_run_leaves_nothing_behind(scoop, private):
    done = scoop("run", "sh", "-c", 'echo "$SCOOP_BROKER"')
    assert done.stdout.startswith("ipc:///")
    assert list(private.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_run_that_is_ended_leaves_nothing_behind(started, private, number):
    scoop = started("run", MISBEHAVE, "slow", "100000")
    scoop.wait_for("begin", stdout=True)
    # The program, the supervisor, broker, worker, and an executor, which is the program again.
    eventually(lambda: len(descendants(scoop.pid)) >= 5, "all processes are there")
    pids = descendants(scoop.pid)
    if number == signal.SIGINT:
        os.killpg(scoop.pid, number)  # as the terminal does
    else:
        scoop.send_signal(number)
    assert scoop.wait() == (-number if number == signal.SIGKILL else 128 + number)
    eventually(lambda: nothing_left(private, pids), f"the end of {pids}")


def test_run_says_why_when_its_broker_dies(started, private):
    scoop = started("run", MISBEHAVE, "slow", "100000")
    scoop.wait_for("begin", stdout=True)
    for _ in range(10):  # for a log that is too long to be shown
        assert run("scoop", "info", "--broker", f"ipc://{next(private.iterdir())}/client").returncode == 0
    os.kill(next(pid for pid in descendants(scoop.pid) if name_of(pid) == "scoop-broker"), signal.SIGKILL)
    assert scoop.wait() == 128 + signal.SIGTERM
    assert "scoop-broker was killed by signal 9" in scoop.log
    assert all(line.startswith(("ts=", "scoop")) for line in scoop.events), scoop.log
    assert list(private.iterdir()) == []


def test_map_writes_ten_thousand_outputs_in_order(scoop):
    lines = "".join(f"{i}\n" for i in range(10000))
    done = scoop("map", "echo", "{}", text=lines, timeout=300)
    assert done.stdout == lines
    assert (done.returncode, done.stderr) == (0, "")


def test_map_fills_in_each_place_or_appends(scoop):
    assert scoop("map", "echo", "a{}b{}", ":::", "1", "2 3").stdout == "a1b1\na2 3b2 3\n"
    assert scoop("map", "echo", "x", ":::", "1", "").stdout == "x 1\nx \n"
    assert scoop("map", "echo", ":::").stdout == ""


def test_map_writes_each_output_whole_and_stderr_to_stderr(scoop):
    command = 'for i in 1 2 3; do echo "{}$i"; sleep 0.01; done; echo "err{}" >&2'
    done = scoop("map", "-n", "4", "sh", "-c", command, ":::", "a", "b", "c", "d")
    assert done.stdout == "".join(f"{letter}{i}\n" for letter in "abcd" for i in "123")
    assert done.stderr == "erra\nerrb\nerrc\nerrd\n"


def test_map_is_0_only_when_all_commands_were(scoop):
    assert scoop("map", "sh", "-c", "exit {}", ":::", "0", "0").returncode == 0
    done = scoop("map", "sh", "-c", "exit {}", ":::", "0", "3", "4")
    assert (done.returncode, done.stderr) == (
        1, "scoop map: 2 of 3 commands failed; number 2 ended with exit code 3\n")
    done = scoop("map", "sh", "-c", "kill -9 $$", ":::", "a")
    assert (done.returncode, done.stderr) == (
        1, "scoop map: 1 of 1 commands failed; number 1 was killed by signal 9\n")
    done = scoop("map", "/nonexistent/command", ":::", "a")
    assert done.returncode == 1
    assert "/nonexistent/command" in done.stderr


def test_map_shows_first_results_while_input_is_still_coming():
    process = subprocess.Popen([binary("scoop"), "map", "echo"], env=environment(), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    try:
        process.stdin.write("one\n")
        process.stdin.flush()
        assert process.stdout.readline() == "one\n"
        process.stdin.write("two")
        process.stdin.close()
        assert process.stdout.read() == "two\n"
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_map_refuses_input_that_cannot_be_an_argument(scoop):
    assert "zero byte" in scoop("map", "echo", text="a\0b\n").stderr
    assert "longer than 8 MiB" in scoop("map", "echo", text="x" * (9 << 20)).stderr


@pytest.mark.parametrize("closed, message", [
    ("<&-", "scoop map: standard input: Bad file descriptor"),
    (">&-", "scoop map: cannot write output: Bad file descriptor"),
])
def test_map_with_a_closed_standard_file_is_an_error_at_once(private, closed, message):
    done = subprocess.run(["sh", "-c", f'echo a | {{ "$0" map echo {closed}; }}', binary("scoop")],
                          env=environment({"XDG_RUNTIME_DIR": str(private)}), text=True,
                          capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == message + "\n"
    assert list(private.iterdir()) == []


def test_map_that_is_interrupted_leaves_nothing_behind(started, private):
    scoop = started("map", "-n", "2", "sleep", ":::", *["100"] * 50)
    eventually(lambda: "sleep" in names_below(scoop.pid), "a command runs")
    pids = descendants(scoop.pid)
    scoop.send_signal(signal.SIGINT)
    assert scoop.wait() == 128 + signal.SIGINT
    eventually(lambda: nothing_left(private, pids), f"the end of {pids}")


def test_map_draws_a_progress_bar_on_a_terminal_only():
    ours, theirs = pty.openpty()
    done = subprocess.run([binary("scoop"), "map", "-n", "1", "sleep", ":::", "0.3", "0.3"],
                          env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=theirs, timeout=20, check=False)
    os.close(theirs)
    drawn = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.stdout == b""
    assert "1/2" in drawn and "#" in drawn
    assert drawn.endswith("\r\033[K")


class Cluster:
    def __init__(self, start, folder):
        folder.mkdir(mode=0o700)
        self.start = start
        self.url = f"ipc://{folder}/client"
        self.place = f"{folder}/client"
        self.workers = f"ipc://{folder}/worker"
        start("scoop-broker", "--client-listen", self.url, "--worker-listen", self.workers)

    def start_worker(self, slots):
        return self.start("scoop-worker", "run", "--broker", self.workers, "--slots", slots, ready=None)


@pytest.fixture
def cluster(start, tmp_path):
    return Cluster(start, tmp_path / "cluster")


def test_info_and_workers_tell_what_the_broker_knows(scoop, cluster):
    env = {"SCOOP_BROKER": cluster.url}

    def info_is(workers, threads):
        line = f"<Client: broker={cluster.place} workers={workers} threads={threads}>\n"
        return lambda: scoop("info", env=env).stdout == line

    assert info_is(0, 0)()
    worker = cluster.start_worker(3)
    eventually(info_is(1, 3), "the worker is there")
    assert scoop("map", "--broker", cluster.url, "echo", text="x\ny\n").stdout == "x\ny\n"
    (host,) = json.loads(scoop("workers", "--json", env=env).stdout)
    assert (host["host"], host["state"], host["slots"], host["done"]) == (HOST, "ready", 3, 2)
    table = scoop("workers", env=env).stdout.splitlines()
    assert table[0].split()[:5] == ["HOST", "STATE", "SLOTS", "BUSY", "DONE"]
    assert table[1].split()[:5] == [HOST, "ready", "3", "0", "2"]
    assert worker.stop() == 0
    eventually(info_is(0, 0), "the worker is gone")
    assert json.loads(scoop("info", "--json", env=env).stdout)["done"] == 2


def test_map_on_a_cluster_without_workers_says_so_and_goes_on_when_one_comes(cluster, started):
    scoop = started("map", "--broker", cluster.url, "echo", ":::", "a")
    scoop.wait_for("scoop map: waiting: the cluster has no workers")
    cluster.start_worker(1)
    assert scoop.wait() == 0
    assert scoop.lines == ["a"]


def test_map_on_a_cluster_that_loses_a_worker_loses_no_result(cluster, started):
    victim = cluster.start_worker(2)
    scoop = started("map", "--broker", cluster.url, "sh", "-c", "sleep 0.1; echo {}", ":::",
                    *map(str, range(60)))
    scoop.wait_for("0", stdout=True)
    cluster.start_worker(2)
    victim.kill()
    assert scoop.wait(30) == 0
    assert scoop.lines == [str(i) for i in range(60)]


def test_an_interrupted_map_ends_its_commands_on_the_cluster(cluster, started):
    worker = cluster.start_worker(2)
    scoop = started("map", "--broker", cluster.url, "sleep", ":::", *["100"] * 10)
    eventually(lambda: "sleep" in names_below(worker.pid), "a command runs")
    scoop.send_signal(signal.SIGINT)
    assert scoop.wait() == 128 + signal.SIGINT
    eventually(lambda: "sleep" not in names_below(worker.pid), "the commands have ended")


@pytest.mark.parametrize("verb", ["info", "workers"])
def test_without_a_broker_there_is_nothing_to_tell(scoop, verb):
    assert "no broker is set" in scoop(verb).stderr
    done = scoop(verb, "--broker", "ipc:///nonexistent", env={"SCOOP_CONNECT_MS": "300"})
    assert done.stderr == f"scoop {verb}: the broker ipc:///nonexistent did not answer within 300 ms\n"
    assert done.returncode == 1
