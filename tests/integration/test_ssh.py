"""The broker starts agents over ssh, with real ssh and sshd on loopback."""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

import pytest
import zmq
from programs import as_user, children, environment, eventually, run
from ssh_site import OPTIONS, Site

CONFIG = "scoop 1\nbroker tcp://127.0.0.1:1\nbroker_key {}\ngone_ms 1000\nend\n"


@pytest.fixture(scope="module")
def site():
    site = Site()
    yield site
    site.close()


@pytest.fixture
def nothing_left(site):
    """Torn down after the programs: what the workers' user runs then was left behind."""
    yield
    eventually(lambda: not site.processes(), "nothing of the workers is left", timeout=3)


@pytest.fixture
def worker(site, nothing_left, start):
    """worker(address, **changed options) -> Program whose sshd listens."""

    def run_one(address="127.0.0.2", /, **changes):
        program = start(site.worker_program, *site.worker_arguments(address, **changes), ready=None,
                        env=site.worker_environment(), user=site.run_as)
        program.wait_for("Server listening")
        return program

    return run_one


@pytest.fixture
def broker(site, start):
    def run_one(workers="127.0.0.2", /, **changes):
        return start("scoop-broker", *site.broker_arguments(workers, **changes))

    return run_one


def count(program, event):
    return program.log.count(f" ev={event} ")


# ---- from a name to an agent ----

def test_an_agent_is_started_on_a_host_and_computes(site, worker, broker):
    host = worker()
    broker().wait_for("ev=agent_joined")
    done = run("scoop", "map", "sh", "-c", "echo {}", ":::", "1", "2", "3",
               env=site.client_environment())
    assert (done.returncode, done.stdout.split()) == (0, ["1", "2", "3"]), done.stderr
    host.wait_for("slots=2")  # WORKER_SLOTS reaches the agent through sshd


def test_a_host_that_comes_late_is_found(worker, broker):
    running = broker()
    failed = running.wait_for("ev=bootstrap_failed")
    assert failed["addr"].startswith("127.0.0.2:")
    running.wait_for("Connection refused")
    time.sleep(2)
    assert count(running, "bootstrap_failed") == 1, "one line for one state"
    worker()
    running.wait_for("ev=agent_joined", timeout=8)


def test_a_worker_that_ends_is_told_and_found_again(worker, broker):
    host = worker()
    running = broker()
    running.wait_for("ev=agent_joined")
    assert host.stop() == 0
    running.wait_for("ev=worker_ended", timeout=5)
    worker("127.0.0.2")
    eventually(lambda: count(running, "agent_joined") == 2, "it is back")


def test_an_agent_takes_over_from_the_one_of_an_earlier_broker(worker, broker):
    host = worker()
    first = broker()
    first.wait_for("ev=agent_joined")
    first.kill()
    second = broker()
    second.wait_for("ev=agent_joined")
    eventually(lambda: count(host, "agent_stopped") == 1, "the older agent has left")
    assert count(host, "agent_started") == 2


def test_an_agent_survives_its_ssh_session_but_not_the_loss_of_its_broker(worker, broker):
    host = worker()
    running = broker(**{"gone-ms": 5000})
    host.wait_for("ev=link_open")
    sessions = children(running.pid)
    assert len(sessions) == 1
    running.kill()
    for pid in sessions:
        os.kill(pid, signal.SIGKILL)
    host.wait_for("ev=lease_expired")
    assert count(host, "agent_stopped") == 0
    host.wait_for("ev=broker_missing", timeout=12)
    host.wait_for("ev=agent_stopped")


@pytest.mark.fault("H04")
def test_an_agent_whose_session_ended_is_cut_off_and_started_anew(worker, broker):
    host = worker()
    running = broker()
    running.wait_for("ev=agent_joined")
    (session,) = children(running.pid)
    os.kill(session, signal.SIGKILL)
    begin = time.monotonic()
    host.wait_for("ev=refused", timeout=5)
    assert time.monotonic() - begin < 1.5, "its key is revoked, and its link with it"
    eventually(lambda: count(running, "agent_joined") == 2, "an agent with another key is there")


# ---- whom the broker believes ----

@pytest.mark.fault("I01")
def test_a_host_with_another_host_key_is_named_and_the_others_go_on(site, worker, broker):
    wrong = site.write("wrong-host-key", site.text("other_key"), for_worker=True)
    worker("127.0.0.2", **{"host-key": wrong})
    worker("127.0.0.3")
    running = broker("127.0.0.2,127.0.0.3")
    assert running.wait_for("ev=host_key_mismatch")["addr"].startswith("127.0.0.2:")
    assert running.wait_for("ev=worker_admitted")["addr"].startswith("127.0.0.3:")
    time.sleep(2)
    assert count(running, "host_key_mismatch") == 1
    assert count(running, "worker_admitted") == 1
    metrics = urllib.request.urlopen(running.url + "/metrics", timeout=5).read().decode()
    assert "\nscoop_hosts 2\n" in metrics
    assert "\nscoop_hosts_ready 1\n" in metrics


@pytest.mark.fault("H16", weaker="here the broker is restarted; on a swarm it is another test")
def test_while_keys_are_rotated_the_old_and_the_new_one_are_good(site, worker, broker):
    new_public, new_secret = zmq.curve_keypair()
    both = {
        "client-keys": ("client_curve_key.pub", new_public.decode() + "\n"),
        "ssh-host-key": ("ssh_host_rsa_key.pub", site.text("other_key.pub")),
        "client-key": ("ssh_client_rsa_key.pub", site.text("other_key.pub")),
    }
    files = {option: site.write(f"both-{option}", site.text(old) + new, 0o444)
             for option, (old, new) in both.items()}
    worker("127.0.0.2", **{"client-key": files["client-key"]})
    worker("127.0.0.3", **{"client-key": files["client-key"],
                           "host-key": site.write("new-host-key", site.text("other_key"),
                                                  for_worker=True)})
    options = {option: files[option] for option in ("client-keys", "ssh-host-key")}
    for ssh_key in ("ssh_client_rsa_key", "other_key"):
        running = broker("127.0.0.2,127.0.0.3", **options, **{"ssh-key": site.path(ssh_key)})
        eventually(lambda: count(running, "agent_joined") == 2, f"both hosts, with {ssh_key}")
        for client_key in (site.path("client_curve_key"),
                           site.write("new-client-key", new_secret.decode() + "\n")):
            done = run("scoop", "info", env={**site.client_environment(),
                                             "SCOOP_CLIENT_KEY_FILE": client_key})
            assert (done.returncode, done.stderr) == (0, "")
        assert running.stop() == 0


@pytest.mark.fault("I03")
def test_a_broker_with_another_key_is_refused(site, worker, broker):
    worker()
    running = broker(**{"ssh-key": site.path("other_key")})
    running.wait_for("ev=bootstrap_failed")
    running.wait_for("Permission denied (publickey)")


@pytest.mark.fault("H11")
def test_a_secret_that_ssh_would_find_too_open_is_copied(site, worker, broker):
    """The mode of the secret is ours to check; ssh sees a copy with mode 0400, and unix line ends."""
    worker()
    key = site.write("crlf-key", site.text("ssh_client_rsa_key").replace("\n", "\r\n"))
    running = broker(**{"ssh-key": key})
    running.wait_for("ev=agent_joined")


# ---- what a login can do ----

@pytest.mark.fault("I08", "I09")
def test_a_login_runs_the_forced_command_whatever_it_asks_for(site, worker):
    worker()
    for words in (["id"], ["sh", "-c", "id; echo owned"], []):
        done = site.ssh("127.0.0.2", *words)
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.strip() == ("scoop-worker: configuration: it was cut, "
                                       'there is no line "end"')


@pytest.mark.fault("I03", "I04")
@pytest.mark.parametrize("options", [
    ["PreferredAuthentications=password", "PubkeyAuthentication=no"],
    ["PreferredAuthentications=keyboard-interactive", "PubkeyAuthentication=no"],
])
def test_only_the_key_logs_in(site, worker, options):
    worker()
    assert "Permission denied (publickey)" in site.ssh("127.0.0.2", options=options).stderr
    assert "Permission denied (publickey)" in site.ssh("127.0.0.2", key="other_key").stderr


@pytest.mark.fault("I07")
def test_a_login_gets_no_terminal(site, worker):
    worker()
    done = site.ssh("127.0.0.2", "id", switches=["-tt"])
    assert "PTY allocation request failed" in done.stderr


@pytest.mark.fault("I05")
def test_a_login_forwards_nothing(site, worker):
    worker()
    inward = site.ssh("127.0.0.2", switches=["-W", "127.0.0.1:22"])
    assert (inward.returncode, inward.stdout) == (255, "")
    assert "forwarding failed" in inward.stderr
    outward = site.ssh("127.0.0.2", "id", switches=["-R", "0:127.0.0.1:22"],
                       options=["ExitOnForwardFailure=yes"])
    assert outward.returncode == 255
    assert "forwarding failed" in outward.stderr


@pytest.mark.fault("I06")
def test_a_login_moves_no_files(site, worker):
    worker()
    done = site.ssh("127.0.0.2", "sftp", switches=["-s"])
    assert done.returncode != 0
    assert done.stdout == ""


@pytest.mark.fault("I06")
def test_a_login_copies_no_files(site, worker, tmp_path):
    worker()
    words = ["scp", "-F", "none", "-P", str(site.ssh_port), "-i", site.path("ssh_client_rsa_key")]
    for option in OPTIONS:
        words += ["-o", option]
    for mode in ("-s", "-O"):  # by sftp, and the old way
        done = subprocess.run([*words, mode, f"{site.user}@127.0.0.2:/etc/passwd", str(tmp_path)], env=environment(),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=15, check=False)
        assert done.returncode != 0
        assert not list(tmp_path.iterdir())


@pytest.mark.fault("I10")
def test_a_login_passes_no_variables(site, worker):
    worker()
    # Were it obeyed, the loader would say on stderr that there is no such library.
    done = site.ssh("127.0.0.2", "id", options=["SetEnv=LD_PRELOAD=/no/such/library.so WORKER_SLOTS=7 PATH=/tmp"])
    assert done.stderr.strip() == 'scoop-worker: configuration: it was cut, there is no line "end"'


@pytest.mark.fault("I13")
def test_who_does_not_log_in_is_cut(site, worker):
    worker()
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.2", site.ssh_port), 15) as slow:
        slow.sendall(b"SSH-2.0-slow\r\n")
        while slow.recv(4096):
            pass
    assert time.monotonic() - begin < 12  # LoginGraceTime is 10 s


@pytest.mark.fault("I14")
@pytest.mark.skipif(shutil.which("ssh-audit") is None, reason="ssh-audit is not installed")
def test_an_audit_finds_no_failure(site, worker):
    worker()
    done = subprocess.run(["ssh-audit", "--no-colors", "-p", str(site.ssh_port), "127.0.0.2"], capture_output=True,
                          text=True, timeout=30, check=False)
    assert "(kex)" in done.stdout
    assert "[fail]" not in done.stdout, done.stdout


@pytest.mark.fault("I12")
def test_silent_strangers_do_not_lock_the_broker_out(worker, broker, site):
    worker()
    strangers = []
    try:
        for _ in range(100):
            stranger = socket.socket()
            stranger.bind(("127.0.0.9", 0))
            stranger.connect(("127.0.0.2", site.ssh_port))
            strangers.append(stranger)
        begin = time.monotonic()
        broker().wait_for("ev=agent_joined")
        assert time.monotonic() - begin < 5
    finally:
        for stranger in strangers:
            stranger.close()


# ---- the serve verb ----

def serve(site, text, **options):
    folder = site.folder / "worker-127.0.0.2"
    site.worker_arguments("127.0.0.2")
    return subprocess.run([*as_user(site.run_as), site.worker_program, "serve", "--run-dir", folder],
                          input=text, text=True, capture_output=True, timeout=15, check=False,
                          env=environment(), **options)


@pytest.mark.fault("I16")
@pytest.mark.parametrize("text, problem", [
    ("", "cut"),
    ("scoop 1\n", "cut"),
    (CONFIG[:-5].format("x" * 40), "cut"),
    (CONFIG.format("nokey"), "broker_key is not 40 characters of Z85"),
    ("scoop 1\nend\n", "broker is missing"),
    ("x" * 5000, "longer than 4096 bytes"),
    ("scoop 1\n\0\nend\n", "cut"),
])
def test_a_wrong_configuration_starts_nothing(site, text, problem):
    done = serve(site, text)
    assert done.returncode == 1
    assert done.stdout == ""
    assert problem in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not site.processes()


def test_an_agent_does_not_start_before_its_key_is_admitted(site):
    done = serve(site, CONFIG.format(site.text("broker_curve_key.pub").strip()))
    assert done.returncode == 1
    assert done.stdout.startswith("scoop-worker ")
    assert "did not say that it admitted this worker" in done.stderr
    assert "agent_started" not in done.stderr


@pytest.mark.fault("I16")
def test_a_configuration_that_does_not_come_is_given_up(site):
    read, write = os.pipe()
    os.write(write, b"scoop 1\n")
    begin = time.monotonic()
    done = subprocess.run([*as_user(site.run_as), site.worker_program, "serve"], stdin=read,
                          text=True, capture_output=True, timeout=15, check=False)
    os.close(read)
    os.close(write)
    assert done.returncode == 1
    assert "not complete within 5000 ms" in done.stderr
    assert time.monotonic() - begin < 8


# ---- the sshd verb ----

def test_sshd_dies_and_the_worker_with_it(site, worker):
    host = worker()
    for pid in children(host.pid):
        os.kill(pid, signal.SIGKILL)
    assert host.wait() == 1
    assert count(host, "sshd_ended") == 1


def test_a_worker_that_is_stopped_lets_its_tasks_end(site, worker, broker, start):
    host = worker()
    broker().wait_for("ev=agent_joined")
    client = start("scoop", "map", "sh", "-c", "sleep 3; echo {}", ":::", "1", ready=None,
                   env=site.client_environment())
    eventually(lambda: "sleep" in site.processes() or not site.made_user, "the task runs")
    assert host.stop() == 0
    assert client.wait() == 0
    assert client.lines == ["1"]


def test_a_worker_says_whether_it_is_well(site, worker):
    worker("127.0.0.2")
    words = ["--listen", "127.0.0.2", "--port", site.ssh_port, "--health"]
    assert site.run_as_worker("sshd", *words).returncode == 0
    other = site.run_as_worker("sshd", "--listen", "127.0.0.4", "--port", site.ssh_port, "--health")
    assert other.returncode == 1
    assert "no sshd on 127.0.0.4" in other.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be root")
def test_root_is_refused(site):
    done = run("scoop-worker", *site.worker_arguments("127.0.0.5"))
    assert done.returncode == 1
    assert "refuses to run as root" in done.stderr


# ---- secrets: each mistake one line, within a second ----

GARBAGE = {
    "missing": (None, "is missing"),
    "empty": ("", "is empty"),
    "blank": ("\r\n\n", "is empty"),
    "binary": (b"\x00\x01\x02", "is not text"),
    "garbage": ("hush-hush", ""),
    "huge": ("hush-hush\n" * 60000, ""),
    "open": ("hush-hush", "0444"),
}


def assert_refused(done, begin, path, reason):
    assert done.returncode == 1
    assert time.monotonic() - begin < 2
    lines = [line for line in done.stderr.splitlines() if not line.startswith("ts=")]
    assert len(lines) == 1, done.stderr
    assert path in lines[0]
    assert reason in lines[0]
    assert "hush" not in done.stderr


@pytest.mark.fault("H07", "H09", "H10", "H11", "H13", "H14")
@pytest.mark.parametrize("kind", GARBAGE)
@pytest.mark.parametrize("option", ["curve-key", "client-keys", "ssh-key", "ssh-host-key"])
def test_the_broker_refuses_a_bad_secret(site, option, kind):
    content, reason = GARBAGE[kind]
    path = site.path("bad-secret")
    is_public = option in ("client-keys", "ssh-host-key")
    if content is None:
        path = site.path("no-such-file")
    else:
        site.write("bad-secret", content, 0o444 if kind == "open" else 0o400)
    if kind == "open" and is_public:
        reason = ""
    begin = time.monotonic()
    done = run("scoop-broker", *site.broker_arguments("127.0.0.2", **{option: path}))
    assert_refused(done, begin, path, reason)


@pytest.mark.fault("H07", "H09", "H10", "H11", "H13", "H14")
@pytest.mark.parametrize("kind", GARBAGE)
@pytest.mark.parametrize("option", ["host-key", "client-key"])
def test_a_worker_refuses_a_bad_secret(site, option, kind):
    content, reason = GARBAGE[kind]
    path = site.path("bad-secret")
    if content is None:
        path = site.path("no-such-file")
    else:
        site.write("bad-secret", content, 0o444 if kind == "open" else 0o400, for_worker=True)
    if kind == "open" and option == "client-key":
        reason = ""
    begin = time.monotonic()
    done = site.run_as_worker(*site.worker_arguments("127.0.0.2", **{option: path}))
    assert_refused(done, begin, path, reason)


@pytest.mark.fault("H12")
def test_a_key_of_the_wrong_kind_is_refused(site):
    begin = time.monotonic()
    path = site.path("ssh_client_rsa_key")
    done = run("scoop-broker", *site.broker_arguments("127.0.0.2", **{"curve-key": path}))
    assert_refused(done, begin, path, "more than one line")
    done = run("scoop-broker", *site.broker_arguments(
        "127.0.0.2", **{"ssh-key": site.path("ssh_client_rsa_key.pub")}))
    assert "mode 0644" in done.stderr or "is no private key" in done.stderr


@pytest.mark.fault("H08")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user's file")
def test_a_secret_that_may_not_be_read_is_told(site):
    path = site.write("roots-key", site.text("ssh_host_rsa_key"), 0o400)
    begin = time.monotonic()
    done = site.run_as_worker(*site.worker_arguments("127.0.0.2", **{"host-key": path}))
    assert_refused(done, begin, path, "may not be read by uid")


@pytest.mark.parametrize("option, value, problem", [
    ("workers", "a,,b", "not a list of names"),
    ("workers", "a,", "ends in a comma"),
    ("advertise", "broker:5556", "tcp://HOST:PORT"),
    ("advertise", "ipc:///tmp/x", "tcp://HOST:PORT"),
    ("run-dir", "/tmp/a b", "letters, digits"),
])
def test_the_broker_refuses_a_bad_setting(site, option, value, problem):
    workers = value if option == "workers" else "127.0.0.2"
    changes = {} if option == "workers" else {option: value}
    done = run("scoop-broker", *site.broker_arguments(workers, **changes))
    assert done.returncode == 1
    assert problem in done.stderr
