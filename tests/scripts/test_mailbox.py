"""The server opens what others have put into its journal: parts of their batches, and of the dead."""

import pytest
from harness import wait_until
from harness.formats import lane_of, pack_outcome
from harness.invariants import Snapshot, check, deliveries
from store import Batch, Store

PUBLISHER, DEAD = "f" * 16, "d" * 16


@pytest.fixture
def daemon(redis, server, start_daemon):
    return start_daemon(redis=server)


@pytest.fixture
def me(redis, daemon):
    """The server's journal, to be looked at."""
    name, = redis.call("ZRANGE", "tl:{0}:replicas", 0, -1)
    return Store(redis, name.decode())


@pytest.fixture
def endpoint(daemon, sink):
    with daemon.client() as client:
        return client.create_webhook(sink.url("/"), ["a.b"])["id"]


def batch_for(store, *targets):
    lanes = {lane_of(endpoint) for endpoints in targets for endpoint in endpoints}
    return Batch(*targets, others={store.me: sorted(lanes)})


class Publisher(Store):
    """Another replica. It takes no lanes, and is not taken for dead."""

    def __init__(self, redis):
        super().__init__(redis, PUBLISHER)

    def publish(self, *args, **options):
        reply = self.make(super().publish.later(*args, **options))
        self.redis.call("ZREM", self.key("journals"), self.me)
        return reply

    def end(self):
        self.redis.call("ZADD", self.key("journals"), 0, self.me)


def look(redis):
    """What a lost notice would have told is looked for at the latest when Redis has been away."""
    redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def closed(redis):
    return not Snapshot(redis).owner


def test_a_part_of_anothers_batch_is_delivered_and_closed(redis, me, endpoint, sink):
    batch = batch_for(me, [endpoint], [endpoint])
    assert Store(redis, PUBLISHER).publish(batch)[2] == b""
    look(redis)
    wait_until(lambda: closed(redis), 20, "the part to be closed")
    assert sorted(sink.ids("/")) == sorted(batch.events)
    assert set(deliveries(check(redis, idle=True, settled=True)).values()) == {"sent"}


def test_the_rest_of_the_batch_stays_open(redis, me, endpoint, sink):
    """Part 0 is the publisher's, who has it still in hand, and ends the batch later."""
    with_me = batch_for(me, [endpoint])
    other = "ep_" + "0" * 27
    batch = Batch([other, endpoint], others={me.me: [lane_of(endpoint)]})
    publisher = Publisher(redis)
    assert lane_of(other) != lane_of(endpoint) and publisher.publish(batch)[2] == b"0"
    assert publisher.publish(with_me)[2] == b""
    look(redis)
    wait_until(lambda: list(Snapshot(redis).owner) == [batch.name], 20, "my parts to be closed")
    assert sorted(sink.ids("/")) == sorted([batch.events[0], with_me.events[0]])
    assert deliveries(Snapshot(redis))[batch.events[0], other] == "open"
    publisher.close((batch.name, {0: pack_outcome("cancelled")}, len(batch.blob), 2, "sp"))
    publisher.end()  # not before: whose journal is listed, and who is not alive, is adopted from
    check(redis, documents=False, idle=True, settled=True)


def test_a_refused_event_of_anothers_batch_is_not_delivered(redis, me, endpoint, sink):
    publisher = Publisher(redis)
    first, batch = Batch([]), batch_for(me, [endpoint], [endpoint])
    publisher.publish(first, [first.claim(0, "k")])
    assert publisher.publish(batch, [batch.claim(0, "k")])[3][:1] == b"d"
    look(redis)
    wait_until(lambda: list(Snapshot(redis).owner) == [first.name], 20, "the part to be closed")
    assert sink.ids("/") == [batch.events[1]]
    publisher.end()
    states = deliveries(check(redis, documents=False))
    assert [states[event, endpoint] for event in batch.events] == ["duplicate", "sent"]


def test_a_part_in_a_dead_ones_journal_is_adopted(redis, me, endpoint, sink):
    """Its owner died between the notice and its reading, with one of two deliveries marked."""
    dead = Store(redis, DEAD)
    dead.heartbeat(lease=1000)
    batch = batch_for(dead, [endpoint], [endpoint])
    Store(redis, PUBLISHER).publish(batch)
    assert dead.progress(batch.member(1), 0)[0] == b"ok"
    wait_until(lambda: closed(redis), 30, "the part to be adopted and closed")
    assert sink.ids("/") == [batch.events[1]]
    check(redis, idle=True)


def test_what_cannot_be_read_is_put_away(redis, me, daemon):
    batch = batch_for(me, ["ep_" + "0" * 27])
    call = Store(redis, PUBLISHER).publish.later(batch)
    redis.call("SET", call.keys[0], b"rubbish", "EX", 600)
    redis.call("ZADD", me.key("journal", me.me), 1, "rubbish", 1, f"{'0' * 26}.64")
    Store(redis, PUBLISHER).make(call, first=False)
    look(redis)
    wait_until(lambda: redis.call("ZSCORE", me.key("journal", me.me), batch.member(1)) is None, 20,
               "the part to be taken out of the journal")
    daemon.wait_for_log("mailbox.bad_batch")
    daemon.wait_for_log("mailbox.bad_name")
    assert 0 < redis.call("PTTL", call.keys[0]), "for people to look at"
    redis.call("DEL", me.key("journal", me.me))
