// Changes data and tells of it in one transaction: an outbox without a table and without a worker that
// empties it. Nobody sees one without the other, and what Redis does not take (no memory, no right) undoes
// both.
//
//     node outbox.js 17 9.90
//
// On a Redis Cluster a transaction's keys must share a hash tag: call yours `…{0}…`, as the feed is.

import Redis from "ioredis";

const FEED = "tl:{0}:feed";

async function createOrder(redis, number, total) {
    const event = { type: "order.created", data: { order: number, total } };
    const answers = await redis.multi()
        .hset(`shop:order:${number}`, { total, state: "created" })
        .xadd(FEED, "*", "e", JSON.stringify(event), "k", `order-${number}-created`)
        .exec();
    for (const [error] of answers) if (error) throw error;
}

const redis = new Redis(process.env.REDIS_URL ?? "redis://localhost:6379");
await createOrder(redis, Number(process.argv[2]), process.argv[3]);
await redis.quit();
