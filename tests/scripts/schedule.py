"""What the tests of deliveries that wait have in common: batches of them, and what Redis has."""

from harness.formats import lane_of, pack_outcome
from store import Batch, endpoint_id

ONE, TWO = endpoint_id(), endpoint_id()
SENT = pack_outcome("sent")


def opened(store, *targets):
    batch = Batch(*targets or [[ONE]])
    assert store.publish(batch)[0] == b"ok"
    return batch


def waiting(store, *targets, **how):
    """A batch with its deliveries in the schedule; it is still open."""
    batch = opened(store, *targets)
    for ordinal, (event, endpoint) in enumerate(batch.deliveries):
        assert store.move(event, endpoint, ordinal, **how)[0] == b"ok"
    return batch


def leased(store):
    """One event that was leased: (event, lease)."""
    event, = waiting(store).events
    now, lease, left, waiting_, claimed = store.lease(ONE)
    assert claimed.decode() == event and left == lease > now and waiting_ == 0
    return event, lease


def score(store, endpoint, event, family="due"):
    value = store.redis.call("ZSCORE", store.key(family, endpoint), event)
    return None if value is None else int(float(value))  # of a lease it is half a ms more


def lane(store, endpoint=ONE):
    value = store.redis.call("ZSCORE", store.key("lane", lane_of(endpoint)), endpoint)
    return None if value is None else int(value)


def attempts(store, endpoint=ONE):
    return store.redis.call("LRANGE", store.key("attempts", endpoint), 0, -1)
