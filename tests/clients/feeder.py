"""python3 feeder.py SOCKET STREAM: adds events to a stream with redis-py, many in one MULTI. They come as
lines of JSON on standard input, a list of entries each, and an entry is a list of fields and values in
base64; prints the id of each."""

import base64
import json
import sys

import redis


def main():
    path, stream = sys.argv[1:]
    client = redis.Redis(unix_socket_path=path)
    for line in sys.stdin:
        pipeline = client.pipeline(transaction=True)
        for entry in json.loads(line):
            words = [base64.b64decode(word) for word in entry]
            pipeline.execute_command("XADD", stream, "*", *words)
        for entry_id in pipeline.execute():
            print(entry_id.decode(), flush=True)


main()
