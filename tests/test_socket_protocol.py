"""The protocol that dashboards speak: graphql-transport-ws, to the letter of its close codes.

Source: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select
from websockets.exceptions import InvalidStatus

from db.models import connections
from db.session import Database
from tests.cast import Cast
from tests.client import CREATE
from tests.live import Live, running_server
from tests.sockets import ALMOST_AN_HOUR, ESCALATIONS, PROTOCOL, QUEUE_CHANGES, eventually, open_socket

ME = "{ me { name } }"


@pytest.mark.parametrize("token", [None, "", "no token", "a.b.c"])
async def test_a_socket_without_a_valid_token_is_closed_with_4403(live: Live, token: str | None) -> None:
    async with open_socket(live.socket_url) as socket:
        await socket.begin(token)

        assert await socket.close_code() == 4403


async def test_a_socket_with_an_expired_token_is_closed_with_4403(live: Live) -> None:
    async with open_socket(live.socket_url) as socket:
        await socket.begin(live.token(live.cast.bob, valid_for=timedelta(seconds=-1)))

        assert await socket.close_code() == 4403


async def test_a_deactivated_user_is_not_let_in(live: Live) -> None:
    async with open_socket(live.socket_url) as socket:
        await socket.begin(live.token(live.cast.ina))

        assert await socket.close_code() == 4403


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
async def test_the_token_is_found_whatever_the_case_of_its_name(live: Live, name: str) -> None:
    async with open_socket(live.socket_url) as socket:
        bearer = f"Bearer {live.token(live.cast.bob)}"
        await socket.send({"type": "connection_init", "payload": {name: bearer}})

        assert await socket.next_message() == {"type": "connection_ack"}


async def test_an_operation_before_the_init_is_refused_with_4401(live: Live) -> None:
    async with open_socket(live.socket_url) as socket:
        await socket.subscribe(ME)

        assert await socket.close_code() == 4401


async def test_a_second_init_is_refused_with_4429(live: Live) -> None:
    async with live.dashboard(live.cast.bob) as socket:
        await socket.begin(live.token(live.cast.bob))

        assert await socket.close_code() == 4429


async def test_a_socket_that_never_says_who_it_is_is_closed_with_4408(database_url: str, cast: Cast) -> None:
    async with (
        running_server(database_url, cast, init_seconds=0.05) as live,
        open_socket(live.socket_url) as socket,
    ):
        assert await socket.close_code() == 4408


async def test_an_id_in_use_is_refused_with_4409(live: Live) -> None:
    async with live.dashboard(live.cast.bob) as socket:
        await socket.subscribe(ESCALATIONS, operation_id="mine")
        await socket.subscribe(ESCALATIONS, operation_id="mine")

        assert await socket.close_code() == 4409


async def test_the_id_of_a_finished_operation_may_be_used_again(live: Live) -> None:
    async with live.dashboard(live.cast.bob) as socket:
        for _ in range(2):
            asked = await socket.subscribe(ME, operation_id="mine")

            assert await asked.next_event() == {"name": "Bob"}
            assert await asked.next_message() == {"id": "mine", "type": "complete"}


@pytest.mark.parametrize("frame", ["no JSON", '{"type": "hello"}', '{"type": "subscribe"}', "{}"])
async def test_a_message_that_nobody_understands_closes_the_socket_with_4400(live: Live, frame: str) -> None:
    async with live.dashboard(live.cast.bob) as socket:
        await socket.send(frame)

        assert await socket.close_code() == 4400


@pytest.mark.parametrize("protocols", [["graphql-ws"], ["graphql-transport-wss"], []])
async def test_no_other_protocol_is_spoken(live: Live, protocols: list[str]) -> None:
    async with open_socket(live.socket_url, protocols=protocols) as socket:
        assert await socket.close_code() == 4406
        assert socket.connection.subprotocol is None


async def test_of_several_protocols_the_right_one_is_chosen(live: Live) -> None:
    async with open_socket(live.socket_url, protocols=["graphql-ws", PROTOCOL]) as socket:
        await socket.init(live.token(live.cast.bob))

        assert socket.connection.subprotocol == PROTOCOL


async def test_a_page_of_another_origin_may_not_open_a_socket(live: Live) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with open_socket(live.socket_url, origin="https://evil.example"):
            raise AssertionError("the socket was opened")

    assert refused.value.response.status_code == 403


async def test_a_page_of_an_allowed_origin_may(database_url: str, cast: Cast) -> None:
    origin = "https://app.msp.example"
    async with (
        running_server(database_url, cast, allowed_origins=[origin]) as live,
        open_socket(live.socket_url, origin=origin) as socket,
    ):
        await socket.init(live.token(cast.bob))


@pytest.mark.parametrize("document", ["{ me { name }", "{ nothing }", "subscription { escalationCreated }"])
async def test_a_mistake_in_an_operation_is_its_error_and_leaves_its_siblings_alive(
    live: Live, document: str
) -> None:
    async with live.dashboard(live.cast.bob) as socket:
        sibling = await socket.subscribe(ESCALATIONS, after=await live.cursor())

        mistaken = await socket.subscribe(document)

        answer = await mistaken.next_message()
        assert answer["type"] == "error"
        assert [error["extensions"]["code"] for error in answer["payload"]] == ["BAD_USER_INPUT"]
        handoff_id = await live.escalate_new()
        assert (await sibling.next_event())["handoff"]["id"] == handoff_id


async def test_queries_and_mutations_work_over_the_socket(live: Live) -> None:
    cast = live.cast
    wanted = {"sessionId": str((await cast.start_session()).id), "intent": "ESCALATE"}
    async with live.dashboard(cast.alice) as socket:
        asked = await socket.subscribe(ME)
        changed = await socket.subscribe(CREATE, input=wanted)

        assert await asked.next_event() == {"name": "Alice"}
        assert await asked.next_message() == {"id": asked.id, "type": "complete"}
        assert (await changed.next_event())["__typename"] == "CreateHandoffSuccess"
        assert await changed.next_message() == {"id": changed.id, "type": "complete"}


async def test_all_frames_are_text(live: Live) -> None:
    async with live.dashboard(live.cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after=await live.cursor())
        await live.escalate_new()
        await pushed.next_event()
        await socket.send({"type": "ping"})
        await socket.next_message()

        assert socket.frame_types == {str}


async def test_a_ping_is_answered(live: Live) -> None:
    async with live.dashboard(live.cast.bob) as socket:
        await socket.send({"type": "ping"})

        assert (await socket.next_message())["type"] == "pong"


async def test_a_completed_subscription_says_no_more_and_leaves_its_siblings_alive(live: Live) -> None:
    cast = live.cast
    async with live.dashboard(cast.bob) as socket:
        after = await live.cursor()
        ended = await socket.subscribe(QUEUE_CHANGES, after=after)
        sibling = await socket.subscribe(QUEUE_CHANGES, after=after)
        await live.escalate_new()
        await asyncio.gather(ended.next_event(), sibling.next_event())

        await ended.complete()
        await (await socket.subscribe(ME)).next_event()
        await live.escalate_new()
        await sibling.next_event()

    assert ended.arrived.get_nowait() is None  # what ends the queue is the end of the socket


async def test_a_token_that_expires_closes_its_open_socket_with_4403(
    database_url: str, database: Database, cast: Cast
) -> None:
    async with running_server(database_url, cast, ahead=ALMOST_AN_HOUR) as live:
        async with live.dashboard(cast.bob) as socket:
            await socket.subscribe(ESCALATIONS)

            assert await socket.close_code() == 4403
        await eventually(lambda: nobody_connected(database))


async def test_a_client_that_vanishes_leaves_neither_tasks_nor_presence(
    live: Live, database: Database
) -> None:
    cast = live.cast
    before = len(asyncio.all_tasks())
    async with live.dashboard(cast.bob) as socket:
        for document in (ESCALATIONS, ESCALATIONS, QUEUE_CHANGES):
            pushed = await socket.subscribe(document, after=await live.cursor())
            await live.escalate_new()
            await pushed.next_event()
        await live.until_online(cast.bob)

        socket.drop()

        await live.until_online()
        await eventually(lambda: nobody_connected(database))

    async def tasks_have_ended() -> bool:
        return len(asyncio.all_tasks()) <= before

    await eventually(tasks_have_ended)


async def test_clients_that_vanish_at_whatever_moment_leave_no_presence(
    database_url: str, database: Database, cast: Cast
) -> None:
    async def vanish_after(live: Live, turns: int) -> None:
        async with live.dashboard(cast.bob) as socket:
            await socket.subscribe(ESCALATIONS)
            for _ in range(turns):
                await asyncio.sleep(0)
            socket.drop()

    # Whoever is cut off while the database stores the presence is forgotten at the next beat.
    async with running_server(database_url, cast, beat_seconds=0.1) as live:
        await asyncio.gather(*(vanish_after(live, turns) for turns in range(0, 200, 5)))
        async with live.dashboard(cast.bob) as socket:
            await socket.subscribe(ESCALATIONS)
            await live.until_online(cast.bob)

        await eventually(lambda: nobody_connected(database))


async def nobody_connected(database: Database) -> bool:
    """Tell whether the database knows of no connection."""
    async with database.system_reading() as tx:
        return not (await tx.connection.execute(select(connections))).all()
