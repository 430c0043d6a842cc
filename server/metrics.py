"""/metrics: what an operator watches, for Prometheus. Counted when asked for; no figure names anybody."""

import asyncio
import logging

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from db import figures
from db.figures import Attendance, Backlog
from schema.context import utc_now
from server.process import Node

log = logging.getLogger(__name__)

_ANSWER_SECONDS = 5.0


class Metrics:
    """The gauges of one node. All but three are the same on every node: they count the database."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._registry = CollectorRegistry()
        self._due = self._gauge("deliveries_due", "Mails that are due and not sent yet")
        self._overdue = self._gauge("deliveries_overdue", "Deliveries that are more than a minute late")
        self._oldest = self._gauge("oldest_due_seconds", "How long the longest waiting mail has been due")
        self._notes = self._gauge("psa_notes_due", "Notes that are due and not in their tickets yet")
        self._nodes = self._gauge("nodes", "Nodes that beat")
        self._everywhere = self._gauge("dashboards_everywhere", "Dashboards of responders on all nodes")
        self._responders = self._gauge("responders_online", "Responders who have a dashboard on any node")
        self._dashboards = self._gauge("dashboards", "Dashboards of responders connected to this node")
        self._connected = self._gauge("broadcast_connected", "1 while wake-ups reach this node")
        self._ahead = self._gauge(
            "clock_ahead_seconds", "How far this node's clock is ahead of the database's"
        )

    async def respond(self, _: Request) -> Response:
        """Count, and answer in Prometheus's text format; 503 while the database is away.

        Figures of the node alone would look as if nothing waited. They stand in the refusal, for people.
        """
        try:
            async with asyncio.timeout(_ANSWER_SECONDS), self._node.database.system_reading() as tx:
                now = utc_now()
                backlog = await figures.backlog(tx, now=now)
                attendance = await figures.attendance(tx, now=now)
        except Exception:
            log.warning("deliveries not counted", exc_info=True)
            return self._refuse()
        self._show(backlog, attendance)
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    def _show(self, backlog: Backlog, attendance: Attendance) -> None:
        self._due.set(backlog.due)
        self._overdue.set(backlog.overdue)
        self._oldest.set(backlog.oldest_seconds)
        self._notes.set(backlog.notes)
        self._nodes.set(attendance.nodes)
        self._everywhere.set(attendance.dashboards)
        self._responders.set(attendance.responders)
        self._dashboards.set(self._node.presence.count)
        self._connected.set(self._node.wakeups.connected)
        self._ahead.set(self._node.clock.ahead_seconds)

    def _refuse(self) -> Response:
        parts = {
            "database": "not reachable",
            "dashboards": self._node.presence.count,
            "broadcast_connected": self._node.wakeups.connected,
        }
        return JSONResponse(parts, status_code=503)

    def _gauge(self, name: str, help_text: str) -> Gauge:
        return Gauge(f"handoff_{name}", help_text, registry=self._registry)
