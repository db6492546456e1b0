# The user app of users.acl logs in on one server, through Sentinel, and on a cluster.
import redis
from redis.sentinel import Sentinel

LOGIN = {"username": "app", "password": "change-me", "protocol": 3, "decode_responses": True}


def use(client):
    token = client.execute_command("SESSION.CREATE", "sessions:42")["token"]
    assert isinstance(client.execute_command("SESSION.VALIDATE", "sessions:42", token, "BRIEF"), int)
    print(client.execute_command("SESSION.REVOKE", "sessions:42", token))


use(redis.Redis(host="127.0.0.1", port=SERVER, **LOGIN))
sentinel = Sentinel([("127.0.0.1", SENTINEL)], socket_timeout=5)
use(sentinel.master_for("sessions", **LOGIN))
print(sentinel.slave_for("sessions", **LOGIN).execute_command("SESSION.COUNT", "sessions:nobody"))
cluster = redis.RedisCluster(host="127.0.0.1", port=CLUSTER, **LOGIN)
for user in range(30):
    key = f"sessions:{user}"
    assert cluster.execute_command("SESSION.CREATE", key)["token"]
use(cluster)
