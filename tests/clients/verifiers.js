// How receivers verify: each library as its documentation says, on the raw body.
//
// An entry takes the endpoint's secret (or public key) and the URL that the sender calls, and
// returns verify(body, request), which throws or rejects when the request does not verify.
"use strict";

const crypto = require("node:crypto");
const querystring = require("node:querystring");

const hmacHex = (key, body) => crypto.createHmac("sha256", key).update(body).digest("hex");

function equal(got, expected) {
    const a = Buffer.from(String(got));
    const b = Buffer.from(expected);
    if (a.length !== b.length || !crypto.timingSafeEqual(a, b))
        throw new Error(`signature ${got} is not the expected one`);
}

// Many libraries answer with a boolean.
function must(valid) {
    if (valid !== true)
        throw new Error("the library says that it is not valid");
}

// What Trotline signs and no library verifies, by node:crypto.
const byHand = {
    v1a(publicKey) {
        const raw = Buffer.from(publicKey.replace(/^whpk_/, ""), "base64");
        // RFC 8410 section 4: the fixed head of an Ed25519 SubjectPublicKeyInfo.
        const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), raw]);
        const key = crypto.createPublicKey({ key: der, format: "der", type: "spki" });
        return (body, { headers }) => {
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
        return (body, { headers }) =>
            equal(headers["x-webhook-signature-256"], `sha256=${hmacHex(key, body)}`);
    },
    guide(secret) {
        return (body, { headers }) => equal(headers["x-webhook-signature"], hmacHex(secret, body));
    },
    basic(secret) {
        return (body, { headers }) => equal(headers["x-signature"], hmacHex(secret, body));
    },
};

const libraries = {
    standardwebhooks(secret) {
        const { Webhook } = require("standardwebhooks");
        const webhook = new Webhook(secret);
        return (body, { headers }) => webhook.verify(body, headers, { jsonParse: false });
    },
    svix(secret) {
        const { Webhook } = require("svix");
        const webhook = new Webhook(secret);
        return (body, { headers }) => webhook.verify(body, headers);
    },
    stripe(secret) {
        const { webhooks } = require("stripe");
        return (body, { headers }) =>
            webhooks.constructEvent(body, headers["stripe-signature"], secret);
    },
    async "@octokit/webhooks-methods"(secret) {
        const { verify } = await import("@octokit/webhooks-methods"); // an ES module
        return async (body, { headers }) =>
            must(await verify(secret, body.toString(), headers["x-hub-signature-256"] || "none"));
    },
    "@slack/bolt"(signingSecret) {
        const { verifySlackRequest } = require("@slack/bolt");
        return (body, { headers }) =>
            verifySlackRequest({ signingSecret, headers, body: body.toString() });
    },
    "@shopify/shopify-api"(apiSecretKey) {
        require("@shopify/shopify-api/adapters/node");
        const { LATEST_API_VERSION, shopifyApi } = require("@shopify/shopify-api");
        const { webhooks } = shopifyApi({
            apiKey: "key",
            apiSecretKey,
            apiVersion: LATEST_API_VERSION,
            hostName: "localhost",
            isEmbeddedApp: false,
            logger: { log() {} }, // else it writes to standard output
        });
        return async (body, rawRequest) => {
            const found = await webhooks.validate({ rawBody: body.toString(), rawRequest });
            if (!found.valid)
                throw new Error(found.reason);
        };
    },
    // A form is signed by its parameters; any other body by its hash, which is in the URL.
    twilio(token, url) {
        const twilio = require("twilio");
        return (body, { headers }) => {
            const signature = headers["x-twilio-signature"];
            if (headers["content-type"] === "application/x-www-form-urlencoded")
                return must(twilio.validateRequest(token, signature, url,
                                                   querystring.parse(body.toString())));
            const signed = `${url}?bodySHA256=${twilio.getExpectedBodyHash(body.toString())}`;
            return must(twilio.validateRequestWithBody(token, signature, signed, body.toString()));
        };
    },
    "@sendgrid/eventwebhook"(publicKey) {
        const { EventWebhook, EventWebhookHeader } = require("@sendgrid/eventwebhook");
        const webhook = new EventWebhook();
        const key = webhook.convertPublicKeyToECDSA(publicKey);
        return (body, { headers }) =>
            must(webhook.verifySignature(key, body,
                                         headers[EventWebhookHeader.SIGNATURE().toLowerCase()],
                                         headers[EventWebhookHeader.TIMESTAMP().toLowerCase()]));
    },
    "discord-interactions"(publicKey) {
        const { verifyKey } = require("discord-interactions");
        return async (body, { headers }) =>
            must(await verifyKey(body, headers["x-signature-ed25519"],
                                 headers["x-signature-timestamp"], publicKey));
    },
    razorpay(secret) {
        const Razorpay = require("razorpay");
        return (body, { headers }) =>
            must(Razorpay.validateWebhookSignature(body.toString(),
                                                   headers["x-razorpay-signature"], secret));
    },
};

module.exports = { ...byHand, ...libraries };
