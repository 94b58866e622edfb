"""The lab itself: what it starts, it ends."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

from swarm import HERE, Lab, command, eventually


def traces(folder):
    """Processes, mounts, cgroups and files of the lab in `folder`."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in line and path.parent.name != str(os.getpid()):
            found.append(line.replace(b"\0", b" ").decode(errors="replace"))
    mounts = pathlib.Path("/proc/mounts").read_text().splitlines()
    found += [line for line in mounts if str(folder) in line]
    found += map(str, pathlib.Path("/sys/fs/cgroup").glob(f"**/scoop-lab-{folder.name}-*"))
    found += map(str, folder.glob("*"))
    return found


@pytest.fixture
def folder(lab, tmp_path):
    """Of a lab for one test, which has come down at its end, however it ends."""
    path = tmp_path / f"lab{os.getpid()}"
    yield path
    Lab(path).down()


def test_a_node_is_cut_healed_killed_and_started(folder):
    engines = Lab(folder)
    engines.up(2)
    try:
        def status():
            form = "{{.Hostname}}={{.Status}}"
            return engines.docker("m", "node", "ls", "--format", form).split()

        def reaches_manager():
            probe = f"</dev/tcp/{engines.address('m')}/2377"
            done = engines.run_in("w1", "timeout", "1", "bash", "-c", probe, check=False)
            return done.returncode == 0

        assert reaches_manager()
        engines("cut", "w1")
        assert not reaches_manager()
        eventually("w1 is down", 15, lambda: "w1=Down" in status())
        engines("heal", "w1")
        eventually("w1 is back", 30, lambda: "w1=Ready" in status())
        engines("kill", "w1")
        eventually("w1 is down", 15, lambda: "w1=Down" in status())
        engines("start", "w1")
        eventually("w1 is back", 30, lambda: "w1=Ready" in status())
        assert engines("add").stdout.strip() == "w2"
        eventually("w2 joined", 30, lambda: "w2=Ready" in status())
    finally:
        engines.down()
    eventually("no trace", 5, lambda: traces(folder) == [])
    engines.down()  # once more does no harm


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "TERM"])
@pytest.mark.parametrize("after_s", [0.1, 1.0])
def test_an_interrupted_start_leaves_no_trace(folder, number, after_s):
    # A shell cannot trap a signal that was ignored when it began, as those of background jobs are.
    starting = subprocess.Popen(["env", "--default-signal", HERE / "lab", "up", "2"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                start_new_session=True,
                                env=dict(os.environ, SCOOP_LAB_DIR=str(folder)))
    time.sleep(after_s)
    os.killpg(starting.pid, number)
    starting.communicate(timeout=60)
    assert starting.returncode in (1, -number)  # the latter: nothing had begun yet
    eventually("no trace", 5, lambda: traces(folder) == [])


def test_the_lab_ends_with_its_owner(folder):
    owner = subprocess.Popen(["sleep", "60"])
    Lab(folder)("up", "1", "--owner", owner.pid)
    owner.kill()
    owner.wait()
    eventually("no trace", 20, lambda: traces(folder) == [])


@pytest.mark.parametrize("arguments, text", [
    (["up", "0"], "'0' is no number of nodes from 1 to 99"),
    (["exec", "m", "true"], "no lab is up"),
    (["nonsense"], "usage: lab COMMAND"),
])
def test_a_wrong_command_is_one_clear_answer(folder, arguments, text):
    done = command(HERE / "lab", *arguments, check=False,
                   env=dict(os.environ, SCOOP_LAB_DIR=str(folder)))
    assert done.returncode != 0
    assert text in done.stderr
