// Takes the events of a webhook of kind redis-stream, as one of a group of workers.
//
//     node consume.js orders stock worker-1        stream, group, and this worker's name in it
//
// Start as many as there is work for; each event goes to one of the group. A name is a worker's own, also
// over its restarts: so it finds again what it had taken and not finished.

import Redis from "ioredis";

const DEAD_MS = 60_000; // what another worker took so long ago and did not finish, it never will

const [name, group, me] = process.argv.slice(2);
const key = `tl:{0}:out:${name}`;
const redis = new Redis(process.env.REDIS_URL ?? "redis://localhost:6379");

/** Entries to work on; none when nothing came for a second. */
async function take() {
    const [, dead] = await redis.xautoclaim(key, group, me, DEAD_MS, "0", "COUNT", 10);
    if (dead.length > 0) return dead;
    const read = await redis.xreadgroup("GROUP", group, me, "COUNT", 10, "BLOCK", 1000, "STREAMS", key, ">");
    return read ? read[0][1] : [];
}

/** What this worker had taken before it was started again. */
async function takeUnfinished() {
    const [[, entries]] = await redis.xreadgroup("GROUP", group, me, "STREAMS", key, "0");
    return entries;
}

/** Here goes what is to be done. The same event may come twice: remember its id where that hurts. */
async function work(event) {
    console.log(event.id, event.type, JSON.stringify(event.data));
}

try {
    await redis.xgroup("CREATE", key, group, "0", "MKSTREAM");
} catch (error) {
    if (!error.message.startsWith("BUSYGROUP")) throw error; // it is there already
}
let stopped = false;
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => { stopped = true; });
let entries = await takeUnfinished();
while (!stopped) {
    for (const [id, fields] of entries) {
        if (fields) await work(JSON.parse(fields[fields.indexOf("e") + 1])); // else it was trimmed
        await redis.xack(key, group, id);
    }
    entries = await take();
}
await redis.quit();
