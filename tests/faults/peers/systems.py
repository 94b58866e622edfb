"""The systems that are compared: how each is started, as its manual says for work that must not be lost."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import redis
from programs import binary, eventually, free_port

HERE = pathlib.Path(__file__).resolve().parent
TASKS = str(HERE / "tasks.py")
PYTHON = "/usr/bin/python3"
# The same task as tasks.slow(), for systems whose tasks are commands. Its parent is the worker's process.
COMMAND = ('i={}; sleep "$PEERS_TASK_S"; [ $i -ne "$PEERS_POISON" ] || kill -9 $PPID; '
           'echo $i $((i * i + 1))')


def shell(number="{}"):
    return COMMAND.replace("{}", number)


class System:
    """Of each process: a session of its own, so that it is killed with what it started."""

    name = mode = ""
    password = ""  # what keeps strangers out, in words

    def __init__(self, folder, poison=-1):
        self.folder = folder
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.env = {**os.environ, "PEERS_POISON": str(poison), "PEERS_TASK_S": "0.5", "PEERS_IDS": f"{folder}/ids",
                    "PYTHONPATH": f"{HERE}:{HERE.parents[1] / 'integration'}", **self.more_env()}
        self.processes = []
        self.scheduler = None
        self.workers = [None, None]
        self.log = open(folder / "log", "ab")  # pylint: disable=consider-using-with

    def more_env(self):
        return {}

    def run(self, *words, out=None, **env):
        process = subprocess.Popen([str(word) for word in words], env={**self.env, **env}, cwd=self.folder,
                                   stdin=subprocess.DEVNULL, stdout=out or self.log, stderr=self.log,
                                   start_new_session=True)
        self.processes.append(process)
        return process

    @staticmethod
    def signal(process, number):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass

    def kill(self, process):
        self.signal(process, signal.SIGKILL)
        process.wait()

    def start_worker(self, index):
        self.workers[index] = self.begin_worker(index)

    def supervise(self):
        """Start again what ended by itself, as a service manager would; not what is stopped or was taken away."""
        for index, worker in enumerate(self.workers):
            if worker is not None and worker.poll() is not None:
                self.start_worker(index)

    def start(self):
        self.scheduler = self.begin_scheduler()
        for index in range(len(self.workers)):
            self.start_worker(index)

    def collect(self, first, count, out):
        """Another client asks for the results of one that is gone; None: this cannot be asked for."""
        return None

    def stranger(self):
        """Does somebody without a password or key get a task in?"""
        return True

    def end(self):
        for process in self.processes:
            self.signal(process, signal.SIGKILL)
        for process in self.processes:
            process.wait()
        self.log.close()


class Scoop(System):
    name, mode, password = "scoop", "tasks of a session", "CURVE keys"
    options = ()

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.url = f"ipc://{self.folder}/client"

    def begin_scheduler(self):
        return self.run(binary("scoop-broker"), "--client-listen", self.url, "--worker-listen",
                        f"ipc://{self.folder}/worker", *self.options)

    def begin_worker(self, index):
        return self.run(binary("scoop-worker"), "run", "--broker", f"ipc://{self.folder}/worker", "--slots", 1)

    def client(self, first, count, out):
        # Which one failed stands on stderr; here it can only be the poison.
        return self.run("sh", "-c", '"$0" map --as-completed sh -c "$COMMAND" ::: "$@" || echo "$PEERS_POISON failed"',
                        binary("scoop"), *range(first, first + count), out=out, COMMAND=shell(), SCOOP_BROKER=self.url)

    def stranger(self):
        import test_admission
        from ssh_site import Site
        site = Site()
        broker = self.run(binary("scoop-broker"), *site.broker_arguments(""))
        time.sleep(1)
        taken = test_admission.answer(site.client_endpoint, test_admission.CLIENT)
        self.kill(broker)
        site.close()
        return taken is not None


class Redis:
    """With what it says on disk before it answers."""

    def __init__(self, system, password=""):
        self.port, self.password = free_port(), password
        self.words = ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir", system.folder, "--save", "",
                      "--appendonly", "yes", "--appendfsync", "always"]
        if password:
            self.words += ["--requirepass", password]
        self.url = f"redis://:{password}@127.0.0.1:{self.port}" if password else f"redis://127.0.0.1:{self.port}"

    def begin(self, system):
        process = system.run(*self.words)
        eventually(self.answers, "Redis answers")
        return process

    def answers(self):
        try:
            return redis.Redis(port=self.port, password=self.password or None).ping()
        except redis.RedisError:
            return False


class DurableScoop(Scoop):
    mode = "durable tasks, Redis with appendfsync always"

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.redis = Redis(self)
        self.redis.begin(self)
        self.options = ("--journal", self.redis.url)

    def client(self, first, count, out):
        numbers = " ".join(str(i) for i in range(first, first + count))
        scoop = binary("scoop")
        script = f'"{scoop}" submit sh -c "$COMMAND" ::: {numbers} >>ids && for id in $(cat ids); do ' \
                 f'"{scoop}" result $id || echo "$PEERS_POISON failed"; done'
        return self.run("sh", "-c", script, out=out, COMMAND=shell(), SCOOP_BROKER=self.url)

    def collect(self, first, count, out):
        return self.run("sh", "-c", f'for id in $(cat ids); do "{binary("scoop")}" result $id; done', out=out,
                        SCOOP_BROKER=self.url)


class Gearman(System):
    name, mode, password = "gearmand", "foreground jobs", "TLS, not tried"
    options = ()

    def begin_scheduler(self):
        return self.run("gearmand", "--listen", "127.0.0.1", "--port", self.port, "--log-file", f"{self.folder}/gearmand",
                        "--job-retries", 3, *self.options)

    def begin_worker(self, index):
        # It gives up when the server is away; a service manager starts it again.
        return self.run("gearman", "-w", "-h", "127.0.0.1", "-p", self.port, "-f", "slow", "--", "sh", "-c",
                        'read -r i; ' + shell("$i"))

    def client(self, first, count, out):
        words = f"gearman -h 127.0.0.1 -p {self.port} -f slow"
        script = "".join(f"{{ {words} {i} || echo {i} failed; }} & " for i in range(first, first + count)) + "wait"
        return self.run("sh", "-c", script, out=out)


class Beanstalkd(System):
    name, mode, password = "beanstalkd", "-b -f 0; results by a second tube", "none"

    def begin_scheduler(self):
        (self.folder / "binlog").mkdir(exist_ok=True)
        return self.run("beanstalkd", "-l", "127.0.0.1", "-p", self.port, "-b", self.folder / "binlog", "-f", 0)

    def begin_worker(self, index):
        return self.run(PYTHON, TASKS, "beanstalk-worker", self.address)

    def client(self, first, count, out):
        return self.run(PYTHON, TASKS, "beanstalkd", self.address, first, count, out=out)

    def collect(self, first, count, out):
        return self.run(PYTHON, TASKS, "beanstalkd", self.address, first, count, out=out, PEERS_COLLECT="1")


class Celery(System):
    name, mode, password = "celery", "acks_late, Redis with appendfsync always", "the password of Redis"

    def __init__(self, *arguments):
        super().__init__(*arguments)

    def more_env(self):
        self.redis = Redis(self, "open sesame")
        return {"PEERS_REDIS": self.redis.url.replace(" ", "%20")}

    def begin_scheduler(self):
        return self.redis.begin(self)

    def begin_worker(self, index):
        return self.run(PYTHON, "-m", "celery", "-A", "tasks", "worker", "-c", 1, "-n", f"worker{index}@localhost",
                        "--without-gossip", "--without-mingle", "-l", "WARNING")

    def client(self, first, count, out):
        return self.run(PYTHON, TASKS, "celery", "-", first, count, out=out)

    def collect(self, first, count, out):
        return self.client(first, count, out)

    def stranger(self):
        try:
            redis.Redis(port=self.redis.port).lpush("celery", "x")
        except redis.RedisError:
            return False
        return True


class Dask(System):
    name, mode, password = "dask.distributed", "as it is; nannies restart workers", "TLS, not tried"

    def begin_scheduler(self):
        return self.run("dask-scheduler", "--host", "127.0.0.1", "--port", self.port, "--no-dashboard")

    def begin_worker(self, index):
        return self.run("dask-worker", f"tcp://{self.address}", "--nthreads", 1, "--nworkers", 1, "--no-dashboard",
                        "--local-directory", self.folder / f"worker{index}", "--name", f"worker{index}")

    def client(self, first, count, out):
        return self.run(PYTHON, TASKS, "dask", self.address, first, count, out=out)


ALL = [Scoop, DurableScoop, Gearman, Beanstalkd, Celery, Dask]
