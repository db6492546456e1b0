from datetime import datetime, timezone

from django.conf import settings
from django.core.management.base import BaseCommand

from history.models import SessionEvent
from redis_session import code, connect, redis

GROUP, READER = "django", "follow_sessions"


class Command(BaseCommand):
    help = "Writes the server's audit stream down as SessionEvents, each entry once, from where it stopped."

    def add_arguments(self, parser):
        parser.add_argument("--once", action="store_true", help="stop at the end of the stream")

    def handle(self, once, **_):
        client, stream = connect(settings.REDIS_URL), settings.AUDIT_STREAM
        try:
            client.xgroup_create(stream, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if code(error) != "BUSYGROUP":
                raise
        after = "0"  # first what was read before and not acknowledged
        while True:
            # The connection waits a second for a reply, so the server waits for less.
            found = client.xreadgroup(GROUP, READER, {stream: after}, count=500, block=None if once else 500)
            entries = next(iter(found.values()))[0] if found else []
            if entries:
                SessionEvent.objects.bulk_create(map(event, entries), ignore_conflicts=True)
                client.xack(stream, GROUP, *(stream_id for stream_id, _ in entries))
            elif after == "0":
                after = ">"
            elif once:
                return


def event(entry):
    stream_id, fields = entry
    return SessionEvent(
        stream_id=stream_id,
        at=datetime.fromtimestamp(int(stream_id.split("-")[0]) / 1000, timezone.utc),
        user=fields.get("user", ""),
        event=fields["event"],
        reason=fields.get("reason", ""),
        session=fields.get("id", ""),
        ip=fields.get("ip"),
        agent=fields.get("agent", ""),
    )
