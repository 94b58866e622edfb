"""webui: its numbers, its sentence, its files, and what it says when its peers are away."""

import concurrent.futures
import json
import re
import time

import pytest

from programs import eventually, free_port, run
from rawhttp import Connection, ask, metric
from redis_server import RedisServer

EQUAL = b"dataSerial and dataParallel are equal"
DIFFERENT = b"dataSerial and dataParallel are different"


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path)
    yield server
    server.end()


@pytest.fixture
def page(start, redis, tmp_path):
    """page(...): a webui that looks at this Redis and at the broker of the fixture `cluster`."""
    def begin(*arguments, url=None, env=None):
        return start("webui", "--listen", "127.0.0.1:0", "--redis", url or redis.url, "--broker",
                     f"ipc://{tmp_path}/client", *arguments, env={"ACCESS_LOG": "no", **(env or {})})
    return begin


class Cluster:
    def __init__(self, start, folder):
        self.start, self.folder = start, folder
        self.broker = self.begin_broker()
        self.worker = self.begin_worker()

    def begin_broker(self):
        return self.start("scoop-broker", "--client-listen", f"ipc://{self.folder}/client",
                          "--worker-listen", f"ipc://{self.folder}/worker", ready=None)

    def begin_worker(self, env=None):
        worker = self.start("scoop-worker", "run", "--broker", f"ipc://{self.folder}/worker",
                            "--slots", "2", env=env, ready=None)
        worker.wait_for("ev=link_open")
        return worker


@pytest.fixture
def cluster(start, tmp_path):
    return Cluster(start, tmp_path)


def get(webui, target, **options):
    return ask(webui.address, "GET", target, **options)


def numbers(webui):
    answer = get(webui, "/json")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json")
    return json.loads(answer.body)


def status(webui):
    return json.loads(get(webui, "/status.json").body)


def fresh(webui):
    return eventually(lambda: "stale" not in (n := numbers(webui)) and n, "fresh numbers")


# ---- /json ----

def test_json_has_the_keys_and_types_of_the_original(page, redis):
    client = redis.connect()
    client.incrby("hashes", 1234)
    client.hset("wallet", mapping={"0a": "x", "0b": "y"})
    said = fresh(page())
    assert list(said) == ["coins", "hashes", "now", "rate"]
    assert said["coins"] == 2 and type(said["coins"]) is int
    assert said["hashes"] == "1234"
    assert abs(said["now"] - time.time()) < 2 and type(said["now"]) is float
    assert said["rate"] == 0


def test_json_of_an_empty_redis_is_all_zeros(page):
    said = fresh(page())
    assert (said["coins"], said["hashes"]) == (0, "0")


@pytest.mark.fault("K01", "K02")
@pytest.mark.fault("K09", short="stopped for a second, not 30")
def test_json_without_redis_is_stale_and_never_an_error(page, redis):
    redis.connect().incrby("hashes", 77)
    webui = page()
    assert fresh(webui)["hashes"] == "77"
    for away, back in ((redis.kill, redis.start), (redis.pause, redis.go_on)):
        away()
        eventually(lambda: numbers(webui).get("stale") is True, "stale numbers")
        begun = time.monotonic()
        assert numbers(webui)["hashes"] == "77"
        assert time.monotonic() - begun < 0.2, "an answer never waits for Redis"
        back()
        assert fresh(webui)["hashes"] == "77"
    webui.wait_for("ev=redis_down")
    webui.wait_for("ev=redis_up")


def test_json_before_redis_was_ever_there(page):
    said = numbers(page(url=f"redis://127.0.0.1:{free_port()}"))
    assert (said["coins"], said["hashes"], said["stale"]) == (0, "0", True)


def test_hashes_that_are_no_number_are_named(page, redis):
    redis.connect().set("hashes", "many")
    webui = page()
    webui.wait_for("the key hashes is not a whole number")
    redis.connect().set("hashes", "12")
    assert fresh(webui)["hashes"] == "12"


def test_redis_is_asked_at_most_every_100_ms(page, redis):
    webui = page()
    fresh(webui)

    def calls():
        return redis.connect().info("commandstats")["cmdstat_get"]["calls"]

    before, begun = calls(), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: numbers(webui), range(1000)))
    seconds = max(time.monotonic() - begun, 1)
    assert calls() - before <= 10 * seconds + 2


def test_the_rate_is_steady_where_the_counter_jumps(page, redis):
    webui = page()
    fresh(webui)
    client = redis.connect()
    rates = []
    next_s = time.monotonic()
    for _ in range(7):
        client.incrby("hashes", 4)
        next_s += 1.2
        time.sleep(max(next_s - time.monotonic(), 0))
        rates.append(numbers(webui)["rate"])
    assert all(abs(rate - 10 / 3) < 0.35 for rate in rates[3:]), rates
    eventually(lambda: numbers(webui)["rate"] == 0, "the rate of a counter that stands still")


def test_the_password_of_redis_comes_from_a_file(page, tmp_path):
    (tmp_path / "locked").mkdir()
    locked = RedisServer(tmp_path / "locked", password="open sesame")
    try:
        secret = tmp_path / "redis_password"
        secret.write_text("wrong\n")
        secret.chmod(0o600)
        webui = page(url=locked.url, env={"REDIS_PASSWORD_FILE": str(secret)})
        webui.wait_for("WRONGPASS")
        secret.write_text("open sesame\n")
        fresh(webui)
    finally:
        locked.end()


# ---- /scoop and /status.json ----

def test_scoop_computes_at_each_request_and_says_equal(page, cluster):
    webui = page()
    before = eventually(lambda: (s := status(webui)) and s["broker"]["up"] and s, "a broker")
    for _ in range(20):
        answer = get(webui, "/scoop")
        assert (answer.status, answer.body) == (200, EQUAL)
        assert answer.headers["content-type"] == "text/plain"
        assert answer.headers["cache-control"] == "no-store"
    eventually(lambda: status(webui)["tasks"]["done"] == before["tasks"]["done"] + 20000,
               "1000 tasks for each request")
    assert metric(webui.address, r'webui_computations_total\{verdict="equal"\}') == 20


def test_scoop_says_different_when_a_worker_computes_wrongly(page, cluster):
    webui = page()
    assert get(webui, "/scoop").body == EQUAL
    assert cluster.worker.stop() == 0
    liar = cluster.begin_worker(env={"SCOOP_TEST_WRONG_ABS": "1"})
    answer = get(webui, "/scoop")
    assert (answer.status, answer.body) == (200, DIFFERENT)
    assert metric(webui.address, r'webui_computations_total\{verdict="different"\}') == 1
    shown = status(webui)["scoop"]
    assert (shown["equal"], shown["sentence"]) == (False, DIFFERENT.decode())
    assert liar.stop() == 0
    cluster.begin_worker()
    assert get(webui, "/scoop").body == EQUAL, "one wrong worker is not remembered"


def test_scoop_takes_a_size(page, cluster):
    webui = page()
    for count in (1, 7, 100000):
        assert get(webui, f"/scoop?n={count}").body == EQUAL
        assert status(webui)["scoop"]["n"] == count


@pytest.mark.parametrize("count", ["0", "-1", "100001", "ten", "", "99999999999999999999"])
def test_scoop_of_a_bad_size_is_400(page, count):
    answer = get(page(), f"/scoop?n={count}")
    assert answer.status == 400
    assert json.loads(answer.body)["detail"] == (
        f'n: "{count}" is not a whole number from 1 to 100000')


def test_scoop_answers_many_at_once(page, cluster):
    webui = page()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: get(webui, "/scoop").body, range(64)))
    assert set(answers) == {EQUAL}


def check_unavailable(webui, limit_s=9):
    begun = time.monotonic()
    answer = get(webui, "/scoop")
    assert answer.status == 503
    assert re.fullmatch(rb"not computed: [^\n]+\n", answer.body), answer.body
    assert time.monotonic() - begun < limit_s
    return answer.body


def test_scoop_without_a_broker_is_503_and_one_line(page):
    check_unavailable(page())


def test_scoop_without_a_worker_is_503_and_says_so(page, cluster):
    webui = page()
    assert get(webui, "/scoop").status == 200
    cluster.worker.process.kill()
    cluster.worker.process.wait()
    eventually(lambda: status(webui)["workers"][0]["state"] == "lost", "a lost worker")
    assert check_unavailable(webui) == b"not computed: the broker has no worker\n"
    cluster.begin_worker()
    eventually(lambda: get(webui, "/scoop").status == 200, "the new worker is used")


def test_scoop_works_again_with_a_new_broker(page, cluster):
    webui = page()
    assert get(webui, "/scoop").status == 200
    cluster.broker.process.kill()
    cluster.broker.process.wait()
    check_unavailable(webui)
    webui.wait_for("ev=broker_down")
    cluster.begin_broker()
    eventually(lambda: get(webui, "/scoop").body == EQUAL, "the new broker is used")


def test_many_that_wait_for_a_broker_all_get_an_answer(page):
    webui = page()
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(80) as pool:
        answers = list(pool.map(lambda _: get(webui, "/scoop").status, range(80)))
    assert set(answers) == {503}
    assert time.monotonic() - begun < 12


def test_status_shows_the_workers(page, cluster):
    webui = page()
    shown = eventually(lambda: status(webui)["workers"], "a worker")
    assert len(shown) == 1
    assert (shown[0]["state"], shown[0]["slots"], shown[0]["busy"]) == ("ready", 2, 0)
    assert shown[0]["seen_ms"] < 3000
    cluster.worker.process.kill()
    cluster.worker.process.wait()
    eventually(lambda: status(webui)["workers"][0]["state"] == "lost", "it is lost", timeout=10)


def test_missing_keys_are_named(start, redis, tmp_path):
    webui = start("webui", "--listen", "127.0.0.1:0", "--redis", redis.url, "--broker",
                  "tcp://127.0.0.1:1", "--client-key", tmp_path / "absent")
    webui.wait_for("absent")
    assert b"absent" in check_unavailable(webui)
    assert fresh(webui)["hashes"] == "0"


# ---- the files of the page ----

def test_the_page_and_its_files_are_served_with_a_tag(page):
    webui = page()
    html = get(webui, "/")
    assert html.headers["content-type"] == "text/html; charset=utf-8"
    assert html.body == get(webui, "/index.html").body
    files = re.findall(rb'(?:src|href)="(/[a-z.]+\.(?:js|css|svg))"', html.body)
    assert set(files) == {b"/page.js", b"/page.css", b"/icon.svg"}
    for path in ["/"] + [name.decode() for name in files]:
        answer = get(webui, path)
        assert answer.status == 200
        again = get(webui, path, headers=[f"If-None-Match: {answer.headers['etag']}"])
        assert (again.status, again.body) == (304, b"")
        other = get(webui, path, headers=['If-None-Match: "other"'])
        assert other.status == 200


def test_the_page_may_load_nothing_from_elsewhere(page):
    html = get(page(), "/")
    policy = html.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert b"http://" not in html.body and b"https://" not in html.body
    assert not re.search(rb"<script(?![^>]*src=)|<style|\son[a-z]+=|style=", html.body)


def test_head_and_wrong_methods(page):
    webui = page()
    for path in ("/", "/json", "/status.json"):
        with Connection(webui.address) as connection:
            connection.send(f"HEAD {path} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
            assert connection.answer(head_only=True).status == 200
        wrong = ask(webui.address, "POST", path)
        assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD")
    assert get(webui, "/nothing").status == 404


# ---- settings and the end ----

@pytest.mark.parametrize("arguments, env, line", [
    (["--listen", "8000"], {}, 'webui: --listen: "8000" is not HOST:PORT'),
    ([], {"REDIS_URL": "redis://:top secret@x/y"}, "webui: REDIS_URL: what is set is not redis://"),
    ([], {"SCOOP_BROKER": "nonsense"},
     'webui: SCOOP_BROKER: "nonsense" is not tcp://HOST:PORT or ipc:///PATH'),
    (["--frobnicate"], {}, "webui: unknown option"),
])
def test_a_bad_setting_is_one_clear_line(arguments, env, line):
    outcome = run("webui", *arguments, env=env)
    assert outcome.returncode == 2
    assert outcome.stderr.startswith(line), outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert "secret" not in outcome.stderr


@pytest.mark.parametrize("trouble", ["none", "redis", "broker"])
def test_sigterm_ends_it_within_a_second(page, cluster, redis, trouble):
    webui = page()
    fresh(webui)
    if trouble == "redis":
        redis.pause()
        eventually(lambda: "stale" in numbers(webui), "webui waits for Redis")
    if trouble == "broker":
        cluster.broker.kill()
        time.sleep(1.1)  # it asks every second: now it waits for an answer
    begun = time.monotonic()
    assert webui.stop() == 0
    assert time.monotonic() - begun < 1.2
