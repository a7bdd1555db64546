"""Tells the world what was decided: `status-changes` and `incidents`, after they are durable, at least once.

Ids and versions are functions of the log; a consumer that keeps the highest version of an id sees each fact once.
"""

from collections.abc import Iterable

from schemas.events import Incident, StatusChange, encode
from schemas.topics import INCIDENTS, STATUS_CHANGES
from stream.outbox import Message


def messages_of(changes: Iterable[StatusChange], incidents: Iterable[Incident]) -> list[Message]:
    """The facts as records, keyed by their monitor."""
    return [
        *(Message(STATUS_CHANGES.name, change.monitor, encode(change)) for change in changes),
        *(Message(INCIDENTS.name, incident.monitor, encode(incident)) for incident in incidents),
    ]
