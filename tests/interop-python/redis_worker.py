"""A worker without ivy, by PROTOCOL.md: serves a queue on Redis (its URL and the queue's name are the
arguments) whose tasks double a number. The first attempt at a multiple of ten fails."""

import json
import secrets
import sys

import redis
from redis_queue import keys_of, scripts_of

url, queue = sys.argv[1:]
server = redis.Redis.from_url(url, decode_responses=True, socket_timeout=15)
keys = keys_of(queue)
*_, leases, held = of_scripts = [keys[part] for part in "rdlh"]
scripts = scripts_of(server)
print(json.dumps({"event": "ready"}), flush=True)

seconds = 5
while True:
    name = secrets.token_urlsafe(12)[:14]
    with server.pipeline(transaction=False) as pipe:
        pipe.blmove(keys["r"], keys["p"], seconds, "LEFT", "RIGHT")
        arguments = [99, 30_000, name, "wait", 1, 1 << 20, 4 << 20]
        scripts["reserve"](of_scripts + [keys["p"]], arguments, client=pipe)
        *elements, due = pipe.execute()[1]
    elements = elements[:-1]  # without the end of the lease
    seconds = min(5, max(int(due), 10) / 1000) if due.isdigit() else 5
    lease = "%s/%d" % (name, len(elements))
    for place, element in enumerate(elements):
        field, failed, task = "%s%02d" % (name, place), int(element[18:20], 16), json.loads(element[22:])
        (number,), ivy = task["args"], task["options"]["ivy"]
        if number % 10 == 0 and failed == 0:
            scripts["release"](of_scripts, [100, 1, field, lease if len(elements) == 1 else ""])
            continue
        print(json.dumps({"event": "ran", "number": number, "failed": failed}), flush=True)
        notice = {"id": element[:18], "name": task["name"], "args": [], "notify": True, "queue": queue,
                  "options": {"ivy": dict(ivy, outcome="ok")}, "result": [2 * number]}
        server.publish(ivy["reply"], json.dumps(notice))
        server.hdel(held, field)
    server.zrem(leases, lease)
