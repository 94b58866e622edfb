"""DockerCoins with the lesson's delays: what the lesson's students measure."""

import hashlib
import re
import time

import pytest

from swarm import eventually

RATES = {1: 10 / 3, 2: 20 / 3, 10: 10.0}


def first_change(stack, hashes):
    """The moment and the number when the counter moves: it does so once a second per miner."""
    def moved():
        now = int(stack.coins()["hashes"])
        return (time.monotonic(), now) if now != hashes else None
    return eventually("the counter moves", 10, moved, pause_s=0.02)


def rate_over(stack, seconds):
    """Hashes per second, from one change of the counter to another."""
    start, first = first_change(stack, int(stack.coins()["hashes"]))
    time.sleep(seconds)
    end, last = first_change(stack, int(stack.coins()["hashes"]))
    return (last - first) / (end - start)


def httping(stack, port):
    """The average answer time in ms that the real httping sees from another host."""
    done = stack.lab.run_in("w1", "httping", "-c", "3", "-g", stack.url(port), deadline_s=60)
    return float(re.search(r"= [\d.]+/([\d.]+)/[\d.]+ ms", done.stdout).group(1))


def httping_calm(stack, port):
    """The same at its best of three: the engines of all hosts share the processors of this machine."""
    return min(httping(stack, port) for _ in range(3))


@pytest.fixture(scope="module")
def miners(deployed):
    """miners(N) runs N of them; one again after the last test here."""
    yield lambda count: deployed.scale("miner", count)
    deployed.scale("miner", 1)


@pytest.mark.parametrize("count", RATES, ids=lambda count: f"{count}-miners")
def test_so_many_miners_give_that_many_hashes(stack, miners, count):
    expected = pytest.approx(RATES[count], rel=0.05)
    miners(count)
    rates = []
    while len(rates) < 5 and (not rates or rates[-1] != expected):  # this machine may be busy
        rates.append(rate_over(stack, 15))
    assert rates[-1] == expected, rates


def test_with_ten_miners_httping_finds_rng_slow_and_hasher_fast(stack, miners):
    miners(10)
    time.sleep(3)
    assert 600 <= httping(stack, 8001) <= 1000
    assert httping_calm(stack, 8002) < 20


def test_without_miners_httping_finds_both_fast(stack, miners):
    miners(0)
    time.sleep(1)
    assert httping_calm(stack, 8001) < 5
    assert httping_calm(stack, 8002) < 5


def test_ten_parallel_requests_to_rng_take_one_second(stack, miners):
    miners(0)
    time.sleep(1)
    done = stack.lab.run_in("w1", "curl", "-sS", "-m", "20", "--parallel", "--parallel-immediate",
                            "--parallel-max", "10", "-w", "%{http_code} %{time_total}\n",
                            *["-o", "/dev/null", stack.url(8001, "/1")] * 10)
    answers = sorted(line.split() for line in done.stdout.splitlines())
    assert [status for status, _ in answers] == ["200"] * 10
    assert float(answers[-1][1]) == pytest.approx(1.0, abs=0.2)


def test_a_coin_is_a_hash_that_starts_with_zero(stack, miners):
    miners(1)
    before = stack.coins()
    assert isinstance(before["hashes"], str) and isinstance(before["coins"], int)
    eventually("a coin", 60, lambda: stack.coins()["coins"] > before["coins"])
    password = 'REDISCLI_AUTH="$(cat /run/secrets/redis_password)" redis-cli'
    keys = stack.inside("redis", "sh", "-c", f"{password} hkeys wallet").stdout.split()
    assert keys and all(re.fullmatch("0[0-9a-f]{63}", key) for key in keys)


@pytest.mark.parametrize("port, path, options, status, body", [
    (8001, "/", [], 200, r"RNG running on \S+\n"),
    (8002, "/", [], 200, r"HASHER running on \S+\n"),
    (8001, "/0", [], 200, ""),
    (8001, "/abc", [], 404, None),
    (8001, "/-1", [], 404, None),
    (8001, "/99999999999", [], 413, None),
    (8001, "/", ["-X", "POST", "-d", "x"], 405, None),
    (8002, "/", ["-d", "abc"], 200, hashlib.sha256(b"abc").hexdigest()),
    (8002, "/", ["-H", "Content-Length: 2147483648", "-X", "POST", "-d", "x"], 413, None),
    (8000, "/index.html", [], 200, r"(?s).*<html.*"),
])
def test_published_ports_answer_other_hosts(stack, port, path, options, status, body):
    answered, text = stack.curl("w2", port, path, "--path-as-is", *options)
    assert answered == status
    assert body is None or re.fullmatch(body, text)


def test_rng_gives_as_many_bytes_as_asked_for_and_others_each_time(stack):
    ask = ["curl", "-sS", "-m", "10", stack.url(8001, "/32")]
    draws = [stack.lab.run_in("w1", "sh", "-c", " ".join(ask) + " | od -An -v -tx1").stdout.split()
             for _ in range(2)]
    assert len(draws[0]) == len(draws[1]) == 32
    assert draws[0] != draws[1]
    head = stack.lab.run_in("w1", "curl", "-sSI", "-m", "10", stack.url(8001)).stdout
    assert head.startswith("HTTP/1.1 200")
