"""`scoop map`: a command for each argument, as people know it from GNU parallel."""

import os
import pty
import signal
import subprocess
import time

import pytest
from programs import binary, descendants, environment, eventually, names_below, nothing_left


def test_map_writes_ten_thousand_outputs_in_order(scoop):
    lines = "".join(f"{i}\n" for i in range(10000))
    done = scoop("map", "echo", "{}", text=lines, timeout=300)
    assert done.stdout == lines
    assert (done.returncode, done.stderr) == (0, "")


def test_map_fills_in_each_place_or_appends(scoop):
    assert scoop("map", "echo", "a{}b{}", ":::", "1", "2 3").stdout == "a1b1\na2 3b2 3\n"
    assert scoop("map", "echo", "x", ":::", "1", "").stdout == "x 1\nx \n"
    assert scoop("map", "echo", ":::").stdout == ""


def test_map_combines_lists_and_takes_paths_apart(scoop):
    done = scoop("map", "echo", "{#}:{2}{1}", ":::", "a", "b", ":::", "1", "2")
    assert done.stdout == "1:1a\n2:2a\n3:1b\n4:2b\n"
    assert scoop("map", "echo", "{.} {/} {//} {/.}", ":::", "d/x.c").stdout == "d/x x.c d x\n"


def test_map_runs_one_word_of_shell_by_a_shell_and_quotes_for_it(scoop):
    done = scoop("map", "echo {} | tr a-z A-Z; echo {#}", ":::", "$(x) 'y'", "b;c")
    assert done.stdout == "$(X) 'Y'\n1\nB;C\n2\n"


def test_map_reads_a_file_and_arguments_that_end_in_a_zero_byte(scoop, tmp_path):
    (tmp_path / "list").write_bytes(b"a b\0c\n4\0")
    done = scoop("map", "-0", "-a", tmp_path / "list", "printf", "<%s>")
    assert done.stdout == "<a b><c\n4>"
    done = scoop("map", "-a", tmp_path / "missing", "echo")
    assert (done.returncode, done.stderr) == (
        2, f"scoop map: --arg-file: {tmp_path}/missing: No such file or directory\n")


def test_map_shows_the_commands_of_a_dry_run_and_runs_none(scoop, tmp_path):
    done = scoop("map", "--dry-run", "touch", f"{tmp_path}/{{}}", ":::", "a", "b c")
    assert done.stdout == f"touch {tmp_path}/a\ntouch '{tmp_path}/b c'\n"
    assert scoop("map", "--dry-run", "echo {} >x", ":::", "b c").stdout == "echo 'b c' >x\n"
    assert list(tmp_path.iterdir()) == []


def test_map_begins_each_line_with_its_argument_when_tags_are_wanted(scoop):
    done = scoop("map", "--tag", "printf '1\\n2'; echo 9 >&2; true", ":::", "a", "b")
    assert done.stdout == "a\t1\na\t2b\t1\nb\t2"
    assert done.stderr == "a\t9\nb\t9\n"


def test_map_as_completed_writes_each_output_when_its_command_has_ended(scoop):
    done = scoop("map", "--as-completed", "-j", "3", "sleep {}; echo {#}", ":::", "0.6", "0.3", "0")
    assert done.stdout == "3\n2\n1\n"
    done = scoop("map", "-k", "-j", "3", "sleep {}; echo {#}", ":::", "0.2", "0.1", "0")
    assert done.stdout == "1\n2\n3\n"


def test_map_as_completed_loses_none_of_many_and_mixes_none(scoop):
    done = scoop("map", "--as-completed", "-j", "4", "echo", "{}", "{}", "{}",
                 text="".join(f"{i}\n" for i in range(500)))
    assert sorted(done.stdout.splitlines()) == sorted(f"{i} {i} {i}" for i in range(500))


def test_map_runs_a_command_that_fails_again_when_retries_are_left(scoop, tmp_path):
    command = f"echo x >>{tmp_path}/{{}}; wc -l <{tmp_path}/{{}}; test $(wc -l <{tmp_path}/{{}}) -eq 3"
    done = scoop("map", "--retries", "3", "--tag", command, ":::", "a", "b")
    assert (done.returncode, done.stdout, done.stderr) == (0, "a\t3\nb\t3\n", "")
    (tmp_path / "a").unlink()
    done = scoop("map", "--retries", "2", command, ":::", "a")
    assert (done.returncode, done.stdout) == (1, "2\n")
    assert (tmp_path / "a").read_text() == "x\n" * 2


def test_map_kills_a_command_that_runs_longer_than_its_timeout(scoop, tmp_path):
    done = scoop("map", "--timeout", "0.3", "-j", "2", "--joblog", tmp_path / "log",
                 "sleep {}; echo {}", ":::", "60", "0")
    assert (done.returncode, done.stdout) == (1, "0\n")
    assert "300 ms" in done.stderr
    assert [line.split("\t")[6:8] for line in log_of(tmp_path / "log")] == [["0", "9"], ["0", "0"]]


def log_of(path):
    head, *lines = path.read_text().splitlines()
    assert head == "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand"
    return lines


def test_map_logs_what_each_command_did(scoop, tmp_path):
    before = time.time()
    log = tmp_path / "log"
    scoop("map", "--joblog", log, "sleep 0.1; echo {}; exit {#}", ":::", "a b", "c")
    first, second = (line.split("\t") for line in log_of(log))
    assert first[0] == "1" and second[0] == "2"
    assert first[1] == os.uname().nodename
    assert before - 1 < float(first[2]) < time.time()
    assert 0.1 <= float(first[3]) < 10
    assert first[5:] == ["4", "1", "0", "sleep 0.1; echo 'a b'; exit 1"]
    assert second[6] == "2"


def test_map_resumes_with_what_is_not_in_the_log(scoop, tmp_path):
    log = tmp_path / "log"
    scoop("map", "--joblog", log, "echo", ":::", "1", "2")
    done = scoop("map", "--joblog", log, "--resume", "echo", ":::", "1", "2", "3", "4")
    assert (done.returncode, done.stdout) == (0, "3\n4\n")
    assert [line.split("\t")[0] for line in log_of(log)] == ["1", "2", "3", "4"]
    done = scoop("map", "--joblog", log, "--resume", "echo", ":::", "1", "2", "3", "4")
    assert (done.returncode, done.stdout) == (0, "")
    done = scoop("map", "--joblog", log, "echo", ":::", "1")
    assert (done.stdout, len(log_of(log))) == ("1\n", 1)


def test_map_resumes_with_what_failed_when_that_is_asked(scoop, tmp_path):
    log = tmp_path / "log"
    arguments = ["--joblog", log, "--resume-failed", f"echo {{}}; test {{}} != b || test -e {tmp_path}/ok",
                 ":::", "a", "b", "c"]
    assert scoop("map", *arguments).returncode == 1
    (tmp_path / "ok").touch()
    done = scoop("map", *arguments)
    assert (done.returncode, done.stdout) == (0, "b\n")
    assert scoop("map", *arguments).stdout == ""


@pytest.mark.fault("A09")
def test_map_that_was_killed_repeats_only_what_was_not_shown(start, private, scoop, tmp_path):
    log = tmp_path / "log"
    arguments = ["map", "-j", "4", "--joblog", log, "sh", "-c", "sleep 0.01; echo {}", ":::",
                 *map(str, range(200))]
    first = start("scoop", *arguments, env={"XDG_RUNTIME_DIR": str(private)}, ready=None)
    first.wait_for("40", stdout=True)
    pids = descendants(first.pid)
    first.kill()
    eventually(lambda: nothing_left(private, pids), "the private cluster has ended")
    first.wait()
    logged = len(log_of(log))
    assert 40 <= logged < 200
    # Killed between the output and its line in the log: that one is shown again.
    assert len(first.lines) - logged in (0, 1)
    second = scoop(*arguments[:5], "--resume", *arguments[5:])
    assert second.returncode == 0
    assert second.stdout.split() == [str(i) for i in range(logged, 200)]


def test_map_writes_each_output_whole_and_stderr_to_stderr(scoop):
    command = 'for i in 1 2 3; do echo "{}$i"; sleep 0.01; done; echo "err{}" >&2'
    done = scoop("map", "-n", "4", "sh", "-c", command, ":::", "a", "b", "c", "d")
    assert done.stdout == "".join(f"{letter}{i}\n" for letter in "abcd" for i in "123")
    assert done.stderr == "erra\nerrb\nerrc\nerrd\n"


@pytest.mark.parametrize("codes, code, message", [
    ("0 0", 0, ""),
    ("0 3 4", 2, "scoop map: 2 of 3 commands failed; number 2 ended with exit code 3\n"),
    ("1 " * 100, 100, "scoop map: 100 of 100 commands failed; number 1 ended with exit code 1\n"),
    ("1 " * 101, 101, "scoop map: 101 of 101 commands failed; number 1 ended with exit code 1\n"),
    ("1 " * 102, 101, "scoop map: 102 of 102 commands failed; number 1 ended with exit code 1\n"),
])
def test_the_exit_code_of_map_is_the_number_of_commands_that_failed(scoop, codes, code, message):
    done = scoop("map", "sh", "-c", "exit {}", ":::", *codes.split())
    assert (done.returncode, done.stderr) == (code, message)


def test_map_tells_a_signal_and_a_command_that_is_not_there(scoop):
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
    done = scoop("map", "echo", text="a\0b\n")
    assert "zero byte" in done.stderr
    assert done.returncode == 255
    assert "longer than 8 MiB" in scoop("map", "echo", text="x" * (9 << 20)).stderr


@pytest.mark.parametrize("closed, message", [
    ("<&-", "scoop map: Bad file descriptor"),
    (">&-", "scoop map: cannot write output: Bad file descriptor"),
])
def test_map_with_a_closed_standard_file_is_an_error_at_once(private, closed, message):
    done = subprocess.run(["sh", "-c", f'echo a | {{ "$0" map echo {closed}; }}', binary("scoop")],
                          env=environment({"XDG_RUNTIME_DIR": str(private)}), text=True,
                          capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (255, "")
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
