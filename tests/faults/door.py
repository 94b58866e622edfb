"""Starts programs on a host of the lab for who may not enter its namespace: a fenced broker.

    door.py open SOCKET             on that host; a connection hands over a command, an environment, descriptors 0 to 2
    door.py enter SOCKET COMMAND    run it there, by the shell; ends with its exit code
"""

import json
import os
import socket
import subprocess
import sys
import threading

LENGTH_MAX = 65536


def serve(visitor):
    """One visitor's command; when the visitor is gone it is told to end, as by ssh."""
    with visitor:
        wish, descriptors, _, _ = socket.recv_fds(visitor, LENGTH_MAX, 3)
        command, environment = json.loads(wish)
        stdin, stdout, stderr = descriptors
        program = subprocess.Popen(["sh", "-c", f"exec {command}"], env=environment, stdin=stdin, stdout=stdout,
                                   stderr=stderr)
        for descriptor in descriptors:
            os.close(descriptor)
        threading.Thread(target=lambda: visitor.recv(1) or program.terminate(), daemon=True).start()
        visitor.sendall(bytes([program.wait() & 0xff]))


def keep_open(path):
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen()
        print("open", flush=True)
        while True:
            threading.Thread(target=serve, args=door.accept()[:1], daemon=True).start()


def enter(path, command):
    with socket.socket(socket.AF_UNIX) as way:
        way.connect(path)
        socket.send_fds(way, [json.dumps([command, dict(os.environ)]).encode()], [0, 1, 2])
        return (way.recv(1) or b"\1")[0]


if __name__ == "__main__":
    sys.exit({"open": keep_open, "enter": enter}[sys.argv[1]](*sys.argv[2:]))
