# What holds of the page's functions beyond what the page shows. The page's code stands before this.
import os, threading, urllib.error, urllib.request, wsgiref.simple_server

with open(os.environ["TOKENS"]) as file:
    tokens = json.load(file)
for token, expected in tokens["routed"]:
    assert key_of(token) == expected, (token, key_of(token), expected)
for token in tokens["bad"]:
    answer = ask("SESSION.TOUCH", token)
    assert not answer["active"] and answer["reason"], (token[:80], answer)

for user in ["", "{42}", "{", "a\0b", "a\x85", "x" * 256, "ü" * 128]:
    try:
        raise AssertionError(key(user))
    except ValueError:
        pass

# Users on all nodes, with names and agents of all kinds.
for user in [*map(str, range(20)), "Jürgen \"J\"", "😀", "a{b}c", "x" * 255]:
    session = login(user, "::1", "\t\0" + "ü😀" * 1000)
    answer = ask("SESSION.TOUCH", session["token"])
    assert answer["active"] and answer["user"] == user, (user, answer)
    again = ask("SESSION.REFRESH", session["refresh_token"])
    assert again["refresh_token"] == ask("SESSION.REFRESH", session["refresh_token"])["refresh_token"], user
opaque = as_map(r.execute_command("SESSION.CREATE", key("42"), "TOKEN", "OPAQUE"))
assert opaque["token"].startswith("rst1.") and ask("SESSION.TOUCH", opaque["token"])["active"], opaque

for arguments, expected in [
    (("SESSION.CREATE", "sessions:42", "TTL", "forever"), "ERR"),
    (("SESSION.SET", "sessions:42", "another", "cart", 17), "NOSESSION"),
    (("SESSION.CREATE", "sessions:42", "ID", opaque["id"]), "SESSIONEXISTS"),
]:
    try:
        raise AssertionError(r.execute_command(*arguments))
    except redis.ResponseError as error:
        assert code(error) == expected, error


def application(environ, start_response):
    start_response("200 OK", [])
    return [environ["session"]["user"].encode()]


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


server = wsgiref.simple_server.make_server("127.0.0.1", 0, sessions_required(application), handler_class=Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()


def get(authorization):
    headers = {"Authorization": authorization} if authorization else {}
    request = urllib.request.Request(f"http://127.0.0.1:{server.server_port}/", headers=headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["WWW-Authenticate"] or error.headers["Retry-After"]


token = login("42", "203.0.113.7", "Firefox on Linux")["token"]
assert get("Bearer " + token) == (200, "42"), get("Bearer " + token)
assert get("bearer " + token) == (200, "42")
for bad in [None, "Basic " + token, "Bearer", "Bearer ", "Bearer a.b.c", "Bearer " + token + "x", "Bearer \xff.\xff.\xff"]:
    assert get(bad) == (401, "Bearer"), (bad, get(bad))
r.execute_command("SESSION.REVOKE", key("42"), token)
assert get("Bearer " + token) == (401, "Bearer")
r = redis.Redis(port=1, retry=Retry(NoBackoff(), 0))
assert get("Bearer " + token) == (503, "1"), get("Bearer " + token)
