# A login whose reply is lost. The page's connection and functions stand before this.
try:
    print("answered", as_map(r.execute_command("SESSION.CREATE", key("42")))["id"])
except redis.RedisError as error:
    print("failed", repr(error))
