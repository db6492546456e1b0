"""What a login costs an application with plain keys, in redis-py: opaque tokens, a limit with the oldest evicted, reasons,
rotating refresh tokens, roles, and data that two requests change. It is what docs/clients.md counts the lines of."""

import hashlib
import json
import secrets
import time

import redis


class ByHand:
    def __init__(self, client):
        self.client = client

    def create(self, user, limit, ttl, idle, ip, agent, role):
        while True:
            with self.client.pipeline() as pipe:
                pipe.watch(f"user:{user}")
                ids = pipe.smembers(f"user:{user}")
                began = {id: pipe.hget(f"session:{id}", "created_at") for id in ids}
                live = sorted((float(at), id) for id, at in began.items() if at is not None)
                evicted = [id for _, id in live[: max(0, len(live) - limit + 1)]]
                gone = evicted + [id for id, at in began.items() if at is None]
                known = {pipe.hget(f"session:{id}", "ip") for _, id in live}
                id, token, refresh = (secrets.token_urlsafe(16) for _ in range(3))
                now = time.time()
                fields = {"user": user, "created_at": now, "ends_at": now + ttl, "idle": idle, "ip": ip, "agent": agent}
                fields |= {"role": role, "version": 0, "refresh": hashed(refresh)}
                pipe.multi()
                for old in evicted:
                    pipe.delete(f"session:{old}").set(f"ended:{old}", "evicted", ex=ttl)
                if gone:
                    pipe.srem(f"user:{user}", *gone)
                pipe.hset(f"session:{id}", mapping=fields).expire(f"session:{id}", min(ttl, idle))
                pipe.set(f"token:{hashed(token)}", id, ex=ttl).set(f"refresh:{hashed(refresh)}", id, ex=ttl)
                pipe.sadd(f"user:{user}", id).expire(f"user:{user}", ttl)
                try:
                    pipe.execute()
                except redis.WatchError:
                    continue
                return {"id": id, "token": token, "refresh_token": refresh, "evicted": evicted,
                        "new_ip": ip not in known}

    def touch(self, token, role=None):
        id = self.client.get(f"token:{hashed(token)}")
        if id is None:
            return {"active": False, "reason": "unknown"}
        with self.client.pipeline(transaction=False) as pipe:
            session, ended = pipe.hgetall(f"session:{id}").get(f"ended:{id}").execute()
        if not session:
            return {"active": False, "reason": ended or "idle"}
        if role and session["role"] != role:
            return {"active": False, "reason": "role"}
        left = float(session["ends_at"]) - time.time()
        self.client.pexpire(f"session:{id}", max(1, int(min(left, float(session["idle"])) * 1000)))
        return {"active": True, "id": id, **session}

    def refresh(self, token):
        id = self.client.get(f"refresh:{hashed(token)}")
        while id is not None:
            with self.client.pipeline() as pipe:
                pipe.watch(f"session:{id}")
                session = pipe.hgetall(f"session:{id}")
                if not session:
                    break
                if session["refresh"] != hashed(token):
                    pipe.unwatch()
                    self.revoke(session["user"], id, "reused")
                    return {"active": False, "reason": "reused"}
                access, successor = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
                left = max(1, int(float(session["ends_at"]) - time.time()))
                pipe.multi()
                pipe.hset(f"session:{id}", "refresh", hashed(successor))
                pipe.set(f"token:{hashed(access)}", id, ex=left).set(f"refresh:{hashed(successor)}", id, ex=left)
                try:
                    pipe.execute()
                except redis.WatchError:
                    continue
                return {"id": id, "token": access, "refresh_token": successor}
        return {"active": False, "reason": "unknown"}

    def list(self, user):
        ids = list(self.client.smembers(f"user:{user}"))
        with self.client.pipeline(transaction=False) as pipe:
            for id in ids:
                pipe.hgetall(f"session:{id}")
            found = [{"id": id, **session} for id, session in zip(ids, pipe.execute()) if session]
        return sorted(found, key=lambda session: -float(session["created_at"]))

    def revoke(self, user, id, reason="revoked"):
        with self.client.pipeline() as pipe:
            pipe.delete(f"session:{id}").set(f"ended:{id}", reason, ex=30 * 86_400).srem(f"user:{user}", id)
            return pipe.execute()[0]

    def revoke_user(self, user, spare=None):
        return sum(self.revoke(user, id, "user_revoked") for id in self.client.smembers(f"user:{user}") if id != spare)

    def set(self, id, change):
        while True:
            with self.client.pipeline() as pipe:
                pipe.watch(f"session:{id}")
                data = pipe.hget(f"session:{id}", "data")
                if not pipe.exists(f"session:{id}"):
                    return None
                changed = change(json.loads(data or "{}"))
                pipe.multi()
                pipe.hset(f"session:{id}", "data", json.dumps(changed))
                try:
                    pipe.execute()
                except redis.WatchError:
                    continue
                return changed


def hashed(token):
    return hashlib.sha256(token.encode()).hexdigest()
