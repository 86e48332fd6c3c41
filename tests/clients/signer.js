// Signs as the providers do, with the generators of their libraries.
//
//     node signer.js
//
// Reads one line of JSON per request, {"library", "secret", "body", "seconds", "id", "url",
// "json"}, and writes one of what the provider sends with it: {"headers": {…}, "query": "…"}.
// `seconds` is the time of signing, `id` the provider's own, `url` what it was told to call, and
// `json` says that the body is no form.
"use strict";

const querystring = require("node:querystring");
const readline = require("node:readline");

// Standard Webhooks and its ancestor differ in the names of their headers only.
function webhook(library, family) {
    return ({ secret, body, seconds, id }) => {
        const { Webhook } = require(library);
        const signature = new Webhook(secret).sign(id, new Date(seconds * 1000), body);
        return {
            headers: {
                [`${family}-id`]: id,
                [`${family}-timestamp`]: String(seconds),
                [`${family}-signature`]: signature,
            },
        };
    };
}

const libraries = {
    standardwebhooks: webhook("standardwebhooks", "webhook"),
    svix: webhook("svix", "svix"),
    stripe({ secret, body, seconds }) {
        const { webhooks } = require("stripe");
        const header = { payload: body, secret, timestamp: seconds };
        return { headers: { "Stripe-Signature": webhooks.generateTestHeaderString(header) } };
    },
    async "@octokit/webhooks-methods"({ secret, body }) {
        const { sign } = await import("@octokit/webhooks-methods");
        return { headers: { "X-Hub-Signature-256": await sign(secret, body) } };
    },
    twilio({ secret, body, url, json }) {
        const twilio = require("twilio");
        const query = json ? `bodySHA256=${twilio.getExpectedBodyHash(body)}` : "";
        const called = query ? `${url}?${query}` : url;
        const parameters = json ? {} : querystring.parse(body);
        const signature = twilio.getExpectedTwilioSignature(secret, called, parameters);
        return { headers: { "X-Twilio-Signature": signature }, query };
    },
};

async function main() {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const request = JSON.parse(line);
        const { headers, query = "" } = await libraries[request.library](request);
        console.log(JSON.stringify({ headers, query }));
    }
}

main();
