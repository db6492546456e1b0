# A login whose reply is lost. The page's connection and adapter stand before this.
try:
    print("answered", sessions.create("42")["id"])
except redis.RedisError as error:
    print("failed", repr(error))
