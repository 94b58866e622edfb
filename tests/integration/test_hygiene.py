"""What misbehaving functions do to their executor, their host and the tasks beside and after them: nothing that
lasts. The functions are those of programs/damage.c; the numbers are rows of the list of faults."""

import hashlib
import pathlib
import re
import signal
import struct
import time

import pytest
from fake_broker import CANCELLED, CRASHED, FAILED, OK, TIMEOUT, VARIABLE, failure
from programs import binary, eventually, is_alive, processes

PROGRAM = pathlib.Path(binary("../tests/programs/damage"))
SHA256 = hashlib.sha256(PROGRAM.read_bytes()).digest()


def row(name, *values):
    """A case of a row of docs/FAULTS.md; which one, may stand behind a '-'."""
    return pytest.param(*values, id=name, marks=pytest.mark.fault(name[:3]))


class Tasks:
    """Calls of the program's functions, one after the other or together."""

    def __init__(self, broker, agent):
        self.broker = broker
        self.agent = agent
        self.numbers = {}
        self.count = 0

    def function(self, name, size=4):
        if name not in self.numbers:
            self.numbers[name] = self.broker.function(name, size, size, PROGRAM.name, SHA256)
        return self.numbers[name]

    def submit(self, name, argument, limit_ms=0):
        """Its number; `argument` is an int, or the bytes of a bytes function."""
        self.count += 1
        number = self.function(name, VARIABLE if isinstance(argument, bytes) else 4)
        data = argument if isinstance(argument, bytes) else struct.pack("=i", argument)
        self.broker.tasks([(self.count, number, data, limit_ms, 1)])
        return self.count

    def end(self, number, seconds=10):
        return self.broker.wait_for([number], seconds)[0]

    def run(self, name, argument=0, limit_ms=0):
        return self.end(self.submit(name, argument, limit_ms))

    def value(self, name, argument=0):
        outcome = self.run(name, argument)
        assert outcome.kind == OK, failure(outcome).text
        return struct.unpack("=i", outcome.bytes)[0]

    def text(self, name, argument=0):
        """Of a task that crashes."""
        outcome = self.run(name, argument)
        assert outcome.kind == CRASHED
        return failure(outcome).text

    def is_replaced(self, pid):
        """Is that executor gone, without a task that was to blame?"""
        eventually(lambda: self.broker.pump() and False or not is_alive(pid), f"the end of executor {pid}")
        return self.value("which") != pid

    def reason(self):
        """Why an executor was replaced."""
        line = self.agent.wait_for("ev=executor_replaced")
        return re.search('reason="([^"]*)"', self.agent.log).group(1) if line else None


@pytest.fixture
def tasks(broker, agent, tmp_path):
    """tasks(slots, ...) -> Tasks."""

    def begin(slots=1, *options, environment=None):
        return Tasks(broker, agent(slots, "--programs", PROGRAM.parent, *options, environment=environment))

    return begin


# ---- ends ----


@pytest.mark.parametrize("name, argument, evidence", [
    row("F01", "raises", signal.SIGSEGV, "signal 11 (Segmentation fault); "),
    row("F02", "raises", signal.SIGABRT, "signal 6 (Aborted); "),
    row("F03-ill", "raises", signal.SIGILL, "signal 4 (Illegal instruction); "),
    row("F03-fpe", "raises", signal.SIGFPE, "signal 8 (Floating point exception); "),
    row("F03-bus", "raises", signal.SIGBUS, "signal 7 (Bus error); "),
    row("F04", "exits", 0, "exit status 0; "),
    row("F05", "exits", 7, "exit status 7; "),
    row("F05-as-if-it-were-damage", "exits", 112, "exit status 112; "),
    row("F06", "exits_in_thread", 9, "exit status 9; "),
    row("F16", "recurses", 1, "signal 11 (Segmentation fault); "),
    row("F17", "takes_stack", 1024, "signal 11 (Segmentation fault); "),
])
def test_the_end_of_its_process_is_a_crash_with_evidence_and_the_next_task_runs(tasks, name, argument, evidence):
    t = tasks()
    pid = t.value("which")
    text = t.text(name, argument)
    assert text.startswith(evidence + "used ")
    if name == "raises":
        assert text.endswith(f"; stderr: number {int(argument)} comes")
    assert t.value("which") != pid


@pytest.mark.parametrize("deaf", [row("F07", 0), row("F08", 1)])
def test_a_function_that_spins_is_killed_at_its_limit_whatever_signals_it_ignores(tasks, deaf):
    t = tasks()
    pid = t.value("which")
    start_s = time.monotonic()
    assert t.run("spins", deaf, limit_ms=500).kind == TIMEOUT
    assert 0.5 <= time.monotonic() - start_s < 0.7
    assert not is_alive(pid)
    assert t.value("which") != pid


@pytest.mark.fault("F10")
def test_F10_a_damaged_heap_ends_with_its_executor(tasks, tmp_path):
    t = tasks(environment={"ASAN_OPTIONS": f"abort_on_error=1:handle_abort=0:log_path={tmp_path}/report"})
    pid = t.value("which")
    assert t.text("frees_twice", 24).startswith("signal 6 (Aborted); ")
    assert t.value("which") != pid


@pytest.mark.fault("F11")
def test_F11_a_tree_of_processes_is_killed_with_its_executor(tasks):
    t = tasks()
    session = t.value("which")
    number = t.submit("forks", 4)
    seen = set()

    def grows():
        t.broker.pump()
        seen.update(pid for pid, _, of, _ in processes() if of == session)
        return len(seen) == 16

    eventually(grows, "16 processes", 10)
    t.broker.revoke([number])
    assert t.end(number).kind == CANCELLED
    eventually(lambda: not any(map(is_alive, seen)), "the end of all of them", 5)


@pytest.mark.fault("F15")
@pytest.mark.parametrize("byte", [0, 0xff, 0x100, 0x1ff])
def test_F15_junk_in_the_shared_memory_is_a_crash_of_its_task(tasks, byte):
    t = tasks()
    pid = t.value("which")
    text = t.text("scribbles", byte)  # of whoever of the two sees it first
    assert (text.endswith("; stderr: executor: the shared memory was overwritten")
            or text.startswith("it overwrote the memory that it shares with the agent"))
    assert t.value("which") != pid
    t.agent.wait_for("ev=executor_ended")
    assert t.agent.log.count("ev=executor_ended") == 1


@pytest.mark.fault("F20")
def test_F20_a_result_of_a_gigabyte_is_a_failure_that_names_the_limit(tasks):
    t = tasks()
    pid = t.value("which")
    outcome = t.run("grows", bytes(1024))
    assert (outcome.kind, failure(outcome).text) == (FAILED, "a result of 17825792 bytes; the limit is 16777216")
    assert t.value("which") == pid


@pytest.mark.fault("F24")
def test_F24_a_poison_task_harms_none_of_ten_thousand_others(tasks):
    t = tasks(2)
    t.value("which")
    which, raises = t.function("which"), t.function("raises")
    numbers = range(100, 10101)
    t.broker.tasks([(i, raises if i == 5000 else which, struct.pack("=i", 6)) for i in numbers])
    outcomes = t.broker.wait_for(numbers, 30)
    assert [o.id for o in outcomes if o.kind != OK] == [5000]
    assert outcomes[4900].kind == CRASHED
    assert {o.attempt for o in outcomes} == {1}


# ---- what is left behind ----


@pytest.mark.fault("F13")
def test_F13_who_closes_all_descriptors_has_its_executor_replaced_and_nobody_is_blamed(tasks):
    t = tasks()
    pid = t.value("which")
    assert t.value("closes", 64) == 64
    assert t.is_replaced(pid)
    assert t.reason() == "a function closed or replaced a descriptor that is not its own"


@pytest.mark.fault("F14")
def test_F14_a_file_in_the_place_of_the_bell_is_not_written_to(tasks, tmp_path):
    t = tasks()
    pid = t.value("which")
    assert t.run("replaces", f"{tmp_path}/file".encode()).kind == OK
    assert t.is_replaced(pid)
    assert (tmp_path / "file").read_bytes() == b""


def test_who_leaves_most_descriptors_open_has_its_executor_replaced(tasks):
    t = tasks()
    pid = t.value("which")
    t.value("opens", 1 << 20)
    assert t.is_replaced(pid)
    assert t.reason() == "functions left more than half of the possible files open"


@pytest.mark.fault("F23")
def test_F23_who_leaves_a_thread_running_has_its_executor_replaced(tasks):
    t = tasks()
    pid = t.value("leaves_thread")
    assert t.is_replaced(pid)
    assert t.reason() == "a function left threads running"


@pytest.mark.fault("F12")
@pytest.mark.parametrize("daemon", [pytest.param(0, id="child"), pytest.param(1, id="F12-daemon")])
def test_a_process_that_is_left_behind_is_killed_with_its_executor(tasks, daemon):
    t = tasks()
    pid = t.value("which")
    left = t.value("leaves_process", daemon)
    assert t.is_replaced(pid)
    eventually(lambda: not is_alive(left), "the end of what was left", 5)
    assert t.reason() == "a function left processes running"


STATES = ["folder", "umask", "signal-mask", "alarm", "locale", "locale-of-the-thread", "rounding", "limits",
          "ignored-signals"]


@pytest.mark.fault("F22")
@pytest.mark.parametrize("state", [pytest.param(i, id=f"F22-{name}") for i, name in enumerate(STATES)])
def test_what_a_function_changed_is_set_back_before_a_later_task(tasks, state):
    t = tasks()
    pid = t.value("which")
    before = t.value("state_of", state)
    t.value("changes", state)
    eventually(lambda: t.value("state_of", state) == before, "the state before", 2)
    assert t.value("which") == pid


# ---- memory, and how long a process lives ----


def test_a_task_above_the_memory_limit_is_a_crash_and_its_neighbour_goes_on(tasks):
    t = tasks(2, "--task-memory", "200M")
    heavy = t.submit("holds", 400)
    light = t.submit("holds", 1, limit_ms=1000)
    outcome = t.end(heavy)
    assert outcome.kind == CRASHED
    used, limit = map(int, re.match(r"memory: (\d+) MiB, limit (\d+) MiB; used ", failure(outcome).text).groups())
    assert used > limit == 200
    assert t.end(light).kind == TIMEOUT  # it was not touched before


def test_the_memory_of_commands_counts_as_their_tasks(broker, agent):
    agent(1, "--task-memory", "300M")
    words = [b"sh", b"-c", b"head -c 500000000 /dev/zero | tail -c 500000000 | wc -c; sleep 5"]
    argument = struct.pack(">I", len(words)) + b"".join(struct.pack(">I", len(w)) + w for w in words)
    broker.tasks([(1, broker.function("command", VARIABLE, VARIABLE), argument)])
    outcome = broker.wait_for([1])[0]
    assert outcome.kind == CRASHED
    assert failure(outcome).text.startswith("memory: ")


def test_what_others_leaked_is_not_blamed_on_the_task_that_runs(tasks):
    t = tasks(1, "--task-memory", "300M")
    t.value("leaks", 150)
    assert t.run("holds", 200, limit_ms=600).kind == TIMEOUT
    assert "task_crashed" not in t.agent.log


@pytest.mark.fault("F09")
def test_F09_who_leaks_has_its_executor_replaced_and_no_task_is_lost(tasks):
    t = tasks(1, "--task-memory", "200M")
    pids = {t.value("leaks", 20) for _ in range(30)}
    assert 2 <= len(pids) <= 15
    eventually(lambda: "limit of a task 200 MiB" in t.agent.log, "the reason")
    assert "task_crashed" not in t.agent.log


@pytest.mark.parametrize("tasks_per_executor", [1, 3])
def test_an_executor_is_replaced_after_as_many_tasks_as_asked(tasks, tasks_per_executor):
    t = tasks(1, "--tasks-per-executor", tasks_per_executor)
    which = t.function("which")
    t.broker.tasks([(100 + i, which, bytes(4)) for i in range(12)])
    pids = [outcome.bytes for outcome in t.broker.wait_for(range(100, 112))]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [tasks_per_executor] * (12 // tasks_per_executor)


def test_a_memory_limit_that_is_none_is_one_line(start):
    process = start("scoop-worker", "run", "--broker", "ipc:///x", "--task-memory", "12Q", ready=None)
    assert process.wait() == 2
    assert process.log == 'scoop-worker run: --task-memory: "12Q" is not a number of bytes from 16M to 1024T, ' \
                          'such as 64M or 2G\n'
