"""Programs on workers: what libscoop promises, with a real broker and a real worker on this machine."""

import json
import os
import pathlib
import re
import subprocess

import pytest
from programs import ROOT, binary, build_folder, cached, eventually, run

HOST = os.uname().nodename
MISBEHAVE = binary("../tests/programs/misbehave")


def scoop_run(program, *arguments, options=(), env=None, timeout=120):
    """Run a program under `scoop run` to its end."""
    return run("scoop", "run", *options, program, *arguments, env=env, timeout=timeout)


class Cluster:
    """A broker and workers by hand, for tests that disturb them."""

    def __init__(self, start, folder):
        folder.mkdir(mode=0o700)
        self.start = start
        self.url = f"ipc://{folder}/client"
        self.workers = f"ipc://{folder}/worker"

    def start_broker(self):
        self.broker = self.start("scoop-broker", "--client-listen", self.url, "--worker-listen",
                                 self.workers)
        return self.broker

    def start_worker(self, *folders, slots=2):
        return self.start("scoop-worker", "run", "--broker", self.workers, "--slots", slots,
                          "--programs", ":".join(map(str, folders)), "--grace-ms", "0", ready=None)

    def start_program(self, program, *arguments, env=None):
        return self.start(program, *arguments, env={"SCOOP_BROKER": self.url, **(env or {})}, ready=None)

    def info(self):
        return json.loads(run("scoop", "info", "--json", "--broker", self.url).stdout)


@pytest.fixture
def cluster(start, tmp_path):
    return Cluster(start, tmp_path / "cluster")


@pytest.mark.tsan
def test_abs_is_equal_in_parallel():
    done = scoop_run(binary("examples/abs"), options=["-n", "2"])
    assert done.stdout == "dataSerial and dataParallel are equal\n"
    assert done.returncode == 0


def test_without_a_broker_a_program_computes_serially_and_says_so_once():
    done = run("examples/abs")
    assert done.stdout == "dataSerial and dataParallel are equal\n"
    assert done.stderr.count("no broker (SCOOP_BROKER is not set): computing serially") == 1
    assert done.stderr.count("\n") == 1


@pytest.mark.tsan
def test_pi_is_the_same_on_any_number_of_slots():
    program = binary("examples/pi")
    outputs = {scoop_run(program, 300, 500, options=["-n", n]).stdout for n in (1, 3)}
    serial = run("examples/pi", 300, 500).stdout
    assert outputs == {serial}
    assert abs(float(serial) - 3.14159) < 0.02


def test_pi_is_close():
    assert abs(float(scoop_run(binary("examples/pi")).stdout) - 3.14159) < 0.005


@pytest.mark.tsan
def test_words_carries_data_of_any_size(tmp_path):
    (tmp_path / "a").write_text("one three seventeen\n")
    (tmp_path / "b").write_text("x " * 1000000)
    done = scoop_run(binary("examples/words"), tmp_path / "a", tmp_path / "b")
    assert done.stdout == (
        f"{tmp_path}/a: 3 words, longest: seventeen\n{tmp_path}/b: 1000000 words, longest: x\n"
    )
    (tmp_path / "empty").write_text("")
    done = scoop_run(binary("examples/words"), tmp_path / "empty", tmp_path / "a")
    assert "there are no words in it" in done.stderr
    assert f"{tmp_path}/a: 3 words" in done.stdout
    assert done.returncode == 1


@pytest.mark.tsan
def test_as_completed_prints_results_in_the_order_of_their_ends():
    done = scoop_run(binary("examples/as_completed"), 0.9, 0.5, 0.1, options=["-n", "3"])
    assert (done.stdout, done.stderr) == ("2: 0.1\n1: 0.5\n0: 0.9\n", "")
    assert run("examples/as_completed", 0.02, 0.01).stdout == "0: 0.02\n1: 0.01\n"


@pytest.mark.parametrize("line, message", [
    ("tree x", 'tree: "x" is not a whole number from 0 to 24'),
    ("tree 12 13", 'tree: unexpected argument: "13"'),
    ("full_tree -1", 'full_tree: "-1" is not a whole number from 0 to 100'),
    ("pi 10 0", 'pi: "0" is not a whole number from 1 to 100000000'),
    ("as_completed 1 soon", 'as_completed: "soon" is not a number of seconds from 0 to 3600'),
    ("callback 1e3", 'callback: "1e3" is not a whole number from 0 to 1000000'),
    ("graph 1", 'graph: "1" is not a whole number from 2 to 1000'),
    ("sum_multiples 4294967296", 'sum_multiples: "4294967296" is not a whole number from 0 to 4294967295'),
    ("evolve one", 'evolve: "one" is not a whole number'),
    ("map_reduce one", 'map_reduce: "one" is not a whole number'),
    ("progress x", 'progress: "x" is not a whole number from 0 to 100000000'),
    ("map_scan 0", 'map_scan: "0" is not a whole number'),
    ("shared one", 'shared: "one" is not a whole number'),
    ("durable begin", "usage: durable start|finish"),
    ("image folder", "usage: image FOLDER FILE.pgm..."),
    ("words", "usage: words FILE..."),
])
def test_an_example_says_what_is_wrong_with_its_arguments(line, message):
    program, *arguments = line.split()
    done = run(f"examples/{program}", *arguments)
    said = [text for text in done.stderr.splitlines() if "computing serially" not in text]
    assert len(said) == 1 and said[0].startswith(message)
    assert done.stdout == ""
    assert done.returncode == 2


@pytest.mark.tsan
def test_callback_takes_every_result():
    assert scoop_run(binary("examples/callback")).stdout == "168 of 1000 are prime\n"
    assert run("examples/callback", 100).stdout == "25 of 100 are prime\n"


@pytest.mark.tsan
def test_errors_of_each_kind_are_told():
    lines = scoop_run(binary("examples/errors")).stdout.splitlines()
    assert lines[:2] == ["root(2): ok, code 0, 1 of its tries: ",
                         "root(-2): failed, code 1, 1 of its tries: -2 has no square root"]
    assert lines[2].startswith("crash: crashed, code 134, 3 of its tries: ")
    assert lines[3].startswith("hang: ran over its time limit, code 200, 1 of its tries: ")
    assert len(lines) == 4
    assert run("examples/errors").stdout.splitlines() == lines[:2]


@pytest.mark.tsan
@pytest.mark.parametrize("limit, total", [(10, 23), (1000, 233168), (1000000, 233333166668)])
def test_sum_multiples_is_right(limit, total):
    assert scoop_run(binary("examples/sum_multiples"), limit).stdout == f"{total}\n"


@pytest.mark.tsan
def test_evolve_finds_the_same_on_any_number_of_slots():
    serial = run("examples/evolve", 7).stdout
    assert re.fullmatch(r"all ones after \d+ generations\n", serial)
    assert scoop_run(binary("examples/evolve"), 7).stdout == serial


@pytest.mark.tsan
def test_image_finds_the_edges_of_many_files(tmp_path):
    (tmp_path / "out").mkdir()
    square = bytes([0, 0, 0, 0, 0, 200, 200, 0, 0, 200, 200, 0])
    for i in range(20):
        (tmp_path / f"{i}.pgm").write_bytes(b"P5\n4 3\n255\n" + square)
    (tmp_path / "20.pgm").write_text("P6 is something else")
    names = [tmp_path / f"{i}.pgm" for i in range(21)]
    done = scoop_run(binary("examples/image"), tmp_path / "out", *names, tmp_path / "none.pgm")
    assert done.stdout == "20 of 22 images\n"
    assert done.stderr.splitlines() == [f"{names[20]}: not a grey image",
                                        f"{tmp_path}/none.pgm: not a grey image"]
    edges = bytes([0, 200, 200, 0, 200, 0, 200, 0, 200, 0, 200, 0])
    for i in range(20):
        assert (tmp_path / f"out/{i}.pgm").read_bytes() == b"P5\n4 3\n255\n" + edges
    assert not (tmp_path / "out/20.pgm").exists()


@pytest.mark.tsan
def test_map_reduce_finds_the_longest_sequence():
    assert scoop_run(binary("examples/map_reduce")).stdout == "77031: 350 steps\n"
    assert run("examples/map_reduce", 0).stdout == "0: 0 steps\n"


@pytest.mark.tsan
def test_map_scan_is_the_same_serially():
    serial = run("examples/map_scan").stdout
    assert serial.startswith("lowest -719 on day 242, highest ")
    assert scoop_run(binary("examples/map_scan")).stdout == serial


@pytest.mark.parametrize("call, message", [
    ("scoop_map(half, ints, doubles, 1)", "half does not take what ints holds"),
    ("scoop_map(half, doubles, ints, 1)", "half does not return what ints holds"),
    ("scoop_map_as_completed(half, ints, doubles, 1)", "half does not take what ints holds"),
    ("scoop_map_reduce(half, add, doubles, 1, doubles)", "add does not combine what doubles holds"),
    ("scoop_map_scan(half, add, doubles, doubles, 1)", "add does not combine what doubles holds"),
])
def test_the_compiler_refuses_arrays_of_other_types(call, message, tmp_path):
    program = tmp_path / "program.c"
    program.write_text("""#include <scoop.h>
SCOOP_FUNCTION(double, half, double x) { return x / 2; }
SCOOP_REDUCER(int, add, int a, int b) { return a + b; }
int ints[1];
double doubles[1];
void f(void) { (void)%s; }
""" % call)
    done = subprocess.run([cached("CMAKE_C_COMPILER"), "-fsyntax-only", f"-I{ROOT}/libscoop/include",
                           program], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert message in done.stderr


def test_a_failure_of_a_function_travels_with_its_text_and_host():
    done = scoop_run(MISBEHAVE, "fail")
    assert done.stdout == "status: failed\n0 10 20 -1 40 50 60 70 80 90 \n"
    assert done.stderr == (
        f"misbehave: fails_on_3: task 3 of 10 failed on host {HOST}: bad number 3\n"
    )
    assert done.returncode == 1


def test_serially_a_failure_reads_the_same():
    serial = run("../tests/programs/misbehave", "fail")
    assert serial.stdout == "status: failed\n0 10 20 -1 40 50 60 70 80 90 \n"
    assert serial.stderr.endswith(
        f"misbehave: fails_on_3: task 3 of 10 failed on host {HOST}: bad number 3\n"
    )


def test_a_future_tells_code_attempts_host_and_text():
    assert scoop_run(MISBEHAVE, "error", 3).stdout == (
        "status=failed result=-1 code=7 attempts=1 function=fails_on_3 text=bad number 3\n"
        f"host={HOST}\n"
    )
    assert scoop_run(MISBEHAVE, "error", 4).stdout.startswith("status=ok result=40 code=0 attempts=1")


def test_a_crashing_task_is_stopped_and_all_others_finish():
    done = scoop_run(MISBEHAVE, "crash")
    assert done.stdout == "status: crashed\n0 10 20 -1 40 50 60 70 80 90 \n"
    assert "task 3 of 10 crashed on host" in done.stderr
    assert "signal 6" in done.stderr


def test_limits_of_tasks_and_deadlines_of_calls():
    done = scoop_run(MISBEHAVE, "limits", 10000, timeout=60)
    assert done.stdout == (
        "limit: ran over its time limit\n5 -1\n"
        "deadline: timeout\nsleeps_ms: not all tasks ended before the deadline\n"
    )


@pytest.mark.tsan
def test_a_million_tasks_all_come_back_right():
    assert scoop_run(MISBEHAVE, "many", 1000000, timeout=300).stdout == "1000000 of 1000000\n"


@pytest.mark.tsan
def test_threads_submit_beside_each_other():
    assert scoop_run(MISBEHAVE, "threads", 5000).stdout == "20000 of 20000\n"


@pytest.mark.parametrize("size", [0, 1000, 1 << 20, 16 << 20])
def test_bytes_of_any_size(size):
    assert scoop_run(MISBEHAVE, "bytes", size).stdout == "5 of 5\n"


@pytest.mark.tsan
def test_forgotten_futures_leave_nothing():
    done = scoop_run(MISBEHAVE, "forget", 300)
    assert done.stdout == "wait: ok\ndone: 1\n"
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unreachable_broker_is_named_within_the_deadline():
    done = run("examples/abs", env={"SCOOP_BROKER": "ipc:///nonexistent/broker", "SCOOP_CONNECT_MS": "500"})
    assert done.stderr == "abs: the broker ipc:///nonexistent/broker did not answer within 500 ms\n"
    assert done.returncode == 1


@pytest.mark.parametrize(
    "env, message",
    [
        ({"SCOOP_BROKER": "nonsense"}, 'broker: "nonsense" is not tcp://HOST:PORT or ipc:///PATH'),
        ({"SCOOP_BROKER": "tcp://h:1x"}, 'broker: "tcp://h:1x" is not tcp://HOST:PORT or ipc:///PATH'),
        (
            {"SCOOP_BROKER": "ipc:///x", "SCOOP_CONNECT_MS": "soon"},
            'SCOOP_CONNECT_MS: "soon" is not a whole number from 1 to 86400000 ms',
        ),
        (
            {"SCOOP_BROKER": "tcp://localhost:5555", "SCOOP_CLIENT_KEY_FILE": "/nonexistent/key"},
            "/nonexistent/key",
        ),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(env, message):
    done = run("examples/abs", env=env)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.returncode == 1


def test_a_program_that_workers_do_not_have_is_an_error_at_once(cluster):
    cluster.start_broker()
    cluster.start_worker("/nonexistent")
    client = cluster.start_program("examples/abs")
    assert client.wait() == 1
    assert re.search(r"abs: absolute: task 0 of 1000 refused on host .*abs", client.log)


def test_a_program_that_workers_have_in_another_version_is_an_error_at_once(cluster, tmp_path):
    changed = tmp_path / "programs/abs"
    changed.parent.mkdir()
    changed.write_bytes(pathlib.Path(binary("examples/abs")).read_bytes() + b"changed")
    changed.chmod(0o755)
    cluster.start_broker()
    cluster.start_worker(changed.parent)
    client = cluster.start_program("examples/abs")
    assert client.wait() == 1
    assert "refused on host" in client.log


def test_run_uses_the_cluster_that_is_named(cluster):
    cluster.start_broker()
    cluster.start_worker(pathlib.Path(binary("examples")))
    done = scoop_run(binary("examples/abs"), options=["--broker", cluster.url])
    assert (done.returncode, done.stdout) == (0, "dataSerial and dataParallel are equal\n")
    assert cluster.info()["done"] == 1000


def test_a_worker_that_comes_late_is_used(cluster):
    cluster.start_broker()
    client = cluster.start_program("examples/abs")
    cluster.broker.wait_for("ev=session_opened")
    cluster.start_worker(pathlib.Path(binary("examples")))
    assert client.wait() == 0


def test_a_worker_that_dies_has_its_tasks_run_elsewhere(cluster):
    folder = pathlib.Path(MISBEHAVE).parent
    cluster.start_broker()
    victim = cluster.start_worker(folder)
    client = cluster.start_program("../tests/programs/misbehave", "slow", "100")
    client.wait_for("begin", stdout=True)
    cluster.start_worker(folder)
    victim.kill()
    assert client.wait(60) == 0
    assert "100 of 100" in client.lines


def test_a_broker_that_is_restarted_loses_no_task(cluster):
    cluster.start_broker()
    cluster.start_worker(pathlib.Path(MISBEHAVE).parent)
    client = cluster.start_program("../tests/programs/misbehave", "slow", "200")
    client.wait_for("begin", stdout=True)
    for _ in range(2):
        cluster.broker.kill()
        cluster.start_broker().wait_for("ev=session_opened")
    assert client.wait(60) == 0
    assert "200 of 200" in client.lines


def test_a_broker_that_stays_away_is_an_error_not_a_hang(cluster):
    cluster.start_broker()
    client = cluster.start_program("../tests/programs/misbehave", "slow", "10",
                                   env={"SCOOP_RECONNECT_MS": "1500"})
    eventually(lambda: cluster.info()["ready"] == 10, "the tasks are accepted")
    cluster.broker.kill()
    assert client.wait() == 1
    assert "went away and did not come back within 1500 ms" in client.log


def manual_snippet():
    """The first program of the manual, without the comment around it."""
    manual = (ROOT / "libscoop/include/scoop.h").read_text()
    snippet = re.search(r"( \*     #include <scoop.h>\n.*?\n \*     \})\n \*\n", manual, re.S).group(1)
    return re.sub(r"^ \*(     )?", "", snippet, flags=re.M) + "\n"


def test_the_snippet_of_the_manual_compiles_with_pkg_config_and_runs(tmp_path):
    prefix = tmp_path / "usr"
    subprocess.run(["cmake", "--install", build_folder(), "--prefix", prefix], check=True,
                   stdout=subprocess.DEVNULL)
    library = next(prefix.glob("lib/**/libscoop.so")).parent
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "scoop"], check=True, text=True,
                           env={**os.environ, "PKG_CONFIG_PATH": str(library / "pkgconfig")},
                           capture_output=True).stdout.split()
    if cached("SANITIZE"):
        flags.append("-fsanitize=" + cached("SANITIZE"))
    (tmp_path / "prog.c").write_text(manual_snippet())
    subprocess.run([cached("CMAKE_C_COMPILER"), tmp_path / "prog.c", "-o", tmp_path / "prog", *flags],
                   check=True)
    done = scoop_run(tmp_path / "prog")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_only_the_public_names_are_exported():
    names = subprocess.run(["nm", "-D", "--defined-only", "--format=posix",
                            build_folder() / "libscoop/libscoop.so"],
                           check=True, capture_output=True, text=True).stdout
    exported = {line.split()[0] for line in names.splitlines()}
    declared = set(re.findall(r"\b(scoop_\w+)\(", (ROOT / "libscoop/include/scoop.h").read_text()))
    assert {name for name in exported if not name.startswith("__")} <= declared
    assert "scoop_init" in exported
