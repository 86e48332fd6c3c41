"""What must hold between the replicas of one Redis, beyond what invariants.py says of its keys.

    problems(cluster)                         at every moment
    problems(cluster, quiet=True)             also: all is delivered and the replicas have settled
    account(snapshot, expected, arrived)      what became of every delivery that was promised

Lanes
  R1  `lanes` has lanes 0 … 255 alone; the owner of each is a member (in `replicas`).
  R2  `membership` says that there are 256 lanes, and a version.
  R3  `replicas:info` has members alone, and JSON of each.
  R4  A lane that has an owner has no state left behind in `handover`: its owner took it.
      (Between becoming the owner and reading it there is a moment: quiet alone.)
Quiet
  Q1  The members are the processes that run, no lease of theirs has ended, each is described in
      `replicas:info`, and they own all lanes in equal shares.
  Q2  `journals` lists members alone, and all journals are empty. No batch has open parts.
  Q3  Nothing is in `due`, and so no lease of a delivery is left that nobody will end.
Accounts
  A1  Every promised delivery has arrived, or is dead, cancelled or waiting. When quiet, it does not wait.
  A2  What Redis calls sent has arrived.
  A3  Nothing has arrived that was not promised.
"""

import json
from collections import Counter

from . import invariants
from .formats import LANES


def problems(cluster, quiet=False):
    """What is wrong, as sentences."""
    found = []
    call = cluster.redis.call
    members = dict(_pairs(call("ZRANGE", "tl:{0}:replicas", 0, -1, "WITHSCORES")))
    lanes, info = cluster.lanes(), dict(_pairs(call("HGETALL", "tl:{0}:replicas:info")))
    for lane, owner in lanes.items():
        if not 0 <= lane < LANES:
            found.append(f"R1 there is a lane {lane}")
        if owner not in members:
            found.append(f"R1 lane {lane} is owned by {owner}, who is no member")
    membership = dict(_pairs(call("HGETALL", "tl:{0}:membership")))
    if membership.get("lanes") != str(LANES) or not membership.get("version", "").isdigit():
        found.append(f"R2 membership is {membership}")
    for member, text in info.items():
        if member not in members:
            found.append(f"R3 replicas:info has {member}, who is no member")
        try:
            json.loads(text)
        except ValueError:
            found.append(f"R3 replicas:info of {member} is {text!r:.100}")
    return found + (_quiet(cluster, members, lanes, info) if quiet else [])


def _pairs(flat):
    words = [word.decode(errors="replace") for word in flat]
    return zip(words[::2], words[1::2])


def _quiet(cluster, members, lanes, info):
    found, call = [], cluster.redis.call
    running = {replica.incarnation for replica in cluster.running()}
    seconds, microseconds = map(int, call("TIME"))
    now_ms = seconds * 1000 + microseconds // 1000
    if set(members) != running:
        found.append(f"Q1 members are {sorted(members)}, running are {sorted(running)}")
    found += [f"Q1 the lease of {member} ended {now_ms - float(end):g} ms ago"
              for member, end in members.items() if float(end) <= now_ms]
    found += [f"Q1 {member} has no description" for member in set(members) - set(info)]
    shares = Counter(lanes.values())
    if len(lanes) != LANES or set(shares) != running or \
            max(shares.values()) > -(-LANES // len(running)):
        found.append(f"Q1 the shares of {sorted(running)} are {shares}")
    for lane in cluster.redis.call("HKEYS", "tl:{0}:handover"):
        if int(lane) in lanes:
            found.append(f"R4 lane {int(lane)} has an owner, and its handover is still there")
    for name in call("ZRANGE", "tl:{0}:journals", 0, -1):
        if name.decode() not in members:
            found.append(f"Q2 {name.decode()} is in journals and no member")
    for family, rule in (("journal", "Q2"), ("open", "Q2"), ("due", "Q3")):
        found += [f"{rule} {key} is left" for key in cluster.redis.keys(f"tl:{{0}}:{family}:*")]
    return found


def account(snapshot, expected, arrived, quiet=True):
    """(counts, problems). `expected`: {event: endpoints that it was promised to}; `arrived`: {(event,
    endpoint)}. The counts: sent, dead, cancelled, waiting."""
    recorded, counts, found = invariants.deliveries(snapshot), Counter(), []
    for event, endpoints in expected.items():
        for endpoint in endpoints:
            state = recorded.get((event, endpoint))
            if (event, endpoint) in arrived:
                counts["sent"] += 1
            elif state in ("dead", "cancelled") or (state in ("waiting", "open") and not quiet):
                counts["waiting" if state == "open" else state] += 1
            else:
                found.append(f"A1 {event} for {endpoint} has not arrived, and is {state}")
    for (event, endpoint), state in recorded.items():
        if state == "sent" and (event, endpoint) not in arrived:
            found.append(f"A2 {event} for {endpoint} is called sent, and has not arrived")
    found += [f"A3 {event} for {endpoint} has arrived, and was not promised"
              for event, endpoint in arrived if endpoint not in expected.get(event, ())]
    return counts, found


def check(cluster, expected, arrived, quiet=True, **options):
    """All of it, with the invariants of the keys; raises invariants.Broken. The counts."""
    found = problems(cluster, quiet)
    with cluster.redis.connect(timeout=120) as redis:
        snapshot = invariants.Snapshot(redis)
    found += invariants.problems(snapshot, idle=quiet, **options)
    counts, more = account(snapshot, expected, arrived, quiet)
    if found + more:
        raise invariants.Broken(found + more)
    return counts
