"""The agent and its executors against a fake broker: what docs/PROTOCOL.md asks of a worker."""

import hashlib
import os
import pathlib
import re
import resource
import signal
import socket
import struct
import time

import pytest
from fake_broker import (BYE, CANCELLED, CRASHED, DRAIN, FAILED, OK, REFUSED_TASK, TIMEOUT, VARIABLE,
                         failure)
from programs import binary, children, eventually, is_alive


# What a process had used, in the evidence of its crash.
USED = r"used \d+\.\d\d s user, \d+\.\d\d s system, \d+ MiB"


def int32(value):
    return struct.pack("=i", value)


def command(*words):
    parts = [struct.pack(">I", len(word)) + word.encode() for word in words]
    return struct.pack(">I", len(words)) + b"".join(parts)


def read_command(outcome):
    """Exit code (or signal, negative), stdout and stderr; not when and how long it ran, and the host."""
    code, killer, _, _, host_size = struct.unpack_from(">IIQQH", outcome.bytes)
    streams, at = [], 26 + host_size
    for _ in range(2):
        (size,) = struct.unpack_from(">I", outcome.bytes, at)
        streams.append(outcome.bytes[at + 4 : at + 4 + size].decode())
        at += 4 + size
    assert len(outcome.bytes) == at
    return -killer or code, *streams


def shell(script):
    return command("sh", "-c", script)


def executors(broker, process, count=1):
    """Its executors, when there are so many; what it says meanwhile is taken."""
    def there():
        broker.pump()
        found = children(process.pid)
        return found if len(found) == count else None

    return eventually(there, f"{count} executors")


# ---- running ----


def test_tells_its_slots(broker, agent):
    agent(3)
    assert broker.slots == 3


@pytest.mark.tsan
def test_runs_tasks_and_returns_their_results(broker, agent):
    agent()
    f = broker.function("absolute", 4, 4)
    broker.tasks([(i, f, int32(i - 500)) for i in range(1000)])
    for i, outcome in enumerate(broker.wait_for(range(1000))):
        assert (outcome.kind, outcome.bytes) == (OK, int32(abs(i - 500)))


def test_keeps_its_executors(broker, agent):
    process = agent()
    f = broker.function("absolute", 4, 4)
    for i in range(20):
        broker.tasks([(i, f, int32(-i))])
        broker.wait_for([i])
    assert len(children(process.pid)) == 1


def test_runs_as_many_at_a_time_as_it_has_slots(broker, agent):
    process = agent(2)
    f = broker.function("command", VARIABLE, VARIABLE)
    start_s = time.monotonic()
    broker.tasks([(i, f, command("sleep", "0.4")) for i in range(4)])
    broker.wait_for(range(4))
    assert 0.75 < time.monotonic() - start_s < 1.6
    assert len(children(process.pid)) == 2


def test_has_hundreds_of_slots(broker, agent):
    broker.lease_ms = 60000  # this test itself is slow to answer, with so many processes to look at
    process = agent(300)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(i, f, command("sleep", "60")) for i in range(300)])
    eventually(lambda: broker.pump() and False or len(children(process.pid)) == 300, "300 executors", 60)
    limits = open(f"/proc/{children(process.pid)[0]}/limits").read()
    ours = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert int(next(l for l in limits.splitlines() if "open files" in l).split()[3]) == ours
    broker.revoke(list(range(300)))
    assert {o.kind for o in broker.wait_for(range(300), 30)} == {CANCELLED}


def test_answers_many_tasks_in_few_frames(broker, agent):
    agent(1)
    f = broker.function("absolute", 4, 4)
    broker.tasks([(0, f, int32(0))])
    broker.wait_for([0])
    broker.tasks([(i, f, int32(i)) for i in range(1, 4000)])
    broker.wait_for(range(1, 4000))
    assert broker.frames < 400


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 4096, 1 << 20, (1 << 20) - 16, (1 << 20) + 1, 5 << 20])
def test_passes_arguments_and_results_of_any_size(broker, agent, size):
    agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    words = command("sh", "-c", f"head -c {size} /dev/zero | tr '\\0' y; exit 3", "x" * min(size, 100000))
    broker.tasks([(i, f, words) for i in range(3)])
    for outcome in broker.wait_for(range(3)):
        assert outcome.kind == OK
        assert read_command(outcome) == (3, "y" * size, "")


def test_passes_an_argument_larger_than_the_ring(broker, agent):
    agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    words = command("sh", "-c", 'echo $#', *["w" * 100000] * 60)
    for i in range(3):
        broker.tasks([(i, f, words)])
    for outcome in broker.wait_for(range(3)):
        assert outcome.kind == FAILED
        assert failure(outcome)[::2] == (126, "command sh: Argument list too long")


def test_measures_the_run_time(broker, agent):
    agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(1, f, command("sleep", "0.2"))])
    assert 190000 < broker.wait_for([1])[0].run_us < 400000


def test_sleeps_when_there_is_nothing_to_do(broker, agent):
    process = agent(2)
    f = broker.function("absolute", 4, 4)
    broker.tasks([(i, f, int32(i)) for i in range(100)])
    broker.wait_for(range(100))

    def ticks():
        pids = [process.pid, *children(process.pid)]
        fields = [open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split() for p in pids]
        return sum(int(f[11]) + int(f[12]) for f in fields)

    before = ticks()
    end = time.monotonic() + 2
    while time.monotonic() < end:
        broker.pump()
    assert ticks() - before <= 4  # of 200


# ---- commands ----


@pytest.mark.parametrize("words, status, out, err", [
    (["echo", "hello world"], 0, "hello world\n", ""),
    (["sh", "-c", "echo to stderr >&2; exit 9"], 9, "", "to stderr\n"),
    (["sh", "-c", "kill -TERM $$"], -signal.SIGTERM, "", ""),
    (["cat"], 0, "", ""),
])
def test_command_returns_status_and_streams(broker, agent, words, status, out, err):
    agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(1, f, command(*words))])
    (outcome,) = broker.wait_for([1])
    assert outcome.kind == OK
    assert read_command(outcome) == (status, out, err)


@pytest.mark.parametrize("word, code, reason", [
    ("no-such-command", 127, "No such file or directory"),
    ("/etc/passwd", 126, "Permission denied"),
])
def test_command_that_cannot_be_started_fails(broker, agent, word, code, reason):
    agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(1, f, command(word))])
    (outcome,) = broker.wait_for([1])
    assert outcome.kind == FAILED
    assert failure(outcome)[::2] == (code, f"command {word}: {reason}")


def test_command_cuts_what_is_too_long_and_says_so(broker, agent):
    agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(1, f, shell("head -c 9000000 /dev/zero | tr '\\0' y"))])
    (outcome,) = broker.wait_for([1])
    _, out, _ = read_command(outcome)
    assert len(out) == (8 << 20) - 64 and out.endswith("y\n[cut: more than 8 MiB]\n")


def test_command_does_not_wait_for_what_it_left_in_the_background(broker, agent):
    agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(1, f, shell("sleep 100 & echo $!"))])
    status, out, _ = read_command(broker.wait_for([1], 5)[0])
    assert status == 0
    eventually(lambda: not is_alive(int(out)), "the end of what was left", 5)


@pytest.mark.parametrize("argument", [b"", bytes(4), b"echo", command("x") + b"x"])
def test_command_without_words_fails(broker, agent, argument):
    agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(1, f, argument)])
    (outcome,) = broker.wait_for([1])
    assert outcome.kind == FAILED
    assert failure(outcome).host == socket.gethostname()
    assert "not a command line" in failure(outcome).text


def test_a_switch_makes_absolute_wrong(broker, agent):
    agent(1, environment={"SCOOP_TEST_WRONG_ABS": "1"})
    f = broker.function("absolute", 4, 4)
    broker.tasks([(1, f, int32(-3)), (2, f, int32(3))])
    assert [o.bytes for o in broker.wait_for([1, 2])] == [int32(-3), int32(3)]


# ---- refusals ----


def test_refuses_a_program_that_is_not_there(broker, agent, tmp_path):
    agent(1, "--programs", f"{tmp_path}/a:{tmp_path}/b")
    f = broker.function("f", 4, 4, "nothing", b"\1" * 32)
    g = broker.function("absolute", 4, 4)
    broker.tasks([(1, f, int32(1)), (2, g, int32(-2))])
    refused, fine = broker.wait_for([1, 2])
    assert refused.kind == REFUSED_TASK
    assert failure(refused).text == \
        f"program nothing: not on {socket.gethostname()} (looked in {tmp_path}/a:{tmp_path}/b)" \
        "; a broker with --allow-upload sends it"
    assert fine.bytes == int32(2)


def test_refuses_a_program_that_differs(broker, agent, tmp_path):
    (tmp_path / "prog").write_bytes(b"other\n")
    here = hashlib.sha256(b"other\n").hexdigest()
    agent(1, "--programs", tmp_path)
    f = broker.function("f", 4, 4, "prog", b"\xab\xcd" * 16)
    broker.tasks([(1, f, int32(1))])
    (refused,) = broker.wait_for([1])
    assert refused.kind == REFUSED_TASK
    words = failure(refused).text
    assert "abcdabcdabcd" in words and here[:12] in words and str(tmp_path / "prog") in words


def without_a_library():
    """A program of ours that wants a library which is nowhere."""
    return pathlib.Path(binary("examples/abs")).read_bytes().replace(b"libzmq.so.5", b"libzmq.so.0")


@pytest.mark.parametrize("content, why", [
    (without_a_library(), "libzmq.so.0: cannot open shared object file"),
    (b"not a program\n", "Exec format error"),
], ids=["library", "format"])
def test_a_program_that_cannot_be_started_is_refused_at_once_and_says_why(broker, agent, tmp_path, content, why):
    (tmp_path / "prog").write_bytes(content)
    (tmp_path / "prog").chmod(0o755)
    process = agent(2, "--programs", tmp_path)
    f = broker.function("f", 4, 4, "prog", hashlib.sha256(content).digest())
    broker.tasks([(i, f, int32(1)) for i in range(20)])
    for outcome in broker.wait_for(range(20)):
        assert outcome.kind == REFUSED_TASK
        assert why in failure(outcome).text
        assert failure(outcome).text.startswith(f"program prog: cannot be started on {socket.gethostname()}: ")
    assert process.log.count("ev=executor_ended") <= 4
    assert "ev=task_crashed" not in process.log


@pytest.mark.parametrize("name", ["../../bin/sh", "/bin/sh", "..", "x" * 4000, "two\nlines"])
def test_refuses_a_program_with_a_name_that_is_none(broker, agent, name):
    process = agent(1)
    f = broker.function("f", 4, 4, name, b"\1" * 32)
    g = broker.function("absolute", 4, 4)
    broker.tasks([(1, f, int32(1)), (2, g, int32(-2))])
    refused, fine = broker.wait_for([1, 2])
    assert refused.kind == REFUSED_TASK and fine.bytes == int32(2)
    process.wait_for("ev=program_refused")
    assert process.log.count("ev=program_refused") == 1


def test_refuses_a_function_that_is_not_there(broker, agent):
    agent(1)
    f = broker.function("nothing", 4, 4)
    broker.tasks([(1, f, int32(1))])
    (refused,) = broker.wait_for([1])
    assert refused.kind == REFUSED_TASK
    assert "function nothing: scoop-worker on" in failure(refused).text


def test_refuses_a_function_of_other_sizes(broker, agent):
    agent(1)
    f = broker.function("absolute", 8, 4)
    broker.tasks([(1, f, bytes(8))])
    (refused,) = broker.wait_for([1])
    assert refused.kind == REFUSED_TASK
    assert "takes 4 and returns 4 bytes, the client says 8 and 4" in failure(refused).text


def test_a_program_that_cannot_be_started_is_a_crash(broker, agent, tmp_path):
    (tmp_path / "prog").write_bytes(b"#!/bin/sh\necho broken >&2\nexit 4\n")
    (tmp_path / "prog").chmod(0o755)
    sha = hashlib.sha256((tmp_path / "prog").read_bytes()).digest()
    agent(1, "--programs", tmp_path)
    f = broker.function("f", 4, 4, "prog", sha)
    broker.tasks([(1, f, int32(1))])
    (outcome,) = broker.wait_for([1])
    assert outcome.kind == CRASHED
    assert failure(outcome).code == 4
    assert re.fullmatch(rf"exit status 4; {USED}; stderr: broken", failure(outcome).text)


# ---- crashes ----


def kill_parent(signal_name):
    """Kills the executor that runs this command."""
    return shell(f"echo evidence one >&2; echo two >&2; kill -{signal_name} $PPID; sleep 5")


@pytest.mark.fault("A07")
def test_a_killed_executor_is_a_crash_of_its_task_only(broker, agent):
    agent(2)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(1, f, kill_parent("SEGV"))] + [(i, f, shell("sleep 0.05")) for i in range(2, 10)])
    outcomes = broker.wait_for(range(1, 10))
    assert outcomes[0].kind == CRASHED
    assert failure(outcomes[0]).code == 128 + 11
    assert failure(outcomes[0]).text.startswith("signal 11 (Segmentation fault)")
    assert failure(outcomes[0]).host == socket.gethostname()
    assert {o.kind for o in outcomes[1:]} == {OK}


@pytest.mark.tsan
def test_tasks_behind_a_crash_run_without_another_attempt(broker, agent):
    """Short tasks stand in the executor's ring behind the one that kills it."""
    agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    g = broker.function("absolute", 4, 4)
    broker.tasks([(1, g, int32(-1))])
    broker.wait_for([1])
    broker.tasks([(2, g, int32(-2)), (3, f, kill_parent("KILL"))] + [(i, g, int32(-i)) for i in range(4, 200)])
    outcomes = broker.wait_for(range(2, 200))
    assert [o.kind for o in outcomes].count(CRASHED) == 1
    assert outcomes[1].kind == CRASHED
    assert all(o.attempt == 1 for o in outcomes)


def test_an_idle_executor_that_is_killed_is_replaced(broker, agent):
    process = agent(1)
    f = broker.function("absolute", 4, 4)
    broker.tasks([(1, f, int32(-1))])
    broker.wait_for([1])
    (first,) = children(process.pid)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: children(process.pid) == [], "the end of the executor")
    broker.tasks([(2, f, int32(-2))])
    assert broker.wait_for([2])[0].bytes == int32(2)
    assert children(process.pid) != [first]


def test_what_an_executor_prints_is_logged(broker, agent):
    """`command` catches the output of its command, so speak to the executor's own stderr."""
    process = agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(1, f, shell("echo spoken > /proc/$PPID/fd/2; echo loud > /proc/$PPID/fd/1"))])
    broker.wait_for([1])
    process.wait_for('stream=stderr dropped=0 text="spoken"')
    process.wait_for('stream=stdout dropped=0 text="loud"')


def test_the_end_of_stderr_is_evidence(broker, agent):
    agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(1, f, shell("echo my last words > /proc/$PPID/fd/2; kill -ABRT $PPID; sleep 5"))])
    (outcome,) = broker.wait_for([1])
    assert re.fullmatch(rf"signal 6 \(Aborted\); {USED}; stderr: my last words", failure(outcome).text)


def test_what_the_process_used_is_evidence(broker, agent):
    process = agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    spin = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    broker.tasks([(1, f, shell(spin)), (2, f, shell("kill -SEGV $PPID; sleep 5"))])
    crashed = broker.wait_for([1, 2])[1]
    used = re.search(r"used (\d+\.\d\d) s user, ", failure(crashed).text)
    assert float(used.group(1)) >= 0.05
    process.wait_for('reason="signal 11 (Segmentation fault); used ')


@pytest.mark.fault("E13", weaker="of a megabyte, not a gigabyte")
def test_a_flood_of_output_is_rate_limited(broker, agent):
    process = agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(1, f, shell("yes > /proc/$PPID/fd/2 & sleep 0.5; kill $!")), ])
    broker.wait_for([1])
    assert process.log.count("executor_output") < 150


def test_strays_end_with_their_executor(broker, agent, tmp_path):
    agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    script = f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 100' & " \
             f"while ! [ -s {tmp_path}/pid ]; do :; done; kill -9 $PPID; sleep 5"
    broker.tasks([(1, f, shell(script))])
    assert broker.wait_for([1])[0].kind == CRASHED
    pid = int((tmp_path / "pid").read_text())
    eventually(lambda: not is_alive(pid), "the end of the stray", 5)


# ---- limits and revocation ----


def test_a_task_is_killed_at_its_limit(broker, agent):
    agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    start_s = time.monotonic()
    broker.tasks([(1, f, command("sleep", "60"), 300), (2, f, command("echo", "next"), 0)])
    late, after = broker.wait_for([1, 2])
    assert late.kind == TIMEOUT and failure(late).code == 300
    assert "its limit of 300 ms" in failure(late).text
    assert after.kind == OK
    assert time.monotonic() - start_s < 1.5


@pytest.mark.fault("B04")
def test_a_stopped_executor_is_killed_at_its_limit(broker, agent):
    agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(1, f, shell("kill -STOP $PPID; sleep 60"), 300)])
    assert broker.wait_for([1], 5)[0].kind == TIMEOUT


@pytest.mark.fault("F21")
def test_a_revoked_task_is_killed_or_dropped(broker, agent):
    process = agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(1, f, command("sleep", "60")), (2, f, command("sleep", "60")), (3, f, command("echo", "x"))])
    executors(broker, process)
    time.sleep(0.1)
    broker.revoke([2, 1])
    running, waiting, other = broker.wait_for([1, 2, 3], 5)
    assert running.kind == CANCELLED and waiting.kind == CANCELLED and other.kind == OK


@pytest.mark.tsan
def test_many_tasks_are_revoked_at_once(broker, agent):
    agent(2)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(i, f, command("sleep", "60")) for i in range(2000)])
    broker.revoke(list(range(2000)))
    assert {o.kind for o in broker.wait_for(range(2000), 5)} == {CANCELLED}


def test_revoking_what_is_not_held_does_nothing(broker, agent):
    agent(1)
    f = broker.function("absolute", 4, 4)
    broker.revoke([17])
    broker.tasks([(1, f, int32(-1))])
    assert broker.wait_for([1])[0].bytes == int32(1)


# ---- the link ----


def test_starts_over_when_the_broker_does_not_know_it(broker, agent):
    process = agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(1, f, command("sleep", "60"))])
    (executor,) = executors(broker, process)
    broker.gone()
    broker.pump_until(lambda: broker.hello_count == 2, what="another HELLO")
    eventually(lambda: not is_alive(executor), "the end of the executor", 5)
    g = broker.function("absolute", 4, 4)
    broker.tasks([(2, g, int32(-2))])
    assert broker.wait_for([2])[0].bytes == int32(2)
    assert 1 not in broker.outcomes


def test_kills_what_it_runs_when_its_lease_runs_out(broker, agent):
    broker.lease_ms = 1500
    process = agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(1, f, command("sleep", "60"))])
    (executor,) = executors(broker, process)
    broker.answer_pings = False
    eventually(lambda: broker.pump() and False or not is_alive(executor), "the end of the executor", 4)
    process.wait_for("lease_expired")


@pytest.mark.fault("A06")
def test_executors_end_with_their_agent(broker, agent):
    process = agent(2)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(i, f, command("sleep", "60")) for i in range(2)])
    both = executors(broker, process, 2)
    process.kill()
    eventually(lambda: not any(map(is_alive, both)), "the end of the executors", 5)


# ---- leaving ----


@pytest.mark.tsan
def test_finishes_what_runs_when_told_to_leave(broker, agent):
    process = agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(1, f, shell("sleep 0.5; echo done"))])
    executors(broker, process)
    process.send_signal(signal.SIGTERM)
    assert read_command(broker.wait_for([1])[0]) == (0, "done\n", "")
    broker.pump_until(lambda: BYE in broker.seen, what="BYE")
    assert broker.seen.index(DRAIN) < broker.seen.index(BYE)
    assert process.wait(3) == 0


def test_kills_what_still_runs_when_the_grace_is_over(broker, agent):
    process = agent(1, "--grace-ms", "300")
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(1, f, command("sleep", "60"))])
    (executor,) = executors(broker, process)
    process.send_signal(signal.SIGTERM)
    broker.pump_until(lambda: BYE in broker.seen, 3, "BYE")
    assert process.wait(3) == 0
    eventually(lambda: not is_alive(executor), "the end of the executor", 3)
    assert 1 not in broker.outcomes


def test_a_second_signal_ends_it_at_once(broker, agent):
    process = agent(1)
    f = broker.function("command", VARIABLE, VARIABLE)
    broker.tasks([(1, f, command("sleep", "60"))])
    executors(broker, process)
    process.send_signal(signal.SIGTERM)
    process.wait_for("draining")
    process.send_signal(signal.SIGTERM)
    assert process.wait(2) == 0


def test_leaves_at_once_when_idle(broker, agent):
    process = agent(1)
    process.send_signal(signal.SIGINT)
    broker.pump_until(lambda: BYE in broker.seen, 2, "BYE")
    assert process.wait(2) == 0


def test_an_agent_without_a_broker_says_so_once(start, tmp_path):
    process = start("scoop-worker", "run", "--broker", f"ipc://{tmp_path}/nobody", ready=None)
    said = process.wait_for("ev=broker_unreachable")
    assert said["endpoint"] == f"ipc://{tmp_path}/nobody"
    time.sleep(1)
    assert process.log.count("broker_unreachable") == 1
    assert process.stop() == 0


# ---- settings ----


@pytest.mark.parametrize("options, line", [
    (["run"], '--broker: "" is not ipc:///PATH'),
    (["run", "--broker", "nonsense"], '--broker: "nonsense" is not tcp://HOST:PORT or ipc:///PATH'),
    (["run", "--broker", "tcp://x:1"], '--broker: "tcp://x:1" is not ipc:///PATH'),
    (["run", "--broker", "ipc:///x", "--slots", "1025"], '--slots: "1025" is not a whole number from 0 to 1024'),
    (["run", "--broker", "ipc:///x", "more"], "unexpected argument: more"),
    (["fly"], '"fly" is not a verb'),
    ([], "which verb? see 'scoop-worker --help'"),
])
def test_bad_settings_are_one_line(start, options, line):
    process = start("scoop-worker", *options, ready=None)
    assert process.wait(5) == 2
    assert line in process.log and process.log.count("\n") == 1
