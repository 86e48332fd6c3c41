"""Third parties that repeat themselves, to several replicas at once."""

import random
import time
from collections import Counter

from harness import senders, wait_until
from harness.flood import Flood

SECRET = "It's a Secret to Everybody"
REQUESTS, DUPLICATES = 20_000, 6_000


def requests_to(ports, seed):
    """(port, number, request): in no order, but every second duplicate comes as near to its first one
    as can be, at another replica; of some there are three and more."""
    choice = random.Random(seed)
    count = REQUESTS - DUPLICATES
    made = []
    for n in range(count):
        body = b'{"n":%d,"action":"opened"}' % n
        made.append(senders.request_bytes("hooks", body, senders.github(body, SECRET, id=f"guid-{n}")))
    places = [(choice.random(), choice.choice(ports), n) for n in range(count)]
    for twin in range(DUPLICATES):
        at, port, n = places[choice.randrange(count)]
        if twin % 2:
            places.append((at, choice.choice([other for other in ports if other != port]), n))
        else:
            places.append((choice.random(), choice.choice(ports), n))
    return [(port, n, made[n]) for _, port, n in sorted(places)]


def test_each_id_is_forwarded_once(make_cluster, recorder):
    """20,000 requests with 30 % duplicates, spread over two replicas."""
    cluster = make_cluster(count=2).start()
    cluster.wait_settled()
    with cluster.client() as client:
        client.post("/api/sources", {"name": "hooks", "scheme": "github",
                                     "secrets": [SECRET]}).expect(201)
        client.create_webhook(recorder.url(1), ["hooks.*"])
    for replica in cluster:
        with replica.client() as client:
            wait_until(lambda: client.get("/api/sources/hooks").status == 200 and
                       client.get("/api/webhooks").json["webhooks"], 10, "the source")
    seed = random.randrange(2 ** 32)
    print(f"seed {seed}")
    requests = requests_to(cluster.ports(), seed)
    assert len(requests) == REQUESTS and len({n for _, n, _ in requests}) == REQUESTS - DUPLICATES
    begin = time.monotonic()
    with Flood(requests) as flood:
        flood.wait(300)
    print(f"{flood} in {time.monotonic() - begin:.1f} s")
    assert {status for answers in flood.answers.values() for status in answers} == {200}

    count = REQUESTS - DUPLICATES
    wait_until(lambda: len(recorder.read()) >= count, 120, "everything to arrive", interval=0.2)
    recorder.wait_quiet()
    numbers = Counter(arrival.number for arrival in recorder.read())
    assert set(numbers) == set(range(count)), "each arrived"
    assert set(numbers.values()) == {1}, f"seed {seed}: {numbers.most_common(5)}"

    outcomes = Counter()
    for replica in cluster:
        with replica.client() as client:
            counts = client.get("/api/sources/hooks").json["received"]
            assert counts["accepted"] and counts["duplicate"], "both had both"
            outcomes += Counter({name: counts[name] for name in ("accepted", "duplicate")})
    if not flood.again:
        assert outcomes == {"accepted": count, "duplicate": DUPLICATES}
