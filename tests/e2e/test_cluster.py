"""Replicas come, go and die: whose lanes move, and that a key is one key for all of them."""

import threading

from harness import Sink, wait_until
from harness.formats import LANES


def moved(before, after):
    """{lane: (old owner, new owner)}"""
    return {lane: (before[lane], after[lane]) for lane in before if before[lane] != after[lane]}


def test_only_a_share_moves_when_one_comes_goes_or_dies(make_cluster):
    cluster = make_cluster(count=2).start()
    two = cluster.wait_settled()
    third = cluster.add().start()
    three = cluster.wait_settled()
    assert {new for _, new in moved(two, three).values()} == {third.incarnation}
    assert len(moved(two, three)) <= -(-LANES // 3), "and no lane moved that need not"

    left = third.incarnation
    third.stop()
    again = cluster.wait_settled()
    assert {old for old, _ in moved(three, again).values()} == {left}

    third.start()
    before = cluster.wait_settled()
    died = third.incarnation
    third.kill9()
    cluster.wait_buried(died)
    after = cluster.wait_settled()
    assert {old for old, _ in moved(before, after).values()} == {died}


def test_whoever_takes_an_event_its_owner_delivers_it(make_cluster):
    """Every replica publishes to endpoints of every other; each endpoint hears from one process."""
    cluster = make_cluster().start()
    cluster.wait_settled()
    with Sink() as sink:
        with cluster.client() as client:
            webhooks = [client.create_webhook(sink.url(f"/{n}"), ["t"])["id"] for n in range(30)]
        events = set()
        for replica in cluster:
            with replica.client() as client:
                wait_until(lambda: len(client.get("/api/webhooks").json["webhooks"]) == 30, 10,
                           f"{replica.agent} to know the endpoints")
                events |= {client.event_id("t", {"n": n}) for n in range(10)}
        sink.wait_for(len(webhooks) * len(events), timeout=30)
        sink.wait_quiet()
        senders = set()
        for n in range(30):
            requests = sink.requests(f"/{n}")
            assert sorted(r.id for r in requests) == sorted(events), "each event once"
            assert len({r.header("User-Agent") for r in requests}) == 1, "from its owner alone"
            senders.add(requests[0].header("User-Agent"))
        assert senders == {replica.agent for replica in cluster}


def test_a_key_at_all_replicas_at_the_same_time(make_cluster):
    cluster = make_cluster().start()
    cluster.wait_settled()
    with Sink() as sink:
        with cluster.client() as client:
            client.create_webhook(sink.url("/"), ["t"])
        for replica in cluster:
            with replica.client() as client:
                wait_until(lambda: client.get("/api/webhooks").json["webhooks"], 10, "the endpoint")
        answers, barrier = [[] for _ in cluster], threading.Barrier(len(cluster))

        def publish(replica, ids):
            with replica.client() as client:
                for n in range(50):
                    barrier.wait(30)
                    ids.append(client.event_id("t", {"n": n}, key=f"key-{n}"))

        threads = [threading.Thread(target=publish, args=each) for each in zip(cluster, answers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers[0]) == 50 and answers[0] == answers[1] == answers[2]
        sink.wait_for(50)
        sink.wait_quiet()
        assert sorted(sink.ids()) == sorted(answers[0]), "each once"
