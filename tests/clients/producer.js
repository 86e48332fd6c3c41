// Publishes CloudEvents with the project's own library.
//
//     node producer.js URL KEY
//
// Reads one line of JSON per event, {"mode", "event", "text", "base64"}, and writes one of what was
// answered: {"status", "body"}. `mode` is "structured" or "binary"; `text` and `base64` are data
// that is a string, or bytes, instead of event.data.
"use strict";

const readline = require("node:readline");
const { CloudEvent, HTTP } = require("cloudevents");

const [url, key] = process.argv.slice(2);

async function publish({ mode, event, text, base64 }) {
    if (text !== null) event.data = text;
    if (base64 !== null) event.data = new Uint8Array(Buffer.from(base64, "base64"));
    const message = HTTP[mode](new CloudEvent(event));
    const answer = await fetch(url, {
        method: "POST",
        headers: { ...message.headers, Authorization: `Bearer ${key}` },
        body: message.body,
    });
    return { status: answer.status, body: await answer.json() };
}

async function main() {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        process.stdout.write(JSON.stringify(await publish(JSON.parse(line))) + "\n");
    }
}

main();
