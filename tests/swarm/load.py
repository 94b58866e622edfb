"""Load for the tests that change things under it, and what must be true of it at the end."""

import json
import time

from swarm import Reader, eventually

# Numbers one after the other while the file is not there; each comes back as the result of a task of its own.
STREAM = """rm -f /tmp/stop; i=0
while [ ! -e /tmp/stop ]; do i=$((i + 1)); echo $i; sleep 0.03; done |
    scoop map --as-completed sh -c 'sleep 0.1; echo {}'"""


class Stream:
    """About 30 small tasks a second, from the container of webui; each result is a line with the task's number."""

    def __init__(self, stack):
        stack.await_workers()
        self.stack = stack
        self.reader = self.start()
        self.reader.await_lines(20, 60)

    def start(self):
        return Reader(self.stack.lab, "docker", "m", "exec", self.stack.container("webui"), "sh", "-c", STREAM)

    def stop(self):
        self.stack.inside("webui", "touch", "/tmp/stop")

    def resumed_after(self, moment, **options):
        return self.reader.resumed_after(moment, **options)

    def end(self):
        """Each result came once, none is missing, none failed. Gives back how many there were."""
        self.stop()
        code, errors = self.reader.end(90)
        assert code == 0, errors
        numbers = sorted(map(int, self.reader.texts()))
        assert numbers == list(range(1, len(numbers) + 1))
        return len(numbers)

    def end_with_failures(self):
        """Commands may have failed; it ends all the same, and no result came twice."""
        self.stop()
        code, errors = self.reader.end(120)
        assert code <= 101, errors
        numbers = list(map(int, self.reader.texts()))
        assert len(set(numbers)) == len(numbers) > 0

    def give_up(self):
        self.reader.process.kill()


class ServiceStream(Stream):
    """The same from a service of its own, so that all services of the stack can be updated under it."""

    NAME = "load"

    def start(self):
        lab, stack = self.stack.lab, self.stack
        secrets = [f"source={stack.name}_{name}_v1,target={target},uid=10001,gid=10001,mode={mode}"
                   for name, target, mode in (("client_curve_key", "client_curve_key", "0400"),
                                              ("broker_curve_key_pub", "broker_curve_key.pub", "0444"))]
        lab.docker("m", "service", "create", "--detach", "--quiet", "--name", self.NAME, "--network",
                   f"{stack.name}_default", "--constraint", "node.role==manager", "--restart-condition", "none",
                   "--endpoint-mode", "dnsrr", "--no-resolve-image", "--no-healthcheck",
                   "--mount", "type=tmpfs,target=/tmp", "--env", "SCOOP_BROKER=tcp://broker:5555",
                   "--env", "SCOOP_CLIENT_KEY_FILE=/run/secrets/client_curve_key",
                   "--env", "SCOOP_BROKER_KEY_FILE=/run/secrets/broker_curve_key.pub",
                   *[part for secret in secrets for part in ("--secret", secret)],
                   "scoop-webui:latest", "sleep", "86400")
        self.container = eventually("the load's container", 30, lambda: lab.docker(
            "m", "ps", "-q", "--no-trunc", "--filter", f"label=com.docker.swarm.service.name={self.NAME}"))
        return Reader(lab, "docker", "m", "exec", self.container, "sh", "-c", STREAM)

    def stop(self):
        self.stack.lab.docker("m", "exec", self.container, "touch", "/tmp/stop")

    def give_up(self):
        super().give_up()
        self.stack.lab("docker", "m", "service", "rm", self.NAME, check=False)


class Durables:
    """Durable tasks that are accepted now and last for about so many seconds; asked for at the end."""

    def __init__(self, stack, count, sleep_s):
        self.stack, self.count = stack, count
        script = f"seq {count} | scoop submit -a - sh -c 'sleep {sleep_s}; echo $(({{}} * 3))'"
        self.tasks = stack.inside("webui", "sh", "-c", script, deadline_s=120).stdout.split()
        assert len(set(self.tasks)) == count

    def unfinished(self):
        rows = json.loads(self.stack.scoop("tasks", "--json", "--most", "50000").stdout)
        return sum(row["state"] != "ended" for row in rows)

    def end(self, deadline_s=180):
        """All ended well, each outcome is there once."""
        done = self.stack.scoop("wait", *self.tasks, deadline_s=deadline_s)
        assert {line.split()[1] for line in done.stdout.splitlines()} == {"ok"}
        done = self.stack.scoop("result", *self.tasks, deadline_s=120)
        assert [int(line) for line in done.stdout.split()] == [3 * number for number in range(1, self.count + 1)]
        assert self.stack.scoop("tasks", "--ids").stdout == ""


def wait_until(moment):
    """Sleep until that monotonic moment."""
    time.sleep(max(0, moment - time.monotonic()))
