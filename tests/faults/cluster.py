"""A broker, agents and clients of which the test knows what happened to each task, whatever else it does to them.

    cluster = Cluster(start, tmp_path / "cluster")        # over sockets of this machine; of one agent and more
    cluster = TcpCluster(start, folder, hosts)            # by TCP and CURVE; the broker starts its agents by "ssh"
    client = cluster.run(200, sleep_ms=10)
    ...
    cluster.ends_well(client)                             # no promise was broken
"""

import json
import pathlib
import time

import zmq
from chronicle import History
from lab import DOOR
from programs import binary, children, eventually, free_port, name_of, run

PROGRAM = "../tests/programs/chronicle"
FOLDER = pathlib.Path(binary(PROGRAM)).parent


class Base:
    """What both kinds have."""

    broker_options = ()
    client_environment = {}
    client_words = ()  # before the words of a client

    def __init__(self, start, folder, environment=None):
        self.start = start
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(mode=0o700)
        self.history = History(self.folder / "history")
        self.environment = {"CHRONICLE": str(self.history.path), **(environment or {})}

    def start_broker(self, *options, words=(), **more):
        """words: those before the command, as those of a host of a lab."""
        program, *arguments = [*words, binary("scoop-broker"), *self.broker_options, *options]
        self.broker = self.start(program, *arguments, env=self.environment, **more)
        return self.broker

    def client(self, *arguments):
        program, *words = [*self.client_words, binary(PROGRAM)]
        return self.start(program, *words, *arguments, ready=None,
                          env={**self.environment, **self.client_environment})

    def run(self, count, sleep_ms=0, cancel_every=0, batch=0):
        """A client with so many tasks, under way."""
        return self.client("run", count, int(sleep_ms * 1000), cancel_every, batch)

    def submit(self, count, sleep_ms=0, first=0):
        """The same with durable tasks: the client ends when all are accepted."""
        return self.client("submit", first, count, int(sleep_ms * 1000))

    def wait(self, count, first=0):
        return self.client("wait", first, count)

    def ends_well(self, *clients, timeout=60, **allowed):
        """All clients come to their end, and no promise was broken; see History.problems(). Then a new history begins."""
        for client in clients:
            assert client.wait(timeout) == 0, client.log
        problems = self.history.problems(**allowed)
        assert not problems, problems[:20]
        self.history.begin_anew()

    def wait_for(self, count, what="start"):
        """Wait for so many starts, ends, deliveries, ..."""
        eventually(lambda: self.history.count(what) >= count, f"{count} times {what}", 60)

    def info(self):
        program, *words = [*self.client_words, binary("scoop"), "info", "--json"]
        return json.loads(run(program, *words, env=self.client_environment).stdout)

    def wait_for_agents(self, count):
        eventually(lambda: self.info()["workers"] == count, f"{count} agents", 30)


class Cluster(Base):
    def __init__(self, start, folder, agents=2, slots=2, redis=None, environment=None, **more):
        super().__init__(start, folder, environment)
        self.redis = redis
        self.slots = slots
        self.agents = []
        self.client_environment = {"SCOOP_BROKER": f"ipc://{self.folder}/client"}
        self.agent_url = f"ipc://{self.folder}/worker"
        self.broker_options = ("--client-listen", f"ipc://{self.folder}/client", "--worker-listen", self.agent_url,
                               *(("--journal", redis.url) if redis else ()))
        self.start_broker(**more)
        for _ in range(agents):
            self.start_agent()

    def start_agent(self, slots=None):
        agent = self.start("scoop-worker", "run", "--broker", self.agent_url, "--slots", slots or self.slots,
                           "--programs", FOLDER, "--grace-ms", "0", ready=None,
                           env=self.environment)
        agent.wait_for("ev=link_open")
        self.agents.append(agent)
        return agent


LOGIN = """#!/bin/sh
# login [OPTION...] HOST COMMAND: as ssh has it, onto a host of the test's
while [ $# -gt 2 ]; do shift; done
exec 2>>"{folder}/log-$1"
[ ! -e "{folder}/door-$1" ] || exec {door} enter "{folder}/door-$1" "$2"
exec sh -c "exec $2"
"""


class TcpCluster(Base):
    """hosts: the names of agents, of two slots each. `advertise`: where agents go to, a proxy's address maybe;
    `address`: where the broker is. `lab`: one with a host of each name, and "broker"; the client is there, too,
    unless the lab has a host "client"."""

    def __init__(self, start, folder, hosts=("red", "blue"), advertise=None, agent_port=None, lab=None):
        super().__init__(start, folder)
        address = lab.address if lab else "127.0.0.1"
        self.agent_port, self.client_port = agent_port or free_port(), free_port()
        self.lab = lab
        self.hosts = hosts
        for name in hosts if lab else ():
            lab[name].open_door(self.folder / f"door-{name}")
        login = self.write("login", LOGIN.format(folder=self.folder, door=" ".join(DOOR)), 0o700)
        self.write_keys()
        self.client_environment = {"SCOOP_BROKER": f"tcp://{address}:{self.client_port}",
                                   "SCOOP_CLIENT_KEY_FILE": str(self.folder / "client"),
                                   "SCOOP_BROKER_KEY_FILE": str(self.folder / "broker.pub")}
        self.broker_options = (
            "--client-listen", f"tcp://{address}:{self.client_port}",
            "--worker-listen", f"tcp://{address}:{self.agent_port}",
            "--advertise", advertise or f"tcp://{address}:{self.agent_port}",
            "--curve-key", self.folder / "broker", "--client-keys", self.folder / "client.pub",
            "--hosts", ",".join(f"{name}:2" for name in hosts), "--ssh", login,
            "--remote", f"{binary('scoop-worker')} serve", "--programs", FOLDER, "--listen", "127.0.0.1:0")
        if lab:
            self.client_words = lab["client" if "client" in lab else "broker"].words

    def write(self, name, text, mode=0o400):
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    def write_keys(self):
        for name in ("broker", "client"):
            public, secret = zmq.curve_keypair()
            self.write(name, secret.decode() + "\n")
            self.write(f"{name}.pub", public.decode() + "\n", 0o444)

    def start_all(self):
        """The broker; then all its agents are there."""
        broker = self.start_broker(words=self.lab["broker"].words if self.lab else ())
        eventually(lambda: broker.log.count("ev=agent_joined") == len(self.hosts), "all agents", 30)
        return broker

    def logins(self):
        """The process ids of what stands for ssh and for the login at its other end."""
        parents = [self.lab[name].door.pid for name in self.hosts] if self.lab else [self.broker.pid]
        return [pid for parent in parents for pid in children(parent) if name_of(pid) == "scoop-worker"]

    def agents(self):
        """The process ids of the agents."""
        return [agent for login in self.logins() for agent in children(login)]

    def agent_log(self, host):
        path = self.folder / f"log-{host}"
        return path.read_text() if path.exists() else ""


def measured_s(action):
    """How long it took."""
    before_s = time.monotonic()
    action()
    return time.monotonic() - before_s
