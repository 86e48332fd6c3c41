/* direct_wait.c - whose turn it is, and how many connects a queue is worth.
 *
 *                                   one came free, or one was made
 *      request --> [ oldest ][ ][ ][ newest ] ------------------------> has a connection
 *                       ^
 *      connects --> [ oldest ][ ][ newest ]      made and not needed any more: it idles
 *
 * A queue at the origin, not a connect for each request: an answer comes within a millisecond or a
 * few, and then its connection serves the next one. A handshake of TLS is a millisecond of CPU in
 * the loop. With one for each of 100 requests that come at once nobody is served, and no answer
 * read, for 100 ms; and the requests that come meanwhile want another hundred.
 *
 * So few connects at a time, 16 to begin with: 16 ms of the loop if all are handshakes, in pieces.
 * No one number is right. To a target 50 ms away a handshake takes 150, nearly all of it waiting:
 * 16 at a time would be a thousand connections in ten seconds. Beside a target that is near, or a
 * thousand of them, 16 are too many. So each connect that is made moves the number by one:
 *
 *   less, to no less than 2, when connects took a third of the loop's time while it was under way:
 *      more of them would only keep the loop from the answers, by which connections come free;
 *   more, to no more than 128, when they took less than that, and more requests wait now than
 *      connections came free meanwhile, for as many will come free while the next one is made. If
 *      all are made, the number doubles with each round, and a thousand need ten rounds.
 *
 * Rejected: a number for each multiple of time (16 every 10 ms). It is blind to what a connect
 * costs in the case that matters, when the loop is late.
 *
 * Who fails with a connect. Each stands for its share of the queue: when all fail, all requests
 * have failed after one round, none of them later than if it had had a connect of its own; when one
 * in four does, as with one bad server among four, about a quarter. Failing all with the first
 * would burn the attempts of those for whom the others come through; failing one each would have a
 * thousand wait for sixty rounds to learn what is known after one. So that the shares add up to the
 * queue, nothing takes the place of a connect that failed while others are under way; one that is
 * made lifts that.
 *
 * A connect whose request was served otherwise goes on, since most of its price is paid and the
 * next burst wants it. When a request gives up, one is given up with it, the newest: of two with
 * different patience, the patient one's connect must be able to come to its end.
 */
#include "net/direct_wait.h"

void direct_wait_init(struct direct_wait *wait)
{
    *wait = (struct direct_wait){.tries_max = DIRECT_CONNECTS_FIRST};
    list_init(&wait->insisting);
    list_init(&wait->waiters);
    list_init(&wait->tries);
}

/* ---- Waiters -------------------------------------------------------------------------------- */

static struct direct_waiter *waiter_at(struct list *node)
{
    return CONTAINER_OF(node, struct direct_waiter, node);
}

void direct_wait_join(struct direct_wait *wait, struct direct_waiter *waiter, bool insists)
{
    list_push_back(insists ? &wait->insisting : &wait->waiters, &waiter->node);
    wait->waiting++;
}

void direct_wait_leave(struct direct_wait *wait, struct direct_waiter *waiter)
{
    if (!list_linked(&waiter->node))
        return;
    list_remove(&waiter->node);
    wait->waiting--;
}

struct direct_waiter *direct_wait_first_for_freed(const struct direct_wait *wait)
{
    return list_empty(&wait->waiters) ? NULL : waiter_at(wait->waiters.next);
}

struct direct_waiter *direct_wait_first_for_made(const struct direct_wait *wait)
{
    return list_empty(&wait->insisting) ? direct_wait_first_for_freed(wait)
                                        : waiter_at(wait->insisting.next);
}

struct direct_waiter *direct_wait_newest(const struct direct_wait *wait)
{
    return waiter_at(list_empty(&wait->waiters) ? wait->insisting.prev : wait->waiters.prev);
}

/* ---- Connects ------------------------------------------------------------------------------- */

static struct direct_try *try_at(struct list *node)
{
    return CONTAINER_OF(node, struct direct_try, node);
}

bool direct_wait_wants_try(const struct direct_wait *wait)
{
    size_t max = wait->failing ? 1 : wait->tries_max;
    return wait->trying < wait->waiting && wait->trying < max;
}

void direct_wait_try(struct direct_wait *wait, struct direct_try *attempt)
{
    attempt->freed_before = wait->freed;
    list_push_back(&wait->tries, &attempt->node);
    wait->trying++;
}

void direct_wait_drop(struct direct_wait *wait, struct direct_try *attempt)
{
    if (!list_linked(&attempt->node))
        return;
    list_remove(&attempt->node);
    wait->trying--;
}

void direct_wait_made(struct direct_wait *wait, struct direct_try *attempt, bool costly)
{
    uint64_t freed_meanwhile = wait->freed - attempt->freed_before;
    direct_wait_drop(wait, attempt);
    wait->failing = false;
    if (costly && wait->tries_max > DIRECT_CONNECTS_MIN)
        wait->tries_max--;
    if (!costly && wait->waiting > freed_meanwhile && wait->tries_max < DIRECT_CONNECTS_MAX)
        wait->tries_max++;
}

size_t direct_wait_failed(struct direct_wait *wait, struct direct_try *attempt)
{
    size_t share = wait->waiting / wait->trying; /* rounded down: the last takes what is left */
    direct_wait_drop(wait, attempt);
    wait->failing = true;
    return share;
}

struct direct_try *direct_wait_surplus(const struct direct_wait *wait)
{
    return wait->trying > wait->waiting ? try_at(wait->tries.prev) : NULL;
}

struct direct_try *direct_wait_oldest_try(const struct direct_wait *wait)
{
    return list_empty(&wait->tries) ? NULL : try_at(wait->tries.next);
}
