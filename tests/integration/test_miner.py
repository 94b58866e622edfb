"""miner: no loop lost, none counted twice, whatever its peers do."""

import hashlib
import os
import shlex
import signal
import socket
import threading
import time

import pytest

from programs import binary, eventually, free_port, run
from rawhttp import metric
from redis_server import RedisServer


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path)
    yield server
    server.end()


class Services:
    """rng and hasher on ports that stay theirs over a restart."""

    def __init__(self, start):
        self.start = start
        self.ports = {"rng": free_port(), "hasher": free_port()}
        self.running = {name: self.begin(name) for name in self.ports}

    def begin(self, name):
        return self.start(name, "--listen", f"127.0.0.1:{self.ports[name]}",
                          env={"ACCESS_LOG": "no"})

    def kill(self, name):
        self.running[name].process.kill()
        self.running[name].process.wait()

    def restart(self, name):
        self.running[name] = self.begin(name)

    def url(self, name):
        return f"http://127.0.0.1:{self.ports[name]}"


@pytest.fixture
def services(start):
    return Services(start)


@pytest.fixture
def mine(start, services, redis):
    """mine(*arguments, env=..., redis=URL): a miner at work."""
    def begin(*arguments, env=None, url=None):
        return start("miner", "--rng", services.url("rng"), "--hasher", services.url("hasher"),
                     "--redis", url or redis.url, "--listen", "127.0.0.1:0", *arguments,
                     env={"ACCESS_LOG": "no", **(env or {})})
    return begin


def hashes(redis):
    return int(redis.connect().get("hashes") or 0)


def grows(redis, by=1):
    before = hashes(redis)
    eventually(lambda: hashes(redis) >= before + by, "hashes grow")


def loops(miner):
    return metric(miner.address, "miner_loops_total")


def works(miner, by=100):
    """The miner does loops, whether Redis has them already or not."""
    before = loops(miner)
    eventually(lambda: loops(miner) >= before + by, "loops are done")


def count(miner, event):
    return miner.log.count(f" ev={event} ")


def expect(miner, event):
    """expect(miner, "peer_down")() waits until one more such event is there than now."""
    before = count(miner, event)
    return lambda: eventually(lambda: count(miner, event) > before, f"ev={event}")


def check_books(miner, redis):
    """End the miner; what it did and what Redis has must be the same, to the last loop."""
    assert miner.stop() == 0
    totals = miner.wait_for("ev=stopped")
    assert totals["loops_done"] == totals["loops_counted"] == str(hashes(redis))
    assert totals["coins_found"] == totals["coins_stored"]
    wallet = redis.connect().hgetall("wallet")
    assert len(wallet) == int(totals["coins_found"])
    for key, raw in wallet.items():
        assert key.startswith(b"0")
        assert hashlib.sha256(raw).hexdigest().encode() == key
    return int(totals["loops_done"])


def test_a_coin_is_a_hash_that_starts_with_0(mine, redis):
    miner = mine("--concurrency", "8")
    eventually(lambda: hashes(redis) > 3000, "3000 hashes")
    done = check_books(miner, redis)
    coins = redis.connect().hlen("wallet")
    assert abs(coins - done / 16) < 4 * (done * 15 / 256) ** 0.5
    assert redis.connect().keys("miner:*") == []


def test_it_writes_the_lines_of_the_lesson(mine, redis):
    miner = mine("--delay-ms", "5", env={"DEBUG": "y"})
    miner.wait_for('msg="0 units of work done, updating hash counter"')
    miner.wait_for('msg="Doing one unit of work"')
    miner.wait_for('msg="No coin found"')
    miner.wait_for('msg="Coin found: 0')
    grows(redis)
    assert any("units of work done, updating" in line and '"0 units' not in line
               for line in miner.events)


def test_a_delay_slows_each_loop(mine, redis):
    miner = mine("--delay-ms", "50")
    works(miner, 1)
    before, begun = loops(miner), time.monotonic()
    works(miner, 20)
    assert 0.9 * 0.05 < (time.monotonic() - begun) / (loops(miner) - before) < 4 * 0.05
    check_books(miner, redis)


def test_the_counter_is_written_once_a_second(mine, redis):
    mine("--concurrency", "4")
    grows(redis)
    before, begun = hashes(redis), time.monotonic()
    values = {before}
    eventually(lambda: values.add(hashes(redis)) or len(values) > 2, "it is written twice more")
    assert 1.8 < time.monotonic() - begun < 4


@pytest.mark.parametrize("victim", ["rng", "hasher"])
def test_no_loop_is_lost_or_counted_twice_when_a_service_dies(mine, services, redis, victim):
    miner = mine("--concurrency", "8")
    for _ in range(4):
        works(miner)
        is_down, is_up = expect(miner, f"peer_down peer={victim}"), expect(miner, f"peer_up peer={victim}")
        services.kill(victim)
        is_down()
        services.restart(victim)
        is_up()
    grows(redis, 100)
    check_books(miner, redis)


def test_requests_that_fail_together_lengthen_the_pause_once(mine, services, redis):
    miner = mine("--concurrency", "64")
    works(miner)
    services.kill("rng")
    miner.wait_for("ev=peer_down peer=rng")
    services.restart("rng")
    assert int(miner.wait_for("ev=peer_up peer=rng")["failures"]) < 8


@pytest.mark.fault("K01", "K02")
@pytest.mark.tsan
def test_no_loop_is_lost_or_counted_twice_when_redis_dies(mine, redis):
    miner = mine("--concurrency", "8")
    for round_number in range(5):
        grows(redis, 100)
        time.sleep(0.13 * round_number)  # at another moment of the second between two writes
        is_down = expect(miner, "redis_down")
        redis.kill()
        is_down()
        redis.start()
    grows(redis, 100)
    check_books(miner, redis)
    assert any("ev=redis_down" in line for line in miner.events)


def failures(miner):
    return metric(miner.address, "miner_redis_failures_total")


@pytest.mark.fault("K09", short="stopped for seconds, not 30")
def test_no_loop_is_counted_twice_when_redis_hangs(mine, redis):
    miner = mine("--concurrency", "4")
    for _ in range(2):
        grows(redis, 100)
        before = failures(miner)
        redis.pause()
        eventually(lambda: failures(miner) > before + 1, "it has come again while the first is still there")
        redis.go_on()
    grows(redis, 100)
    check_books(miner, redis)


class ReplyThief:
    """A proxy to Redis that hands each other EVAL to it, waits until that is done and cuts the
    connection instead of handing out the reply."""

    def __init__(self, port):
        self.port = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.stolen = 0
        self.seen = 0
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
        steals = threading.Event()
        with near, socket.create_connection(("127.0.0.1", self.port)) as far:
            replies = threading.Thread(target=self.hand_out, args=(far, near, steals), daemon=True)
            replies.start()
            while not steals.is_set() and (request := near.recv(1 << 20)):
                if b"EVAL" in request:
                    self.seen += 1
                    if self.seen % 2 == 1:
                        steals.set()
                far.sendall(request)
            far.shutdown(socket.SHUT_WR)
            replies.join()  # Redis has done all that it was sent
            self.stolen += steals.is_set()

    @staticmethod
    def hand_out(far, near, steals):
        while replies := far.recv(1 << 20):
            if not steals.is_set():
                near.sendall(replies)


@pytest.mark.fault("K13")
@pytest.mark.tsan
def test_no_loop_is_counted_twice_when_a_reply_is_lost(mine, redis):
    thief = ReplyThief(redis.port)
    miner = mine("--concurrency", "4", url=thief.url)
    eventually(lambda: thief.stolen >= 4, "four replies are stolen")
    check_books(miner, redis)
    thief.listener.close()


def test_mining_goes_on_while_redis_is_away(mine, redis):
    miner = mine("--concurrency", "4")
    grows(redis, 100)
    redis.kill()
    miner.wait_for("ev=redis_down")
    works(miner, 1000)
    assert miner.process.poll() is None
    redis.start()
    grows(redis, 1000)
    check_books(miner, redis)


def test_sigterm_with_redis_away_says_what_is_missing(mine, redis):
    miner = mine("--concurrency", "2")
    grows(redis, 10)
    redis.kill()
    miner.wait_for("ev=redis_down")
    works(miner)
    begun = time.monotonic()
    assert miner.stop() == 1
    assert time.monotonic() - begun < 1.5
    totals = miner.wait_for("lvl=error svc=miner")
    assert int(totals["loops_done"]) > int(totals["loops_counted"])


def test_sigterm_ends_it_within_a_second(mine, redis):
    miner = mine("--delay-ms", "1000")
    begun = time.monotonic()
    assert miner.stop() == 0
    assert time.monotonic() - begun < 1


def test_it_starts_before_its_peers(start, redis):
    port = free_port()
    miner = start("miner", "--rng", f"http://127.0.0.1:{port}", "--hasher",
                  f"http://127.0.0.1:{port}", "--redis", f"redis://127.0.0.1:{free_port()}",
                  "--listen", "127.0.0.1:0")
    miner.wait_for("ev=peer_down")
    miner.wait_for("ev=redis_down")
    time.sleep(1)
    failures = metric(miner.address, r'miner_peer_failures_total\{peer="rng"\}')
    assert 2 <= failures < 20, "it tries again, with back-off"
    assert miner.stop() == 0


def test_a_name_that_nobody_knows_is_named(start, services, redis):
    miner = start("miner", "--rng", "http://no-such-service.invalid", "--hasher",
                  services.url("hasher"), "--redis", "redis://no-such-redis.invalid",
                  "--listen", "127.0.0.1:0")
    miner.wait_for("ev=peer_addresses peer=rng name=no-such-service.invalid count=0", timeout=30)
    miner.wait_for("ev=redis_down reason=\"no-such-redis.invalid: ", timeout=30)
    assert miner.stop() == 0


def test_a_service_that_answers_something_else_is_left_out(start, services, redis):
    miner = start("miner", "--rng", services.url("hasher"), "--hasher", services.url("rng"),
                  "--redis", redis.url, "--listen", "127.0.0.1:0")
    miner.wait_for('reason="answered 404')
    time.sleep(1)
    assert metric(miner.address, r'miner_peer_failures_total\{peer="rng"\}') < 20
    assert metric(miner.address, "miner_loops_total") == 0


def test_a_frozen_service_is_noticed(mine, services, redis):
    miner = mine("--timeout-ms", "300")
    grows(redis, 10)
    services.running["rng"].send_signal(signal.SIGSTOP)
    miner.wait_for('reason="no answer in time"')
    services.running["rng"].send_signal(signal.SIGCONT)
    grows(redis, 10)
    check_books(miner, redis)


# ---- many addresses behind a name ----

@pytest.fixture
def named(start, services, redis, tmp_path):
    """named(addresses): a miner for which "coins-rng" has these addresses, all on rng's port; the
    function `rename` changes them. Needs root, for a mount namespace with its own /etc/hosts."""
    if os.geteuid() != 0:
        pytest.skip("needs root for a mount namespace")
    hosts = tmp_path / "hosts"
    port = free_port()

    def rename(addresses):
        hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{a} coins-rng\n" for a in addresses))

    def serve(address):
        return start("rng", "--listen", f"{address}:{port}", env={"ACCESS_LOG": "no"})

    def begin(addresses):
        rename(addresses)
        command = [binary("miner"), "--rng", f"http://coins-rng:{port}", "--hasher",
                   services.url("hasher"), "--redis", redis.url, "--listen", "127.0.0.1:0"]
        return start("/usr/bin/unshare", "--mount", "sh", "-c",
                     f"mount --bind {shlex.quote(str(hosts))} /etc/hosts && exec " +
                     shlex.join(command))

    begin.rename, begin.serve = rename, serve
    return begin


def served(rng):
    return metric(rng.address, r'http_request_duration_seconds_count\{.*route="/N".*\}')


@pytest.mark.tsan
def test_it_spreads_over_all_addresses_of_a_name(named, redis):
    addresses = [f"127.0.0.{n}" for n in (2, 3, 4)]
    rngs = [named.serve(address) for address in addresses]
    miner = named(addresses)
    grows(redis, 900)
    shares = [served(rng) for rng in rngs]
    assert min(shares) > 0.9 * max(shares), shares
    check_books(miner, redis)


def test_it_follows_the_addresses_of_a_name(named, redis):
    first, second = named.serve("127.0.0.2"), named.serve("127.0.0.3")
    miner = named(["127.0.0.2"])
    grows(redis, 10)
    assert served(second) == 0
    named.rename(["127.0.0.2", "127.0.0.3"])
    eventually(lambda: served(second) > 100, "the new address is used", timeout=5)
    is_known = expect(miner, "peer_addresses peer=rng name=coins-rng count=1")
    named.rename(["127.0.0.3"])
    is_known()
    works(miner)  # the end of what is under way
    before = served(first)
    works(miner)
    assert served(first) == before
    check_books(miner, redis)


def test_a_dead_address_costs_nothing_but_its_share(named, redis):
    rngs = {address: named.serve(address) for address in ("127.0.0.2", "127.0.0.3")}
    miner = named(list(rngs))
    grows(redis, 100)
    rngs["127.0.0.2"].process.kill()
    rngs["127.0.0.2"].process.wait()
    before, begun = served(rngs["127.0.0.3"]), time.monotonic()
    grows(redis, 1000)
    assert served(rngs["127.0.0.3"]) - before > 900
    assert time.monotonic() - begun < 10
    check_books(miner, redis)


# ---- the password ----

@pytest.fixture
def locked(tmp_path):
    server = RedisServer(tmp_path, password="open sesame")
    yield server
    server.end()


def password_file(tmp_path, text):
    path = tmp_path / "redis_password"
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def test_a_password_comes_from_a_file(mine, locked, tmp_path):
    path = password_file(tmp_path, "open sesame")
    miner = mine(url=locked.url, env={"REDIS_PASSWORD_FILE": str(path)})
    grows(locked, 10)
    check_books(miner, locked)


def test_a_password_comes_from_the_url(mine, locked):
    miner = mine(env={"REDIS_URL": "x"}, url=locked.url.replace("//", "//:open sesame@"))
    grows(locked, 10)
    check_books(miner, locked)


@pytest.mark.fault("K05")
def test_a_wrong_password_is_named_and_can_be_put_right(mine, locked, tmp_path):
    path = password_file(tmp_path, "abracadabra")
    miner = mine(url=locked.url, env={"REDIS_PASSWORD_FILE": str(path)})
    miner.wait_for("WRONGPASS")
    password_file(tmp_path, "open sesame")
    grows(locked, 10)
    check_books(miner, locked)
    assert not any("abracadabra" in line or "sesame" in line for line in miner.events)


def test_a_missing_password_file_is_named(mine, locked, tmp_path):
    miner = mine(url=locked.url, env={"REDIS_PASSWORD_FILE": str(tmp_path / "absent")})
    miner.wait_for("absent")
    password_file(tmp_path, "open sesame").rename(tmp_path / "absent")
    grows(locked, 10)


# ---- settings and shell ----

@pytest.mark.parametrize("arguments, env, line", [
    (["--concurrency", "0"], {}, 'miner: --concurrency: "0" is not a whole number from 1 to 4096'),
    ([], {"MINER_DELAY_MS": "-1"}, 'miner: MINER_DELAY_MS: "-1" is not a whole number from 0 to'),
    ([], {"RNG_URL": "rng"}, 'miner: RNG_URL: "rng" is not SCHEME://HOST[:PORT]'),
    ([], {"HASHER_URL": "ftp://x"}, 'miner: HASHER_URL: "ftp://x" is not http://HOST[:PORT][/PATH]'),
    ([], {"REDIS_URL": "redis://:top secret@x/y"}, "miner: REDIS_URL: what is set is not redis://"),
    (["--listen", "8003"], {}, 'miner: --listen: "8003" is not HOST:PORT'),
    (["mine"], {}, "miner: unexpected argument: mine"),
])
def test_a_bad_setting_is_one_clear_line(arguments, env, line):
    outcome = run("miner", *arguments, env=env)
    assert outcome.returncode == 2
    assert outcome.stderr.startswith(line), outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert "secret" not in outcome.stderr


def test_health_asks_the_running_instance(mine):
    miner = mine()
    listen = miner.fields["address"]
    assert run("miner", "--health", "--listen", listen).returncode == 0
    miner.stop()
    assert run("miner", "--health", "--listen", listen).returncode == 1


def test_an_address_in_use_is_one_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        outcome = run("miner", "--listen", "127.0.0.1:%d" % taken.getsockname()[1])
    assert outcome.returncode == 1
    errors = [line for line in outcome.stderr.splitlines() if "lvl=error" in line]
    assert len(errors) == 1 and "Address already in use" in errors[0], outcome.stderr
