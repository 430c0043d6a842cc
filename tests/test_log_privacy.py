"""Not even at `debug` is anything logged that people wrote, or that names or identifies them."""

import asyncio
from datetime import timedelta

from server.auth import Tokens
from tests.cast import Cast
from tests.client import CREATE, SECRET
from tests.http_clients import http_client
from tests.servers.processes import HandoffProcess, free_port
from tests.servers.smtp import SmtpServer

NOTES = "The badge reader of the north entrance"


async def test_what_people_wrote_is_not_logged(database_url: str, cast: Cast, smtp: SmtpServer) -> None:
    port = free_port()
    env = {
        "HANDOFF_SECRET": SECRET,
        "HANDOFF_DATABASE_URL": database_url,
        "HANDOFF_SMTP_URL": f"smtp+plain://{smtp.host}:{smtp.port}",
        "HANDOFF_PORT": str(port),
        "HANDOFF_LOG_LEVEL": "debug",
    }
    session = await cast.start_session(NOTES)
    token = Tokens(SECRET).sign(cast.alice.id, valid_for=timedelta(hours=1))
    process = HandoffProcess("serve", env=env, ready_url=f"http://127.0.0.1:{port}/healthz")
    try:
        await asyncio.to_thread(process.start)
        async with http_client(base_url=f"http://127.0.0.1:{port}") as http:
            given = {"sessionId": str(session.id), "intent": "ESCALATE", "notes": NOTES}
            body = {"query": CREATE, "variables": {"input": given}}
            answer = await http.post("/graphql", json=body, headers={"Authorization": f"Bearer {token}"})
            await http.post("/login", json={"email": cast.bob.email})
        await asyncio.to_thread(smtp.wait_for, 2)
        await asyncio.to_thread(process.stop)
        said = process.stderr
    finally:
        process.close()

    assert "errors" not in answer.json()
    assert " serving " in said
    for secret in (NOTES, "northwind.example", token, "eyJ", SECRET, cast.alice.name):
        assert secret not in said
