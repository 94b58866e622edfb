"""Tasks that wait for others, with a real broker and a real worker, and serially: the same values."""

import pytest
from programs import binary, eventually, run
from test_programs import Cluster

GRAPH = binary("../tests/programs/graph")

PARALLEL = ["scoop", "run", "-n", "2", GRAPH]
SERIAL = ["../tests/programs/graph"]


@pytest.fixture(params=[PARALLEL, SERIAL], ids=["on workers", "serially"])
def graph(request, tmp_path):
    """Run one; what comes back has .ran, the names of what ran in their order."""
    def start(*arguments):
        env = {"WITNESS": str(tmp_path / "witness"), "MARK": str(tmp_path / "mark")}
        done = run(*request.param, *arguments, env=env, timeout=60)
        assert done.returncode == 0, done.stderr
        done.ran = (tmp_path / "witness").read_text().split()
        return done
    return start


def test_a_diamond_gets_its_inputs_in_the_order_of_its_list(graph):
    done = graph("diamond")
    assert done.stdout.splitlines() == ["D(B(A)C(A)B(A))"]
    assert sorted(done.ran) == ["A", "B", "C", "D"]


def test_a_result_that_is_known_already_is_an_input_as_well(graph):
    assert graph("known").stdout.splitlines() == ["C(AB)", "D(A)"]


def test_a_chain_needs_no_futures_but_the_last(graph):
    assert graph("chain", 60).stdout == f"Z(x{'x('.join([''] * 60)}x{')' * 59})\n"


def test_a_fan_in_receives_all(graph):
    assert graph("fan", 2000).stdout == f"F({'x' * 2000})\n"


def test_a_fan_in_of_none_just_runs(graph):
    assert graph("fan", 0).stdout == "F\n"


def test_what_waits_for_a_failure_is_blocked_until_it_is_forgiven(graph):
    done = graph("forgive")
    assert done.stdout.splitlines() == ["blocked", "blocked", "C(B())", "B()", "failed"]
    assert done.ran == ["!A", "B", "C"]


def test_what_waits_for_a_failure_goes_on_after_a_retry(graph):
    done = graph("retry")
    assert done.stdout.splitlines() == ["blocked", "blocked", "C(B(!A))", "B(!A)", "failed", "!A"]
    assert done.ran == ["!A", "!A", "B", "C"]


def test_what_is_blocked_can_be_cancelled(graph):
    done = graph("cancel")
    assert done.stdout.splitlines() == ["blocked", "blocked", "1", "1", "cancelled", "cancelled", "failed"]
    assert done.ran == ["!A"]


@pytest.mark.tsan
def test_a_graph_goes_on_after_the_broker_was_killed_and_repeats_nothing_that_had_ended(start, tmp_path):
    cluster = Cluster(start, tmp_path / "cluster")
    folder = GRAPH.rsplit("/", 1)[0]
    witness = tmp_path / "witness"
    witness.touch()
    broker = cluster.start_broker()
    worker = start("scoop-worker", "run", "--broker", cluster.workers, "--slots", 1, "--programs", folder,
                   env={"WITNESS": str(witness)}, ready=None)
    program = cluster.start_program(GRAPH, "slow", 6)
    eventually(lambda: witness.read_text().count("x") >= 3, "three ran")
    broker.kill()
    cluster.start_broker()
    assert program.wait(30) == 0
    ran = witness.read_text().split()
    assert ran.count("Z") == 1
    assert 6 <= ran.count("x") <= 7, "only what ran at that moment runs again"
    worker.stop()


@pytest.mark.tsan
def test_the_example_goes_on_without_the_instrument_that_failed():
    done = run("scoop", "run", "-n", "2", binary("examples/graph"), 8)
    assert done.stdout == "without instrument 8\nmean 21.571 of 7\n"
    assert run("examples/graph", 8).stdout == done.stdout


def test_what_is_blocked_is_in_sight(start, tmp_path):
    cluster = Cluster(start, tmp_path / "cluster")
    cluster.start_broker()
    cluster.start_worker(GRAPH.rsplit("/", 1)[0])
    program = cluster.start_program(GRAPH, "stay")
    eventually(lambda: cluster.info()["blocked"] == 1, "B is blocked")
    assert cluster.info()["held"] == 1, "C waits for B"
    shown = run("scoop", "status", "--broker", cluster.url).stdout
    assert "1 waiting for others, 1 blocked by a failure, 0 to be tried again" in shown
    program.kill()
