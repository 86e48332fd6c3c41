"""heartbeat, lanes_release, lanes_take, bury: who is here, and who owns which lane."""

import json
import random
import time
from collections import Counter, defaultdict

import pytest
from harness import wait_until
from harness.formats import LANES
from harness.invariants import check
from store import Beat, Store


def share(count):
    return -(-LANES // count)


class Member:
    """A replica that does what its heartbeats ask for, one call at a time."""

    def __init__(self, redis, name, lease=60_000):
        self.store, self.lease, self.draining = Store(redis, name), lease, False
        self.version, self.lanes, self.beat = 0, set(), None

    def step(self):
        """A heartbeat, and the release that it asks for."""
        beat = self.beat = self.store.beat(self.lease, known=self.version, draining=self.draining)
        if beat.owners is not None:
            self.version, self.lanes = beat.version, beat.lanes(self.store.me)
        if beat.surplus:
            leave = sorted(self.lanes)[-beat.surplus:]
            self.store.lanes_release(self.version, dict.fromkeys(leave, b"s"))
            self.lanes -= set(leave)
        return beat


def owners(redis):
    """lane -> owner, as Redis has it."""
    reply = redis.call("HGETALL", "tl:{0}:lanes")
    return {int(lane): owner.decode() for lane, owner in zip(reply[::2], reply[1::2])}


def settle(members, redis):
    """Everybody beats until nothing changes; at each step each lane has one owner at most who knows
    it as its own. Returns how many lanes that had an owner have another one."""
    before = owners(redis)
    for _ in range(20):
        version = max(member.step().version for member in members)
        held = Counter(lane for member in members for lane in member.lanes)
        assert not held or held.most_common(1)[0][1] == 1
        check(redis, documents=False)
        if all(member.version == version and not member.beat.surplus for member in members) and \
                len(owners(redis)) == LANES:
            break
    after = owners(redis)
    assert sorted(after) == list(range(LANES))
    return sum(1 for lane in before if before[lane] != after[lane])


def counts(members, redis):
    by_owner = Counter(owners(redis).values())
    return [by_owner[member.store.me] for member in members]


# ---- shares ----------------------------------------------------------------------------------------

def test_the_first_takes_all(redis):
    beat = Member(redis, "a").step()
    assert beat.status == "joined" and beat.members == 1 and beat.surplus == 0
    assert beat.owners == ["a"] * LANES
    check(redis, documents=False)


def test_eight_join_and_leave_one_by_one(redis):
    """Everybody has a fair share, and no more lanes move than that takes."""
    members = []
    for count in range(1, 9):
        members.append(Member(redis, f"m{count}"))
        moved = settle(members, redis)
        has = counts(members, redis)
        assert sum(has) == LANES and max(has) <= share(count), has
        if count > 1:
            assert moved <= share(count), f"{moved} of {LANES} lanes moved for the {count}th"
    while len(members) > 1:
        gone = members.pop(random.randrange(len(members)))
        assert gone.store.bury(gone.store.me, "leave") == b"ok"
        assert settle(members, redis) == 0, "only what it had has another owner"
        has = counts(members, redis)
        assert sum(has) == LANES and max(has) <= share(len(members)), has


def test_one_that_drains_gives_up_all_and_takes_none(redis):
    members = [Member(redis, name) for name in "abc"]
    settle(members, redis)
    members[1].draining = True
    settle(members, redis)
    assert counts(members, redis) == [128, 0, 128]
    assert members[1].step().members == 3, "it is still here"
    members[1].draining = False
    settle(members, redis)
    assert counts(members, redis)[1] in (share(3), LANES - 2 * share(3))


def test_alone_one_that_drains_keeps_what_it_has(redis):
    member = Member(redis, "a")
    member.step()
    member.draining = True
    assert member.step().surplus == 0 and len(owners(redis)) == LANES
    other = Member(redis, "b")
    other.step()
    assert member.step().surplus == LANES
    other.step()
    assert counts([member, other], redis) == [0, LANES]


def test_all_drain(redis):
    members = [Member(redis, name) for name in "ab"]
    settle(members, redis)
    for member in members:
        member.draining = True
    assert [member.step().surplus for member in members] == [128, 0], "b was the last one to share"
    members[1].step()
    check(redis, documents=False)


def test_the_map_comes_when_it_is_another_one(redis):
    member = Member(redis, "a")
    first = member.step()
    assert member.step().owners is None
    assert Beat(member.store.heartbeat(known=first.version + 1)).owners is not None


def test_the_map_comes_from_a_redis_that_lost_its_data(redis):
    """And whose clock is behind, so that it may come to the version that was known."""
    member = Member(redis, "a")
    member.version = member.step().version + 60_000
    redis.call("FLUSHALL")
    redis.call("HSET", "tl:{0}:membership", "version", member.version - 1)
    again = member.step()
    assert again.status == "joined" and again.version == member.version
    assert again.owners is not None and len(again.lanes("a")) == LANES


@pytest.mark.parametrize("change", ["release", "leave", "heartbeat"])
def test_another_map_has_another_version(redis, change):
    """A master takes the place of one that had a change more: b's death, of which a has heard. Its own
    next change leads to another map, and a hears of that."""
    a, b, c = (Member(redis, name) for name in "abc")
    settle([a, b, c], redis)
    kept = {key: redis.call("DUMP", key) for key in redis.call("KEYS", "*")}
    assert b.store.bury("b", "leave") == b"ok"
    known = a.store.beat(a.lease, known=a.version).version
    for key, value in kept.items():
        redis.call("RESTORE", key, 0, value, "REPLACE")
    a.store.wait(2)
    if change == "release":
        assert c.store.lanes_release(c.version, {sorted(c.lanes)[0]: b"s"})[1] == 1
    elif change == "leave":
        assert c.store.bury("c", "leave") == b"ok"
    else:
        assert Store(redis, "d").beat(c.lease).version > known
    beat = a.store.beat(a.lease, known=known)
    assert beat.owners is not None and beat.version > known


def test_who_was_buried_hears_of_it_though_a_reply_is_lost(redis):
    """Else it would take what it has again for what it had all the time."""
    a, b = Member(redis, "a"), Member(redis, "b")
    settle([a, b], redis)
    b.store.heartbeat(others="others")
    a.store.heartbeat(known=a.version)  # joins; the reply is lost
    assert a.step().status == "joined" and a.beat.owners is not None
    assert a.step().status == "renewed"
    b.store.heartbeat(others="others")
    assert a.step().status == "joined"


def test_a_dead_one_is_named_though_many_live(redis):
    stores = [Store(redis, f"a{n:03}") for n in range(120)]
    for store in (*stores, Store(redis, "z")):
        store.heartbeat(lease=60_000)
    redis.call("ZADD", "tl:{0}:replicas", 1, "z")
    assert stores[0].beat(lease=60_000).dead == ["z"]


def test_changes_are_told_to_all(redis, server):
    """Joining, taking, draining, releasing, leaving: each has a version, and nothing else has one."""
    a, b = Member(redis, "a"), Member(redis, "b")
    with server.connect() as channel:
        assert channel.call("SUBSCRIBE", "tl:{0}:all")[0] == b"subscribe"
        heard = []

        def told(action, count):
            action()
            for _ in range(count):
                heard.append(channel._read()[2].decode())
            assert heard[-1] == f"l{redis.call('HGET', 'tl:{0}:membership', 'version').decode()}"

        told(a.step, 1)
        a.step()
        told(b.step, 1)
        told(a.step, 1)  # releases
        told(b.step, 1)  # takes
        a.step(), b.step()
        b.draining = True
        told(b.step, 2)  # says so, and releases
        b.step()
        told(lambda: b.store.bury("b", "leave"), 1)
    versions = [int(text[1:]) for text in heard]
    assert versions == sorted(set(versions)) and abs(versions[-1] - a.beat.now) < 5000


# ---- death -----------------------------------------------------------------------------------------

def test_the_dead_are_buried_and_their_lanes_shared(redis):
    members = [Member(redis, name) for name in "abc"]
    settle(members, redis)
    lane = sorted(members[2].lanes)[0]
    redis.call("HSET", "tl:{0}:handover", lane, "unread")
    redis.call("ZADD", "tl:{0}:replicas", 1, "c")
    moved = settle(members[:2], redis)
    assert counts(members, redis) == [128, 128, 0] and moved == len(members[2].lanes)
    assert not redis.call("HEXISTS", "tl:{0}:handover", lane), "nobody knows what c did with it"
    assert redis.call("HKEYS", "tl:{0}:replicas:info") == [b"a", b"b"]


def test_one_that_was_buried_joins_again(redis):
    a, b = Member(redis, "a"), Member(redis, "b")
    settle([a, b], redis)
    redis.call("ZADD", "tl:{0}:replicas", 1, "b")
    a.step()
    assert counts([a, b], redis) == [LANES, 0]
    assert b.step().status == "joined" and b.lanes == set()
    settle([a, b], redis)
    assert counts([a, b], redis) == [128, 128]


def test_a_lease_that_ended_may_be_renewed_until_somebody_buries(redis):
    a, b = Member(redis, "a"), Member(redis, "b")
    settle([a, b], redis)
    redis.call("ZADD", "tl:{0}:replicas", 1, "b")
    assert b.step().status == "renewed"
    assert a.step().members == 2 and counts([a, b], redis) == [128, 128]


def test_burial_pauses_when_nobody_was_heard_of(redis):
    """Redis was away: all leases have ended, and who comes first must not bury the others."""
    a, b = Member(redis, "a", lease=400), Member(redis, "b", lease=400)
    settle([a, b], redis)
    a.store.wait(500)
    assert a.step().members == 2 and counts([a, b], redis) == [128, 128]
    assert b.step().status == "renewed"
    wait_until(lambda: a.step().members == 1, 5, "b to be dead after all", interval=0.05)
    assert counts([a, b], redis) == [LANES, 0]


def test_whoever_beats_alone_buries_after_a_lease(redis):
    a, b = Member(redis, "a", lease=400), Member(redis, "b", lease=400)
    settle([a, b], redis)
    begin = time.monotonic()

    def buried():
        a.step()
        return counts([a, b], redis) == [LANES, 0]
    wait_until(buried, 5, "b to be buried", interval=0.05)
    assert time.monotonic() - begin > 0.3


@pytest.mark.parametrize("jump", [-3_600_000, 3_600_000])
def test_redis_clock_jumps(redis, jump):
    """As after a failover. What was written then has other times than now: nobody is buried, and a
    lease that would end in an hour ends in time."""
    a, b = Member(redis, "a", lease=400), Member(redis, "b", lease=400)
    settle([a, b], redis)
    for name in "ab":  # `jump` ahead of now: the clock was set back by it
        redis.call("ZINCRBY", "tl:{0}:replicas", jump, name)
    for field in ("beat", "pause"):
        redis.call("HINCRBY", "tl:{0}:membership", field, jump)
    assert a.step().members == 2 and counts([a, b], redis) == [128, 128]
    wait_until(lambda: a.step().members == 1, 5, "b to be buried", interval=0.05)
    assert counts([a, b], redis) == [LANES, 0]


def test_who_holds_the_lock_knows_all_others_to_be_dead(redis):
    a, b = Member(redis, "a"), Member(redis, "b")
    settle([a, b], redis)
    beat = Store(redis, "c").beat(others="others")
    assert beat.members == 1 and beat.owners == ["c"] * LANES
    check(redis, documents=False)


# ---- what is refused -------------------------------------------------------------------------------

def test_another_number_of_lanes_is_refused(redis, dump):
    Member(redis, "a").step()
    before = dump()
    reply = Store(redis, "b").heartbeat(lanes=128)
    assert reply[0] == b"lanes" and reply[2] == LANES
    assert dump() == before


def test_no_more_replicas_than_a_map_has_names_for(redis, dump):
    Member(redis, "a").step()
    for number in range(254):
        redis.call("ZADD", "tl:{0}:replicas", 10**15, f"m{number}")
        redis.call("ZADD", "tl:{0}:journals", 0, f"m{number}")
    before = dump()
    assert Store(redis, "b").heartbeat()[0] == b"full"
    assert dump() == before
    beat = Store(redis, "a").beat()
    assert beat.members == 255 and beat.surplus == LANES - share(255)


# ---- release and take ------------------------------------------------------------------------------

def test_a_lane_goes_with_its_state_and_that_is_given_once(redis, dump):
    a, b = Member(redis, "a"), Member(redis, "b")
    a.step(), b.step()
    assert a.store.lanes_release(a.version, {7: b"seven", 8: b""})[:2] == [b"ok", 2]
    assert b.step().lanes("b") == {7, 8}
    assert a.store.lanes_take(7, 8) == [0, 0], "not any more"
    assert b.store.lanes_take(7, 9, 8) == [b"seven", 0, b""]
    before = dump()
    assert b.store.lanes_take(7, 9, 8) == [b"", 0, b""]
    assert dump() == before


def test_only_what_is_mine_is_released(redis, dump):
    a, b = Member(redis, "a"), Member(redis, "b")
    settle([a, b], redis)
    theirs = sorted(b.lanes)[0]
    before = dump()
    assert a.store.lanes_release(a.version, {theirs: b"x"})[:2] == [b"ok", 0]
    assert dump() == before
    mine = sorted(a.lanes)[0]
    call = a.store.lanes_release.later(a.version, {mine: b"x"})
    assert a.store.make(call)[1] == 1
    before = dump()
    assert a.store.make(call)[:2] == [b"ok", 0], "a repeated call"
    assert dump() == before


def test_a_release_that_comes_late_gives_up_nothing(redis, dump):
    """Released, taken again after b's death, and then Redis reads the first call once more."""
    a, b = Member(redis, "a"), Member(redis, "b")
    a.step(), b.step()
    late = a.store.lanes_release.later(a.version, {7: b"x"})
    a.store.make(late)
    b.step()
    redis.call("ZADD", "tl:{0}:replicas", 1, "b")
    a.step()
    assert 7 in a.lanes
    before = dump()
    assert a.store.make(late)[0] == b"stale"
    assert dump() == before


def test_who_leaves_frees_what_it_has_and_keeps_what_it_said(redis):
    a, b = Member(redis, "a"), Member(redis, "b")
    settle([a, b], redis)
    first = sorted(b.lanes)[0]
    b.store.lanes_release(b.version, {first: b"x"})
    assert b.store.bury("b", "leave") == b"ok"
    assert set(owners(redis).values()) == {"a"}
    a.step()
    assert counts([a, b], redis) == [LANES, 0]
    assert a.store.lanes_take(first) == [b"x"]
    assert json.loads(redis.call("HGET", "tl:{0}:replicas:info", "a"))["draining"] is False
    assert redis.call("HEXISTS", "tl:{0}:membership", "taken:b") == 0


# ---- whatever happens ------------------------------------------------------------------------------

class Mortal(Member):
    """As replica.c counts: its lease is valid from before the heartbeat was sent, less a margin. Its
    calls may be lost on the way there or back, or be read late; it may sleep, die, drain."""

    def __init__(self, redis, name, lease, rng, late):
        super().__init__(redis, name, lease)
        self.rng, self.late, self.valid_until, self.sleeps_until = rng, late, 0.0, 0.0
        self.known, self.releasing = False, None

    def awake(self):
        return time.monotonic() >= self.sleeps_until

    def sends_for(self):
        return self.lanes if time.monotonic() < self.valid_until else set()

    def make(self, call):
        """None: the answer is lost, or the call is."""
        fate = self.rng.random()
        if fate < 0.03:
            self.late.append((self.store, call))
        if fate < 0.06:
            return None
        reply = self.store.make(call)
        return None if fate < 0.12 else reply

    def step(self):
        if self.releasing:
            reply = self.make(self.releasing)
            if reply is not None:
                self.releasing = None
            return
        sent = time.monotonic()
        reply = self.make(self.store.heartbeat.later(self.lease, known=self.version,
                                                     draining=self.draining))
        if reply is None:
            return
        beat = Beat(reply)
        if beat.status == "joined":
            self.lanes = set()
        if beat.owners is not None:
            self.version, self.lanes = beat.version, beat.lanes(self.store.me)
        self.valid_until = sent + self.lease * 0.9 / 1000
        if beat.surplus:
            leave = self.rng.sample(sorted(self.lanes), beat.surplus)
            self.lanes -= set(leave)
            self.releasing = self.store.lanes_release.later(self.version,
                                                            dict.fromkeys(leave, b"s"))


@pytest.mark.parametrize("seed", [1, 2, 3, None])
def test_nobody_sends_for_a_lane_for_which_another_does(redis, seed):
    """Random joins, deaths, naps, drains, and calls that are lost or late. At each moment at most one
    of those whose lease is valid takes a lane for its own, and when all are well all is shared."""
    seed = random.randrange(10**6) if seed is None else seed
    rng, late, names, lease = random.Random(seed), [], iter(range(10**6)), 120
    members = [Mortal(redis, f"m{next(names)}", lease, rng, late) for _ in range(3)]
    done, moved = Counter(), 0
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        chance = rng.random()
        member = rng.choice(members)
        if chance < 0.002 and len(members) < 6:
            members.append(Mortal(redis, f"m{next(names)}", lease, rng, late))
            done["join"] += 1
        elif chance < 0.004 and len(members) > 1:
            members.remove(member)
            done["death"] += 1
        elif chance < 0.008:
            member.sleeps_until = time.monotonic() + rng.random() * 0.3
            done["nap"] += 1
        elif chance < 0.01:
            member.draining = not member.draining
            done["drain"] += 1
        elif chance < 0.03 and late:
            store, call = late.pop(rng.randrange(len(late)))
            store.make(call)
            done["late"] += 1
        elif member.awake() and chance < 0.5:
            before = member.lanes
            member.step()
            moved += len(before ^ member.lanes)
        else:
            time.sleep(0.001)  # nobody does anything for a moment
        held = Counter(lane for one in members for lane in one.sends_for())
        assert not held or held.most_common(1)[0][1] == 1, f"seed {seed}: {held.most_common(3)}"
        if chance < 0.05:
            check(redis, documents=False)
    for store, call in late:
        store.make(call)
    for member in members:
        member.sleeps_until, member.draining, member.make = 0, False, member.store.make

    def all_is_shared():
        for member in members:
            member.step()
        by_owner = defaultdict(set)
        for lane, owner in owners(redis).items():
            by_owner[owner].add(lane)
        assert by_owner == {member.store.me: member.lanes for member in members}
        assert max(map(len, by_owner.values())) <= share(len(members))
        return True
    wait_until(all_is_shared, 10, f"all to be shared, with seed {seed}", interval=0.01)
    check(redis, documents=False)
    print(f"seed {seed}: {dict(done)}, {moved} lanes came and went")
    assert moved
