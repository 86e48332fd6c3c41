"""Certificates for https endpoints, good ones and bad ones, made by the openssl command."""

import ssl
import subprocess
from pathlib import Path

CONFIG = """
[ca]
default_ca = here
[here]
dir = {0}
database = {0}/index.txt
serial = {0}/serial
new_certs_dir = {0}
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
"""


class Authority:
    """A certificate authority below `directory`; `path` is its certificate, for the server's trust."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config = self.directory / "openssl.cnf"
        self.config.write_text(CONFIG.format(self.directory))
        (self.directory / "index.txt").write_text("")
        (self.directory / "serial").write_text("1000\n")
        self.path = self.directory / "ca.pem"
        self.key = self.directory / "ca.key"
        self._openssl("req", "-x509", *self._new_key(self.key), "-out", self.path, "-days", "30",
                      "-subj", "/CN=Trotline test authority", "-extensions", "authority")

    def context(self, kind="good"):
        """A server context whose certificate is `good`, or `wrong-name`, `expired`, `self-signed`."""
        key, request = self.directory / f"{kind}.key", self.directory / f"{kind}.csr"
        certificate = self.directory / f"{kind}.pem"
        names = "DNS:elsewhere.example" if kind == "wrong-name" else "DNS:localhost,IP:127.0.0.1"
        subject = ["-subj", "/CN=trotline-test", "-addext", f"subjectAltName={names}"]
        if kind == "self-signed":
            self._openssl("req", "-x509", *self._new_key(key), *subject, "-out", certificate,
                          "-days", "30")
        else:
            self._openssl("req", "-new", *self._new_key(key), *subject, "-out", request)
            dates = ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"] \
                if kind == "expired" else ["-days", "30"]
            self._openssl("ca", "-batch", "-notext", *dates, "-cert", self.path, "-keyfile",
                          self.key, "-in", request, "-out", certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    @staticmethod
    def _new_key(path):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                path]

    def _openssl(self, command, *arguments):
        subprocess.run(["openssl", command, "-config", self.config, *map(str, arguments)],
                       check=True, capture_output=True)
