"""The checker itself: it accepts what is in order, and names each thing that is not."""

import pytest
from harness.formats import (FormatError, batch_of, compress_batch, hash_stable, id_bytes, id_text,
                             lane_of, pack, pack_log, pack_outcome, pack_state, read_batch, unpack)
from harness.invariants import Broken, Snapshot, check, deliveries, problems
from store import MOVED, Batch, Ordered, Store, endpoint_ids, member

ONE, TWO = endpoint_ids(2)


def test_hash_of_lanes():
    """The values of tests/unit/test_hash.c."""
    assert hash_stable(b"") == 0xEFD01F60BA992926
    assert hash_stable(b"\x00\xff\x80") == 0xFBF948707EFEA51B
    assert hash_stable(b"ep_0ujsszwN8NRY24YaXiTIE2VWDTS") == 0xACC62EC5CF44BFCB
    assert lane_of("ep_0ujsszwN8NRY24YaXiTIE2VWDTS") == 0xCB


def test_ids():
    """The values of tests/unit/test_id.c."""
    assert id_text("msg", bytes(range(20))) == "msg_0029sS3yqsuDyR1vGFhTuuRAq1b"
    assert id_bytes("msg_aWgEPTl1tmebfsQzFP4bxwgy80V", "msg") == b"\xff" * 20
    for wrong in ("msg_aWgEPTl1tmebfsQzFP4bxwgy80W", "ep_0029sS3yqsuDyR1vGFhTuuRAq1b", "msg_", ""):
        with pytest.raises(FormatError):
            id_bytes(wrong, "msg")


def test_an_event_knows_its_batch():
    batch = Batch([ONE], [], [ONE, TWO])
    assert [batch_of(event) for event in batch.events] == [(batch.name, n) for n in range(3)]
    events = read_batch(batch.name, batch.blob)
    assert [(e.id, e.targets, e.first_ordinal) for e in events] == [
        (batch.events[0], [ONE], 0), (batch.events[1], [], 1), (batch.events[2], [ONE, TWO], 1)]


def test_a_compressed_batch():
    """It reads as the blob does, and no part of it as anything."""
    batch = Batch([ONE], [TWO] * 40)
    stored = compress_batch(batch.blob)
    assert len(stored) < len(batch.blob)
    assert read_batch(batch.name, stored) == read_batch(batch.name, batch.blob)
    for length in range(len(stored)):
        with pytest.raises(FormatError):
            read_batch(batch.name, stored[:length])


def test_parts_of_a_batch():
    """What the header of a blob says: a lane is its endpoint's, for ever."""
    batch = Batch([ONE, TWO], [TWO], others={"b": [lane_of(TWO)], "c": []})
    events = read_batch(batch.name, batch.blob)
    assert [event.parts for event in events] == [[0, 1], [1]]
    for masks in (b"", b"x" * 31, b"x" * 33, b"x" * 32 * 64):
        blob = pack([1, 5, masks]) + batch.blob[len(pack([1, 1_760_000_000_000, b"".join(batch.masks)])):]
        with pytest.raises(FormatError):
            read_batch(batch.name, blob)


@pytest.mark.parametrize("value", [
    None, True, False, 0, 127, 128, 2**64 - 1, "", "é" * 40, b"", b"\0" * 70_000, [], [1, "a", [b"b"]],
    list(range(20))])
def test_msgpack_there_and_back(value):
    assert unpack(pack(value)) == value


@pytest.mark.parametrize("data, value", [
    (b"\xcc\x80", 128), (b"\xcd\x01\x00", 256), (b"\xce\0\1\0\0", 65536), (b"\xff", -1),
    (b"\xd0\x80", -128), (b"\xa2hi", "hi"), (b"\xd9\x02hi", "hi"), (b"\xc4\x01\0", b"\0"),
    (b"\x92\x01\xc0", [1, None]), (b"\xdc\0\1\x05", [5]), (b"\x81\x01\x02", {1: 2})])
def test_msgpack_of_others(data, value):
    assert unpack(data) == value
    with pytest.raises(FormatError):
        unpack(data[:-1])
    with pytest.raises(FormatError):
        unpack(data + b"\xc0")


# ---- the checker -----------------------------------------------------------------------------------

@pytest.fixture
def batches(redis):
    """Something of everything: (open, closed)."""
    store = Store(redis, "a")
    store.heartbeat()
    for endpoint in (ONE, TWO):
        store.endpoint_put(endpoint, "{}")
    opened, closed = Batch([ONE, TWO], [ONE], [TWO]), Batch([ONE], [ONE, TWO])
    store.publish(opened, [opened.claim(1, "k", "u"), opened.claim(2, "l")])
    store.publish(closed)
    store.move(opened.events[0], ONE, 0, attempt=b"x")
    store.move(opened.events[0], TWO, 1, "dead")
    store.move(closed.events[1], ONE, 1, "in", 60_000)
    store.progress(opened.name, 2)
    store.close((closed.name, {0: pack_outcome("sent"), 2: pack_outcome("cancelled")},
                 len(closed.blob)))
    return opened, closed


def test_what_is_in_order_is_accepted(redis, batches):
    opened, closed = batches
    snapshot = check(redis, attempts_kept=1)
    assert deliveries(snapshot) == {
        (opened.events[0], ONE): "waiting", (opened.events[0], TWO): "dead",
        (opened.events[1], ONE): "none", (opened.events[2], TWO): "open",
        (closed.events[0], ONE): "sent", (closed.events[1], ONE): "waiting",
        (closed.events[1], TWO): "cancelled"}
    with pytest.raises(Broken, match="is open"):
        check(redis, idle=True)


def test_an_outcome_that_is_lost(redis, batches):
    _, closed = batches
    check(redis, settled=False)
    redis.call("SETRANGE", f"tl:{{0}}:outcome:{closed.name}", 0, bytes(12))
    with pytest.raises(Broken, match=f"settled: .*{closed.events[0]}"):
        check(redis, settled=True)


# What is done to the keys of `batches`, and what the checker must say. {open}, {closed}: the batches;
# {E}: the first event of the open one; {lane}: ONE's; {member}: of `closed`.
WRONG = {
    "in_two_journals": ("ZADD journal:b 1 {open}", "J1 batch {open} is in 2"),
    "unknown_owner": ("ZREM journals a", "J2 a has a journal"),
    "unknown_lease": ("ZADD replicas 1 z", "J2 z has a lease"),
    "no_blob": ("DEL batch:{open}", "J3 batch {open} of a's journal has no blob"),
    "blob_expires": ("PEXPIRE batch:{open} 5000", "J3 batch {open} of a's journal is going to"),
    "blob_is_rubbish": ("SET batch:{open} x", "J3 batch {open} cannot be read"),
    "blob_of_no_journal": ("ZREM journal:a {open}", "J4 batch {open}"),
    "orphan_stays": ("ZREM closed {member}", "J7 closed:bytes"),
    "closed_and_open": ("ZADD closed 1 {open}:5", "J6 closed batch {open} is in a's"),
    "closed_twice": ("ZADD closed 1 {closed}:5", "J6 batch {closed} is closed twice"),
    "closed_without_blob": ("DEL batch:{closed}", "J6 closed batch {closed} has lost"),
    "closed_without_outcomes": ("DEL outcome:{closed}", "J5 closed batch {closed} has no outcomes"),
    "wrong_sum": ("INCRBY closed:bytes 1", "J7 closed:bytes"),
    "progress_of_nobody": ("SETBIT progress:{closed} 0 1", "J8 progress of batch {closed}"),
    "progress_too_long": ("SETBIT progress:{open} 7 1", "J8 progress of batch {open} has ordinal 7"),
    "progress_expires": ("PEXPIRE progress:{open} 5000", "J8 progress of batch {open} is going"),
    "outcomes_stay": ("PERSIST outcome:{closed}", "J9 outcomes of batch {closed}, which is not open"),
    "outcomes_too_long": ("SETRANGE outcome:{closed} 36 012345678901", "J9 outcomes of batch {closed} go"),
    "outcomes_are_cut": ("SETRANGE outcome:{closed} 36 0", "J9 outcomes of batch {closed} are 37 bytes"),
    "outcomes_are_rubbish": ("SETRANGE outcome:{closed} 0 xxx", "J9 outcomes of batch {closed}: outcome"),
    "event_without_record": ("HDEL event:{E} e", "D1 {E} has no record"),
    "event_of_rubbish": ("HSET event:{E} e x", "D1 {E}: "),
    "event_of_nobody": ("HDEL event:{E} {ONE} {TWO}", "D1 {E} is kept"),
    "event_expires": ("PEXPIRE event:{E} 5000", "D1 {E} is going to expire"),
    "state_without_entry": ("ZREM due:{ONE} {E}", "D2 {E} for {ONE} is neither"),
    "entry_without_state": ("HDEL event:{E} {ONE}", "D2 {E} in due:{ONE} has no state"),
    "dead_without_state": ("HDEL event:{E} {TWO}", "D2 {E} in dead:{TWO} has no state"),
    "due_and_dead": ("ZADD due:{TWO} 1 {E}", "D2 {E} for {TWO} is both"),
    "dead_and_says_no": ("HSET event:{E} {TWO} {alive}", "D2 {E} for {TWO} is dead and its state denies"),
    "state_of_rubbish": ("HSET event:{E} {ONE} x", "D2 {E} for {ONE}: "),
    "state_of_another": ("HSET event:{E} {ONE} {alive}", "D2 {E} for {ONE} has the ordinal of {TWO}"),
    "moved_without_bit": ("SETBIT progress:{open} 0 0", "D3 {E} for {ONE}"),
    "not_in_its_lane": ("ZREM lane:{lane} {ONE}", "D4 {ONE} has 2 due"),
    "late_in_its_lane": ("ZINCRBY lane:{lane} 5 {ONE}", "D4 {ONE} is 5 ms too late"),
    "in_another_lane": ("ZADD lane:999 1 {ONE}", "D5 {ONE} is in lane 999"),
    "lane_of_nothing": ("ZADD lane:{lane2} 1 {TWO}", "D5 {TWO} is in lane {lane2} and has nothing"),
    "dead_not_listed": ("ZREM dead {TWO}", "D6 {TWO} has dead letters"),
    "listed_not_dead": ("ZADD dead 0 {ONE}", "D6 {ONE} is listed"),
    "endpoint_is_gone": ("HDEL config:endpoints {ONE}", "D7 due:{ONE}"),
    "health_of_nobody": ("HSET health ep_gone {{}}", "D7 health of ep_gone"),
    "health_of_rubbish": ("HSET health {ONE} x", "D7 health of {ONE}"),
    "too_many_attempts": ("LPUSH attempts:{ONE} y", "D8 {ONE} has 2 attempts"),
    "unknown_key": ("SET strange:key x", "K1 unknown key"),
    "key_of_another_type": ("SET idem x", "K1 "),
    "key_of_no_batch": ("HSET idem:ids x y", "K2 78 is in idem:ids and nothing of it in idem"),
    "key_that_is_not_indexed": ("ZREM uid {u_raw}", "K2 {u} is in uid:ids and nothing of it in uid"),
    "key_that_is_not_listed": ("HSET idem:batches {entry} x", "K2 {k} is in idem:ids and nothing of it"),
    "list_that_is_not_indexed": ("ZREM idem {entry}", "K2 {entry_hex} is in idem:batches and not in idem"),
    "batch_without_a_list": ("HDEL idem:batches {entry}", "K2 {entry_hex} is in idem and not in idem:"),
}


# The same for a batch {P} in parts: part 0 is a's, part 1 (TWO) b's.
WRONG_PARTS = {
    "in_two_journals": ("ZADD journal:a 1 {P}.1", "J1 batch {P}.1 is in 2"),
    "no_such_part": ("ZADD journal:a 1 {P}.2", "J1 batch {P} has no part {{2}}"),
    "not_a_part": ("ZADD journal:a 1 {P}.x", "J1 a journal has '{P}.x'"),
    "part_is_lost": ("ZREM journal:b {P}.1", "J10 batch {P} has 1 parts in journals and says 2"),
    "not_counted": ("DEL open:{P}", "J10 batch {P} began with 2 parts and says None"),
    "wrong_count": ("SET open:{P} 3", "J10 batch {P} has 2 parts in journals and says 3"),
    "count_expires": ("PEXPIRE open:{P} 5000", "J10 the number of open parts of batch {P}"),
    "count_of_one": ("SET open:{open} 1", "J10 batch {open} began with 1 parts and says b'1'"),
    "count_of_closed": ("SET open:{closed} 1", "J10 batch {closed} is not open"),
}


@pytest.mark.parametrize("what", WRONG_PARTS)
def test_what_is_wrong_with_parts(redis, batches, what):
    Store(redis, "b").heartbeat()
    parted = Batch([ONE, TWO], others={"b": [lane_of(TWO)]})
    Store(redis, "a").publish(parted)
    assert deliveries(check(redis))[parted.events[0], TWO] == "open"
    command, expected = WRONG_PARTS[what]
    names = {"P": parted.name, "open": batches[0].name, "closed": batches[1].name}
    verb, key, *words = command.format(**names).split(" ")
    redis.call(verb, f"tl:{{0}}:{key}", *words)
    found = problems(Snapshot(redis))
    assert any(problem.startswith(expected.format(**names)) for problem in found), found


@pytest.mark.parametrize("what", WRONG)
def test_what_is_not_in_order_is_told(redis, batches, what):
    command, expected = WRONG[what]
    opened, closed = batches
    names = {"open": opened.name, "closed": closed.name, "E": opened.events[0], "ONE": ONE,
             "TWO": TWO, "lane": lane_of(ONE), "lane2": lane_of(TWO),
             "member": redis.call("ZRANGE", "tl:{0}:closed", 0, 0)[0].decode(),
             "u": member("u").hex(), "k": member("k").hex(), "entry_hex": opened.entry.hex()}
    raw = {"{alive}": pack_state(1), "{entry}": opened.entry, "{u_raw}": member("u")}
    verb, key, *words = command.split(" ")
    words = [raw.get(word) or word.format(**names) for word in words]
    if what == "key_of_another_type":
        redis.call("DEL", "tl:{0}:idem", "tl:{0}:idem:ids")
    redis.call(verb, "tl:{0}:" + key.format(**names), *words)
    found = problems(Snapshot(redis), attempts_kept=1)
    assert any(problem.startswith(expected.format(**names)) for problem in found), found


# The same for an event {H} that is history without its batch; {size} is what `closed` says.
WRONG_HISTORY = {
    "stays": ("PERSIST event:{H}", "D1 {H} is history and stays for ever"),
    "not_listed": ("ZREM closed {H}:{size}", "D1 {H} is history and not in `closed`"),
    "listed_twice": ("ZADD closed 1 {H}:5", "J6 {H} is listed twice"),
    "lost": ("DEL event:{H}", "J6 {H} was history and is lost"),
    "not_counted": ("DECRBY closed:bytes {size}", "J7 closed:bytes"),
    "count_is_wrong": ("HSET event:{H} f 2", "D1 {H} has 1 finished deliveries and says b'2'"),
    "final_is_rubbish": ("HSET event:{H} ={ONE} x", "D1 {H}: "),
    "log_is_rubbish": ("HSET event:{H} ={ONE} 012345678901x", "D1 {H}: "),
    "strange_field": ("HSET event:{H} x y", "D1 {H} has fields"),
}


@pytest.mark.parametrize("what", WRONG_HISTORY)
def test_what_is_wrong_with_an_event_in_history(redis, batches, what):
    store, batch = Store(redis, "a"), Batch([ONE])
    event, = batch.events
    store.publish(batch)
    store.move(event, ONE, 0, record=batch.record, attempt=b"x")
    store.close((batch.name, MOVED, len(batch.blob), 1))
    size = store.settle(event, ONE, "", outcome=pack_outcome("sent"), log=pack_log(1))[3]
    size -= len(batches[1].blob) + 3 * 12
    check(redis)
    command, expected = WRONG_HISTORY[what]
    names = {"H": event, "ONE": ONE, "size": size}
    verb, key, *words = command.format(**names).split(" ")
    redis.call(verb, f"tl:{{0}}:{key}", *words)
    found = problems(Snapshot(redis))
    assert any(problem.startswith(expected.format(**names)) for problem in found), found


# The same for a queue {key} of three events for ONE, {F} {G} {I}; {first} is the member of {F}, {last} that
# of {I}.
WRONG_ORDER = {
    "rubbish": ("ZADD ord:{ONE} 0 x", "O1 ord:{ONE} has b'x'"),
    "twice": ("ZADD ord:{ONE} 0 {copy}", "O1 {I} is in ord:{ONE} 2 times"),
    "state_denies": ("HSET event:{G} {ONE} {alive}", "O1 {G} for {ONE} has place 2"),
    "no_state": ("HDEL event:{G} {ONE}", "O1 {G} for {ONE} has place 2"),
    "head_is_not_due": ("ZREM due:{ONE} {F}", "O2 {F} for {ONE} is the head of"),
    "head_has_left": ("ZREM ord:{ONE} {first}", "O2 {G} for {ONE} is the head of"),
    "follower_is_due": ("ZADD due:{ONE} 1 {I}", "D2 {I} for {ONE} is both due and in line"),
    "follower_is_dead": ("ZADD dead:{ONE} 1 {I}", "D2 {I} for {ONE} is both dead and in line"),
    "follower_has_left": ("ZREM ord:{ONE} {last}", "D2 {I} for {ONE} is neither due nor dead"),
    "later_than_all": ("SET sequence 2", "O3 {I} for {ONE} has place 3 of 2"),
    "endpoint_is_gone": ("HDEL config:endpoints {ONE}", "D7 ord:{ONE}"),
}


@pytest.mark.parametrize("what", WRONG_ORDER)
def test_what_is_wrong_with_an_ordered_queue(redis, batches, what):
    batch, key = Batch([ONE], [ONE, TWO], [ONE]), member("key")
    Store(redis, "a").publish(batch, ordered=[Ordered(0, key), Ordered(1, key), Ordered(3, key)])
    found = deliveries(check(redis))
    assert [found[event, ONE] for event in batch.events] == ["waiting"] * 3
    first, _, last = redis.call("ZRANGE", f"tl:{{0}}:ord:{ONE}", 0, -1)
    command, expected = WRONG_ORDER[what]
    names = dict(zip("FGI", batch.events), ONE=ONE)
    raw = {"{first}": first, "{last}": last, "{copy}": last + b"5", "{alive}": pack_state(1)}
    verb, where, *words = command.split(" ")
    words = [raw.get(word) or word.format(**names) for word in words]
    redis.call(verb, "tl:{0}:" + where.format(**names), *words)
    found = problems(Snapshot(redis))
    assert any(problem.startswith(expected.format(**names)) for problem in found), found


def test_an_orphan_is_no_problem_unless_it_stays(redis, batches):
    redis.call("SET", "tl:{0}:batch:" + (orphan := Batch([ONE])).name, orphan.blob, "EX", 600)
    check(redis)
    redis.call("PEXPIRE", "tl:{0}:batch:" + orphan.name, 700_000)
    with pytest.raises(Broken, match="J5"):
        check(redis)
