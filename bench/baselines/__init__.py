"""What Trotline is compared with. Each is started by one call, on a free port and a given CPU:

    BullMQ     a webhook service of Node, BullMQ and undici: the same work, as teams do it today
    Nginx      `return 202`: what a server can answer that does nothing
    raw_client a client that only signs and sends: what a core can deliver

They stand on rig.py, which lies beside this package.
"""

from .bullmq import BullMQ
from .nginx import Nginx
from .raw import raw_client

__all__ = ["BullMQ", "Nginx", "raw_client"]
