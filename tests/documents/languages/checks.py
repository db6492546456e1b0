# What holds of the adapter beyond what the page shows. The page's code stands before this.
import json, os

from redis_session import key_of

with open(os.environ["TOKENS"]) as file:
    tokens = json.load(file)
for token, expected in tokens["routed"]:
    assert key_of(token) == expected, (token, key_of(token), expected)
for token in tokens["bad"]:
    answer = sessions.touch(token)
    assert answer["active"] is False and answer["reason"], (token[:80], answer)

for user in ["", "{42}", "{", "a\0b", "a\x85", "x" * 256, "ü" * 128]:
    try:
        raise AssertionError(key(user))
    except ValueError:
        pass

# Users on all nodes, with names, agents and data of all kinds.
data = {"cart": [{"n": 1}], "name": "ü😀", "version": None, "n": 17}
for user in [*map(str, range(20)), "Jürgen \"J\"", "😀", "a{b}c", "x" * 255]:
    session = sessions.create(user, ip="::1", agent="\t\0" + "ü😀" * 1000, refresh=0, data=data, claims={"role": ["a"]})
    answer = sessions.touch(session["token"], full=True, ip="::2")
    assert answer["active"] is True and answer["new_ip"] is True and answer["user"] == user, (user, answer)
    assert answer["data"] == data and answer["claims"] == {"role": ["a"]}, answer
    assert sessions.list(user)[0]["data"] == sessions.get(user, session["id"])["data"] == data, user
    again = sessions.refresh(session["refresh_token"])
    assert again["refresh_token"] == sessions.refresh(session["refresh_token"])["refresh_token"], user
    other = sessions.regenerate(user, again["token"], claims={"role": ["b"]}, level=2)
    checked = sessions.validate(other["token"], level=2, maxage=60, full=True)
    assert checked["id"] == other["id"] != session["id"] and checked["claims"] == {"role": ["b"]}, checked
    assert sessions.validate(other["token"], level=3)["reason"] == "level"
    assert sessions.touch_id(user, other["id"])["active"] is True
    assert sessions.unset(user, other["id"], "cart", "none") == 1
    assert sessions.count(user) == 1 and sessions.revoke_user(user, spare=other["id"]) == 0
    assert sessions.revoke_user(user) == 1 and sessions.get(user, other["id"]) is None
opaque = sessions.create("42", token="OPAQUE")
assert opaque["token"].startswith("rst1.") and sessions.touch(opaque["token"])["active"], opaque

# The fastest check, counters, and data of another program.
deadline = sessions.get("42", opaque["id"])["expires_at"]
assert sessions.touch(opaque["token"], brief=True) == {"user": "42", "active": True, "expires_at": deadline}
assert sessions.validate(opaque["token"], brief=True, level=2) == {"user": "42", "active": False, "reason": "level"}
assert [sessions.incr("42", opaque["id"], "visits"), sessions.incr("42", opaque["id"], "visits", -3)] == [1, -2]
client.execute_command("SESSION.SET", key("42"), opaque["id"], "plain", b"\xff text")
assert sessions.get("42", opaque["id"])["data"] == {"visits": -2, "plain": "\ufffd text"}
client.execute_command("SESSION.SET", key("42"), opaque["id"], b"\xff", "1")
assert sessions.list("42")[0]["data"] == {"visits": -2, "plain": "\ufffd text", "\ufffd": 1}

for attempt, expected in [
    (lambda: sessions.create("42", ttl="forever"), "ERR"),
    (lambda: sessions.set("42", "another", {"cart": 17}), "NOSESSION"),
    (lambda: sessions.set("42", opaque["id"], {"cart": 17}, version=7), "CONFLICT"),
    (lambda: sessions.create("42", id=opaque["id"]), "SESSIONEXISTS"),
]:
    try:
        raise AssertionError(attempt())
    except redis.ResponseError as error:
        assert code(error) == expected, error

away = Sessions(redis.Redis(port=1, retry=Retry(NoBackoff(), 0)))
try:
    raise AssertionError(away.touch(opaque["token"]))
except redis.ConnectionError:
    pass
