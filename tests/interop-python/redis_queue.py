"""The keys and scripts of a queue on Redis, by PROTOCOL.md."""

from pathlib import Path

LUA = Path(__file__).parents[2] / "backends/redis/src/queue/lua"
PARTS = {
    "post": "prelude nudge post",
    "reserve": "prelude write_first increment_count put_back due reserve",
    "release": "prelude write_first increment_count nudge release",
}


def keys_of(queue):
    name = queue.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
    return {part: "ivy1:{%s}:%s" % (name, part) for part in "rdlhp"}


def scripts_of(server):
    """Functions of keys and arguments, which send EVALSHA, and the text if the server does not know it."""
    texts = {name: "".join((LUA / (file + ".lua")).read_text() for file in files.split()) for name, files in PARTS.items()}
    return {name: server.register_script(text) for name, text in texts.items()}
