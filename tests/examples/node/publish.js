// Publishes an event through Redis: one XADD to Trotline's feed, no HTTP.
//
//     node publish.js order.created '{"order": 17}'
//     node publish.js order.created '{"order": 17}' order-17-created
//
// With a key (the second form) the event is published once, however often this runs within a day.
// REDIS_URL says where Redis is: redis://localhost:6379, or a socket's path.

import Redis from "ioredis";

const FEED = "tl:{0}:feed";

/** The event is safe as soon as this resolves: Trotline takes it from the stream when it can. */
function publish(redis, type, data, key) {
    const fields = ["e", JSON.stringify({ type, data })];
    if (key !== undefined) fields.push("k", key);
    return redis.xadd(FEED, "*", ...fields);
}

const redis = new Redis(process.env.REDIS_URL ?? "redis://localhost:6379");
const [type, data, key] = process.argv.slice(2);
console.log(await publish(redis, type, JSON.parse(data), key));
await redis.quit();
