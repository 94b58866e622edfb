"""What functions may not do: they get EPERM, and who reads the task's lines sees what was tried. The functions are those of
programs/prying.c."""

import ctypes
import errno
import hashlib
import os
import pathlib
import re
import socket
import struct

import pytest
from fake_broker import OK, VARIABLE, failure
from programs import binary, cached, eventually, is_alive

PROGRAM = pathlib.Path(binary("../tests/programs/prying"))
SHA256 = hashlib.sha256(PROGRAM.read_bytes()).digest()
EXEC, SOCKETS = 1, 2
ASAN = "address" in (cached("SANITIZE") or "")
LANDLOCK = ctypes.CDLL(None).syscall(444, None, 0, 1)  # the version
needs_files = pytest.mark.skipif(LANDLOCK < 2, reason=f"Landlock of this kernel: {LANDLOCK}, wanted 2")
needs_scope = pytest.mark.skipif(LANDLOCK < 6, reason=f"Landlock of this kernel: {LANDLOCK}, wanted 6")


class Prying:
    def __init__(self, broker, agent):
        self.broker = broker
        self.agent = agent
        self.functions = {}
        self.count = 0

    def run(self, name, argument=0):
        """The function's int, 0 to 255 or errno."""
        size = VARIABLE if isinstance(argument, bytes) else 4
        if name not in self.functions:
            self.functions[name] = self.broker.function(name, size, size, PROGRAM.name, SHA256)
        self.count += 1
        data = argument if isinstance(argument, bytes) else struct.pack("=i", argument)
        self.broker.tasks([(self.count, self.functions[name], data, 0, 1)])
        outcome = self.broker.wait_for([self.count], 10)[0]
        assert outcome.kind == OK, failure(outcome).text
        return struct.unpack("=i", outcome.bytes)[0]

    def said(self, text):
        return text in self.agent.log


@pytest.fixture
def prying(broker, agent):
    def begin(*options, may=0, slots=1):
        return Prying(broker, agent(slots, "--programs", PROGRAM.parent, *options, environment={"PRYING_MAY": str(may)}))

    return begin


@pytest.mark.fault("F18")
@pytest.mark.parametrize("victim", ["everybody", "agent", "its starter", "process 1"])
def test_a_function_cannot_signal_the_agent_or_everybody_and_the_attempt_is_told(prying, victim):
    p = prying()
    agent = p.agent.process.pid
    pid = {"everybody": -1, "agent": agent, "its starter": os.getpid(), "process 1": 1}[victim]
    assert p.run("signals", pid) == errno.EPERM
    assert p.run("limits", pid) in (errno.EPERM, errno.ESRCH)
    assert is_alive(agent)
    eventually(lambda: p.broker.pump() or p.said("scoop: kill() was refused"), "the line that tells of it")


@pytest.mark.fault("F18")
@needs_scope
def test_a_function_cannot_signal_other_executors_but_itself_and_its_children(prying):
    p = prying()
    assert p.run("signals_its_own", 10) == 0
    bystander = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
    try:
        assert p.run("signals", bystander) == errno.EPERM
        assert is_alive(bystander)
    finally:
        os.kill(bystander, 9)
        os.waitpid(bystander, 0)


@pytest.mark.fault("F18")
@pytest.mark.tsan
@pytest.mark.skipif(LANDLOCK < 2 and ASAN, reason="ASan's leak checker traces, and there is no Landlock")
@pytest.mark.parametrize("name", ["traces", "peeks", "opens_memory"])
def test_a_function_cannot_trace_the_agent_or_read_its_memory(prying, name):
    p = prying()
    for pid in (p.agent.process.pid, os.getpid(), 1):
        assert p.run(name, pid) in (errno.EPERM, errno.EACCES)


@pytest.mark.fault("F18")
@needs_files
def test_a_function_cannot_read_what_the_worker_hides(prying, tmp_path):
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "key").write_text("K")
    (tmp_path / "beside").write_text("B")
    (tmp_path / "link").symlink_to(secrets / "key")
    p = prying("--hide", f"/nowhere:{secrets}")
    assert p.run("reads_file", os.fsencode(tmp_path / "beside")) == ord("B")
    assert p.run("reads_file", b"/etc/hostname") >= 0
    assert p.run("reads_file", b"/proc/self/maps") > 0
    for path in (secrets / "key", tmp_path / "link", tmp_path / "secrets/../secrets/key"):
        assert p.run("reads_file", os.fsencode(path)) == -errno.EACCES


@pytest.mark.parametrize("call", range(6), ids=["mount", "unshare", "keyctl", "io_uring", "bpf", "perf"])
def test_a_function_has_no_use_of_what_only_administrators_need(prying, call):
    assert prying().run("privileged", call) == errno.EPERM


@pytest.mark.fault("F19")
def test_a_function_can_neither_open_sockets_nor_start_programs_and_learns_how_to(prying):
    p = prying()
    pid = p.run("which")
    assert p.run("opens_socket", socket.AF_INET) == errno.EPERM
    assert p.run("opens_socket", socket.AF_UNIX) == errno.EPERM
    assert p.run("pairs_sockets", socket.AF_UNIX) == 0
    assert p.run("starts", 0) == 127 << 8  # as system() says it
    assert p.run("starts", 1) == errno.EPERM
    assert p.run("which") == pid, "the process was replaced"
    eventually(lambda: p.broker.pump() or all(map(p.said, (
        "scoop: socket() was refused; a program whose functions need it calls scoop_may(SCOOP_MAY_SOCKETS)",
        "scoop: execve() was refused; a program whose functions need it calls scoop_may(SCOOP_MAY_EXEC)"))), "both lines")


@pytest.mark.fault("F19")
@pytest.mark.parametrize("may", [EXEC, SOCKETS, EXEC | SOCKETS])
def test_a_program_that_asks_for_sockets_or_programs_gets_that_and_no_more(prying, may):
    p = prying(may=may)
    assert p.run("opens_socket", socket.AF_INET) == (0 if may & SOCKETS else errno.EPERM)
    assert p.run("starts", 0) == (3 << 8 if may & EXEC else 127 << 8)
    assert p.run("starts", 1) == (0 if may & EXEC else errno.EPERM)
    assert p.run("signals", p.agent.process.pid) == errno.EPERM


@pytest.mark.fault("F19")
def test_a_worker_lets_programs_ask_for_no_more_than_its_setting(prying):
    p = prying("--tasks-may", "", may=EXEC | SOCKETS)
    assert p.run("opens_socket", socket.AF_INET) == errno.EPERM
    assert p.run("starts", 1) == errno.EPERM
    eventually(lambda: p.broker.pump() or p.said("WORKER_TASKS_MAY lets no program do that"), "the line that names the setting")


def test_a_function_that_tries_again_and_again_is_told_of_twenty_times(prying):
    p = prying()
    for _ in range(30):
        assert p.run("opens_socket", socket.AF_INET) == errno.EPERM
    assert len(re.findall(r"scoop: socket\(\) was refused", p.agent.log)) <= 20


@pytest.mark.parametrize("text", ["network", "exec sockets", "exec;sockets"])
def test_what_programs_may_do_is_refused_by_name_when_it_is_misspelt(start, text):
    program = start("scoop-worker", "run", "--broker", "ipc:///tmp/none", "--tasks-may", text, ready=None)
    assert program.wait(10) == 2
    assert f'--tasks-may: "{text}" is not a list of exec, sockets' in program.log


@pytest.mark.parametrize("text, why", [
    ("/run/secrets:keys", '"keys" is not an absolute path'),
    (":".join(["/a"] * 65), "65 paths; the limit is 64"),
])
def test_what_is_to_be_hidden_is_refused_by_name_when_it_would_not_be(start, text, why):
    program = start("scoop-worker", "run", "--broker", "ipc:///tmp/none", "--hide", text, ready=None)
    assert program.wait(10) == 2
    assert f"--hide: {why}" in program.log


# ---- programs ----

PROGRAMS = {
    "rng": ["--listen", "127.0.0.1:0"],
    "hasher": ["--listen", "127.0.0.1:0"],
    "miner": ["--listen", "127.0.0.1:0", "--rng", "http://127.0.0.1:1", "--hasher", "http://127.0.0.1:1"],
    "webui": ["--listen", "127.0.0.1:0", "--broker", "ipc:///tmp/none"],
    "scoop-broker": ["--client-listen", "ipc://{}/c", "--worker-listen", "ipc://{}/w"],
    "scoop-worker": ["run", "--broker", "ipc://{}/w"],
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_takes_a_filter_of_calls_and_no_new_privileges_and_dumps_no_core(start, name, tmp_path):
    program = start(name, *(word.format(tmp_path) for word in PROGRAMS[name]),
                    ready="agent_started" if name == "scoop-worker" else "listening")
    folder = pathlib.Path(f"/proc/{program.process.pid}")
    filters = 2 if name in ("rng", "hasher") else 1  # when they listen they give up sockets

    def values():
        return dict(re.findall(r"^(Seccomp|Seccomp_filters|NoNewPrivs):\t(\d+)$", (folder / "status").read_text(), re.M))

    eventually(lambda: values() == {"NoNewPrivs": "1", "Seccomp": "2", "Seccomp_filters": str(filters)}, "its filters")
    assert re.search(r"Max core file size +0 +0 ", (folder / "limits").read_text())
    assert not re.search("not_fenced|bounds_are_mute", program.log) or LANDLOCK < 2
