// Publishes an event through Redis, packed with msgpack: smaller than JSON, and faster to read.
//
//     node publish_msgpack.js order.created '{"order": 17}'
//
// What receivers get is JSON all the same. Data may have whatever JSON has: no bytes, no NaN. A BigInt is
// a whole number of 64 bits and arrives as it is.

import { encode } from "@msgpack/msgpack";
import Redis from "ioredis";

const FEED = "tl:{0}:feed";

function publish(redis, type, data) {
    const event = encode({ type, data }, { useBigInt64: true });
    return redis.xadd(FEED, "*", "e", Buffer.from(event.buffer, event.byteOffset, event.byteLength));
}

const redis = new Redis(process.env.REDIS_URL ?? "redis://localhost:6379");
const [type, data] = process.argv.slice(2);
console.log(await publish(redis, type, JSON.parse(data)));
await redis.quit();
