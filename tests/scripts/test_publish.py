"""publish.lua: a batch counts once, wholly or not at all, however often the call is repeated."""

import pytest
from harness.formats import lane_of
from harness.invariants import ENTRY_BYTES, Snapshot, check
from store import (ORPHAN_SECONDS, Batch, Claim, Store, answer, dedup_answer, endpoint_ids,
                   member)

ONE, TWO = endpoint_ids(2)


def journal(store):
    return [name.decode() for name in store.redis.call("ZRANGE", store.key("journal", store.me),
                                                       0, -1)]


def progress(store, batch):
    return Snapshot(store.redis).progress(batch.name)


def expire(store, *batches):
    """The keys that these batches have taken have expired, one batch after the other."""
    for kind, entry_bytes in ENTRY_BYTES.items():
        fields = store.redis.call("HGETALL", store.key(kind, "ids"))
        for score, batch in enumerate(batches, 1):
            mine = {member: kept for member, kept in zip(fields[::2], fields[1::2])
                    if kept.startswith(batch.entry)}
            for entry in {*mine, *(kept[:entry_bytes] for kept in mine.values()), batch.entry}:
                store.redis.call("ZADD", store.key(kind), "XX", score, entry)


def keys(store, kind="idem"):
    """All keys of a kind that are there, expired or not."""
    return set(store.redis.call("HKEYS", store.key(kind, "ids")))


def test_a_stored_batch_is_in_the_journal_and_stays(a, redis):
    batch = Batch([ONE, TWO], [ONE])
    assert a.publish(batch, sequence=7) == [b"ok", 0, b"0"]
    assert redis.call("PTTL", a.key("batch", batch.name)) == -1
    assert redis.call("ZSCORE", a.key("journal", "a"), batch.name) == b"7"
    assert not redis.call("EXISTS", a.key("progress", batch.name))


def test_a_repeated_call_changes_nothing_and_answers_the_same(a, dump):
    batch = Batch([ONE], [ONE], [TWO], [ONE, TWO])
    a.publish(Batch([ONE]), claims=[])
    claims = [batch.claim(0, "k"), batch.claim(1, "k"), batch.claim(2, "l", "u"),
              batch.claim(3, "m", "u")]
    call = a.publish.later(batch, claims)
    status, _, _, *verdicts = a.make(call)
    assert status == b"ok"
    assert verdicts == [0, b"d" + answer(batch.events[0]), 0, b"u" + answer(batch.events[2])]
    before = dump()
    for first in (False, False, True):
        again, _, _, *same = a.make(call, first)
        assert (again, same) == (b"ok", verdicts)
    assert dump() == before
    assert progress(a, batch) == {1, 3, 4}


def test_without_its_blob_nothing_is_written(a, dump):
    batch = Batch([ONE])
    before = dump()
    assert a.publish(batch, [batch.claim(0, "k", "u")], blob=False)[0] == b"noblob"
    assert dump() == before
    assert a.publish(batch, [batch.claim(0, "k", "u")])[::3] == [b"ok", 0]


def test_a_blob_that_expired_before_its_script_ran(a, redis):
    batch = Batch([ONE])
    redis.call("SET", a.key("batch", batch.name), batch.blob, "PX", 1)
    while redis.call("EXISTS", a.key("batch", batch.name)):
        pass
    assert a.publish(batch, blob=False)[0] == b"noblob"
    assert a.publish(batch)[0] == b"ok"


def test_the_blob_of_a_script_that_never_ran_goes_by_itself(a, redis):
    batch = Batch([ONE])
    for command in a.publish.later(batch).before:
        redis.call(*command)
    assert 0 < redis.call("PTTL", a.key("batch", batch.name)) <= ORPHAN_SECONDS * 1000


def test_a_full_journal_refuses_and_writes_nothing(a, dump):
    first, second = Batch([ONE]), Batch([ONE], [ONE])
    assert a.publish(first, journal_max=1)[0] == b"ok"
    call = a.publish.later(second, [second.claim(0, "k"), second.claim(1, "k")], journal_max=1)
    a.make(call)
    before = dump()
    assert a.make(call)[0] == b"journal_full"
    assert dump() == before
    assert a.publish(first, journal_max=1)[0] == b"ok", "a repeated call needs no room"
    a.close(first.name)
    assert a.make(call)[0] == b"ok"


def test_events_that_were_matched_by_an_old_configuration_are_refused(a, redis, dump):
    """The blob goes too. What was stored before the change stays stored, whoever asks again."""
    known, late = Batch([ONE]), Batch([ONE], [TWO])
    first = a.endpoint_put(ONE, "{}")[1]
    stored = a.publish.later(known, [known.claim(0, "known")], version=first)
    assert a.make(stored)[0] == b"ok"
    second = a.endpoint_put(TWO, "{}")[1]
    before = dump()
    call = a.publish.later(late, [late.claim(0, "k", "u"), late.claim(1, "l")], version=first)
    for _ in range(2):
        assert a.make(call) == [b"stale", 0, second]
        assert dump() == before
    assert a.make(call, False)[0] == b"noblob", "a copy that comes late"
    assert a.make(stored, False)[::3] == [b"ok", 0]
    for version in (second, second + 1, ""):
        assert a.publish(Batch([ONE]), version=version)[0] == b"ok"


def test_parts_for_others_are_refused_as_well(a, redis, dump):
    batch = Batch([ONE], [TWO], others={"b": [lane_of(TWO)]})
    version = a.endpoint_put(ONE, "{}")[1]
    before = dump()
    assert a.publish(batch, version=0)[0] == b"stale"
    assert dump() == before
    assert a.publish(batch, version=version)[0] == b"ok"


# ---- keys ------------------------------------------------------------------------------------------

def test_verdicts_are_told_when_there_are_others_than_new(a, redis):
    """Redis's time is told with keys: it was looked at for their sake."""
    first, second = Batch([ONE], [ONE]), Batch([ONE], [ONE], [ONE])
    for batch, claims, verdicts in (
            (first, [first.claim(0, "k", "u"), first.claim(1, "l")], []),
            (second, [second.claim(0, "m"), second.claim(2, "k")], [0, b"d" + answer(first.events[0])])):
        call = a.publish.later(batch, claims)
        redis.call(*call.before[0])
        for _ in range(2):
            status, now, parts, *told = redis.call(*call.words())
            assert (status, parts, told) == (b"ok", b"0", verdicts)
            assert abs(now - int(redis.call("TIME")[0]) * 1000) < 5000


def test_the_first_event_of_a_key_wins_over_all_later_ones(a):
    first, second = Batch([ONE]), Batch([ONE], [TWO], [TWO])
    a.publish(first, [first.claim(0, "k")])
    claims = [second.claim(0, "k"), second.claim(1, "other"), second.claim(2, "other")]
    assert a.publish(second, claims)[3:] == [b"d" + answer(first.events[0]), 0,
                                             b"d" + answer(second.events[1])]
    assert progress(a, second) == {0, 2}


def test_a_uid_belongs_to_one_event_and_a_refused_event_takes_no_key(a, redis):
    first, second = Batch([ONE]), Batch([ONE])
    a.publish(first, [first.claim(0, uid="u")])
    assert a.publish(second, [second.claim(0, "k", "u")])[3:] == [b"u" + answer(first.events[0])]
    assert not redis.call("HEXISTS", a.key("idem", "ids"), member("k"))


def test_a_duplicate_key_is_told_before_a_taken_uid(a):
    first, second, third = Batch([ONE]), Batch([ONE]), Batch([ONE])
    a.publish(first, [first.claim(0, "k")])
    a.publish(second, [second.claim(0, uid="u")])
    assert a.publish(third, [third.claim(0, "k", "u")])[3:] == [b"d" + answer(first.events[0])]


def test_an_expired_key_is_free_again(a, redis):
    first, second = Batch([ONE]), Batch([ONE])
    a.publish(first, [first.claim(0, "k", "u")])
    expire(a, first)
    assert a.publish(second, [second.claim(0, "k", "u")])[3:] == [0]
    assert redis.call("HGET", a.key("idem", "ids"), member("k")) == answer(second.events[0])


@pytest.mark.parametrize("limit", ["idem", "uid"])
def test_a_full_index_refuses_new_keys_alone(a, dump, limit):
    first, second = Batch([ONE], [ONE]), Batch([ONE], [ONE], [ONE], [TWO])
    a.publish(first, [first.claim(0, **{limit: "1"}), first.claim(1, **{limit: "2"})])
    claims = [second.claim(0, **{limit: "3"}), second.claim(1, **{limit: "1"})]
    call = a.publish.later(second, claims, **{f"{limit}_max": 2})
    letter = {"idem": b"d", "uid": b"u"}[limit]
    verdicts = [b"f", letter + answer(first.events[0])]
    assert a.make(call)[3:] == verdicts
    assert progress(a, second) == {0, 1}, "what is refused is never delivered"
    before = dump()
    assert a.make(call, first=False)[3:] == verdicts
    assert dump() == before


def test_a_key_is_free_in_the_index_it_was_not_refused_by(a):
    """No room for the uid: the idempotency key is not taken either."""
    first, second, third = Batch([ONE]), Batch([ONE]), Batch([ONE])
    a.publish(first, [first.claim(0, uid="1")])
    assert a.publish(second, [second.claim(0, "k", "2")], uid_max=1)[3:] == [b"f"]
    assert a.publish(third, [third.claim(0, "k")])[3:] == [0]


def test_expired_keys_make_room_at_a_bounded_pace(a, redis):
    """Whole batches; at least as many keys as the call may take, which a full index has room for then."""
    old = [Batch([ONE]) for _ in range(100)] + [Batch(*[[ONE]] * 1000), Batch([ONE])]
    for number, batch in enumerate(old):
        claims = [batch.claim(n, f"{number}.{n}") for n in range(len(batch.events))]
        assert set(a.publish(batch, claims, idem_max=1101)[3:]) == {0}
    expire(a, *old)
    for events, left in ((1, 1101 - 2 + 1), (20, 1100 - 21 + 20), (80, 1099 - 77 - 1000 + 80), (2, 103)):
        batch = Batch(*[[ONE]] * events)
        claims = [batch.claim(n, f"new{events}.{n}") for n in range(events)]
        assert a.publish(batch, claims, idem_max=1101)[3:] == [0] * events
        assert len(keys(a)) == left
        check(redis)


@pytest.mark.parametrize("then", [1, 2], ids=["one", "two"])
@pytest.mark.parametrize("now", [1, 2], ids=["by one", "by two"])
def test_an_expired_key_that_was_taken_again_is_not_dropped_with_the_old(a, redis, then, now):
    """It had not been dropped yet when a later event took it. A batch of one key has no list of them."""
    def take(*names):
        batch = Batch(*[[ONE]] * len(names))
        assert set(a.publish(batch, [batch.claim(n, *[name] * 2)
                                     for n, name in enumerate(names)])[3:]) == {0}
        return batch

    expire(a, *[take(*(f"{n}", f"{n}+")[:then]) for n in range(5)])
    first, second = take(*("4", "another")[:now]), Batch([ONE], [ONE])
    assert {member("3"), member("4")} <= keys(a) & keys(a, "uid"), "not all were dropped yet"
    for n in range(9):
        take(f"new{n}")
    assert redis.call("ZCOUNT", a.key("idem"), 0, 10**6) == 0, "now they were"
    assert not (keys(a) | keys(a, "uid")) & {member("3"), member("4+")}
    assert a.publish(second, [second.claim(0, "4"), second.claim(1, uid="4")])[3:] == [
        letter + answer(first.events[0]) for letter in (b"d", b"u")]
    expire(a, first)
    take("last")
    assert not (keys(a) | keys(a, "uid")) & {member("4"), member("another")}


def test_a_key_that_expired_needs_no_room_to_be_taken_again(a, redis):
    """Although it was not dropped yet: the number of keys does not change."""
    old = [Batch([ONE]) for _ in range(6)]
    for number, batch in enumerate(old):
        a.publish(batch, [batch.claim(0, f"{number}")])
    expire(a, *old)
    batch = Batch(*[[ONE]] * 2)
    assert a.publish(batch, [batch.claim(0, "5"), batch.claim(1, "new")], idem_max=4)[3:] == [0, 0]
    assert keys(a) == {member("3"), member("4"), member("5"), member("new")}


@pytest.mark.parametrize("twice", ["idem", "uid"])
def test_a_key_that_a_batch_has_twice_leaves_nothing_of_the_event_that_is_refused(a, redis, twice):
    """Its other key is free afterwards, for all that had been entered when that was found."""
    batch, later = Batch([ONE], [ONE]), Batch([ONE])
    other = {"idem": "uid", "uid": "idem"}[twice]
    claims = [batch.claim(n, **{twice: "k", other: f"{n}"}) for n in range(2)]
    verdict = {"idem": b"d", "uid": b"u"}[twice] + answer(batch.events[0])
    assert a.publish(batch, claims)[3:] == [0, verdict]
    assert keys(a, twice) == {member("k")} and keys(a, other) == {member("0")}
    assert a.publish(later, [later.claim(0, **{other: "1"})])[3:] == [0]


def test_of_many_keys_none_is_lost_or_mixed_up(a, redis):
    """As many as a batch may have, with every combination: each leads to its own event afterwards."""
    batch = Batch(*[[ONE]] * 1024)
    names = [(f"i{n}" if n % 3 != 2 else "", f"u{n}" if n % 3 else "") for n in range(1024)]
    more = {"idem_max": 10_000, "uid_max": 10_000}
    assert a.publish(batch, [batch.claim(n, *names[n]) for n in range(1024)], **more)[3:] == [0] * 1024
    for n in range(0, 1024, 13):
        for letter, name in zip("du", names[n]):
            if name:
                other = Batch([ONE])
                claim = other.claim(0, **{"idem" if letter == "d" else "uid": name})
                assert a.publish(other, [claim], **more)[3:] == [
                    letter.encode() + answer(batch.events[n])]
    assert len(keys(a)) == 683 and len(keys(a, "uid")) == 682
    check(redis)


def test_when_the_list_of_a_batch_is_lost_others_are_stored_all_the_same(a, redis):
    """A Redis that evicts keys may lose one of the two."""
    first, second = Batch([ONE], [ONE]), Batch([ONE])
    a.publish(first, [first.claim(0, "k"), first.claim(1, "l")])
    expire(a, first)
    redis.call("DEL", a.key("idem", "batches"))
    assert a.publish(second, [second.claim(0, "k")])[3:] == [0]
    assert not redis.call("ZSCORE", a.key("idem"), first.entry)
    redis.call("HDEL", a.key("idem", "ids"), member("l"))  # nobody knows of it any more


def test_a_repeated_call_says_no_room_where_the_first_did(a):
    """Room that was made meanwhile does not turn a refused event into a stored one."""
    first, second = Batch([ONE]), Batch([ONE])
    a.publish(first, [first.claim(0, "1")], idem_max=1)
    call = a.publish.later(second, [second.claim(0, "2")], idem_max=1)
    assert a.make(call)[3:] == [b"f"]
    again = a.publish.later(second, [second.claim(0, "2")], idem_max=100)
    assert a.make(again)[3:] == [b"f"]


@pytest.mark.parametrize("gone", [False, True], ids=["expired", "trimmed"])
@pytest.mark.parametrize("index", ["idem", "uid"])
def test_a_refused_event_stays_refused_when_the_key_expires_before_the_repeated_call(
        a, redis, dump, index, gone):
    """Its ordinals are marked: told to be accepted, it would be taken for delivered and lost."""
    first, second = Batch([ONE]), Batch([ONE], [ONE])
    a.publish(first, [first.claim(0, **{index: "k"})])
    call = a.publish.later(second, [second.claim(0, **{index: "k"}), second.claim(1, "own", "own")])
    _, _, _, refused, accepted = a.make(call)
    assert refused[1:] == answer(first.events[0]) and accepted == 0
    expire(a, first, second)
    if gone:
        redis.call("DEL", *a.key_names("idem"), *a.key_names("uid"))
    before = dump()
    assert a.make(call, first=False)[3:] == [b"f" if gone else refused, 0]
    assert dump() == before


@pytest.mark.parametrize("first, count", [(0, 1), (0, 8), (3, 4), (5, 20), (8, 16), (7, 1000),
                                          (1, 7), (4, 0), (64, 64)])
def test_exactly_the_ordinals_of_a_refused_event_are_marked(a, first, count):
    other = Batch([ONE])
    a.publish(other, [other.claim(0, "k")])
    batch = Batch([ONE] * first, [TWO] * count, [ONE] * 9)
    assert a.publish(batch, [batch.claim(1, "k")])[3][:1] == b"d"
    assert progress(a, batch) == set(range(first, first + count))


def test_a_wide_event_is_refused_without_stopping_redis(a, redis):
    """A million deliveries of refused events in one batch are marked within 100 ms."""
    other = Batch([ONE])
    a.publish(other, [other.claim(0, "k")])
    batch = Batch([ONE])
    event = batch.claim(0, "k")
    call = a.publish.later(batch, [Claim(event.event, event.keys, (1024 * n, 1024, n))
                                      for n in range(1024)])
    redis.call("CONFIG", "RESETSTAT")
    assert a.make(call)[0] == b"ok"
    stat = redis.call("INFO", "commandstats").decode()
    usec = int(stat.partition("cmdstat_evalsha:")[2].partition("usec=")[2].partition(",")[0])
    assert usec < 100_000
    assert redis.call("BITCOUNT", a.key("progress", batch.name)) == 1024 * 1024
    a.close(batch.name)


# ---- deduplication keys ----------------------------------------------------------------------------

def seen(event, ttl_ms=60_000, deliveries=1):
    """The verdict on a duplicate of that event."""
    return b"s" + dedup_answer(event, ttl_ms, deliveries)


def test_the_first_event_of_a_deduplication_key_wins(a):
    """In its batch and in later ones; and its key is nothing to those of the other kinds."""
    first, second = Batch([ONE], [ONE, TWO], [ONE]), Batch([ONE], [TWO], [ONE], [ONE])
    assert a.publish(first, [first.claim(0, dedup="k"), first.claim(1, dedup="l"),
                             first.claim(2, dedup="k")])[3:] == [0, 0, seen(first.events[0])]
    assert progress(a, first) == {3}
    assert a.publish(second, [second.claim(0, dedup="l"), second.claim(1, "k"),
                              second.claim(2, uid="l"), second.claim(3, dedup="m")])[3:] == [
        seen(first.events[1], deliveries=2), 0, 0, 0]


def test_a_repeated_call_says_the_same_of_deduplication_keys(a, dump):
    first, batch = Batch([ONE]), Batch([ONE], [ONE], [TWO], [ONE])
    a.publish(first, [first.claim(0, dedup="old")])
    claims = [batch.claim(0, dedup="k"), batch.claim(1, dedup="k"), batch.claim(2, "i", "u"),
              batch.claim(3, dedup="old")]
    call = a.publish.later(batch, claims)
    verdicts = a.make(call)[3:]
    assert verdicts == [0, seen(batch.events[0]), 0, seen(first.events[0])]
    for expired in ([], [first], [first, batch]):
        expire(a, *expired)
        before = dump()
        assert a.make(call, first=False)[3:] == verdicts
        assert dump() == before


@pytest.mark.parametrize("events", [1, 3], ids=["alone", "several"])
def test_each_deduplication_key_has_a_time_to_live_of_its_own(a, redis, events):
    """In one batch; the short one is free again, and the long one is not."""
    first, second = Batch(*[[ONE]] * 2 * events), Batch(*[[ONE]] * 2 * events)
    ttls = [20, 60_000] * events

    def claims(batch):
        return [batch.claim(n, dedup=f"{n}", ttl_ms=ttl) for n, ttl in enumerate(ttls)]
    assert a.publish(first, claims(first))[3:] == [0] * 2 * events
    now = int(redis.call("TIME")[0]) * 1000
    entries = redis.call("ZRANGE", a.key("dedup"), 0, -1, "WITHSCORES")
    soon, late = (float(score) - now for score in entries[1::2])
    assert soon < 5000 < 55_000 < late < 65_000
    a.wait(25)
    assert a.publish(second, claims(second))[3:] == [
        0 if ttl == 20 else seen(first.events[n], ttl) for n, ttl in enumerate(ttls)]
    check(redis)


def test_expired_deduplication_keys_are_dropped_with_their_group_alone(a, redis):
    first = Batch(*[[ONE]] * 4)
    a.publish(first, [first.claim(n, dedup=f"{n}", ttl_ms=20 if n < 2 else 60_000) for n in range(4)])
    a.wait(25)
    later = Batch([ONE])
    a.publish(later, [later.claim(0, dedup="new")])
    assert keys(a, "dedup") == {member("2"), member("3"), member("new")}
    assert redis.call("HLEN", a.key("dedup", "batches")) == 1
    check(redis)


def test_a_full_index_of_deduplication_keys_refuses_new_ones_alone(a):
    first, second = Batch([ONE]), Batch([ONE], [ONE], [ONE])
    a.publish(first, [first.claim(0, dedup="1")])
    assert a.publish(second, [second.claim(0, dedup="2"), second.claim(1, dedup="1"),
                              second.claim(2, "2")], dedup_max=1)[3:] == [b"f", seen(first.events[0]), 0]


def test_of_many_deduplication_keys_none_is_mixed_up(a, redis):
    """As many as a batch may have, with many times to live."""
    batch = Batch(*[[ONE]] * 1024)
    ttls = [60_000 + 2**40 * (n % 7) for n in range(1024)]
    claims = [batch.claim(n, f"i{n}" if n % 3 else "", dedup=f"{n}", ttl_ms=ttls[n]) for n in range(1024)]
    more = {"idem_max": 10_000, "dedup_max": 10_000}
    assert a.publish(batch, claims, **more)[3:] == [0] * 1024
    for n in range(0, 1024, 13):
        other = Batch([ONE])
        assert a.publish(other, [other.claim(0, dedup=f"{n}", ttl_ms=5)], **more)[3:] == [
            seen(batch.events[n], ttls[n])]
    assert redis.call("ZCARD", a.key("dedup")) == 7
    check(redis)


# ---- two replicas ----------------------------------------------------------------------------------

def test_the_owner_of_a_journal_is_known_before_its_first_heartbeat(redis):
    """Else nobody finds the batch when the owner dies now."""
    store = Store(redis, "new")
    assert store.publish(Batch([ONE]))[0] == b"ok"
    assert redis.call("ZSCORE", store.key("journals"), "new") is not None


def test_a_replica_that_was_buried_while_it_slept_is_known_again(a, b, redis):
    a.heartbeat(lease=0)
    assert b.bury("a") == b"ok"
    batch = Batch([ONE])
    a.publish(batch)
    assert b"a" in b.heartbeat()[2:], "it has a journal again, and still no lease"
    assert b.adopt(batch.name, "a") == b"ok"


def test_a_batch_adopted_by_another_is_not_entered_again(a, b, dump):
    """The reply was lost, and so was my lease: the repeated call finds it in another's journal."""
    batch = Batch([ONE], [ONE])
    call = a.publish.later(batch, [batch.claim(0, "k"), batch.claim(1, "k")])
    _, _, _, *verdicts = a.make(call)
    a.heartbeat(lease=0)
    assert b.adopt(batch.name, "a") == b"ok"
    before = dump()
    status, _, parts, *same = a.make(call, first=False)
    assert status == b"ok" and parts == b"" and same == verdicts
    assert dump() == before


@pytest.mark.parametrize("moved", [False, True], ids=["finished", "moved"])
def test_a_batch_adopted_and_closed_by_another_is_not_opened_again(a, b, dump, moved):
    batch = Batch([ONE])
    call = a.publish.later(batch, [batch.claim(0, "k")])
    a.make(call)
    a.heartbeat(lease=0)
    b.adopt(batch.name, "a")
    if moved:
        b.move(batch.events[0], ONE, 0)
    b.close((batch.name, {} if moved else {0: b"\1" * 12}))
    before = dump()
    for first in (False, True):
        status, _, parts, *verdicts = a.make(call, first)
        assert status == b"ok" and parts == b"" and verdicts == [0]
    assert dump() == before


def test_a_late_copy_of_the_call_does_not_open_a_closed_batch(a, dump):
    """Redis may read what an abandoned connection still holds after the repeated call's answer."""
    batch = Batch([], [ONE])
    call = a.publish.later(batch)
    a.make(call)
    a.close(batch.name)
    before = dump()
    assert a.make(call)[::2] == [b"ok", b""]
    assert dump() == before


def test_a_late_copy_of_the_call_does_not_open_a_batch_that_left_nothing(a, redis, dump):
    """Closed by one who was not sure: a tombstone tells, and the blob that came with the copy goes."""
    batch = Batch([ONE])
    call = a.publish.later(batch, [batch.claim(0, "k")])
    a.make(call)
    a.close((batch.name, {0: b"\1" * 12}, len(batch.blob), 1, ""), keep=0)
    before = dump()
    for first in (False, True):
        status, _, parts, verdict = a.make(call, first)
        assert (status, parts, verdict) == (b"ok", b"", 0)
    assert dump() == before and not redis.call("EXISTS", a.key("batch", batch.name))


# ---- parts -----------------------------------------------------------------------------------------

def parts_for(*targets, b=(TWO,), **others):
    """A batch in parts: the lanes of these endpoints are b's, and so on."""
    lanes = {owner: [lane_of(endpoint) for endpoint in endpoints]
             for owner, endpoints in {"b": b, **others}.items()}
    return Batch(*targets, others=lanes)


def test_each_part_is_entered_in_its_owners_journal(a, b, redis):
    batch = parts_for([ONE, TWO], [TWO], [])
    assert a.publish(batch, sequence=5)[2] == b"0"
    snapshot = Snapshot(redis)
    assert snapshot.owner == {batch.name: "a", f"{batch.name}.1": "b"}
    assert redis.call("ZSCORE", a.key("journal", "b"), f"{batch.name}.1") == b"5"
    assert redis.call("GET", a.key("open", batch.name)) == b"2"
    assert snapshot.ttl[f"batch:{batch.name}"] == -1


def test_only_parts_with_deliveries_are_entered(a, b, redis):
    """Nothing is mine; nothing is another's; there is nothing at all."""
    theirs, own, empty = parts_for([TWO], [TWO]), parts_for([ONE]), parts_for([], [])
    assert a.publish(theirs)[2] == b""
    assert [a.publish(batch)[2] for batch in (own, empty)] == [b"0", b"0"]
    assert Snapshot(redis).owner == {f"{theirs.name}.1": "b", own.name: "a", empty.name: "a"}
    assert not Snapshot(redis).all("open"), "each is the only part of its batch"


def test_the_owner_of_a_part_is_told_when_it_is_entered(a, b, redis, server):
    batch = parts_for([ONE, TWO])
    call = a.publish.later(batch)
    with server.connect(timeout=5) as listener:
        listener.call("SUBSCRIBE", a.key("to", "b"))
        a.make(call)
        a.make(call)  # a repeated call tells nobody
        a.publish(other := parts_for([TWO]))
        told = [listener.read()[2] for _ in range(2)]
    assert told == [f"b{batch.name}.1".encode(), f"b{other.name}.1".encode()]


@pytest.mark.parametrize("why", ["buried", "full"])
def test_a_part_whose_owner_cannot_take_it_falls_to_me(a, b, redis, dump, why):
    if why == "full":
        assert b.publish(Batch([ONE]))[2] == b"0"
    else:
        b.heartbeat(lease=0)
        assert a.bury("b") == b"ok"
    batch = parts_for([ONE], [TWO])
    call = a.publish.later(batch, journal_max=1)
    assert a.make(call)[2] == b"0,1"
    assert {Snapshot(redis).owner[batch.member(part)] for part in (0, 1)} == {"a"}
    before = dump()
    assert a.make(call)[2] == b"0,1"
    assert dump() == before


def test_a_full_journal_of_mine_refuses_all_parts(a, b, dump):
    a.publish(Batch([ONE]))
    call = a.publish.later(parts_for([ONE], [TWO]), journal_max=1)
    a.redis.call(*call.before[0])
    before = dump()
    assert a.make(call, first=False)[0] == b"journal_full"
    assert dump() == before


def test_one_whose_lease_has_ended_gets_its_part_all_the_same(a, b, redis):
    """Until it is buried it may come back; else its journal is adopted, with this."""
    b.heartbeat(lease=0)
    batch = parts_for([TWO])
    assert a.publish(batch)[2] == b""
    assert a.adopt(batch.member(1), "b") == b"ok"
    assert a.make(a.publish.later(batch), first=False)[2] == b"1", "now it is mine"


def test_a_repeated_call_tells_what_is_mine_by_now(a, b):
    """Parts were adopted, closed, or both, before the publisher had its answer."""
    batch = parts_for([ONE], [TWO])
    call = a.publish.later(batch, [batch.claim(0, "k"), batch.claim(1, "k")])
    verdicts = a.make(call)[3:]
    assert verdicts == [0, b"d" + answer(batch.events[0])]
    assert b.close((batch.member(1), {1: b"\3" * 12}, 0, 2, "p"))[2] == 0
    assert a.make(call, first=False)[2:] == [b"0", *verdicts]
    a.heartbeat(lease=0)
    assert b.adopt(batch.name, "a") == b"ok"
    assert a.make(call, first=False)[2:] == [b"", *verdicts]
    assert b.close((batch.name, {0: b"\1" * 12}, 0, 2, "p"))[2] == 1
    for first in (False, True):
        assert a.make(call, first)[2:] == [b"", *verdicts]


def test_what_another_has_delivered_is_not_taken_for_refused(a, b, redis):
    """Before the publisher's reply: the other's marks are no verdict, though all keys have expired."""
    batch = parts_for([TWO], [TWO], [ONE])
    other = Batch([ONE])
    a.publish(other, [other.claim(0, "taken")])
    call = a.publish.later(batch, [batch.claim(0, "k"), batch.claim(1, "taken")])
    verdicts = a.make(call)[3:]
    assert b.progress(batch.member(1), 0)[0] == b"ok"
    assert b.move(batch.events[0], TWO, 0, part=1)[::2] == [b"ok", 0], "it is marked already"
    redis.call("DEL", *a.key_names("idem"))
    assert a.make(call, first=False)[3:] == [0, b"f"] and verdicts[1][:1] == b"d"
    assert Snapshot(redis).refused(batch.name) == {1}


def test_a_refused_event_is_marked_for_all_parts(a, b, redis):
    first, batch = Batch([ONE]), parts_for([ONE, TWO], [ONE, TWO])
    a.publish(first, [first.claim(0, "k")])
    a.publish(batch, [batch.claim(0, "k"), batch.claim(1, "own")])
    assert progress(a, batch) == {0, 1} and Snapshot(redis).refused(batch.name) == {0}


def test_an_owner_without_a_journal_is_known_to_have_one(a, redis):
    """b has a lease and nothing else: else nobody would find the part when it dies now."""
    redis.call("ZADD", a.key("replicas"), 2**50, "b")
    a.publish(parts_for([TWO]))
    assert redis.call("ZSCORE", a.key("journals"), "b") is not None


def test_a_notice_that_may_not_be_sent_undoes_nothing(a, b, redis):
    """The right to publish is one of its own, and a script is not rolled back."""
    user = Store(redis, "a")
    redis.call("ACL", "SETUSER", "quiet", "on", ">p", "~*", "+@all", "resetchannels")
    try:
        redis.call("AUTH", "quiet", "p")
        batch = parts_for([ONE], [TWO])
        assert user.publish(batch)[::2] == [b"ok", b"0"]
    finally:
        redis.call("AUTH", "default", "")
        redis.call("ACL", "DELUSER", "quiet")
    assert len(Snapshot(redis).owner) == 2


# ---- memory ----------------------------------------------------------------------------------------

def test_out_of_memory_no_part_is_entered(a, b, redis, dump):
    call = a.publish.later(parts_for([ONE], [TWO]))
    redis.call(*call.before[0])
    before = dump()
    redis.call("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(Exception, match="OOM"):
        a.make(call, first=False)
    assert dump() == before


def test_out_of_memory_nothing_is_written(a, redis, dump):
    """Not even expired keys are trimmed, which would make the rest of the script unstoppable."""
    old, batch = Batch([ONE]), Batch([ONE])
    a.publish(old, [old.claim(0, "old", "old")])
    expire(a, old)
    call = a.publish.later(batch, [batch.claim(0, "k", "u")])
    redis.call(*call.before[0])
    before = dump()
    redis.call("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(Exception, match="OOM"):
        a.make(call, first=False)
    with pytest.raises(Exception, match="OOM"):
        redis.call(*call.before[0])
    assert dump() == before


def test_out_of_memory_a_repeated_call_still_says_that_the_batch_is_stored(a, redis, dump):
    """Else the producer is told that it is not, and nobody delivers what is in the journal."""
    batch = Batch([ONE], [TWO])
    call = a.publish.later(batch, [batch.claim(0, "k"), batch.claim(1, "k")])
    _, _, _, *verdicts = a.make(call)
    before = dump()
    redis.call("CONFIG", "SET", "maxmemory", 1)
    status, _, _, *same = a.make(call, first=False)
    assert status == b"ok" and same == verdicts
    assert dump() == before


def test_when_redis_cannot_write_to_disk_a_repeated_call_is_answered(a, redis, dump):
    batch = Batch([ONE])
    call = a.publish.later(batch)
    a.make(call)
    redis.call("CONFIG", "SET", "min-replicas-to-write", 1)
    try:
        assert a.make(call, first=False)[0] == b"ok"
        with pytest.raises(Exception, match="NOREPLICAS"):
            a.publish(Batch([ONE]))
    finally:
        redis.call("CONFIG", "SET", "min-replicas-to-write", 0)


def test_a_server_that_forgot_the_scripts_is_given_them(a, redis):
    batch = Batch([ONE])
    redis.call("SCRIPT", "FLUSH")
    assert a.publish(batch)[0] == b"ok"
    assert journal(a) == [batch.name]
