"""The API and the cookie sessions, with a server with the module at REDIS_URL that this machine's files configure."""

import json
import os
import secrets
import shutil
import tempfile
import time

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client, TestCase, TransactionTestCase, override_settings

import drf_sessions
import provider
import session_engine
from history.models import SessionEvent
from redis_session import Sessions, connect

redis = connect(settings.REDIS_URL)


def setUpModule():
    global folder
    folder = tempfile.mkdtemp()
    issuers = os.path.join(folder, provider.make_keys(folder))
    redis.config_set("session.issuers-file", issuers)
    redis.config_set("session.audit-stream", settings.AUDIT_STREAM)


def tearDownModule():
    redis.config_set("session.issuers-file", "")
    redis.config_set("session.audit-stream", "")
    shutil.rmtree(folder)


class Api(TestCase):
    def setUp(self):
        self.user = f"ada-{secrets.token_hex(4)}"

    def send(self, method, path, token=None, body=None, **headers):
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        response = self.client.generic(
            method, f"/api/sessions{path}", headers={"User-Agent": "a test", **headers}, **data
        )
        return response.status_code, json.loads(response.content) if response.content else None

    def signed_in(self, user=None, **claims):
        status, tokens = self.send("POST", "/create", provider.token(folder, user or self.user, **claims))
        self.assertEqual(status, 200, tokens)
        return tokens

    def refused(self, path, token, reason, method="GET"):
        status, answer = self.send(method, path, token)
        self.assertEqual((status, answer["reason"]), (401, reason))

    def test_the_providers_token_becomes_a_session_and_is_not_one_itself(self):
        provided = provider.token(folder, self.user)
        self.refused("/current", provided, "unknown")
        status, tokens = self.send("POST", "/create", provided)
        self.assertEqual((status, tokens["new_ip"]), (200, True))
        status, session = self.send("GET", "/current", tokens["token"])
        self.assertEqual((status, session["user"], session["agent"], session["data"]), (200, self.user, "a test", {}))
        self.assertEqual(self.send("POST", "/create", provided)[0], 409)
        self.assertTrue(User.objects.filter(username=self.user).exists())

    def test_a_token_of_anybody_else_begins_nothing(self):
        other = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, other)
        provider.make_keys(other)
        for bad, reason in [
            (provider.token(other, self.user), "signature"),
            (provider.token(folder, self.user, iss="https://id.example.org/"), "issuer"),
            (provider.token(folder, self.user, aud="https://another.example.com"), "audience"),
            (provider.token(folder, self.user, lifetime=-1), "token_expired"),
            ("x", "malformed"),
        ]:
            self.refused("/create", bad, reason, "POST")
        self.assertEqual(drf_sessions.sessions.list(self.user), [])

    def test_requests_without_a_token_are_refused(self):
        for method, path in [("GET", "/current"), ("GET", ""), ("POST", "/invalidate-all"), ("GET", "/events")]:
            self.assertEqual(self.send(method, path)[0], 401)

    def test_a_patch_changes_what_it_names_and_nothing_else(self):
        token = self.signed_in()["token"]
        self.assertEqual(self.send("PATCH", "/current", token, {"theme": "dark"}), (200, {"theme": "dark"}))
        both = {"theme": "dark", "language": "de"}
        self.assertEqual(self.send("PATCH", "/current", token, {"language": "de"}), (200, both))
        self.assertEqual(self.send("GET", "/current", token)[1]["data"], both)
        for bad in [{}, {"role": "admin"}, {"theme": 1}, ["theme"]]:
            self.assertEqual(self.send("PATCH", "/current", token, bad)[0], 400, bad)

    def test_a_session_that_was_ended_stays_ended(self):
        provided = provider.token(folder, self.user)
        tokens = self.send("POST", "/create", provided)[1]
        self.assertEqual(self.send("DELETE", "/current", tokens["token"]), (204, None))
        self.refused("/current", tokens["token"], "revoked")
        self.refused("/create", provided, "revoked", "POST")
        status, answer = self.send("POST", "/refresh", body={"refresh_token": tokens["refresh_token"]})
        self.assertEqual((status, answer["reason"]), (401, "revoked"))

    def test_a_refresh_gets_new_tokens_and_a_second_use_ends_the_session(self):
        first = self.signed_in()
        chain = [first]
        for _ in range(2):
            status, tokens = self.send("POST", "/refresh", body={"refresh_token": chain[-1]["refresh_token"]})
            self.assertEqual((status, tokens["id"]), (200, first["id"]))
            chain.append(tokens)
        self.assertEqual(self.send("GET", "/current", chain[-1]["token"])[0], 200)
        status, answer = self.send("POST", "/refresh", body={"refresh_token": first["refresh_token"]})
        self.assertEqual((status, answer["reason"]), (401, "reused"))
        self.refused("/current", chain[-1]["token"], "reused")

    def test_all_sessions_are_listed_and_ended(self):
        here, there, _ = [self.signed_in()["token"] for _ in range(3)]
        listed = self.send("GET", "", here)[1]
        self.assertEqual([session["current"] for session in listed], [False, False, True])
        self.assertEqual(self.send("POST", "/invalidate-all", here, {"keep_current": True}), (200, {"ended": 2}))
        self.refused("/current", there, "user_revoked")
        self.assertEqual(self.send("POST", "/invalidate-all", here, {}), (200, {"ended": 1}))
        self.refused("/current", here, "user_revoked")
        # The provider's tokens say in whole seconds when they were issued.
        time.sleep(1 - time.time() % 1)
        self.assertEqual(self.send("GET", "/current", self.signed_in()["token"])[0], 200)

    def test_the_history_tells_what_happened_once_to_this_user_alone(self):
        here, other = self.signed_in()["token"], self.signed_in()
        self.signed_in("bob")
        self.send("DELETE", "/current", other["token"])
        for _ in range(2):
            call_command("follow_sessions", "--once")
        status, events = self.send("GET", "/events", here)
        told = [(event["event"], event["reason"]) for event in events]
        self.assertEqual((status, told), (200, [("revoke", "revoked"), ("create", ""), ("create", "")]))
        self.assertEqual((events[0]["session"], events[1]["agent"]), (other["id"], "a test"))
        self.assertEqual(SessionEvent.objects.count(), SessionEvent.objects.values("stream_id").distinct().count())

    def test_entries_that_were_read_and_not_written_down_are_not_lost(self):
        self.signed_in()
        call_command("follow_sessions", "--once")
        token = self.signed_in()["token"]
        read = redis.xreadgroup("django", "follow_sessions", {settings.AUDIT_STREAM: ">"})
        self.assertTrue(read, "as by a command that was killed before it wrote")
        call_command("follow_sessions", "--once")
        self.assertEqual(len(self.send("GET", "/events", token)[1]), 2)

    def test_while_redis_is_away_the_answer_is_503(self):
        token, there = self.signed_in()["token"], drf_sessions.sessions._client
        drf_sessions.sessions._client = connect("redis://127.0.0.1:1")
        try:
            for method, path in [("GET", "/current"), ("GET", ""), ("POST", "/create")]:
                self.assertEqual(self.send(method, path, token)[0], 503)
        finally:
            drf_sessions.sessions._client = there


# As Django advises for tests: hashing as in production takes most of a second each time.
@override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"])
class Cookies(TransactionTestCase):
    def setUp(self):
        self.account = User.objects.create_user(f"ada-{secrets.token_hex(4)}", password="correct horse battery")
        self.login = {"username": self.account.username, "password": "correct horse battery"}
        redis.delete(f"sessions:django-{self.account.pk}")
        self.sessions = Sessions(redis)

    def listed(self):
        return self.sessions.list(session_engine.name_of(self.account.pk))

    def test_a_guest_keeps_the_cart_and_gets_another_secret_by_signing_in(self):
        browser = Client()
        browser.post("/cart", {"item": "a book"})
        guest = browser.cookies["sessionid"].value
        self.assertEqual(browser.post("/login", self.login).json(), {"user": self.account.pk, "cart": ["a book"]})
        secret = browser.cookies["sessionid"].value
        self.assertNotEqual(secret, guest)
        self.assertEqual(browser.post("/cart", {"item": "a pen"}).json(), {"cart": ["a book", "a pen"]})
        session = self.listed()[0]
        self.assertEqual(session["data"]["cart"], ["a book", "a pen"])
        self.assertNotIn(secret, json.dumps(session), "the secret is not in Redis")
        thief = Client()
        thief.cookies["sessionid"] = guest
        self.assertEqual(thief.post("/cart", {"item": "x"}).json(), {"cart": ["x"]}, "the guest's session is gone")

    def test_a_user_who_is_logged_out_everywhere_is_a_guest_again(self):
        browsers = [Client(), Client()]
        for browser in browsers:
            browser.post("/login", self.login)
        self.assertEqual(len(self.listed()), 2)
        self.assertEqual(self.sessions.revoke_user(session_engine.name_of(self.account.pk)), 2)
        for browser in browsers:
            self.assertEqual(browser.post("/cart", {"item": "x"}).json(), {"cart": ["x"]})
        self.assertEqual(self.listed(), [])

    def test_a_logout_ends_the_session(self):
        browser = Client()
        browser.post("/login", self.login)
        browser.post("/logout")
        self.assertEqual(self.listed(), [])

    def test_a_request_that_is_under_way_at_the_logout_does_not_bring_the_session_back(self):
        browser = Client()
        browser.post("/login", self.login)
        late = session_engine.SessionStore(browser.cookies["sessionid"].value)
        late["cart"] = ["late"]
        browser.post("/logout")
        with self.assertRaises(session_engine.UpdateError):
            late.save()
        self.assertEqual(self.listed(), [])

    def test_two_requests_at_the_same_time_do_not_undo_each_others_changes(self):
        browser = Client()
        browser.post("/login", self.login)
        stores = [session_engine.SessionStore(browser.cookies["sessionid"].value) for _ in range(2)]
        for store, name in zip(stores, ["a", "b"]):
            store[name] = name
        for store in stores:
            store.save()
        self.assertEqual({name: self.listed()[0]["data"].get(name) for name in "ab"}, {"a": "a", "b": "b"})

    def test_deleted_keys_are_deleted_and_lifetimes_are_the_settings(self):
        browser = Client()
        browser.post("/login", self.login)
        store = session_engine.SessionStore(browser.cookies["sessionid"].value)
        store["a"] = {"n": 1}
        store.save()
        del store["a"]
        store.save()
        session = self.listed()[0]
        self.assertNotIn("a", session["data"])
        self.assertEqual(session["idle_expires_at"] - session["last_seen_at"], settings.SESSION_COOKIE_AGE * 1000)
        self.assertEqual(session["expires_at"] - session["created_at"], settings.SESSION_ABSOLUTE_AGE * 1000)

    def test_secrets_that_nobody_was_given_begin_nothing(self):
        for secret in ["x" * 32, "....", "NDI.AAAA", "_w.AAAAAAAA", "ü.aaaaaaaa", "Y" * 300 + ".a"]:
            store = session_engine.SessionStore(secret)
            self.assertEqual(dict(store.items()), {})
            self.assertIsNone(store.session_key)
