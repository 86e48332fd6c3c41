// A receiver as its users write it: plain node:http, the raw body, a library's verify.
//
//     node receiver.js LIBRARY SECRET [URL]
//
// LIBRARY is one of verifiers.js; URL is the one that the sender calls, where that is signed.
// Prints "listening PORT", then one line of JSON per request. Answers 204 to what verifies and 401
// to everything else.
"use strict";

const http = require("node:http");

const verifiers = require("./verifiers.js");

async function problem(verify, body, request) {
    try {
        await verify(body, request);
        return null;
    } catch (thrown) {
        return String(thrown.message || thrown);
    }
}

async function main() {
    const [library, secret, url] = process.argv.slice(2);
    if (!verifiers[library] || !secret) {
        console.error(`usage: node receiver.js ${Object.keys(verifiers).join("|")} SECRET [URL]`);
        process.exit(2);
    }
    const verify = await verifiers[library](secret, url);
    const server = http.createServer((request, response) => {
        const chunks = [];
        request.on("data", (chunk) => chunks.push(chunk));
        request.on("end", async () => {
            const body = Buffer.concat(chunks);
            const error = await problem(verify, body, request);
            response.writeHead(error ? 401 : 204).end();
            console.log(JSON.stringify({
                verified: error === null,
                error,
                url: request.url,
                headers: request.headers,
                body: body.toString("utf8"),
            }));
        });
    });
    server.listen(0, "127.0.0.1", () => console.log(`listening ${server.address().port}`));
}

main();
