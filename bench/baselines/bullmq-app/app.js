// A webhook service as a team would write it today: BullMQ for the queue, undici for the requests.
//
//     API_KEY=… node app.js --redis /path/redis.sock [--role all|api|worker] [--concurrency 200]
//         [--autopipelining]
//
// It does the work that bench-load and bench-sink measure of Trotline, and answers as that does:
//
//     POST /api/webhooks  {"url","events"}               201 {"id","secret",…}
//     POST /api/events    {"type","data"[,"deliverAt"]}  202 {"id","deliveries"}, once Redis has it
//
// and delivers each event to each endpoint of its type, signed as Standard Webhooks says, and again
// after 1 s, 2 s, 4 s … when it was not answered with 2xx. `api` answers requests, `worker`
// delivers, `all` does both in one process. Prints `ready URL` (a worker: `ready`).
//
// What is left out is left out in its favour: there is no history of attempts, a job that is done
// is gone (and with it its idempotency key), no limits and no breaker for each endpoint, no guard
// against private addresses.
import { createHmac, createSecretKey, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { Agent } from "undici";

const { values: options } = parseArgs({
    options: {
        redis: { type: "string" },
        role: { type: "string", default: "all" },
        concurrency: { type: "string", default: "200" },
        autopipelining: { type: "boolean", default: false },
    },
});
const concurrency = Number(options.concurrency);
const ATTEMPTS = 8;
const FIRST_RETRY_MS = 1000;
const ANSWER_MS = 15_000;

const connect = () =>
    new Redis({
        path: options.redis,
        maxRetriesPerRequest: null,
        enableAutoPipelining: options.autopipelining,
    });

// ---- endpoints: in a Redis hash, and all of those used in memory --------------------------------

const redis = connect();
const endpoints = new Map(); // by id
const subscribers = new Map(); // by event type

function endpointOf(id, { url, events, secret }) {
    const { origin, pathname, search } = new URL(url);
    const key = createSecretKey(Buffer.from(secret.slice("whsec_".length), "base64"));
    return { id, events, origin, path: pathname + search, key };
}

async function addEndpoint({ url, events }) {
    const id = `ep_${randomUUID()}`;
    const secret = `whsec_${randomBytes(24).toString("base64")}`;
    const document = { url, events, secret };
    await redis.hset("endpoints", id, JSON.stringify(document));
    for (const type of events) {
        subscribers.set(type, [...(subscribers.get(type) ?? []), id]);
    }
    return { id, ...document };
}

async function findEndpoint(id) {
    let endpoint = endpoints.get(id);
    if (!endpoint) {
        endpoint = endpointOf(id, JSON.parse(await redis.hget("endpoints", id)));
        endpoints.set(id, endpoint);
    }
    return endpoint;
}

// ---- publishing ---------------------------------------------------------------------------------

const queue = new Queue("deliveries", {
    connection: redis,
    defaultJobOptions: {
        attempts: ATTEMPTS,
        backoff: { type: "exponential", delay: FIRST_RETRY_MS },
        removeOnComplete: true,
    },
});

// Resolves when Redis has a job for each endpoint.
async function publish({ type, data, deliverAt }, idempotencyKey) {
    const id = `evt_${idempotencyKey ?? randomUUID()}`;
    const body = JSON.stringify({ type, timestamp: new Date().toISOString(), data });
    const delay = deliverAt ? Math.max(0, Date.parse(deliverAt) - Date.now()) : undefined;
    const jobs = (subscribers.get(type) ?? []).map((endpoint) => ({
        name: type,
        data: { id, endpoint, body },
        opts: { delay, jobId: idempotencyKey ? `${idempotencyKey}-${endpoint}` : undefined },
    }));
    if (jobs.length === 1) {
        await queue.add(jobs[0].name, jobs[0].data, jobs[0].opts);
    } else if (jobs.length > 1) {
        await queue.addBulk(jobs);
    }
    return { id, deliveries: jobs.length };
}

// ---- the HTTP server ----------------------------------------------------------------------------

const authorization = Buffer.from(`Bearer ${process.env.API_KEY}`);

function authorized(request) {
    const given = Buffer.from(request.headers.authorization ?? "");
    return given.length === authorization.length && timingSafeEqual(given, authorization);
}

function answer(response, status, document) {
    const text = JSON.stringify(document);
    response.writeHead(status, {
        "Content-Type": "application/json",
        "Content-Length": Buffer.byteLength(text),
    });
    response.end(text);
}

async function handle(request, response, text) {
    const route = `${request.method} ${request.url}`;
    if (!authorized(request)) {
        return answer(response, 401, { error: "the API key is missing or wrong" });
    }
    if (route !== "POST /api/events" && route !== "POST /api/webhooks") {
        return answer(response, 404, { error: "there is nothing here" });
    }
    let document;
    try {
        document = JSON.parse(text);
    } catch {
        return answer(response, 400, { error: "the body is not JSON" });
    }
    if (route === "POST /api/webhooks") {
        return answer(response, 201, await addEndpoint(document));
    }
    const key = request.headers["idempotency-key"];
    if (typeof document?.type !== "string" || document.data === undefined || key?.includes(":")) {
        return answer(response, 400, { error: "not an event" });
    }
    return answer(response, 202, await publish(document, key));
}

function startServer() {
    const server = createServer((request, response) => {
        let text = "";
        request.setEncoding("utf8");
        request.on("data", (piece) => {
            text += piece;
        });
        request.on("end", () => {
            handle(request, response, text).catch((error) => {
                console.error(error);
                answer(response, 503, { error: "not stored" });
            });
        });
    });
    server.keepAliveTimeout = 300_000;
    server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
        console.log(`ready http://127.0.0.1:${server.address().port}`);
    });
}

// ---- delivering ---------------------------------------------------------------------------------

const agent = new Agent({
    connections: concurrency,
    pipelining: 1,
    keepAliveTimeout: 300_000,
    headersTimeout: ANSWER_MS,
    bodyTimeout: ANSWER_MS,
});

async function deliver(job) {
    const { id, endpoint, body } = job.data;
    const { origin, path, key } = await findEndpoint(endpoint);
    const timestamp = Math.floor(Date.now() / 1000);
    const signature = createHmac("sha256", key)
        .update(`${id}.${timestamp}.${body}`)
        .digest("base64");
    const response = await agent.request({
        origin,
        path,
        method: "POST",
        headers: {
            "content-type": "application/json",
            "user-agent": "bullmq-app",
            "webhook-id": id,
            "webhook-timestamp": String(timestamp),
            "webhook-signature": `v1,${signature}`,
        },
        body,
    });
    await response.body.dump();
    if (response.statusCode < 200 || response.statusCode > 299) {
        throw new Error(`the receiver answered ${response.statusCode}`);
    }
}

async function startWorker() {
    const worker = new Worker("deliveries", deliver, { connection: connect(), concurrency });
    worker.on("error", (error) => console.error(error));
    await worker.waitUntilReady();
}

await queue.waitUntilReady();
if (options.role !== "api") {
    await startWorker();
}
if (options.role === "worker") {
    console.log("ready");
} else {
    startServer();
}
