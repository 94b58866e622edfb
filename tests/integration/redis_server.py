"""A Redis of the test's own: durable, on a free port, killed and started again at will."""

import resource
import signal
import subprocess

import redis as client

from programs import DEADLINE_S, eventually, free_port


class RedisServer:
    def __init__(self, folder, password=None, appendonly="yes", appendfsync="always"):
        self.port = free_port()
        self.folder = folder
        self.password = password
        self.appendonly = appendonly
        self.appendfsync = appendfsync
        self.process = None
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def connect(self, port=None):
        return client.Redis(port=port or self.port, password=self.password, socket_timeout=5)

    def start(self):
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
                     "--appendonly", self.appendonly, "--appendfsync", self.appendfsync, "--save", ""]
        if self.password:
            arguments += ["--requirepass", self.password]
        self.process = subprocess.Popen(["redis-server", *arguments], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        restore_signals=False)  # SIGXFSZ stays ignored, see fill_disk()
        eventually(self.answers, "redis-server answers")

    def answers(self):
        try:
            return self.connect().ping()
        except client.ConnectionError:
            return False

    def fill_disk(self):
        """Its files grow no more, as on a full disk."""
        largest = max(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))

    def clear_disk(self):
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

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
