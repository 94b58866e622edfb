"""The `scoop` command: verbs, exit codes, what is left behind."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

import pytest
from programs import binary, descendants, environment, eventually, is_alive, name_of, names_below, nothing_left, run

HOST = os.uname().nodename
MISBEHAVE = binary("../tests/programs/misbehave")


def test_help_lists_the_verbs_and_each_has_an_example(scoop):
    done = scoop("--help")
    assert done.returncode == 0
    for verb in ("run", "map", "each", "submit", "wait", "result", "cancel", "retry", "tasks", "const", "info", "workers", "status",
                 "keys", "completion"):
        assert re.search(rf"^  {verb} ", done.stdout, re.M)
        text = scoop(verb, "--help")
        assert text.returncode == 0
        assert f"usage: scoop {verb}" in text.stdout
        assert "example: scoop" in text.stdout
        assert scoop(verb, "--version").stdout.startswith(f"scoop {verb} ")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nonsense"], 'unknown verb "nonsense"'),
        (["run"], "which program?"),
        (["run", "/nonexistent/program"], "/nonexistent/program: No such file or directory"),
        (["run", "-n", "0", "/bin/true"], '--slots: "0" is not a whole number from 1 to 1024'),
        (["map"], "scoop map: which command? see 'scoop map --help'\n"),
        (["each"], "which command?"),
        (["map", ":::", "a"], "which command?"),
        (["map", "--resume", "echo", ":::", "a"], "--resume needs --joblog FILE"),
        (["map", "-k", "--as-completed", "echo", ":::", "a"], "exclude each other"),
        (["map", "echo", "{3}", ":::", "a", ":::", "b"], "{3}: the lists of arguments are 1 to 2"),
        (["map", "--joblog", "/none/log", "echo"], "--joblog: /none/log: No such file or directory"),
        (["map", "--arg-file", "/none", "echo"], "--arg-file: /none: No such file or directory"),
        (["map", "-0", "echo", ":::", "a"], "--arg-file and --null are for arguments that are read"),
        (["map", "--timeout", "soon", "echo"], '--timeout: "soon" is not a number of seconds from 0.001'),
        (["map", "--retries", "0", "echo"], '--retries: "0" is not a whole number from 1 to 1000'),
        (["run", "/"], "/: Is a directory"),
        (["run", "--broker", "", "/bin/true"], '--broker: "" is not tcp://HOST:PORT or ipc:///PATH'),
        (["map", "--broker", "tcp://x", "echo"], '--broker: "tcp://x" is not tcp://HOST:PORT or ipc'),
        (["info", "--broker", "ipc://x"], '--broker: "ipc://x" is not tcp://HOST:PORT or ipc:///PATH'),
        (["info", "extra"], "unexpected argument"),
        (["completion"], '"" is not a shell that is known: bash'),
        (["completion", "fish"], '"fish" is not a shell that is known: bash'),
        (["submit"], "which command?"),
        (["wait"], "which task?"),
        (["const"], '"" is not one of set, get, unset'),
        (["const", "put", "a"], '"put" is not one of set, get, unset'),
        (["const", "set"], "const set: 0 words follow, not NAME [VALUE]"),
        (["const", "get", "a", "b"], "const get: 2 words follow, not NAME"),
        (["wait", "12"], '"12" is not an id, 16 hex digits'),
        (["result", "0000000000000000"], '"0000000000000000" is not an id, 16 hex digits'),
    ],
)
def test_a_wrong_command_line_is_exit_code_2_and_one_line(scoop, arguments, message):
    done = scoop(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_without_a_verb_all_of_them_are_listed_as_an_error(scoop):
    done = scoop()
    assert done.stderr.startswith("usage: scoop")
    assert done.returncode == 2


@pytest.mark.parametrize("line, offered, not_offered", [
    ("scoop ", {"run", "map", "info", "workers", "status", "completion", "--help"}, {"--json"}),
    ("scoop ma", {"map"}, {"run"}),
    ("scoop status --", {"--watch", "--json", "--broker", "--help"}, {"--jobs", "run"}),
    ("scoop map --as", {"--as-completed"}, {"--tag"}),
    ("scoop map -j 4 --res", {"--resume", "--resume-failed"}, {"--retries"}),
    ("scoop map -j ", set(), {"map", "--resume"}),
    ("scoop map --joblog ", set(), {"map", "--resume"}),
    ("scoop map --tag gzi", {"gzip"}, {"map"}),
    ("scoop run --hosts a ech", {"echo"}, {"map"}),
    ("scoop map gzip -", set(), {"--tag"}),
    ("scoop completion ", {"bash", "--help"}, {"run"}),
    ("scoop const ", {"set", "get", "unset", "--broker"}, {"run", "NAME"}),
    ("scoop keys ", {"list", "rotate", "--json", "--cut"}, {"run", "STACK"}),
    ("scoop nonsense -", set(), {"--help"}),
])
def test_bash_completes_verbs_options_and_commands(scoop, line, offered, not_offered):
    words = line.split(" ")
    script = f"""
        compopt() {{ :; }}
        {scoop("completion", "bash").stdout}
        complete -p scoop
        COMP_WORDS=({" ".join(f"'{word}'" for word in words)}) COMP_CWORD={len(words) - 1}
        _scoop
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "--norc"], input=script, text=True, capture_output=True, check=False,
                          timeout=20)
    assert done.stderr == ""
    head, *found = done.stdout.splitlines()
    assert head == "complete -o default -F _scoop scoop"
    assert offered <= set(found)
    assert not not_offered & set(found)


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_that_alone_is_asked_to_end_ends_the_program_and_what_that_left(started, private, number):
    scoop = started("run", "sh", "-c", "sleep 1000 & setsid sleep 1000 & echo begun; wait")
    scoop.wait_for("begun", stdout=True)
    eventually(lambda: names_below(scoop.pid).count("sleep") == 2, "both are there")
    pids = descendants(scoop.pid)
    scoop.send_signal(number)
    assert scoop.wait() == 128 + number
    assert nothing_left(private, pids)


def test_run_leaves_alone_what_a_program_that_ends_by_itself_has_started(scoop, private):
    done = scoop("run", "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!")
    pid = int(done.stdout)
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)


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


def test_each_runs_a_command_once_on_every_worker(scoop, cluster):
    for _ in range(2):
        cluster.start_worker(1)
    eventually(lambda: "of 2 slots" in scoop("status", "--broker", cluster.url).stdout, "both are there")
    done = scoop("each", "--broker", cluster.url, "sh", "-c", "echo $PPID; echo two; echo err >&2")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert [line.split("\t")[0] for line in lines] == [HOST] * 4
    assert lines[1].endswith("\ttwo")
    assert lines[0] != lines[2], "two executors"
    assert done.stderr == f"{HOST}\terr\n" * 2
    assert scoop("each", "--broker", cluster.url, "true").stdout == f"{HOST}\t\n" * 2
    done = scoop("each", "--broker", cluster.url, "sh", "-c", "exit 3")
    assert (done.returncode, done.stderr) == (2, f"scoop each: {HOST}: exit code 3\n" * 2)
    done = scoop("each", "--broker", cluster.url, "--timeout", "0.2", "sleep", "100")
    assert done.returncode == 2 and done.stderr.count("200 ms") == 2
    first, second = json.loads(scoop("each", "--broker", cluster.url, "--json", "echo", "x").stdout)
    assert first == second == {"host": HOST, "code": 0, "signal": 0, "stdout": "x\n", "stderr": "",
                               "error": ""}


def test_each_without_workers_says_so(scoop, cluster):
    done = scoop("each", "--broker", cluster.url, "true")
    assert (done.returncode, done.stderr) == (1, "scoop each: the cluster has no workers\n")


def test_status_shows_the_cluster_once(scoop, cluster):
    cluster.start_worker(3)
    eventually(lambda: "workers  1, busy 0 of 3 slots" in scoop("status", "--broker", cluster.url).stdout,
               "the worker is there")
    lines = scoop("status", "--broker", cluster.url).stdout.splitlines()
    assert lines[0].startswith(f"broker   {cluster.place}, up 0:00:0")
    assert lines[-1].split()[:4] == [HOST, "ready", "...", "0/3"]
    state = json.loads(scoop("status", "--json", "--broker", cluster.url).stdout)
    assert (state["workers"], state["threads"], state["hosts"][0]["slots"]) == (1, 3, 3)
    done = scoop("status", "-w", "--broker", cluster.url)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--watch needs a terminal" in done.stderr


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *arguments):
        self.ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (10, 100))
        self.process = subprocess.Popen([binary("scoop"), *arguments], env=environment(), stdin=theirs,
                                        stdout=theirs, stderr=theirs, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(theirs)
        self.text = ""

    def wait_for(self, part):
        """Read until `part` is there; forget all up to it."""
        deadline = time.monotonic() + 15
        while part not in self.text:
            assert time.monotonic() < deadline, self.text
            if select.select([self.ours], [], [], 0.1)[0]:
                self.text += os.read(self.ours, 65536).decode()
        self.text = self.text.split(part, 1)[1]

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)


@pytest.fixture
def terminal():
    opened = []

    def open_one(*arguments):
        opened.append(Terminal(*arguments))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.mark.parametrize("quit_by", [b"q", b"\x03"])
def test_status_stays_up_to_date_on_a_terminal_until_q_or_ctrl_c(terminal, cluster, quit_by):
    screen = terminal("status", "-w", "--interval", "0.1", "--broker", cluster.url)
    screen.wait_for("\033[?1049h")
    screen.wait_for("workers  0, busy 0 of 0 slots")
    cluster.start_worker(2)
    screen.wait_for("workers  1, busy 0 of 2 slots")
    screen.wait_for("0.0/s done")
    os.write(screen.ours, quit_by)
    screen.wait_for("\033[?25h\033[?1049l")
    assert screen.process.wait(5) == 0


def test_status_draws_anew_when_the_terminal_changes_its_size(terminal, cluster):
    screen = terminal("status", "-w", "--interval", "60", "--broker", cluster.url)
    screen.wait_for("HOST")
    termios.tcsetwinsize(screen.ours, (2, 21))
    screen.wait_for("\033[2J\033[Hbroker   ")
    screen.wait_for("\r\nworkers  0, busy 0 o\033[K\033[J")


ID = "5f0c3a9e17b2d486"


@pytest.mark.parametrize("line", ["info", "workers", "status", "status -w", "each true", "submit true",
                                  "tasks", "const get a", f"wait {ID}", f"result {ID}", f"cancel {ID}",
                                  f"retry {ID}"])
def test_verbs_that_are_nothing_without_a_broker_ask_for_one(scoop, line):
    verb, *words = line.split()
    done = scoop(verb, *words)
    assert done.stderr == f"scoop {verb}: no broker is set; name one with --broker or SCOOP_BROKER\n"
    assert done.returncode == 2


@pytest.mark.parametrize("line", ["info", "workers", "status", "each true", "tasks", "const get a"])
def test_a_broker_that_does_not_answer_is_named(scoop, line):
    verb, *words = line.split()
    done = scoop(verb, "--broker", "ipc:///nonexistent", *words, env={"SCOOP_CONNECT_MS": "300"})
    assert "broker ipc:///nonexistent did not answer within 300 ms\n" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.returncode == 1
