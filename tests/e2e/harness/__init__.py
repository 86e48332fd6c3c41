"""What the black-box tests are made of: a Daemon under test, a RedisServer, a scripted Sink, a Client.

Standard library only, so that a Debian python3 with pytest runs everything.
"""

from .client import Answer, Client, parse_answers
from .daemon import Daemon
from .load import Load
from .redis import Redis, RedisError, RedisServer
from .sentinel import RedisGroup, Sentinel
from .sink import Sink
from .wait import free_port, wait_until

__all__ = ["Answer", "Client", "Daemon", "Load", "Redis", "RedisError", "RedisGroup", "RedisServer",
           "Sentinel", "Sink", "free_port", "parse_answers", "wait_until"]
