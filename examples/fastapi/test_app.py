"""The application by HTTP, with uvicorn in front of it and a server with the module behind it, at REDIS_URL."""

import asyncio
import http.client
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, HTTPException
from fastapi.security import OAuth2PasswordBearer

from redis_session import Sessions, connect, connect_async, key, key_of
from sealed_data import DataKeys

FOLDER = os.path.dirname(os.path.abspath(__file__))
REDIS_URL = os.environ.get("REDIS_URL", "redis://localhost:6379")
PASSWORD = "correct horse battery"
DAY = 86_400


# The application with passwords that cost little to hash: the tests hash dozens.
CHEAP = ["-c", "import app, sys, uvicorn; app.COST['n'] = 2; sys.exit(uvicorn.main())"]
# As it runs in production.
DEAR = ["-m", "uvicorn"]


class Service:
    def __init__(self, folder, redis_url, program):
        # The socket listens before the program starts, so that no request comes too early.
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = listener.getsockname()[1]
        self.environment = {**os.environ, "REDIS_URL": redis_url, "DATABASE": os.path.join(folder, "accounts.sqlite")}
        command = [sys.executable, *program, "app:app", "--fd", str(listener.fileno()), "--log-level", "warning"]
        self.process = subprocess.Popen(command, cwd=FOLDER, pass_fds=[listener.fileno()], env=self.environment)
        listener.close()

    def stop(self):
        self.process.terminate()
        return self.process.wait(120)

    def send(self, method, path, token=None, form=None, body=None, address="203.0.113.7"):
        headers = {"X-Forwarded-For": address, "User-Agent": "a test"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request(method, path, urlencode(form) if form is not None else json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, json.loads(text) if text else None


class Application(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.service = Service(cls.folder.name, REDIS_URL, CHEAP)
        cls.redis = connect(REDIS_URL)
        # Users whom the server has not seen, whichever it is.
        cls.service.send("GET", "/openapi.json")
        with sqlite3.connect(cls.service.environment["DATABASE"]) as db:
            db.execute("INSERT INTO sqlite_sequence VALUES ('accounts', ?)", (time.time_ns() // 1000,))

    @classmethod
    def tearDownClass(cls):
        assert cls.service.stop() in (0, -15), "it stops when it is asked to"
        cls.folder.cleanup()

    def setUp(self):
        for pattern in ["tries:*", "accounts:*"]:
            for name in self.redis.scan_iter(pattern):
                self.redis.delete(name)

    def send(self, *args, **options):
        return self.service.send(*args, **options)

    def register(self):
        """A user of this test alone."""
        name = f"user-{time.time_ns()}"
        status, account = self.send("POST", "/register", body={"name": name, "password": PASSWORD})
        self.assertEqual(status, 201, account)
        return name

    def login(self, name, password=PASSWORD, path="/token", **options):
        form = {"username": name, "password": password, **options.pop("form", {})}
        return self.send("POST", path, form=form, **options)

    def signed_in(self, name=None, **options):
        status, tokens = self.login(name or self.register(), **options)
        self.assertEqual(status, 200, tokens)
        return tokens

    def assert_dead(self, token, text):
        self.assertEqual(self.send("GET", "/me", token), (401, {"detail": text}))

    def test_who_is_signed_in_is_known_with_the_role(self):
        tokens = self.signed_in()
        self.assertEqual((tokens["token_type"], tokens["new_ip"]), ("bearer", True))
        self.assertAlmostEqual(tokens["expires_in"], 900, delta=5)
        status, me = self.send("GET", "/me", tokens["access_token"])
        self.assertEqual((status, me["role"]), (200, "user"))
        self.assertEqual(key_of(tokens["access_token"]), "sessions:" + me["id"])

    def test_a_name_is_taken_once_and_a_short_password_is_refused(self):
        name = self.register()
        self.assertEqual(self.send("POST", "/register", body={"name": name.upper(), "password": PASSWORD})[0], 409)
        self.assertEqual(self.send("POST", "/register", body={"name": "short", "password": "hunter2"})[0], 422)

    def test_without_a_good_token_nobody_is_let_in(self):
        token = self.signed_in()["access_token"]
        self.assertEqual(self.send("GET", "/me"), (401, {"detail": "Not authenticated"}))
        for bad in ["x", "a.b.c", token[:-4] + "AAAA", "rst1.MQ.AAAA.AAAA"]:
            self.assert_dead(bad, "Could not validate credentials")

    def test_a_token_is_dead_after_logout_and_says_so(self):
        name = self.register()
        here, there = self.signed_in(name)["access_token"], self.signed_in(name)["access_token"]
        self.assertEqual(self.send("POST", "/logout", here), (204, None))
        self.assert_dead(here, "Token has been revoked")
        self.assertEqual(self.send("GET", "/me", there)[0], 200)
        self.assertEqual(self.send("POST", "/logout", here), (204, None), "once more is no error")

    def test_all_sessions_end_and_say_so_and_a_new_one_begins_at_once(self):
        name = self.register()
        here, there = self.signed_in(name), self.signed_in(name)
        self.assertEqual(self.send("POST", "/logout-all", here["access_token"]), (200, {"ended": 2}))
        for tokens in (here, there):
            self.assert_dead(tokens["access_token"], "All user sessions have been revoked")
            status, answer = self.send("POST", "/refresh", form={"refresh_token": tokens["refresh_token"]})
            self.assertEqual((status, answer["detail"]), (401, "All user sessions have been revoked"))
        self.assertEqual(self.send("GET", "/me", self.signed_in(name)["access_token"])[0], 200)

    def test_a_refresh_token_works_once_and_a_second_use_ends_the_session(self):
        def refresh(token):
            return self.send("POST", "/refresh", form={"refresh_token": token})

        first = self.signed_in()
        with ThreadPoolExecutor(8) as pool:  # tabs that refresh at the same time get the same tokens
            answers = list(pool.map(refresh, [first["refresh_token"]] * 8))
        self.assertEqual({status for status, _ in answers}, {200})
        self.assertEqual(len({answer["refresh_token"] for _, answer in answers}), 1)
        second = answers[0][1]
        third = refresh(second["refresh_token"])[1]
        self.assertEqual(self.send("GET", "/me", third["access_token"])[0], 200)
        reused = "Session has ended: its refresh token was used twice"
        self.assertEqual(refresh(first["refresh_token"]), (401, {"detail": reused}))
        self.assert_dead(third["access_token"], reused)

    def test_remembered_users_stay_signed_in_for_thirty_days(self):
        name = self.register()
        for form, days in [({}, 1), ({"remember": "true"}, 30)]:
            token = self.signed_in(name, path="/login", form=form)["access_token"]
            newest = self.send("GET", "/sessions", token)[1][0]
            self.assertAlmostEqual((newest["expires_at"] - newest["created_at"]) / 1000, days * DAY, delta=1)

    def test_a_user_sees_sessions_and_ends_one(self):
        name = self.register()
        here = self.signed_in(name)["access_token"]
        there = self.signed_in(name, address="2001:db8::1")["access_token"]
        status, listed = self.send("GET", "/sessions", here)
        self.assertEqual(status, 200)
        shown = [(s["ip"], s["agent"], s["current"]) for s in listed]
        self.assertEqual(shown, [("2001:db8::1", "a test", False), ("203.0.113.7", "a test", True)])
        self.assertEqual(self.send("DELETE", "/sessions/" + listed[0]["id"], here)[0], 204)
        self.assert_dead(there, "Token has been revoked")
        stranger = self.signed_in()["access_token"]
        self.assertEqual(self.send("DELETE", "/sessions/" + listed[1]["id"], stranger)[0], 404)
        self.assertEqual(self.send("GET", "/me", here)[0], 200)

    def test_five_wrong_tries_from_one_address_are_taken_even_at_the_same_time(self):
        name = self.register()
        with ThreadPoolExecutor(12) as pool:
            tries = pool.map(lambda _: self.login(name, "a wrong password")[0], range(12))
            self.assertEqual(sorted(tries), [401] * 5 + [429] * 7)
        self.assertEqual(self.login(name)[0], 429, "the right one neither")
        self.assertEqual(self.login(name, address="203.0.113.8")[0], 200, "but from elsewhere")
        self.assertLessEqual(self.redis.ttl("tries:203.0.113.7"), 900)
        self.redis.delete("tries:203.0.113.7")  # as after 15 minutes
        self.assertEqual([self.login(name)[0] for _ in range(7)], [200] * 7, "sign-ins do not count")

    def test_an_address_gets_five_accounts(self):
        for _ in range(5):
            self.register()
        body = {"name": "one-too-many", "password": PASSWORD}
        self.assertEqual(self.send("POST", "/register", body=body)[0], 429)

    def test_addresses_of_one_ipv6_network_count_together(self):
        tries = [self.login("nobody", address=f"2001:db8::{n}")[0] for n in range(1, 7)]
        self.assertEqual(tries, [401] * 5 + [429])

    def test_administrators_see_counts_and_nobody_else(self):
        name = self.register()
        user = self.signed_in(name)["access_token"]
        self.assertEqual(self.send("GET", "/admin/stats", user)[0], 403)
        command = [sys.executable, "app.py", "grant-admin", name]
        said = subprocess.run(command, cwd=FOLDER, env=self.service.environment, capture_output=True, text=True)
        self.assertEqual((said.returncode, said.stdout), (0, "1\n"), said.stderr)
        self.assert_dead(user, "All user sessions have been revoked")
        status, stats = self.send("GET", "/admin/stats", self.signed_in(name)["access_token"])
        self.assertEqual(status, 200)
        self.assertGreaterEqual(stats["sessions"], 1)

    def test_while_redis_is_away_nobody_is_let_in_and_the_answer_says_so(self):
        token = self.signed_in()["access_token"]
        away = Service(self.folder.name, "redis://127.0.0.1:1", DEAR)
        try:
            for path in ["/me", "/sessions"]:
                self.assertEqual(away.send("GET", path, token)[0], 503)
        finally:
            away.stop()


class Adapter(unittest.TestCase):
    def test_it_works_with_a_synchronous_client_too(self):
        sessions, user = Sessions(connect(REDIS_URL)), f"Jürgen-{time.time_ns()}"
        login = sessions.create(user, ip="203.0.113.7", data={"theme": "dark"}, claims={"role": "user"}, refresh=0)
        answer = sessions.touch(login["token"], full=True)
        self.assertEqual((answer["active"], answer["user"], answer["data"]), (True, user, {"theme": "dark"}))
        self.assertEqual(sessions.set(user, login["id"], {"version": [1, "1"]}), 1)
        self.assertEqual(sessions.get(user, login["id"])["data"], {"theme": "dark", "version": [1, "1"]})
        self.assertEqual(sessions.unset(user, login["id"], "theme"), 1)
        renewed = sessions.refresh(login["refresh_token"])
        self.assertEqual(sessions.list(user)[0]["id"], renewed["id"])
        other = sessions.regenerate(user, renewed["token"])
        self.assertTrue(sessions.touch_id(user, other["id"])["active"])
        self.assertEqual(sessions.revoke_user(user, spare=other["id"]), 0)
        self.assertEqual(sessions.revoke_token(other["token"]), 1)
        self.assertEqual(sessions.validate(other["token"]), {"user": user, "active": False, "reason": "revoked"})
        self.assertIsNone(sessions.get(user, other["id"]))
        self.assertEqual(sessions.touch("no token")["reason"], "malformed")


class SealedData(unittest.TestCase):
    def setUp(self):
        with open(os.path.join(FOLDER, "../../docs/sealed-data.json"), encoding="utf-8") as file:
            vectors = json.load(file)
        self.values = vectors["values"]
        self.keys = DataKeys(*((kid, bytes.fromhex(key)) for kid, key in vectors["keys"].items()))

    def test_sealed_values_are_those_of_the_test_vectors_and_open_in_their_place_alone(self):
        self.assertGreater(len(self.values), 2)
        for vector in self.values:
            place = vector["user"], vector["id"], vector["field"]
            value, sealed = bytes.fromhex(vector["value"]), bytes.fromhex(vector["sealed"])
            self.assertEqual(self.keys.open(*place, sealed), value)
            self.assertEqual(self.keys.open(*place, self.keys.seal(*place, value)), value)
            bad = [sealed[:at] for at in range(len(sealed))]
            bad += [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))]
            for changed in bad:
                with self.assertRaises(ValueError):
                    self.keys.open(*place, changed)
            for n in range(3):
                with self.assertRaises(ValueError):
                    self.keys.open(*(part + "x" * (n == at) for at, part in enumerate(place)), sealed)
        for bad in [(), (("", bytes(32)),), (("1", bytes(31)),)]:
            with self.assertRaises(ValueError):
                DataKeys(*bad)

    def check(self, plain, answers):
        login, touched, listed, got = answers
        self.assertEqual([touched["data"], listed[0]["data"], got["data"]], [{"cart": [1, "ü"], "n": 2}] * 3)
        stored = plain.execute_command("SESSION.GET", key(touched["user"]), login["id"], NEVER_DECODE=True)
        self.assertEqual([value[0] for value in stored[b"data"].values()], [1, 1], "the version of the format")

    def test_data_are_sealed_before_they_reach_redis(self):
        user, plain = f"user-{time.time_ns()}", connect(REDIS_URL)
        sessions = Sessions(plain, keys=self.keys)
        login = sessions.create(user, data={"cart": [1, "ü"]})
        sessions.set(user, login["id"], {"n": 2})
        answers = sessions.touch(login["token"], full=True), sessions.list(user), sessions.get(user, login["id"])
        self.check(plain, (login, *answers))

    def test_data_are_sealed_by_an_asynchronous_client_too(self):
        async def work(user):
            client = connect_async(REDIS_URL)
            sessions = Sessions(client, keys=self.keys)
            login = await sessions.create(user, data={"cart": [1, "ü"]})
            await sessions.set(user, login["id"], {"n": 2})
            answers = [sessions.touch(login["token"], full=True), sessions.list(user), sessions.get(user, login["id"])]
            answers = [await answer for answer in answers]
            await client.aclose()
            return login, *answers

        self.check(connect(REDIS_URL), asyncio.run(work(f"user-{time.time_ns()}")))


class Readme(unittest.TestCase):
    def test_the_start_that_the_projects_readme_shows_works(self):
        with open(os.path.join(FOLDER, "../../README.md"), encoding="utf-8") as file:
            code = file.read().split("```python\n")[1].split("```")[0]
        names = {name: globals()[name] for name in ("Annotated", "Depends", "HTTPException", "OAuth2PasswordBearer")}
        names |= {"Sessions": Sessions, "connect_async": connect_async}
        exec(code.replace("redis://localhost:6379", REDIS_URL), names)

        async def check():
            user, sessions = f"user-{time.time_ns()}", names["sessions"]
            token = (await sessions.create(user))["token"]
            self.assertEqual((await names["current_session"](token))["user"], user)
            await sessions.revoke_token(token)
            with self.assertRaises(HTTPException) as refused:
                await names["current_session"](token)
            self.assertEqual((refused.exception.status_code, refused.exception.detail), (401, "revoked"))
            await sessions._client.aclose()

        asyncio.run(check())


if __name__ == "__main__":
    unittest.main()
