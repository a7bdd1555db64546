"""A page in the shape of Statuspage's public API v2, so that what reads that shape reads us.

That shape cannot say `unknown` or `paused`: what we cannot see is told as degraded, never as operational, and what is
not watched as under maintenance; the component's description says which it is.
"""

import hashlib
from base64 import b32encode
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from query.maintenances import MaintenanceState
from query.status_document import IncidentView, MaintenanceView, MonitorView, StatusDocument, TimelineView
from query.times import iso_of
from query.words import ENTRY_WORDS, MAINTENANCE_WORDS, worst
from schemas.enums import EntryKind, IncidentState, Severity, Status

ID_LENGTH: Final = 12
MAX_LISTED: Final = 50
COMPONENT_STATUS: Final = {
    Status.UP: "operational",
    Status.DEGRADED: "degraded_performance",
    Status.DOWN: "major_outage",
    Status.UNKNOWN: "degraded_performance",
    Status.MAINTENANCE: "under_maintenance",
    Status.PAUSED: "under_maintenance",
}
DESCRIPTIONS: Final = {
    Status.UNKNOWN: "Unknown: nobody can tell at present.",
    Status.PAUSED: "Paused: not being watched at present.",
}
IMPACT: Final = {Severity.DOWN: "major", Severity.DEGRADED: "minor"}
MAINTENANCE_STATUS: Final = {
    MaintenanceState.UPCOMING: "scheduled",
    MaintenanceState.ACTIVE: "in_progress",
    MaintenanceState.PAST: "completed",
}
"""That shape has no word for a cancelled one: it is left out."""

Answer = dict[str, Any]


def statuspage(document: StatusDocument, name: str) -> Answer:
    """The answer of `/api/v2/{name}.json`; `name` is one of FILES."""
    return {"page": _page(document), **FILES[name](document)}


def _page(document: StatusDocument) -> Answer:
    page = document.page
    return {
        "id": _id("page", page.slug),
        "name": page.title,
        "url": page.url,
        "time_zone": "Etc/UTC",
        "updated_at": iso_of(document.stale_since or document.generated_at),
    }


def _summary(document: StatusDocument) -> Answer:
    going_on = _maintenances(document, MaintenanceState.UPCOMING, MaintenanceState.ACTIVE)
    return _components(document) | _unresolved(document) | going_on | _status(document)


def _status(document: StatusDocument) -> Answer:
    """The first rule of Statuspage's that fits."""
    statuses = [COMPONENT_STATUS[monitor.status] for group in _groups(document).values() for monitor in group]
    known = set(statuses)
    if known == {"major_outage"}:
        return _indicated("critical", "Major System Outage")
    if "major_outage" in known:
        return _indicated("major", "Partial System Outage")
    if known == {"degraded_performance"} and len(statuses) > 1:
        return _indicated("minor", "Degraded System Service")
    if "degraded_performance" in known or not known:
        return _indicated("minor", "Partially Degraded Service")
    if "under_maintenance" in known:
        return _indicated("maintenance", "Service Under Maintenance")
    return _indicated("none", "All Systems Operational")


def _indicated(indicator: str, description: str) -> Answer:
    return {"status": {"indicator": indicator, "description": description}}


def _components(document: StatusDocument) -> Answer:
    components: list[Answer] = []
    for position, (name, members) in enumerate(_groups(document).items(), 1):
        components.append(_group(document, name, members, position))
        components += [
            _component(document, monitor, place, _group_id(document, name)) for place, monitor in enumerate(members, 1)
        ]
    return {"components": components}


def _groups(document: StatusDocument) -> dict[str, list[MonitorView]]:
    """Monitors by their group's name: in that shape each has one group, the first here, and each name is one group."""
    first_group: dict[str, tuple[str, MonitorView]] = {}
    for group in document.groups:
        for monitor in group.monitors:
            first_group.setdefault(monitor.slug, (group.name, monitor))
    groups: defaultdict[str, list[MonitorView]] = defaultdict(list)
    for name, monitor in first_group.values():
        groups[name].append(monitor)
    return groups


def _group(document: StatusDocument, name: str, members: list[MonitorView], position: int) -> Answer:
    status = worst([monitor.status for monitor in members])
    shared = _component_fields(document, _group_id(document, name), name, status, document.generated_at)
    ids = [_component_id(document, monitor.slug) for monitor in members]
    return shared | {"position": position, "group": True, "components": ids}


def _component(document: StatusDocument, monitor: MonitorView, position: int, group: str | None) -> Answer:
    changed_at = monitor.since or document.generated_at
    component = _component_id(document, monitor.slug)
    shared = _component_fields(document, component, monitor.name, monitor.status, changed_at)
    return shared | {"position": position, "group": False, "group_id": group}


def _component_fields(document: StatusDocument, id_: str, name: str, status: Status, changed_at: datetime) -> Answer:
    return {
        "id": id_,
        "name": name,
        "status": COMPONENT_STATUS[status],
        "created_at": iso_of(changed_at),
        "updated_at": iso_of(changed_at),
        "description": DESCRIPTIONS.get(status),
        "showcase": False,
        "start_date": None,
        "group_id": None,
        "page_id": _id("page", document.page.slug),
        "only_show_if_degraded": False,
    }


def _incidents(document: StatusDocument) -> Answer:
    newest = sorted(document.incidents, key=lambda incident: incident.opened_at, reverse=True)
    return {"incidents": [_incident(document, incident) for incident in newest[:MAX_LISTED]]}


def _unresolved(document: StatusDocument) -> Answer:
    open_ones = [incident for incident in document.incidents if incident.state is IncidentState.OPEN]
    return {"incidents": [_incident(document, incident) for incident in open_ones]}


def _all_maintenances(document: StatusDocument) -> Answer:
    return _maintenances(document, *MAINTENANCE_STATUS)


def _upcoming(document: StatusDocument) -> Answer:
    return _maintenances(document, MaintenanceState.UPCOMING)


def _active(document: StatusDocument) -> Answer:
    return _maintenances(document, MaintenanceState.ACTIVE)


def _maintenances(document: StatusDocument, *states: MaintenanceState) -> Answer:
    wanted = [each for each in reversed(document.maintenances) if each.state in states]
    return {"scheduled_maintenances": [_maintenance(document, each) for each in wanted[:MAX_LISTED]]}


def _incident(document: StatusDocument, incident: IncidentView) -> Answer:
    id_ = _id("incident", document.page.slug, incident.monitor, incident.id)
    updates = _updates(incident, id_)
    return {
        "id": id_,
        "name": incident.title,
        "status": updates[0]["status"],
        "impact": IMPACT[incident.severity],
        "created_at": iso_of(incident.opened_at),
        "updated_at": updates[0]["updated_at"],
        "monitoring_at": None,
        "resolved_at": iso_of(incident.resolved_at) if incident.resolved_at else None,
        "started_at": iso_of(incident.opened_at),
        "shortlink": f"{document.page.url}#incident-{incident.id}",
        "page_id": _id("page", document.page.slug),
        "incident_updates": updates,
        "components": _affected(document, [incident.monitor]),
    }


def _maintenance(document: StatusDocument, maintenance: MaintenanceView) -> Answer:
    id_ = _id("maintenance", document.page.slug, maintenance.slug)
    updates = _numbered_updates(id_, [_step(maintenance, state, at) for state, at in maintenance.steps])
    return {
        "id": id_,
        "name": maintenance.title,
        "status": MAINTENANCE_STATUS[maintenance.state],
        "impact": "maintenance",
        "created_at": updates[-1]["created_at"],
        "updated_at": iso_of(max(maintenance.updated_at, maintenance.steps[0][1])),
        "monitoring_at": None,
        "resolved_at": iso_of(maintenance.ends_at) if maintenance.state is MaintenanceState.PAST else None,
        "started_at": iso_of(maintenance.starts_at),
        "shortlink": f"{document.page.url}#maintenance-{maintenance.slug}",
        "page_id": _id("page", document.page.slug),
        "incident_updates": updates,
        "components": _affected(document, maintenance.monitors),
        "scheduled_for": iso_of(maintenance.starts_at),
        "scheduled_until": iso_of(maintenance.ends_at),
    }


def _step(maintenance: MaintenanceView, state: MaintenanceState, at: datetime) -> tuple[str, datetime, str]:
    announced = state is MaintenanceState.UPCOMING and maintenance.description
    return MAINTENANCE_STATUS[state], at, announced or MAINTENANCE_WORDS[state]


def _affected(document: StatusDocument, slugs: list[str]) -> list[Answer]:
    """The components of these monitors, in the order of the page."""
    shown = (monitor for group in _groups(document).values() for monitor in group)
    affected = [monitor for monitor in shown if monitor.slug in slugs]
    return [_component(document, monitor, position, None) for position, monitor in enumerate(affected, 1)]


def _updates(incident: IncidentView, incident_id: str) -> list[Answer]:
    """The timeline, newest first; where there is none, the opening itself."""
    told = [
        (_status_after(entry, incident), entry.at, entry.message or ENTRY_WORDS[entry.kind])
        for entry in incident.timeline
    ] or [("resolved" if incident.resolved_at else "investigating", incident.opened_at, incident.title)]
    return _numbered_updates(incident_id, told)


def _status_after(entry: TimelineView, incident: IncidentView) -> str:
    """What the incident was after a line of its story; one that is resolved stays so, whatever is told of it later.

    Nobody says here that a cause was identified.
    """
    is_over = incident.resolved_at is not None and entry.at >= incident.resolved_at
    return "resolved" if is_over or entry.kind is EntryKind.RESOLVED else "investigating"


def _numbered_updates(incident_id: str, told: list[tuple[str, datetime, str]]) -> list[Answer]:
    """Updates of (status, at, body), newest first, with ids that later ones do not change."""
    return [
        {
            "id": _id(incident_id, str(position)),
            "status": status,
            "body": body,
            "incident_id": incident_id,
            "created_at": iso_of(at),
            "updated_at": iso_of(at),
            "display_at": iso_of(at),
            "affected_components": None,
            "deliver_notifications": False,
            "custom_tweet": None,
            "tweet_id": None,
        }
        for position, (status, at, body) in zip(range(len(told), 0, -1), told, strict=True)
    ]


FILES: Final[dict[str, Callable[[StatusDocument], Answer]]] = {
    "summary": _summary,
    "status": _status,
    "components": _components,
    "incidents": _incidents,
    "incidents/unresolved": _unresolved,
    "scheduled-maintenances": _all_maintenances,
    "scheduled-maintenances/upcoming": _upcoming,
    "scheduled-maintenances/active": _active,
}


def _group_id(document: StatusDocument, name: str) -> str:
    return _id("group", document.page.slug, name)


def _component_id(document: StatusDocument, slug: str) -> str:
    return _id("component", document.page.slug, slug)


def _id(*parts: str) -> str:
    """Twelve of a-z and 2-7, always the same for the same thing."""
    return b32encode(hashlib.sha256("\0".join(parts).encode()).digest()).decode()[:ID_LENGTH].lower()
