"""/metrics shows a worker that cannot keep up before people notice."""

import re
from datetime import timedelta

from schema.context import utc_now
from tests.client import Api
from tests.feeds import rename_table
from tests.mailing import change_deliveries, make_outbox, open_dashboard
from tests.servers.smtp import SmtpServer
from tests.test_presence_of_nodes import age_beats, nodes_with_people


async def figures(api: Api) -> dict[str, float]:
    """Return what /metrics tells, by name."""
    page = await api.http.get("/metrics")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/plain; version=")
    return {
        name: float(value) for name, value in re.findall(r"^handoff_(\w+) (\S+)$", page.text, re.MULTILINE)
    }


async def test_metrics_show_what_workers_have_not_done_yet(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    idle = await figures(api)
    await open_dashboard(cast.database, cast.bob)
    await api.escalate(cast.alice, (await cast.start_session()).id)
    waiting = await figures(api)
    ten_minutes_ago = utc_now() - timedelta(minutes=10)
    await change_deliveries(
        cast.database, cast.account_id, first_due_at=ten_minutes_ago, due_at=ten_minutes_ago
    )
    late = await figures(api)

    await make_outbox(cast.database, smtp).send_batch()

    names = ("deliveries_due", "deliveries_overdue")
    # Bob's mail waits for his dashboard first; pushes are no worker's.
    assert [tuple(found[name] for name in names) for found in (idle, waiting, late, await figures(api))] == [
        (0, 0),
        (2, 0),
        (3, 3),
        (0, 0),
    ]
    assert idle["oldest_due_seconds"] == 0
    assert late["oldest_due_seconds"] >= timedelta(minutes=10).total_seconds()
    assert idle["broadcast_connected"] == 1


async def test_metrics_of_any_node_show_who_is_at_a_screen_on_all_of_them(api: Api) -> None:
    cast = api.cast
    names = ("nodes", "dashboards_everywhere", "responders_online", "dashboards")
    idle = await figures(api)
    await open_dashboard(cast.database, cast.bob)
    await open_dashboard(cast.database, cast.bob, team_id=cast.team_id)
    await open_dashboard(cast.database, cast.olivia)
    busy = await figures(api)

    await age_beats(cast.database, await nodes_with_people(cast.database))

    beating = idle["nodes"]
    assert [tuple(found[name] for name in names) for found in (idle, busy, await figures(api))] == [
        (beating, 0, 0, 0),
        (beating + 3, 3, 2, 0),
        (beating, 0, 0, 0),
    ]


async def test_without_a_database_metrics_say_so_and_what_the_node_knows_itself(api: Api) -> None:
    await rename_table(api.cast.database, "deliveries", "gone")

    page = await api.http.get("/metrics")

    assert (page.status_code, page.headers["content-type"]) == (503, "application/json")
    assert page.json() == {"database": "not reachable", "dashboards": 0, "broadcast_connected": True}
    await rename_table(api.cast.database, "gone", "deliveries")
    assert (await figures(api))["deliveries_due"] == 0
