"""The journal's Redis is killed, stopped, slow, without rights, or has lost the end of its file."""

import shutil
import socket
import subprocess
import threading
import time

import catalogue
import pytest
from cluster import Cluster
from programs import eventually
from proxy import Proxy
from redis_server import RedisServer
from test_journal import JOURNAL, PROBE, Probe, assert_named_once_and_recovers


@pytest.fixture
def redis(tmp_path):
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis")
    yield server
    server.end()


@pytest.fixture
def cluster(start, private, redis):
    return Cluster(start, private / "cluster", redis=redis)


@pytest.fixture
def between(start, private, redis):
    """A cluster whose broker reaches Redis through a proxy."""
    proxy = Proxy(redis.port)

    class Through:
        url = f"redis://127.0.0.1:{proxy.port}"

    yield Cluster(start, private / "cluster", redis=Through), proxy
    proxy.close()


@pytest.fixture
def probe(start):
    def begun(server, opened=True):
        one = Probe(start(PROBE, server.url, "t", "", "", ready=None, stdin=subprocess.PIPE))
        if opened:
            one.wait("open")
        return one
    return begun


def lost(cluster):
    return cluster.broker.log.count("ev=agent_lost")


@pytest.mark.slow
@pytest.mark.fault("D02", weaker="at some hundred durable tasks a second", short="5 times, not 100")
def test_nothing_that_was_accepted_is_lost_when_redis_is_killed_again_and_again(cluster, redis):
    count, times = (20000, 100) if catalogue.LONG else (600, 5)
    submitter = cluster.submit(count)
    for step in range(times):
        cluster.wait_for(step * count // (times + 1), "ack")
        redis.kill()
        redis.start()
    assert submitter.wait(600) == 0, submitter.log
    cluster.ends_well(cluster.wait(count), timeout=600)


@pytest.mark.slow
@pytest.mark.fault("D06", short="4 s, not 30")
def test_a_stopped_redis_lets_only_acknowledgements_wait(cluster, redis):
    before = cluster.broker.resident_bytes()
    redis.pause()
    submitter = cluster.submit(200)
    cluster.wait_for(200, "submit")
    begin_s, seconds = time.monotonic(), 30 if catalogue.LONG else 4
    while time.monotonic() - begin_s < seconds:
        client = cluster.run(50, 5)
        assert client.wait() == 0, client.log
    assert cluster.history.count("ack") == 0
    assert cluster.broker.resident_bytes() - before < 16 << 20
    redis.go_on()
    assert submitter.wait(30) == 0
    assert lost(cluster) == 0


@pytest.mark.slow
@pytest.mark.fault("D06")
def test_a_redis_that_answers_after_2_s_delays_only_acknowledgements(between):
    cluster, proxy = between
    assert cluster.submit(1).wait() == 0
    proxy.delay_s = lambda: 1  # there, and back
    submitter = cluster.submit(20)
    meanwhile = cluster.run(40, 20)
    assert meanwhile.wait() == 0
    assert submitter.wait(30) == 0, submitter.log
    assert lost(cluster) == 0
    assert all(event.word == "ok" for event in cluster.history.events("ack"))


@pytest.mark.fault("D07")
def test_a_cut_between_write_and_reply_gives_each_task_once(between):
    cluster, proxy = between
    cuts = []

    def look(data):
        if len(cuts) < 5 and cluster.history.count("submit") and len(data) < 200:
            cuts.append(data)
            return True
        return False

    proxy.on_reply = look
    assert cluster.submit(300).wait(30) == 0
    assert len(cuts) == 5
    cluster.ends_well(cluster.wait(300), runs_allowed=1)


@pytest.mark.fault("D11")
def test_a_right_that_is_missing_is_named_once_and_it_recovers(redis, probe):
    one = probe(redis)
    redis.connect().execute_command("ACL", "SETUSER", "default", "-xadd")
    assert_named_once_and_recovers(one, "journal_away", "can't run this command",
                                   lambda: redis.connect().execute_command("ACL", "SETUSER", "default", "+xadd"))


class Loading:
    """What Redis says as long as it reads its files."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}"
        self.target = None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._refuse if self.target is None else self._pass, args=(near,), daemon=True).start()

    def _refuse(self, near):
        while near.recv(65536):
            near.sendall(b"-LOADING Redis is loading the dataset in memory\r\n")

    def _pass(self, near):
        far = socket.create_connection(("127.0.0.1", self.target))
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        sink.close()


@pytest.mark.fault("D11")
def test_a_redis_that_is_loading_is_waited_for(redis, probe):
    loading = Loading()
    one = probe(loading, opened=False)
    assert "LOADING" in one.wait("state away")
    loading.target = redis.port
    one.wait("open")
    loading.listener.close()


@pytest.mark.slow
@pytest.mark.fault("D12", short="at 12 places, not 1000")
def test_what_was_written_before_a_power_cut_is_there_after_it(redis, probe, tmp_path):
    """The file of Redis ends at any byte; what was reported as written while the file was shorter is there."""
    writer = probe(redis)
    (path,) = (redis.folder / "appendonlydir").glob("*.incr.aof")
    size_at = {}
    for number in range(60):
        writer.say("put", number, "x" * 20)
        writer.wait_written(number + 2)
        size_at[number] = path.stat().st_size
    writer.close()
    redis.kill()
    begin, end = size_at[0], size_at[59]
    for place in range(1000 if catalogue.LONG else 12):
        cut = begin + (end - begin) * place // (1000 if catalogue.LONG else 12) + place % 7
        folder = tmp_path / f"cut-{place}"
        shutil.copytree(redis.folder, folder)
        with open(folder / "appendonlydir" / path.name, "rb+") as file:
            file.truncate(cut)
        server = RedisServer(folder)
        try:
            entries = server.connect().xrange(JOURNAL)
            again = probe(server)
            assert again.records() >= sum(size <= cut for size in size_at.values()), f"cut at {cut}, {len(entries)} entries"
            again.close()
        finally:
            server.end()
            shutil.rmtree(folder)


@pytest.mark.fault("D14", short="a few thousand, not a hundred million")
def test_the_journal_holds_what_lives_and_a_bounded_tail(cluster, redis):
    longest = 0
    for turn in range(10000 if catalogue.LONG else 4):
        count, first = 500, turn * 500
        assert cluster.submit(count, first=first).wait(60) == 0
        assert cluster.wait(count, first=first).wait(60) == 0
        longest = max(longest, redis.connect().xlen(JOURNAL.replace("scoop:t:", "scoop:scoop:")))
    assert longest < 5000
