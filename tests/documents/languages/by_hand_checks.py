# That what docs/clients.md counts the lines of works. The page's code stands before this.
from by_hand import ByHand

by_hand = ByHand(client)
first, second, third = (by_hand.create("7", 2, 3600, 900, f"203.0.113.{n}", "Firefox", "editor") for n in range(3))
assert (first["new_ip"], third["evicted"]) == (True, [first["id"]]), third
assert by_hand.touch(first["token"])["reason"] == "evicted"
assert by_hand.touch(second["token"])["user"] == "7" and by_hand.touch(second["token"], "admin")["reason"] == "role"
assert [session["id"] for session in by_hand.list("7")] == [third["id"], second["id"]]
renewed = by_hand.refresh(second["refresh_token"])
assert by_hand.touch(renewed["token"])["active"]
assert by_hand.refresh(second["refresh_token"])["reason"] == "reused"
assert by_hand.touch(renewed["token"])["reason"] == "reused"
assert by_hand.set(third["id"], lambda data: {**data, "n": data.get("n", 0) + 1}) == {"n": 1}
assert by_hand.revoke_user("7", spare=third["id"]) == 0 and by_hand.revoke_user("7") == 1
assert by_hand.set(third["id"], lambda data: data) is None and by_hand.list("7") == []
assert by_hand.touch(third["token"])["reason"] == "user_revoked"
