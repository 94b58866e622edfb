"""A Redis of the test's own: durable, on a free port, killed and started again at will."""

import signal
import subprocess

import redis as client

from programs import DEADLINE_S, eventually, free_port


class RedisServer:
    def __init__(self, folder, password=None, appendonly="yes"):
        self.port = free_port()
        self.folder = folder
        self.password = password
        self.appendonly = appendonly
        self.process = None
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def connect(self, port=None):
        return client.Redis(port=port or self.port, password=self.password, socket_timeout=5)

    def start(self):
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
                     "--appendonly", self.appendonly, "--appendfsync", "always", "--save", ""]
        if self.password:
            arguments += ["--requirepass", self.password]
        self.process = subprocess.Popen(["redis-server", *arguments], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(self.answers, "redis-server answers")

    def answers(self):
        try:
            return self.connect().ping()
        except client.ConnectionError:
            return False

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE_S)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        if self.process.poll() is None:
            self.go_on()
            self.kill()
