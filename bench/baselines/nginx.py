"""nginx that answers 202 to everything: the limit of HTTP in."""

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

from rig import CannotMeasure, Process, wait_for

# One process (no master, which would only watch), everything it could write below `directory`, and
# connections that stay. The answer is as long as Trotline's to an event.
CONFIGURATION = """\
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile 16384;
events {{
    worker_connections 8192;
    multi_accept on;
}}
http {{
    access_log off;
    server_tokens off;
    default_type application/json;
    keepalive_timeout 3600s;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {tls}
    server {{
        listen 127.0.0.1:{port}{ssl} backlog=4096;
        location / {{
            return {status} '{{"id":"evt_0123456789abcdefghijkl","deliveries":1}}';
        }}
    }}
}}
"""


def _program():
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not found:
        raise CannotMeasure("nginx is not installed: bench/install-packages does that")
    return found


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nginx:
    """A running nginx. `directory` is its own, and new; `certificate` is (PEM file, key file) for
    https. `url`, `pids` and `version` say what they say; `stop()` ends it.

    With status=200 it is a receiver, too: of https, say.
    """

    def __init__(self, directory, cpu=None, status=202, certificate=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        program = _program()
        printed = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
        self.version = "nginx " + re.search(r"nginx/(\S+)", printed).group(1)
        for _ in range(5):  # until the port that was free still is
            self._start(program, cpu, status, certificate)
            if wait_for(lambda: self._answers() or self.process.popen.poll() is not None, 10) and \
                    self.process.popen.poll() is None:
                return
            errors = self.process.errors()
            self.stop()
            if "Address already in use" not in errors:
                break
        raise CannotMeasure(f"nginx does not start: {errors}")

    def _start(self, program, cpu, status, certificate):
        self.port = _free_port()
        tls = certificate and "ssl_certificate {}; ssl_certificate_key {};".format(*certificate)
        path = self.directory / "nginx.conf"
        path.write_text(CONFIGURATION.format(directory=self.directory, port=self.port,
                                             status=status, tls=tls or "",
                                             ssl=" ssl" if tls else ""))
        self.process = Process([program, "-p", self.directory, "-c", path, "-e", "stderr"], cpu,
                               self.directory / "nginx.log")
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.pids = [self.process.pid]

    def _answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.process.kill()
