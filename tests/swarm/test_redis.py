"""Redis is frozen or emptied, or strangers talk to it."""

import json
import time

import pytest

from load import Durables
from swarm import eventually

PASSWORD = 'REDISCLI_AUTH="$(cat /run/secrets/redis_password)" redis-cli'


def redis(stack, words):
    return stack.inside("redis", "sh", "-c", f"{PASSWORD} {words}", check=False).stdout.strip()


def hashes(stack):
    return int(stack.coins()["hashes"])


@pytest.mark.fault("K14")
def test_redis_refuses_clients_of_the_overlay_without_the_password(stack):
    address = redis(stack, "config get bind") and stack.inside("redis", "ip", "-4", "-o", "addr").stdout
    address = next(word.split("/")[0] for word in address.split() if word.startswith("10."))
    ask = f"printf 'PING\\r\\nGET hashes\\r\\nFLUSHALL\\r\\n' | nc -w 2 {address} 6379"
    said = stack.inside("hasher", "sh", "-c", ask, check=False, deadline_s=20).stdout
    assert said.count("NOAUTH") == 3, said


@pytest.mark.long
@pytest.mark.fault("K09")
def test_a_frozen_redis_leaves_the_page_and_the_tasks_alone(stack):
    container = stack.container("redis")
    before = hashes(stack)
    stack.lab.docker("m", "pause", container)
    try:
        def stale():
            begin = time.monotonic()
            status, body = stack.curl("w1", 8000, "/json", deadline_s=5)
            assert status == 200 and time.monotonic() - begin < 2
            return json.loads(body).get("stale")
        eventually("the page says that its numbers are old", 15, stale)
        done = stack.inside("webui", "sh", "-c", "seq 100 | scoop map echo {}", deadline_s=60)
        assert len(done.stdout.split()) == 100
    finally:
        stack.lab("docker", "m", "unpause", container, check=False)
    stack.await_running()
    eventually("the miner counts", 20, lambda: hashes(stack) > before)


@pytest.mark.long
@pytest.mark.fault("K03")
def test_an_emptied_redis_gets_what_is_needed_again(stack):
    stack.await_workers()
    durables = Durables(stack, 60, 1)
    redis(stack, "flushall")
    durables.end()
    eventually("the miner counts from nothing", 20, lambda: hashes(stack) > 0)
