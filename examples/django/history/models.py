from django.db import models


class SessionEvent(models.Model):
    """An event in the life of a session: an entry of the server's audit stream."""

    stream_id = models.CharField(max_length=40, unique=True)
    at = models.DateTimeField()
    user = models.CharField(max_length=255, db_index=True)
    event = models.CharField(max_length=20)
    reason = models.CharField(max_length=20, blank=True)
    session = models.CharField(max_length=128, blank=True)
    ip = models.GenericIPAddressField(null=True)
    agent = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]

    def shown(self):
        names = ("at", "event", "reason", "session", "ip", "agent")
        return {name: getattr(self, name) for name in names}
