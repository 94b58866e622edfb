"""A lab of engines and a stack on it, seen from outside: with the docker client and curl."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from functools import partial

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SERVICES = ["broker", "hasher", "miner", "redis", "rng", "root_worker", "webui", "worker"]
IMAGES = [f"scoop-{name}:latest"
          for name in ("broker", "worker", "rng", "hasher", "miner", "webui", "redis")]
CONVERGE_S = 60
CPUS = len(os.sched_getaffinity(0))
LONG = os.environ.get("SCOOP_FAULTS") == "long"  # ./check faults-swarm: as often and as long as FAULTS.md wants


def command(*args, deadline_s=120, check=True, **options):
    """Run a command to its end and give back the process; a failure shows what it said."""
    options.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run([str(arg) for arg in args], timeout=deadline_s, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, args))}: exit {done.returncode}\n"
                             f"{done.stdout}\n{done.stderr}")
    return done


def eventually(what, deadline_s, probe, pause_s=0.25):
    """Wait until probe() is true and give it back; an AssertionError in it counts as false."""
    end = time.monotonic() + deadline_s
    last = None
    while time.monotonic() < end:
        try:
            last = probe()
            if last:
                return last
        except (AssertionError, ValueError, OSError, subprocess.TimeoutExpired) as error:
            last = error
        time.sleep(pause_s)
    raise AssertionError(f"{what}: not within {deadline_s} s; last seen: {last}")


def processes_of(container):
    """The processes of a container as this machine sees them: the number that each has inside -> the one here."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if container not in (path / "cgroup").read_text():
                continue
            status = (path / "status").read_text()
        except OSError:
            continue
        inside = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1]
        found[int(inside)] = int(path.name)
    return found


def fields_of(pid):
    """/proc/PID/status: name -> text."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def percentile(values, share):
    """The smallest of the values that so many of them do not exceed."""
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * share // 100) - 1)]


def figure(name, values, unit="s"):
    """Print a distribution, and keep it: in SCOOP_FIGURES, a file, when that is set."""
    line = (f"{name}: n={len(values)} min={min(values):.2f} p50={percentile(values, 50):.2f} "
            f"p90={percentile(values, 90):.2f} p99={percentile(values, 99):.2f} max={max(values):.2f} {unit}")
    print(line)
    if os.environ.get("SCOOP_FIGURES"):
        with open(os.environ["SCOOP_FIGURES"], "a", encoding="utf-8") as file:
            print(line, file=file)
    return percentile(values, 99)


class Lab:
    """Engines by their names: m is the manager, w1, w2, ... are workers."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def __call__(self, *args, cli=None, **options):
        environment = dict(os.environ, SCOOP_LAB_DIR=str(self.folder))
        if cli:
            environment["SCOOP_LAB_CLI"] = str(cli)
        return command(HERE / "lab", *args, env=environment, **options)

    def up(self, count=3):
        self("up", count, "--owner", os.getpid())

    def down(self):
        self("down")

    def nodes(self):
        return self("nodes").stdout.split()

    def docker(self, node, *args, **options):
        return self("docker", node, *args, **options).stdout.strip()

    def run_in(self, node, *args, **options):
        """A command of this machine in the network of a node."""
        return self("exec", node, *args, **options)

    def address(self, node):
        return self("ip", node).stdout.strip()


class Reader:
    """A command of the lab under way, whose lines of output are kept with the moments when they came."""

    def __init__(self, lab, *args):
        environment = dict(os.environ, SCOOP_LAB_DIR=str(lab.folder))
        self.lines = []  # (moment, text)
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([HERE / "lab", *map(str, args)], env=environment, text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line.rstrip("\n")))

    def texts(self):
        return [text for _, text in self.lines[:]]

    def alive(self):
        """True; when it has ended, a RuntimeError says how: nobody needs to wait then."""
        if self.process.poll() is not None:
            raise RuntimeError(f"it has ended: {self.end()}")
        return True

    def await_lines(self, count, deadline_s=30):
        eventually(f"{count} lines", deadline_s, lambda: len(self.lines) >= count or not self.alive(), pause_s=0.02)

    def resumed_after(self, moment, settled_s=6, deadline_s=60):
        """How long after `moment` the first line came that followed the longest silence of the next seconds:
        what was on its way at that moment is not meant."""
        eventually("lines go on", deadline_s, lambda: self.alive() and self.lines[-1][0] > moment + settled_s,
                   pause_s=0.05)
        moments = [moment, *(at for at, _ in self.lines[:] if at > moment)]
        begin, end = max(zip(moments, moments[1:]), key=lambda pair: pair[1] - pair[0])
        assert begin < moment + settled_s, "a silence, but not of that moment"
        return end - moment

    def end(self, deadline_s=60):
        """Wait for its end; its exit code and what it said on stderr."""
        try:
            self.process.wait(deadline_s)
            self.thread.join(deadline_s)
        finally:
            self.process.kill()
        self.errors.seek(0)
        return self.process.returncode, self.errors.read()


class Stack:
    """One deployed stack. Every wait has a deadline, every failure says what it saw last."""

    def __init__(self, lab, folder, name="scoop"):
        self.lab = lab
        self.name = name
        self.folder = pathlib.Path(folder)
        self.broken = None

    @staticmethod
    def prepare(folder):
        """A copy of stack/ with keys of its own."""
        shutil.copytree(ROOT / "stack", folder, ignore=shutil.ignore_patterns("secrets"))
        command(pathlib.Path(folder) / "make-keys")
        return pathlib.Path(folder)

    # ---- as an operator ----

    def deploy(self, *files, cli=None, wait=True):
        options = [part for file in files or ("stack.yml",) for part in ("-c", file)]
        self.lab.docker("m", "stack", "deploy", *options, self.name, cli=cli, cwd=self.folder)
        if wait:
            self.await_running()

    def remove(self):
        self.lab.docker("m", "stack", "rm", self.name)
        eventually("the end of the stack", 40, lambda: not self.leftovers())

    def leftovers(self):
        """What the engines still have of the stack, volumes aside."""
        label = f"label=com.docker.stack.namespace={self.name}"
        found = []
        for node in self.lab.nodes():
            found += self.lab.docker(node, "ps", "-aq", "--filter", label).split()
            found += self.lab.docker(node, "network", "ls", "-q", "--filter", label).split()
        for kind in ("service", "secret", "config"):
            found += self.lab.docker("m", kind, "ls", "-q", "--filter", label).split()
        return found

    def service(self, *args, **options):
        return self.lab.docker("m", "service", *args, **options)

    def replicas(self):
        rows = self.service("ls", "--format", "{{.Name}} {{.Replicas}}").splitlines()
        rows = [row.split()[:2] for row in rows if row.startswith(self.name + "_")]
        return {name.removeprefix(self.name + "_"): tuple(map(int, count.split("/")))
                for name, count in rows}

    def running(self):
        """Are all replicas that are wanted there, and no update is under way?"""
        replicas = self.replicas()
        assert sorted(replicas) == SERVICES, replicas
        assert all(is_ == want for is_, want in replicas.values()), replicas
        return self.settled()

    def settled(self):
        states = self.service("inspect", *[f"{self.name}_{service}" for service in SERVICES],
                              "--format", "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}")
        return not {"updating", "rollback_started"} & set(states.split())

    def await_running(self, deadline_s=CONVERGE_S):
        return eventually(f"all services of {self.name} running", deadline_s, self.running)

    def update(self, service, *options):
        """Begin to update a service; await_running() waits for the end."""
        self.service("update", "--detach", "--quiet", *options, f"{self.name}_{service}")

    def scale(self, service, count):
        self.service("scale", "--detach", f"{self.name}_{service}={count}")
        eventually(f"{count} of {service}", 60, lambda: self.replicas()[service] == (count, count))

    def tasks(self, service, only_running=True):
        """Rows (id, node, desired state, state, error) of a service."""
        filters = ["--filter", "desired-state=running"] if only_running else []
        text = self.service("ps", "--no-trunc", *filters, "--format",
                            "{{.ID}}|{{.Node}}|{{.DesiredState}}|{{.CurrentState}}|{{.Error}}",
                            f"{self.name}_{service}")
        return [tuple(line.split("|")) for line in text.splitlines()]

    def nodes_of(self, service):
        return sorted(node for _, node, _, state, _ in self.tasks(service)
                      if state.startswith("Running"))

    def containers(self, service, node):
        return self.lab.docker(node, "ps", "-q", "--no-trunc", "--filter",
                               f"label=com.docker.swarm.service.name={self.name}_{service}").split()

    def container(self, service, node="m"):
        """The one running container of a service on a node."""
        found = self.containers(service, node)
        assert len(found) == 1, f"{service} on {node}: {len(found)} containers, not 1"
        return found[0]

    def inside(self, service, *args, node="m", **options):
        return self.lab("docker", node, "exec", self.container(service, node), *args, **options)

    def broker_process(self):
        """The broker itself, as this machine sees it: the child of process 1 of its container."""
        inside = processes_of(self.container("broker"))
        children = [pid for pid in inside.values() if fields_of(pid)["PPid"] == str(inside[1])
                    and fields_of(pid)["Name"] == "scoop-broker"]
        assert len(children) == 1, children
        return children[0]

    def kill_container(self, service, node="m"):
        """SIGKILL for its process 1, which nobody else is told; gives back the moment and the container."""
        container = self.container(service, node)
        pid = processes_of(container)[1]
        now = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        return now, container

    def another(self, service, before, node="m", deadline_s=60):
        """Wait for a container of a service that takes the place of `before`."""
        return eventually(f"another container of {service}", deadline_s,
                          lambda: [one for one in self.containers(service, node) if one != before])[0]

    def await_workers(self, count=3, deadline_s=60):
        return eventually(f"{count} workers", deadline_s, lambda: len(self.workers()) == count and self.workers())

    def log_of(self, service, node="m", lines=200):
        """The log of its one running container. Unlike logs() it asks one engine, and about no container that
        has ended: of those the engine's answer may never come."""
        done = self.lab("docker", node, "logs", "--tail", lines, self.container(service, node))
        return done.stdout + done.stderr

    def logs(self, service, lines=300):
        """Its log, without the lines of single requests."""
        done = self.lab("docker", "m", "service", "logs", "--no-task-ids", "--tail", lines,
                        f"{self.name}_{service}", check=False, deadline_s=30)
        return "\n".join(line for line in (done.stdout + done.stderr).splitlines()
                         if "ev=request " not in line)

    def all_logs(self):
        """For whoever reads of a failure; an engine that does not answer is no second one."""
        parts = []
        for what, read in [("tasks", self.task_table),
                           *((service, partial(self.logs, service)) for service in SERVICES)]:
            try:
                parts.append(f"---- {what} ----\n{read()}")
            except subprocess.TimeoutExpired as error:
                parts.append(f"---- {what} ----\n{error}")
        return "\n".join(parts)

    def task_table(self):
        return self.lab("docker", "m", "stack", "ps", "--no-trunc", self.name, check=False).stdout

    # ---- as a user ----

    def url(self, port, path="/"):
        return f"http://{self.lab.address('m')}:{port}{path}"

    def curl(self, node, port, path="/", *options, deadline_s=30):
        """Status and body, asked from a node."""
        done = self.lab.run_in(node, "curl", "-sS", "-m", deadline_s, "-w", "\n%{http_code}",
                               *options, self.url(port, path), deadline_s=deadline_s + 5)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def coins(self):
        status, body = self.curl("m", 8000, "/json")
        assert status == 200, body
        return json.loads(body)

    def scoop(self, *args, **options):
        """The scoop command as on the manager: in the webui container, with no flags."""
        return self.inside("webui", "scoop", *args, **options)

    def workers(self):
        """The workers that can be used: host name to row."""
        rows = json.loads(self.scoop("workers", "--json", deadline_s=20).stdout)
        return {row["host"]: row for row in rows if row["state"] == "ready"}
