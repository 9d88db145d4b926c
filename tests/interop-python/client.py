"""Calls the methods of the official IronMQ client for Python, except those about the status of pushed
messages, against the server that the environment specifies (IRON_MQ_*). Prints one JSON line for
each check that passes and exits with an error at the first that fails."""

import json
import threading
import time
import urllib
import urllib.parse

import requests
from iron_mq import IronMQ

# The client calls `urllib.urlencode`, which Python 3 has moved.
urllib.urlencode = urllib.parse.urlencode

mq = IronMQ()
CHECKS = []


def check(function):
    """Registers a check; its docstring describes it."""
    CHECKS.append(function)
    return function


def refuses(status, call, *args, **kwargs):
    """Asserts that the server refuses the call with this status and a message; returns the message."""
    try:
        call(*args, **kwargs)
    except requests.HTTPError as error:
        assert error.response.status_code == status, error.response.status_code
        return error.response.json()["msg"]
    raise AssertionError("the call was not refused with %s" % status)


def bodies(answer):
    return [message["body"] for message in answer["messages"]]


@check
def create():
    """create_queue returns the given settings"""
    queue = mq.create_queue("python-settings", {"message_timeout": 77, "message_expiration": 3600})
    assert queue["name"] == "python-settings", queue
    assert queue["type"] == "pull", queue
    assert queue["message_timeout"] == 77, queue
    assert queue["message_expiration"] == 3600, queue


@check
def create_with_defaults():
    """create_queue without settings uses the defaults"""
    queue = mq.create_queue("python-defaults")
    assert queue["message_timeout"] == 60, queue
    assert queue["message_expiration"] == 604800, queue


@check
def update():
    """update_queue and update change one setting and preserve the rest"""
    queue = mq.update_queue("python-settings", {"message_timeout": 88})
    assert (queue["message_timeout"], queue["message_expiration"]) == (88, 3600), queue
    queue = mq.queue("python-settings").update({"message_expiration": 7200})
    assert (queue["message_timeout"], queue["message_expiration"]) == (88, 7200), queue


@check
def queues():
    """queues lists by prefix, in order, after a name"""
    for name in ("python-list-c", "python-list-a", "python-list-b"):
        mq.create_queue(name)
    a, b, c = "python-list-a", "python-list-b", "python-list-c"
    assert mq.queues(prefix="python-list-") == [a, b, c]
    assert mq.queues(prefix="python-list-", per_page=2) == [a, b]
    assert mq.queues(prefix="python-list-", previous=b) == [c]
    assert a in mq.getQueues()


@check
def info():
    """info, size and total_messages count the messages"""
    queue = mq.queue("python-info")
    queue.post("a", "b")
    assert queue.info()["name"] == "python-info"
    assert queue.size() == 2
    assert queue.total_messages() == 2
    assert mq.getQueueDetails("python-info")["size"] == 2


@check
def post():
    """post accepts texts and objects and returns ids in order"""
    queue = mq.queue("python-post")
    answer = queue.post("text", {"body": "object"})
    assert answer["msg"] == "Messages put on queue.", answer
    assert len(answer["ids"]) == 2, answer
    assert all(len(id) == 19 and id.isdigit() for id in answer["ids"]), answer
    assert bodies(queue.peek(max=2)) == ["text", "object"]
    assert len(mq.postMessage("python-post", ["more"])["ids"]) == 1


@check
def delayed():
    """a delayed message stays hidden, and counts"""
    queue = mq.queue("python-delayed")
    queue.post({"body": "later", "delay": 3600})
    assert queue.reserve() == {"messages": []}
    assert queue.size() == 1


@check
def any_text():
    """a body of any text is returned unchanged"""
    queue = mq.queue("python-text")
    texts = ["", " ", "žluťoučký kůň 馬 🐴", '{"a":"\\u0000\\ud800"}', '"quoted" \\ / \n\t']
    queue.post(*texts)
    assert bodies(queue.reserve(max=10)) == texts


@check
def reserve():
    """reserve and get return messages in order, each once"""
    queue = mq.queue("python-reserve")
    ids = queue.post("1", "2", "3", "4")["ids"]
    first = queue.reserve(timeout=60)["messages"]
    second = queue.get(max=1)["messages"]
    third = mq.getMessage("python-reserve", max=1)["messages"]
    rest = queue.reserve(max=100)["messages"]
    assert [message["id"] for message in first + second + third + rest] == ids
    assert first[0]["reserved_count"] == 1, first
    assert len(first[0]["reservation_id"]) == 32, first
    assert queue.reserve(max=100) == {"messages": []}


@check
def long_poll():
    """reserve waits for a message"""
    queue = mq.queue("python-wait")
    mq.create_queue("python-wait")
    poster = threading.Timer(0.2, lambda: queue.post("awaited"))
    started = time.monotonic()
    poster.start()
    assert bodies(queue.reserve(wait=20)) == ["awaited"]
    assert time.monotonic() - started < 15
    poster.join()


@check
def pop():
    """reserve with delete removes the message"""
    queue = mq.queue("python-pop")
    (id,) = queue.post("popped")["ids"]
    assert bodies(queue.reserve(delete=True)) == ["popped"]
    assert refuses(404, queue.get_message_by_id, id) == "Message not found"


@check
def peek():
    """peek shows messages and reserves none"""
    queue = mq.queue("python-peek")
    queue.post("x", "y", "z")
    assert bodies(queue.peek()) == ["x"]
    peeked = queue.peek(max=2)["messages"]
    assert [message["body"] for message in peeked] == ["x", "y"]
    assert peeked[0]["reserved_count"] == 0, peeked
    assert "reservation_id" not in peeked[0], peeked
    assert len(queue.reserve(max=100)["messages"]) == 3
    assert queue.peek(max=2) == {"messages": []}


@check
def by_id():
    """get_message_by_id finds a message, held or not"""
    queue = mq.queue("python-by-id")
    (id,) = queue.post("found")["ids"]
    assert queue.get_message_by_id(id) == {"id": id, "body": "found", "reserved_count": 0}
    queue.reserve()
    assert queue.get_message_by_id(id) == {"id": id, "body": "found", "reserved_count": 1}


@check
def delete():
    """delete removes an unreserved message without a reservation id"""
    queue = mq.queue("python-delete")
    first, second = queue.post("1", "2")["ids"]
    assert queue.delete(first) == {"msg": "Deleted"}
    assert mq.deleteMessage("python-delete", second) == {"msg": "Deleted"}
    assert refuses(404, queue.delete, first) == "Message not found"


@check
def delete_held():
    """delete of a held message needs the right reservation id"""
    queue = mq.queue("python-delete-held")
    (id,) = queue.post("held")["ids"]
    (message,) = queue.reserve()["messages"]
    assert refuses(400, queue.delete, id) == "A reservation_id is required"
    refuses(403, queue.delete, id, "0" * 32)
    assert queue.delete(id, message["reservation_id"]) == {"msg": "Deleted"}


@check
def delete_multiple():
    """delete_multiple removes by ids and by the messages of a reserve"""
    queue = mq.queue("python-delete-many")
    ids = queue.post("1", "2")["ids"]
    assert queue.delete_multiple(ids=ids) == {"msg": "Deleted"}
    queue.post("3", "4")
    assert queue.delete_multiple(messages=queue.reserve(max=2)) == {"msg": "Deleted"}
    assert queue.size() == 0


@check
def touch():
    """touch returns a new reservation id and ends the old one"""
    queue = mq.queue("python-touch")
    queue.post("touched")
    (message,) = queue.reserve(timeout=60)["messages"]
    id, old = message["id"], message["reservation_id"]
    touched = queue.touch(id, old, timeout=120)
    assert touched["msg"] == "Touched", touched
    assert touched["reservation_id"] != old, touched
    refuses(403, queue.touch, id, old)
    assert queue.delete(id, touched["reservation_id"]) == {"msg": "Deleted"}


@check
def release():
    """release returns a message to the front, immediately or later"""
    queue = mq.queue("python-release")
    queue.post("first", "second")
    (held,) = queue.reserve()["messages"]
    assert queue.release(held["id"], held["reservation_id"]) == {"msg": "Released"}
    (again,) = queue.reserve()["messages"]
    assert (again["id"], again["reserved_count"]) == (held["id"], 2), again
    queue.release(again["id"], again["reservation_id"], delay=3600)
    assert bodies(queue.reserve()) == ["second"]


@check
def clear():
    """clear empties a queue, including held messages"""
    queue = mq.queue("python-clear")
    queue.post("1", "2", "3")
    queue.reserve()
    assert queue.clear() == {"msg": "Cleared"}
    assert (queue.size(), queue.total_messages()) == (0, 3)
    assert mq.clearQueue("python-clear") == {"msg": "Cleared"}


@check
def delete_queue():
    """delete_queue removes a queue"""
    queue = mq.queue("python-gone")
    queue.post("lost")
    assert queue.delete_queue() == {"msg": "Deleted."}
    for verb in (queue.delete_queue, queue.info, queue.reserve, queue.clear, queue.peek):
        assert refuses(404, verb) == "Queue not found"


@check
def dead_letter():
    """messages that were reserved too often go to the dead-letter queue"""
    rule = {"queue_name": "python-poison-dead", "max_reservations": 1}
    assert mq.create_queue("python-poison", {"dead_letter": rule})["dead_letter"] == rule
    queue = mq.queue("python-poison")
    queue.post("poison")
    (held,) = queue.reserve()["messages"]
    queue.release(held["id"], held["reservation_id"])
    assert queue.reserve() == {"messages": []}
    assert bodies(mq.queue("python-poison-dead").peek()) == ["poison"]


@check
def alerts():
    """add_alerts and update_alerts are stored and returned"""
    alert = {"type": "fixed", "trigger": 10, "direction": "asc", "queue": "python-alarm", "snooze": 0}
    queue = mq.queue("python-alerts")
    mq.create_queue("python-alerts")
    (added,) = queue.add_alerts(alert)["alerts"]
    assert added["trigger"] == 10, added
    (updated,) = queue.update_alerts(dict(alert, trigger=20))["alerts"]
    assert updated["trigger"] == 20, updated


@check
def subscribers():
    """subscribers of a push queue are added, replaced and removed"""

    def subscriber(name):
        return {"name": name, "url": "http://127.0.0.1/" + name}

    push = {"subscribers": [subscriber("first")], "retries": 7}
    created = mq.create_queue("python-push", {"type": "multicast", "push": push})
    assert (created["type"], created["push"]["retries"]) == ("multicast", 7), created
    queue = mq.queue("python-push")

    def names():
        return [subscriber["name"] for subscriber in queue.info()["push"]["subscribers"]]

    assert queue.add_subscribers(subscriber("second")) == {"msg": "Updated"}
    assert names() == ["first", "second"]
    assert queue.replace_subscribers(subscriber("third"), subscriber("fourth")) == {"msg": "Updated"}
    assert names() == ["third", "fourth"]
    assert queue.remove_subscribers("third") == {"msg": "Updated"}
    assert names() == ["fourth"]
    assert "at least one subscriber" in refuses(400, queue.remove_subscribers, "fourth")


@check
def wrong_token():
    """a wrong token is refused"""
    stranger = IronMQ(token="wrong").queue("python-post")
    assert refuses(401, stranger.reserve) == "Invalid project/token combination"


for function in CHECKS:
    try:
        function()
    except Exception as error:
        raise SystemExit("%s: %r" % (function.__doc__, error)) from error
    print(json.dumps({"held": function.__doc__}), flush=True)
