"""A producer without ivy, by PROTOCOL.md: calls a task for each number on a queue on Redis (its URL, the
queue's name and the task's are the arguments), the last one with a delay, and prints the results."""

import base64
import itertools
import json
import secrets
import sys
import time

import redis
from redis_queue import keys_of, scripts_of

url, queue, name, *numbers = sys.argv[1:]
server = redis.Redis.from_url(url, decode_responses=True, socket_timeout=60)
keys = keys_of(queue)
counter, nonce = itertools.count(1), secrets.token_urlsafe(6)[:6]
reply = "ivy-notifier.r." + secrets.token_urlsafe(16)


def element_of(number, task_id):
    """A message: an id of 18 characters, no failed attempts, no lost deliveries, and the body."""
    millis = base64.urlsafe_b64encode(int(time.time() * 1000).to_bytes(6, "big")).decode()
    count = base64.urlsafe_b64encode(next(counter).to_bytes(3, "big")).decode()
    ivy = {"v": 1, "id": task_id, "reply": reply}
    return millis + nonce + count + "0000" + json.dumps({"name": name, "options": {"ivy": ivy}, "args": [number]})


tasks = {secrets.token_urlsafe(16): int(number) for number in numbers}
*elements, delayed = [element_of(number, task_id) for task_id, number in tasks.items()]
notices = server.pubsub(ignore_subscribe_messages=True)
notices.subscribe(reply)
notices.get_message(timeout=60)  # The subscription is confirmed, so that no result is missed.
server.zadd("ivy1:queues", {queue: 0}, nx=True)
if elements:
    server.rpush(keys["r"], *elements)
scripts_of(server)["post"]([keys[part] for part in "rdlh"], [0, 200, delayed])
for message in notices.listen():
    notice = json.loads(message["data"])
    ivy = notice["options"]["ivy"]
    number = tasks.pop(ivy["id"])
    print(json.dumps({"event": "result", "number": number, "outcome": ivy["outcome"], "result": notice["result"]}), flush=True)
    if not tasks:
        break
