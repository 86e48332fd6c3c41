// node feeder.js SOCKET STREAM: as feeder.py, with ioredis.
'use strict';
const readline = require('node:readline');
const Redis = require('ioredis');

const [socket, stream] = process.argv.slice(2);

async function main() {
  const redis = new Redis(socket);
  for await (const line of readline.createInterface({input: process.stdin})) {
    const multi = redis.multi();
    for (const entry of JSON.parse(line))
      multi.xadd(stream, '*', ...entry.map((word) => Buffer.from(word, 'base64')));
    for (const [error, id] of await multi.exec()) {
      if (error) throw error;
      console.log(id);
    }
  }
  redis.disconnect();
}

main();
