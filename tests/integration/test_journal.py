"""The broker's journal alone (tests/integration/programs/journal_probe.c), on a real Redis that dies, forgets, stalls
or refuses. A record that was reported as written is there at the next start, once; nothing else is promised."""

import re
import socket
import subprocess
import threading

import pytest
from programs import eventually
from redis_server import RedisServer

PROBE = "../tests/programs/journal_probe"
BROKER, JOURNAL = "scoop:t:broker", "scoop:t:journal"


class Probe:
    def __init__(self, program):
        self.program = program

    def say(self, *words):
        self.program.write(" ".join(map(str, words)))

    def wait(self, line, timeout=15):
        """Wait for a line that begins so; return it."""
        return eventually(lambda: next((one for one in self.lines() if one.startswith(line)), None),
                          f"a line {line!r}, but only {self.lines()}", timeout)

    def lines(self):
        return list(self.program.lines)

    def written(self):
        """The position up to which all is written."""
        positions = [int(line.split()[1]) for line in self.lines() if line.startswith(("written", "open"))]
        return positions[-1] if positions else 0

    def wait_written(self, position, timeout=15):
        eventually(lambda: self.written() >= position, f"position {position}", timeout)

    def replayed(self):
        return [line.split(" ", 2)[2] for line in self.lines() if line.startswith("replayed")]

    def records(self):
        return int(re.search(r"records=(\d+)", self.wait("open")).group(1))

    def ended(self):
        """Why it ended by itself."""
        self.program.wait()
        return self.wait("state ended")

    def close(self):
        self.program.process.stdin.close()
        assert self.program.wait() == 0, self.lines()


@pytest.fixture
def server(tmp_path):
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis")
    yield server
    server.end()


@pytest.fixture
def probe(start, server):
    def start_probe(*words, url=None, password="", mark="", opened=True):
        one = Probe(start(PROBE, url or server.url, "t", password, mark, *words, ready=None,
                          stdin=subprocess.PIPE))
        if opened:
            one.wait("open")
        return one
    return start_probe



# ---- what is written ----


def test_what_was_written_is_read_again_in_order(probe):
    first = probe()
    first.say("put", 1, "one")
    first.say("put", 2, "two words")
    first.say("forget", 1)
    first.wait_written(4)
    first.close()
    second = probe()
    assert second.replayed() == ["TASK 1 one", "TASK 2 two words", "FORGET 1 "]
    assert second.wait("open").split()[1] > first.wait("open").split()[1], "each epoch is greater"


@pytest.mark.fault("D02", weaker="twice, and the journal alone")
def test_nothing_is_lost_or_repeated_when_redis_is_killed_under_load(probe, server):
    writer = probe()
    for number in range(300):
        writer.say("bulk", number * 100, 100, 40)
        if number in (100, 200):
            server.kill()
            server.start()
    writer.wait_written(301, 30)
    writer.close()
    assert probe().records() == 300 * 100
    assert server.connect().xlen(JOURNAL) == 302, "and two openings"


@pytest.mark.fault("D07")
def test_a_batch_whose_reply_was_lost_is_written_once(probe, server):
    with LossyProxy(server.port) as proxy:
        writer = probe(url=f"redis://127.0.0.1:{proxy.port}")
        proxy.lose_next_reply()
        writer.say("put", 7, "once")
        writer.wait_written(2)
        assert proxy.lost == 1
    assert probe().replayed() == ["TASK 7 once"]


def test_nothing_waits_for_a_redis_that_is_stopped_but_its_own_records(probe, server):
    writer = probe()
    server.pause()
    writer.say("put", 1, "late")
    writer.say("put", 2, "later")
    eventually(lambda: len([line for line in writer.lines() if line.startswith("began")]) == 2, "both were taken")
    assert writer.written() == 1
    server.go_on()
    writer.wait_written(3)


def test_trimming_removes_what_is_not_needed_any_more(probe, server):
    writer = probe()
    for number in range(10):
        writer.say("put", number, "x")
    writer.wait_written(11)
    writer.say("trim", 9)
    eventually(lambda: server.connect().xlen(JOURNAL) == 3, "8 entries are gone")
    writer.close()
    assert probe().replayed() == ["TASK 7 x", "TASK 8 x", "TASK 9 x"]


# ---- a journal that is lost ----


def test_a_redis_that_was_emptied_is_noticed_and_used_again(probe, server):
    writer = probe()
    writer.say("put", 1, "before")
    writer.wait_written(2)
    server.connect().flushall()
    writer.wait("lost 1", 5)
    writer.say("put", 2, "after")
    writer.wait_written(3)
    writer.close()
    assert probe().replayed() == ["TASK 2 after"]


def test_a_redis_that_lost_its_last_second_is_noticed(probe, server):
    """As after a power cut with appendfsync everysec."""
    writer = probe()
    for number in range(5):
        writer.say("put", number, "x")
    writer.wait_written(6)
    pipeline = server.connect().pipeline()
    pipeline.xdel(JOURNAL, "6-0")
    pipeline.hset(BROKER, "number", 5)
    pipeline.execute()
    writer.wait("lost 1", 5)
    writer.say("put", 9, "again")
    writer.wait_written(7)
    writer.close()
    assert probe().replayed()[-1] == "TASK 9 again"


@pytest.mark.fault("D04")
def test_an_emptied_journal_is_refused_until_init_accepts_it(probe, server, tmp_path):
    mark = tmp_path / "mark"
    probe(mark=mark).close()
    server.connect().flushall()
    refused = probe(mark=mark, opened=False)
    assert refused.ended().startswith(f"state ended {JOURNAL} is empty, and {mark} expects ")
    assert "--journal-init" in refused.ended()
    accepted = probe("init", mark=mark)
    accepted.close()
    probe(mark=mark).close()


def test_another_journal_than_the_marked_one_is_refused(probe, server, tmp_path):
    mark = tmp_path / "mark"
    probe(mark=mark).close()
    server.connect().hset(BROKER, "identity", "0" * 32)
    assert " is another journal, and " in probe(mark=mark, opened=False).ended()


def test_a_journal_without_its_end_is_refused(probe, server):
    probe().close()
    server.connect().delete(JOURNAL)
    assert "part of it is lost" in probe(opened=False).ended()


# ---- two brokers ----


@pytest.mark.fault("D08")
def test_a_second_broker_shuts_the_first_one_out(probe, server):
    older = probe()
    newer = probe()
    assert f"another broker has taken {JOURNAL} over" in older.ended()
    newer.say("put", 1, "mine")
    newer.wait_written(3)
    newer.close()
    assert probe().replayed() == ["TASK 1 mine"]


# ---- records that cannot be read ----


@pytest.mark.fault("D09")
def test_a_newer_record_is_refused_by_name(probe):
    writer = probe()
    writer.say("newer", 250)
    writer.wait_written(2)
    writer.close()
    assert re.search(rf"{JOURNAL} entry 2-0: record 250 version 1 .* is of a newer scoop",
                     probe(opened=False).ended())


@pytest.mark.fault("D10")
def test_a_flipped_bit_is_refused_by_name_and_left_out_when_salvaging(probe, server):
    writer = probe()
    writer.say("put", 255, "good")
    writer.say("put", 256, "damaged")
    writer.wait_written(3)
    writer.close()
    redis = server.connect()
    entries = redis.xrange(JOURNAL)
    fields = dict(entries[2][1])
    fields[b"r"] = fields[b"r"][:-1] + bytes([fields[b"r"][-1] ^ 1])
    redis.delete(JOURNAL)
    for (number, before) in entries[:2]:
        redis.xadd(JOURNAL, before, number)
    redis.xadd(JOURNAL, fields, entries[2][0])
    refused = probe(opened=False).ended()
    assert f"{JOURNAL} entry 3-0: record TASK of id 0000000000000100 has a wrong checksum" in refused
    assert "--journal-salvage" in refused
    assert probe("salvage").replayed() == ["TASK 255 good"]


# ---- a Redis that refuses ----


def assert_named_once_and_recovers(one, event, reason, recover):
    one.say("put", 1, "x")
    one.program.wait_for(f"ev={event} ")
    line = next(line for line in one.program.events if f"ev={event} " in line)
    assert reason in line
    before = one.written()
    recover()
    one.wait_written(before + 1)
    assert sum(f"ev={event} " in line for line in one.program.events) == 1


@pytest.mark.fault("D11")
def test_a_redis_without_memory_is_full_and_recovers(probe, server):
    one = probe()
    server.connect().config_set("maxmemory", "1")
    assert_named_once_and_recovers(one, "journal_full", "OOM",
                                   lambda: server.connect().config_set("maxmemory", "0"))


def test_a_redis_whose_disk_is_full_is_full_and_recovers(start, tmp_path):
    server = RedisServer(tmp_path, appendonly="no")
    try:
        one = Probe(start(PROBE, server.url, "t", "", "", ready=None, stdin=subprocess.PIPE))
        one.wait("open")
        redis = server.connect()
        redis.config_set("save", "3600 1")
        (tmp_path / "dump.rdb").mkdir()  # now it cannot save
        redis.bgsave()
        eventually(lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "err", "it failed")

        def free_space():
            (tmp_path / "dump.rdb").rmdir()
            redis.bgsave()

        assert_named_once_and_recovers(one, "journal_full", "MISCONF", free_space)
    finally:
        server.end()


@pytest.mark.fault("D11")
def test_a_replica_that_may_not_write_is_away_and_recovers(probe, server):
    one = probe()
    server.connect().replicaof("127.0.0.1", "1")
    assert_named_once_and_recovers(one, "journal_away", "READONLY",
                                   lambda: server.connect().replicaof("NO", "ONE"))


@pytest.mark.fault("D11")
def test_a_wrong_password_is_named_and_read_again(start, tmp_path):
    server = RedisServer(tmp_path, password="right")
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    try:
        one = Probe(start(PROBE, server.url, "t", secret, "", ready=None, stdin=subprocess.PIPE))
        assert "WRONGPASS" in one.wait("state away")
        secret.write_text("right\n")
        one.wait("open")
    finally:
        server.end()


# ---- help ----


class LossyProxy:
    """Forwards to Redis; can do one request and cut the connection instead of passing the reply on."""

    def __init__(self, port):
        self.target = port
        self.lost = 0
        self._lose = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.close()

    def lose_next_reply(self):
        self._lose = True

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self._requests, args=(near, far), daemon=True).start()
            threading.Thread(target=self._replies, args=(near, far), daemon=True).start()

    def _requests(self, near, far):
        while data := near.recv(65536):
            self._doomed = self._lose and b"XADD" in data and b"once" in data
            far.sendall(data)
        far.close()

    def _replies(self, near, far):
        while data := far.recv(65536):
            if self._doomed:
                self._lose = self._doomed = False
                self.lost += 1
                break
            near.sendall(data)
        near.shutdown(socket.SHUT_RDWR)

    _doomed = False
