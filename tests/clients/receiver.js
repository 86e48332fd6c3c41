// A receiver as its users write it: plain node:http, the raw body, a library's verify.
//
//     node receiver.js LIBRARY SECRET
//
// LIBRARY: standardwebhooks or svix (the npm packages); v1a (Ed25519, which no library verifies,
// by node:crypto with the endpoint's public key); event, guide or basic (HMAC by node:crypto).
// Prints "listening PORT", then one line of JSON per request. Answers 204 to what verifies and 401
// to everything else.
"use strict";

const crypto = require("node:crypto");
const http = require("node:http");

const hmacHex = (key, body) => crypto.createHmac("sha256", key).update(body).digest("hex");

function equal(got, expected) {
    const a = Buffer.from(String(got));
    const b = Buffer.from(expected);
    if (a.length !== b.length || !crypto.timingSafeEqual(a, b))
        throw new Error(`signature ${got} is not the expected one`);
}

// Each takes the secret and returns verify(body, headers), which throws.
const libraries = {
    standardwebhooks(secret) {
        const { Webhook } = require("standardwebhooks");
        const webhook = new Webhook(secret);
        return (body, headers) => webhook.verify(body, headers, { jsonParse: false });
    },
    svix(secret) {
        const { Webhook } = require("svix");
        const webhook = new Webhook(secret);
        return (body, headers) => webhook.verify(body, headers);
    },
    v1a(publicKey) {
        const raw = Buffer.from(publicKey.replace(/^whpk_/, ""), "base64");
        // RFC 8410 section 4: the fixed head of an Ed25519 SubjectPublicKeyInfo.
        const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), raw]);
        const key = crypto.createPublicKey({ key: der, format: "der", type: "spki" });
        return (body, headers) => {
            const head = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`;
            const content = Buffer.concat([Buffer.from(head), body]);
            const entries = String(headers["webhook-signature"]).split(" ")
                .filter((entry) => entry.startsWith("v1a,"))
                .map((entry) => Buffer.from(entry.slice(4), "base64"));
            if (!entries.some((entry) => crypto.verify(null, content, key, entry)))
                throw new Error("no v1a signature matches");
        };
    },
    event(secret) {
        const key = Buffer.from(secret, "hex");
        return (body, headers) =>
            equal(headers["x-webhook-signature-256"], `sha256=${hmacHex(key, body)}`);
    },
    guide(secret) {
        return (body, headers) => equal(headers["x-webhook-signature"], hmacHex(secret, body));
    },
    basic(secret) {
        return (body, headers) => equal(headers["x-signature"], hmacHex(secret, body));
    },
};

function main() {
    const [library, secret] = process.argv.slice(2);
    if (!libraries[library] || !secret) {
        console.error(`usage: node receiver.js ${Object.keys(libraries).join("|")} SECRET`);
        process.exit(2);
    }
    const verify = libraries[library](secret);
    const server = http.createServer((request, response) => {
        const chunks = [];
        request.on("data", (chunk) => chunks.push(chunk));
        request.on("end", () => {
            const body = Buffer.concat(chunks);
            let error = null;
            try {
                verify(body, request.headers);
            } catch (thrown) {
                error = String(thrown.message || thrown);
            }
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
