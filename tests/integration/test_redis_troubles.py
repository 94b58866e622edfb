"""What Redis does to the miner and to the page, row by row: both go on, say so, try again without haste, and are back when
it is; no loop is lost or counted twice."""

import json
import socket
import subprocess
import threading
import time

import pytest
import redis as client

from programs import eventually, sanitized
from rawhttp import ask, metric
from redis_server import RedisServer
from test_miner import check_books, failures, grows, hashes, mine, services  # noqa: F401

BACK_S = 2.5  # the pause between two tries is at most a second, and the counter is written once a second


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path, appendfsync="everysec")  # with `always` it ends when its disk is full
    yield server
    server.end()


class Between:
    """A proxy to Redis that answers in its place while it has something to say, or hands replies out late."""

    def __init__(self, port):
        self.port = port
        self.answer = None  # bytes
        self.delay_s = 0
        self.asked = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        return "redis://127.0.0.1:%d" % self.listener.getsockname()[1]

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(near,), daemon=True).start()

    def serve(self, near):
        try:
            with near, socket.create_connection(("127.0.0.1", self.port)) as far:
                threading.Thread(target=self.hand_out, args=(far, near), daemon=True).start()
                while request := near.recv(1 << 20):
                    self.asked += 1
                    if self.answer is None:
                        far.sendall(request)
                    else:
                        near.sendall(self.answer)
        except OSError:
            pass

    def hand_out(self, far, near):
        try:
            while replies := far.recv(1 << 20):
                time.sleep(self.delay_s)
                near.sendall(replies)
        except OSError:
            pass


@pytest.fixture
def between(redis):
    between = Between(redis.port)
    yield between
    between.listener.close()


def command(*words):
    return lambda redis, _: redis.connect().execute_command(*words)


def restart_empty(redis, _):
    redis.kill()
    for path in redis.folder.rglob("appendonlydir/*"):
        path.unlink()


def answer(data):
    def begin(_, between):
        between.answer = data
    return begin


def as_before(_, between):
    between.answer, between.delay_s = None, 0


def slowly(_, between):
    between.delay_s = 2.5  # the miner waits for 2


TROUBLES = {
    "K01-killed": (lambda redis, _: redis.kill(), lambda redis, _: redis.start()),
    "K03-restarted-empty": (restart_empty, lambda redis, _: redis.start()),
    "K04-a-replica": (command("REPLICAOF", "127.0.0.1", "1"), command("REPLICAOF", "NO", "ONE")),
    "K05-not-allowed": (command("ACL", "SETUSER", "default", "-@all", "+acl"), command("ACL", "SETUSER", "default", "+@all")),
    "K06-disk-full": (lambda redis, _: redis.fill_disk(), lambda redis, _: redis.clear_disk()),
    "K07-no-memory": (command("CONFIG", "SET", "maxmemory", "1"), command("CONFIG", "SET", "maxmemory", "0")),
    "K08-loading": (answer(b"-LOADING Redis is loading the dataset in memory\r\n"), as_before),
    "K10-slow": (slowly, as_before),
    "K12-junk": (answer(b"\0\xff junk\r\n" * 100), as_before),
    "K12-huge": (answer(b"$9223372036854775807\r\nx"), as_before),
    "K12-nested": (answer(b"*1\r\n" * 10000), as_before),
    "K12-huge-array": (answer(b"*2147483647\r\n" + b":1\r\n" * 1000), as_before),
    "K12-other-type": (answer(b"*2\r\n$1\r\na\r\n:-7\r\n" * 4), as_before),
    "K12-closed": (answer(b"+"), as_before),
}
READABLE = ("K04", "K06", "K07")  # so the page still has fresh numbers


def numbers(webui):
    begun = time.monotonic()
    reply = ask(webui.address, "GET", "/json")
    assert reply.status == 200
    assert time.monotonic() - begun < (0.5 if sanitized() else 0.1)
    return json.loads(reply.body)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.fault(name[:3])) for name in TROUBLES])
def test_miner_and_page_are_back_when_redis_is_and_no_loop_is_lost_or_counted_twice(start, mine, redis, between, cluster,
                                                                                    name):
    begin, end = TROUBLES[name]
    miner = mine("--concurrency", "2", "--delay-ms", "5", url=between.url)
    webui = start("webui", "--listen", "127.0.0.1:0", "--redis", between.url, "--broker", cluster.url,
                  env={"ACCESS_LOG": "no"})
    grows(redis)
    begin(redis, between)
    if name.startswith("K06"):  # until its buffer is written nobody knows
        eventually(lambda: client_fails(redis), "the disk is full")
    before, asked = failures(miner), between.asked
    eventually(lambda: failures(miner) > before, "the miner has noticed")
    if not name.startswith(READABLE):
        eventually(lambda: numbers(webui).get("stale") is True, "the page says so")
    time.sleep(0.5)
    assert failures(miner) - before < 20 and between.asked - asked < 60, "no haste"
    assert metric(miner.address, "miner_loops_total") > 0
    end(redis, between)
    ended = time.monotonic()
    grows(redis)
    if not name.startswith("K10"):  # where a reply is still on its way
        assert time.monotonic() - ended < BACK_S
    eventually(lambda: "stale" not in numbers(webui), "the page has fresh numbers")
    if name.startswith("K03"):
        assert miner.stop() == 0
        assert 0 < hashes(redis) < int(miner.wait_for("ev=stopped")["loops_done"])
    else:
        check_books(miner, redis)


def client_fails(redis):
    try:
        redis.connect().set("ballast", "x" * 10000)
    except client.ResponseError:
        return True
    return False


@pytest.mark.fault("K14", weaker="of a Redis as the stack starts it; the overlay is another test's")
def test_redis_without_its_password_refuses_whoever_asks(tmp_path):
    server = RedisServer(tmp_path, password="open sesame")
    try:
        done = subprocess.run(["redis-cli", "-p", str(server.port), "GET", "hashes"], capture_output=True, text=True,
                              timeout=10, check=False)
        assert "NOAUTH" in done.stdout + done.stderr
    finally:
        server.end()
