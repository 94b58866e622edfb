"""Broker, agent, executors and clients under valgrind's memcheck: no error, nothing lost. `./check valgrind` runs it.

An executor ends by a signal and so never looks for leaks itself; valgrind is asked to, while it waits.
"""

import subprocess

import pytest
from programs import ROOT, binary, descendants, environment, eventually
from redis_server import RedisServer

# The commands of a map are not ours to check.
MEMCHECK = ["/usr/bin/valgrind", "--quiet", "--trace-children=yes", "--trace-children-skip=/bin/*,/usr/bin/*",
            "--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite", "--max-stackframe=4294967296"]
TIMEOUT_S = 300


@pytest.fixture
def memcheck(tmp_path):
    """The words before a command that put it and all its children under valgrind; what valgrind has to say, the
    test fails with."""
    logs = tmp_path / "valgrind"
    logs.mkdir()
    yield [*MEMCHECK, f"--log-file={logs}/%p"]
    texts = [log.read_text() for log in logs.iterdir()]
    assert texts, "valgrind did not run"
    said = [text for text in texts if "\n==" in f"\n{text}"]  # "--1--": of system calls that it does not know
    assert not said, "\n".join(said)


def leaks(pid):
    """What the process has lost, in the words of valgrind; "" when it is nothing."""
    return subprocess.run(["vgdb", f"--pid={pid}", "leak_check", "full", "definite", "any"], text=True,
                          capture_output=True, timeout=60, check=True).stdout


@pytest.mark.parametrize("line, answer", [
    ("abs", "dataSerial and dataParallel are equal"),
    ("as_completed 0.2 0.1", "0: 0.2"),
    ("callback 100", "25 of 100 are prime"),
    ("evolve 7", "all ones after 37 generations"),
    ("full_tree 4", "77"),
    ("graph 8", "mean 21.571 of 7"),
    ("longmult", "3159063427494563172"),
    ("map_reduce 1000", "871: 178 steps"),
    ("map_scan 500", "lowest -719 on day 242, highest 29408 on day 499"),
    ("pi 20 100", "3."),
    ("shared 50", "1628375"),
    ("sum_multiples 100000", "2333316668"),
    ("tree 7", "128"),
    ("words README.md", "README.md: "),
])
@pytest.mark.parametrize("place", ["on executors", "serially"])
def test_an_example_is_clean(memcheck, line, answer, place):
    program, *arguments = line.split()
    words = [binary(f"examples/{program}"), *arguments]
    if place == "on executors":
        words = [binary("scoop"), "run", "-n", 2, *words]
    done = subprocess.run([*memcheck, *map(str, words)], env=environment(), cwd=ROOT, text=True, capture_output=True,
                          timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert answer in done.stdout


@pytest.mark.parametrize("options", ["", "--as-completed -j 2", "--joblog log --retries 2"])
def test_a_map_is_clean(memcheck, tmp_path, options):
    words = [*memcheck, binary("scoop"), "map", *options.split(), "echo"]
    done = subprocess.run(words, env=environment(), cwd=tmp_path, input="1\n2\n3\n", text=True, capture_output=True,
                          timeout=TIMEOUT_S, check=False)
    assert sorted(done.stdout.split()) == ["1", "2", "3"], done.stderr


class Site:
    """Redis, and a broker with a journal and a worker under valgrind, for clients that are, too."""

    def __init__(self, start, folder, memcheck):
        self.memcheck = memcheck
        self.url, workers = f"ipc://{folder}/client", f"ipc://{folder}/worker"
        self.redis = RedisServer(folder)
        self.broker = start(*memcheck, binary("scoop-broker"), "--client-listen", self.url, "--worker-listen", workers,
                            "--journal", self.redis.url)
        self.worker = start(*memcheck, binary("scoop-worker"), "run", "--broker", workers, "--slots", 2, "--programs",
                            binary("examples"), ready=None)
        self.worker.wait_for("ev=link_open")

    def scoop(self, *words):
        done = subprocess.run([*self.memcheck, binary("scoop"), *words], text=True, capture_output=True, check=False,
                              env=environment({"SCOOP_BROKER": self.url}), timeout=TIMEOUT_S)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def site(start, tmp_path, memcheck):
    site = Site(start, tmp_path, memcheck)
    yield site
    site.redis.end()


def test_what_is_durable_is_clean(site):
    ids = site.scoop("submit", "echo", ":::", "1", "2").split()
    assert "ok" in site.scoop("wait", *ids)
    assert all(task in site.scoop("tasks") for task in ids)
    assert site.scoop("result", ids[0]) == "1"
    site.scoop("const", "set", "name", "value")
    assert site.scoop("const", "get", "name") == "value"
    assert "workers=1 threads=2" in site.scoop("info")
    assert "\t7" in site.scoop("each", "echo", "7")
    assert site.scoop("status", "--json").startswith("{")


def test_executors_lose_nothing(site):
    for example in "tree", "shared", "longmult":
        site.scoop("run", binary(f"examples/{example}"), *(["5"] if example == "tree" else []))
    executors = eventually(lambda: descendants(site.worker.pid), "executors")
    lost = [leaks(pid) for pid in executors]
    assert len(lost) >= 2
    assert not any(lost), "".join(lost)
