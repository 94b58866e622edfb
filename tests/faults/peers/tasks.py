"""What the peers' workers run, and how their clients submit and wait: each as its own manual has it.

    tasks.py NAME ADDRESS FIRST COUNT    a client: prints "I VALUE" for each result, "I failed" for each failure
    tasks.py beanstalk-worker ADDRESS    the worker that beanstalkd leaves to its user
"""

import os
import signal
import socket
import sys
import time

SECONDS = float(os.environ.get("PEERS_TASK_S", "0.5"))
POISON = int(os.environ.get("PEERS_POISON", "-1"))


def slow(i):
    """i * i + 1 after a while; the poison kills its process each time."""
    time.sleep(SECONDS)
    if i == POISON:
        os.kill(os.getpid(), signal.SIGKILL)
    return i * i + 1


def say(*words):
    print(*words, flush=True)


# ---- celery, with acknowledgement after the end, and Redis as its broker and for its results ----

try:
    from celery import Celery
except ImportError:
    pass
else:
    app = Celery("tasks", broker=os.environ.get("PEERS_REDIS"), backend=os.environ.get("PEERS_REDIS"))
    app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1,
                    task_acks_on_failure_or_timeout=True, broker_connection_retry=True,
                    # Without it a task of a host that was lost runs again after an hour.
                    broker_transport_options={"visibility_timeout": 10}, worker_hijack_root_logger=False)

    @app.task(name="slow")
    def celery_slow(i):
        return slow(i)


def celery_client(_, numbers):
    with open(os.environ["PEERS_IDS"], "a+", encoding="ascii") as ids:  # for whoever asks after this client
        ids.seek(0)
        known = dict(line.split() for line in ids)
        waiting = {}
        for i in numbers:
            waiting[i] = app.AsyncResult(known[str(i)]) if str(i) in known else celery_slow.delay(i)
            if str(i) not in known:
                ids.write(f"{i} {waiting[i].id}\n")
                ids.flush()
    while waiting:
        for i, result in list(waiting.items()):
            try:
                done = result.ready()
            except Exception:  # Redis is away: ask again
                break
            if done:
                say(i, result.result if result.successful() else "failed")
                del waiting[i]
        time.sleep(0.05)


# ---- Dask's scheduler ----


def dask_client(address, numbers):
    from distributed import Client, as_completed
    client = Client(f"tcp://{address}", timeout=30)
    futures = {client.submit(slow, i, key=f"slow-{i}"): i for i in numbers}
    for future in as_completed(futures):
        say(futures[future], future.result() if future.status == "finished" else "failed")


# ---- beanstalkd: results come back by another tube ----


class Beanstalk:
    """A connection that is made again when it is lost."""

    def __init__(self, address, *greeting):
        self.address, self.greeting, self.file = address, greeting, None

    def ask(self, command, body=None):
        while True:
            try:
                if self.file is None:
                    host, port = self.address.rsplit(":", 1)
                    self.file = socket.create_connection((host, int(port))).makefile("rwb")
                    for line in self.greeting:
                        self.exchange(line)
                return self.exchange(command, body)
            except OSError:
                self.file = None
                time.sleep(0.1)

    def exchange(self, command, body=None):
        self.file.write(command.encode() + b"\r\n" + (b"" if body is None else body.encode() + b"\r\n"))
        self.file.flush()
        line = self.file.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError
        words = line.decode().split()
        if words[0] == "RESERVED":
            return words[1], self.file.read(int(words[2]) + 2)[:-2].decode()
        return words


def put(queue, text):
    return queue.ask(f"put 0 0 5 {len(text)}", text)


def beanstalk_client(address, numbers):
    queue = Beanstalk(address, "use slow", "watch results", "ignore default")
    if not os.environ.get("PEERS_COLLECT"):
        for i in numbers:
            put(queue, str(i))
    missing = set(numbers)
    while missing:
        job, text = queue.ask("reserve")
        say(*text.split())
        missing.discard(int(text.split()[0]))
        queue.ask(f"delete {job}")


def beanstalk_worker(address):
    queue = Beanstalk(address, "watch slow", "ignore default", "use results")
    while True:
        job, text = queue.ask("reserve")
        put(queue, f"{text} {slow(int(text))}")
        queue.ask(f"delete {job}")


CLIENTS = {"celery": celery_client, "dask": dask_client, "beanstalkd": beanstalk_client}

if __name__ == "__main__":
    if sys.argv[1] == "beanstalk-worker":
        beanstalk_worker(sys.argv[2])
    else:
        CLIENTS[sys.argv[1]](sys.argv[2], range(int(sys.argv[3]), int(sys.argv[3]) + int(sys.argv[4])))
