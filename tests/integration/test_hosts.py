"""`scoop run --hosts`: workers on other hosts over the user's own ssh, with a real sshd on loopback."""

import json
import os
import shutil
import signal

import pytest
from programs import binary, descendants, eventually, names_below, nothing_left
from ssh_site import Site

CLIENT_OPTIONS = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes",
                  "GlobalKnownHostsFile=/dev/null", "IdentityAgent=none")
SERVER_OPTIONS = """
ListenAddress {address}
Port {port}
HostKey {host_key}
AuthorizedKeysFile {client_key}
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
AllowTcpForwarding {forwarding}
"""


@pytest.fixture(scope="module")
def site():
    site = Site()
    yield site
    site.close()


@pytest.fixture
def sshd(site, start):
    """sshd(address): an ordinary sshd of the workers' user."""

    def run_one(address, forwarding="yes"):
        config = site.write(f"sshd-{address}", SERVER_OPTIONS.format(
            address=address, port=site.ssh_port, forwarding=forwarding, client_key=site.path("ssh_client_rsa_key.pub"),
            host_key=site.write(f"host-{address}", site.text("ssh_host_rsa_key"), for_worker=True)),
            mode=0o444)
        start("/usr/sbin/sshd", "-D", "-e", "-f", config, ready=None,
              user=site.run_as).wait_for("Server listening")
        return address

    return run_one


@pytest.fixture
def remote(site):
    """The options of scoop run for hosts of this site."""
    words = ["ssh", "-F", "none", "-p", site.ssh_port, "-l", site.user, "-i",
             site.path("ssh_client_rsa_key")]
    for option in CLIENT_OPTIONS:
        words += ["-o", option]
    return ["--ssh", " ".join(map(str, words)), "--remote", f"{site.worker_program} serve"]


def until(text):
    """A program that waits until scoop info has this text."""
    return ["sh", "-c", f"until {binary('scoop')} info | grep -q '{text}'; do :; done"]


def test_run_starts_workers_on_hosts_over_ssh(scoop, sshd, remote, private):
    hosts = f"{sshd('127.0.0.2')}:2,{sshd('127.0.0.3')}:1"
    done = scoop("run", "--hosts", hosts, *remote, *until("workers=2 threads=3>"))
    assert (done.returncode, done.stderr) == (0, "")
    done = scoop("run", "--hosts", hosts, *remote, binary("examples/abs"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "are equal" in done.stdout
    assert scoop("run", "--hosts", hosts, *remote, "sh", "-c", "exit 7").returncode == 7
    assert list(private.iterdir()) == []


def test_a_program_that_is_not_on_the_hosts_is_sent_there(scoop, sshd, remote, tmp_path):
    program = tmp_path / "somewhere"
    shutil.copy(binary("examples/abs"), program)
    # By a shell, so that nobody knows which folder to look in.
    done = scoop("run", "--hosts", f"{sshd('127.0.0.2')}:2", *remote, "sh", "-c", f"exec {program}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "are equal" in done.stdout


def test_map_runs_commands_on_hosts(scoop, site, sshd, remote):
    done = scoop("map", "--hosts", f"{sshd('127.0.0.2')}:2", *remote, "echo {} $(id -un)", ":::", "a", "b")
    assert (done.returncode, done.stdout) == (0, f"a {site.user}\nb {site.user}\n")


def test_a_host_that_cannot_be_used_is_one_line_and_the_others_go_on(scoop, sshd, remote):
    hosts = f"127.0.0.4,{sshd('127.0.0.2')}:1"
    done = scoop("run", "--hosts", hosts, *remote, *until("workers=1 threads=1>"))
    assert done.returncode == 0
    assert done.stderr.startswith(
        "scoop: host 127.0.0.4 is not used: ssh ended with exit code 255: ssh: connect to host 127.0.0.4")
    assert done.stderr.count("\n") == 1


def test_without_any_host_that_can_be_used_the_program_is_not_begun(scoop, sshd, remote, private):
    remote[-1] = "/nonexistent/scoop-worker serve"
    done = scoop("run", "--hosts", sshd("127.0.0.2"), *remote, "echo", "begun")
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first.startswith("scoop: host 127.0.0.2 is not used: ssh ended with exit code 127: ")
    assert "/nonexistent/scoop-worker" in first
    assert second == "scoop: none of the hosts can be used"
    assert list(private.iterdir()) == []


def test_workers_come_through_a_tunnel_when_that_is_asked(scoop, sshd, remote):
    hosts = sshd("127.0.0.2")
    # They would not find this name.
    done = scoop("map", "--tunnel", "--external-hostname", "nowhere.invalid", "--hosts", hosts, *remote,
                 "echo", ":::", "a", "b")
    assert (done.returncode, done.stdout, done.stderr) == (0, "a\nb\n", "")


def test_a_host_that_forbids_tunnels_says_so(scoop, sshd, remote):
    done = scoop("run", "--tunnel", "--hosts", sshd("127.0.0.2", forwarding="no"), *remote, "true")
    assert done.returncode == 1
    assert done.stderr.startswith("scoop: host 127.0.0.2 is not used: ssh ended with exit code 255: "
                                  "Error: remote port forwarding failed for listen port 2")


def test_a_worker_that_ends_is_told_and_started_again(started, scoop, site, sshd, remote, private):
    run = started("run", "--hosts", f"{sshd('127.0.0.2')}:2", *remote, "sh", "-c", "echo begun; exec sleep 100")
    run.wait_for("begun", stdout=True)
    broker = f"ipc://{next(private.iterdir())}/client"
    worker = json.loads(scoop("workers", "--json", "--broker", broker).stdout)[0]
    os.kill(worker["pid"], signal.SIGKILL)
    run.wait_for("scoop: host 127.0.0.2: its worker ended, and is started again")
    eventually(lambda: "workers=1 threads=2>" in scoop("info", "--broker", broker).stdout, "it is back")
    assert worker["pid"] not in [w["pid"] for w in json.loads(
        scoop("workers", "--json", "--broker", broker).stdout) if w["state"] == "ready"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_nothing_on_its_hosts(started, site, sshd, remote, private, number):
    program = binary("../tests/programs/misbehave")
    scoop = started("run", "--hosts", f"{sshd('127.0.0.2')}:1,localhost:1", *remote, program, "slow",
                    "100000")
    scoop.wait_for("begin", stdout=True)
    eventually(lambda: site.processes().count("scoop-worker") >= 2, "the agent there has begun")
    pids = descendants(scoop.pid)
    if number == signal.SIGINT:
        os.killpg(scoop.pid, number)  # as the terminal does
    else:
        scoop.send_signal(number)
    assert scoop.wait() == (-number if number == signal.SIGKILL else 128 + number)
    eventually(lambda: nothing_left(private, pids), f"the end of {pids}")
    eventually(lambda: set(site.processes()) <= {"sshd"}, "nothing runs on the host")


def test_ctrl_c_ends_the_waiting_for_a_host_that_does_not_answer(started, private, tmp_path):
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\nexec sleep 100\n")
    ssh.chmod(0o755)
    scoop = started("run", "--hosts", "far", "--ssh", ssh, "echo", "begun")
    eventually(lambda: "sleep" in names_below(scoop.pid), "the login has begun")
    pids = descendants(scoop.pid)
    os.killpg(scoop.pid, signal.SIGINT)
    assert (scoop.wait(), scoop.lines) == (128 + signal.SIGINT, [])
    eventually(lambda: nothing_left(private, pids), f"the end of {pids}")


@pytest.mark.parametrize("arguments, variables, threads", [
    (["--hostfile", "{file}"], {}, 2),
    ([], {"SLURM_JOB_NODELIST": "localhost", "SLURM_TASKS_PER_NODE": "3"}, 3),
    ([], {"PBS_NODEFILE": "{file}"}, 2),
])
def test_hosts_come_from_a_file_and_from_a_batch_job(scoop, tmp_path, arguments, variables, threads):
    file = tmp_path / "hosts"
    file.write_text("localhost 2 # here\n" if arguments else "localhost\nlocalhost\n")
    done = scoop("run", *(a.format(file=file) for a in arguments), *until(f"workers=1 threads={threads}>"),
                 env={name: value.format(file=file) for name, value in variables.items()})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments, variables, message", [
    (["--hosts", "a;b"], {}, '--hosts: "a;b" is not a host: HOST, HOST:NUMBER or PREFIX[FIRST-LAST,...]'),
    (["--hostfile", "/nonexistent"], {}, "--hostfile: /nonexistent: No such file or directory"),
    (["--hostfile", "/dev/null"], {}, "--hostfile: /dev/null: there is no host in it"),
    (["--hosts", "a", "-n", "2"], {}, "--slots is for this machine, --hosts for others"),
    ([], {"SLURM_JOB_NODELIST": "a[1-", "SLURM_TASKS_PER_NODE": "1"}, 'SLURM_JOB_NODELIST: "a[1-" is not'),
    ([], {"PBS_NODEFILE": "/nonexistent"}, "PBS_NODEFILE: /nonexistent: No such file"),
])
@pytest.mark.parametrize("verb", ["run", "map"])
def test_a_list_of_hosts_that_is_none_is_exit_code_2_and_one_line(scoop, verb, arguments, variables,
                                                                   message):
    done = scoop(verb, *arguments, "true", env=variables)
    assert done.returncode == 2
    assert done.stderr.startswith(f"scoop {verb}: {message}")
    assert done.stderr.count("\n") == 1
