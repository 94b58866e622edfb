"""The example longmult: tasks, a fan, and a task that waits for it."""

import json
import re
import shutil
import signal
import subprocess

import pytest
from programs import binary, eventually, run
from test_programs import Cluster

LONGMULT = binary("examples/longmult")
FACTORS = "9650156169", "327358788"
PRODUCT = "3159063427494563172"
LARGE = "7" + "1234567890" * 99 + "123456789", "98765432100" * 90 + "0123456789"


@pytest.fixture(params=["on workers", "serially"])
def longmult(request):
    def start(*arguments):
        words = ["scoop", "run", "-n", 2, LONGMULT] if request.param == "on workers" else ["examples/longmult"]
        return run(*words, *arguments)
    return start


@pytest.mark.tsan
def test_longmult_gives_the_same_product_in_both_orders(longmult):
    done = longmult()
    assert (done.returncode, done.stdout) == (0, f"{PRODUCT}\n{PRODUCT}\n")


@pytest.mark.parametrize("a, b, product", [
    (*FACTORS, PRODUCT), (*reversed(FACTORS), PRODUCT),
    ("5", "1011", "5055"), ("5", "0", "0"), ("0", "0", "0"), ("0", "789", "0"), ("0007", "0008", "56"),
    ("99999", "99999", "9999800001"), (*LARGE, str(int(LARGE[0]) * int(LARGE[1]))),
], ids=lambda text: text[:12])
def test_longmult_is_right(longmult, a, b, product):
    done = longmult(a, b)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, product)


@pytest.mark.parametrize("a, b", [("12x", "3"), ("12", "-3"), ("", "3"), ("3", ""), ("1 2", "3")])
def test_longmult_refuses_what_is_no_number_in_one_line(longmult, a, b):
    done = longmult(a, b)
    assert (done.returncode, done.stdout) == (1, "")
    assert f'"{a} {b}" is not two decimal numbers' in done.stderr.splitlines()[-1]


def test_longmult_goes_on_when_a_worker_is_killed(start, tmp_path):
    cluster = Cluster(start, tmp_path / "cluster")
    cluster.start_broker()
    worker = cluster.start_worker(binary("examples"))
    worker.wait_for("ev=link_open")
    worker.send_signal(signal.SIGSTOP)
    program = cluster.start_program("examples/longmult")
    eventually(lambda: cluster.info()["leased"] == 1, "the stopped worker has a task")
    worker.kill()
    cluster.start_worker(binary("examples"))
    assert program.wait() == 0
    assert program.lines == [PRODUCT, PRODUCT]


def test_longmult_runs_twelve_tasks(tmp_path):
    done = run("scoop", "run", "-n", 2, "--trace", tmp_path / "trace", LONGMULT)
    assert done.returncode == 0
    events = json.loads((tmp_path / "trace").read_text())
    names = [event["name"] for event in events if event["ph"] == "X"]
    assert [names.count(name) for name in ("take_b_apart", "part_multiply", "add_together")] == [2, 8, 2]


def graph_of(*arguments):
    done = run("examples/longmult", "--graph", *arguments)
    edges = set()
    for line in done.stdout.splitlines():
        names = re.findall(r'"([^"]+)"', line)
        edges |= set(zip(names, names[1:]))
    return done.stdout, edges, {name for edge in edges for name in edge}


def test_the_graph_of_longmult_has_twelve_tasks_and_two_fans():
    text, edges, tasks = graph_of()
    assert text.startswith("digraph longmult {\n") and text.endswith("}\n")
    kinds = [task.split()[0] for task in tasks]
    assert [kinds.count(kind) for kind in ("take_b_apart", "part_multiply", "add_together")] == [2, 8, 2]
    assert len(edges) == 16


def test_the_graph_of_an_empty_fan_has_two_tasks():
    _, edges, tasks = graph_of("5", "1011")
    assert (len(edges), len(tasks)) == (1, 2)


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_draws_the_graph_of_longmult():
    done = subprocess.run(["dot", "-Tsvg"], input=graph_of()[0], text=True, capture_output=True, timeout=60, check=True)
    assert done.stdout.count('class="node"') == 12
