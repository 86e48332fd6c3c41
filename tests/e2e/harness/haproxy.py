"""A real load balancer before several replicas, as an operator would set it up.

It asks each replica's /readyz ten times a second and sends requests to those that said 200. Its
configuration, port and directory are its own; the Debian package's service has nothing to do with it.
"""

import csv
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from .wait import free_port, wait_until

CONFIGURATION = """
global
    maxconn 2000
    nbthread 1
    log stdout format raw local0
    stats socket {directory}/haproxy.sock mode 600

defaults
    mode http
    log global
    option httplog
    option dontlog-normal
    timeout connect 2s
    timeout client 60s
    timeout server 30s
    option redispatch 1
    retries 3

frontend producers
    bind 127.0.0.1:{port}
    default_backend replicas

backend replicas
    balance roundrobin
    option httpchk
    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host trotline
    http-check expect status 200
    default-server check inter 100ms fall 1 rise 1
{servers}
"""


class Haproxy:
    """with Haproxy([port, …]) as balancer: … http://127.0.0.1:{balancer.port}"""

    def __init__(self, ports):
        # Not pytest's tmp_path: its names are too long for a unix socket.
        self.directory = Path(tempfile.mkdtemp(prefix="tl-haproxy-"))
        self.port = free_port()
        servers = "\n".join(f"    server p{port} 127.0.0.1:{port}" for port in ports)
        path = self.directory / "haproxy.cfg"
        path.write_text(CONFIGURATION.format(directory=self.directory, port=self.port,
                                             servers=servers))
        self.log_path = self.directory / "haproxy.log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(["haproxy", "-db", "-f", str(path)], stdout=log,
                                            stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        try:
            wait_until(self._answers, 10, "haproxy to start")
        except BaseException as error:
            self.close()
            raise AssertionError(f"{error}\n{self.log}") from None

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def _answers(self):
        assert self.process.poll() is None, "haproxy ended"
        try:
            return self.states()
        except OSError:
            return False

    def states(self):
        """port -> "UP", "DOWN", …"""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.directory / "haproxy.sock"))
            connection.sendall(b"show stat\n")
            with connection.makefile() as stream:
                rows = list(csv.DictReader(line.lstrip("# ") for line in stream if line.strip()))
        return {int(row["svname"][1:]): row["status"] for row in rows
                if row["pxname"] == "replicas" and row["svname"] != "BACKEND"}

    def wait_up(self, count, timeout=20.0):
        """Until it sends to so many replicas."""
        wait_until(lambda: list(self.states().values()).count("UP") == count, timeout,
                   f"haproxy to see {count} replicas")

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
