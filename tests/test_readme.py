"""What the README shows runs as it stands there."""

import asyncio
import json
import re
import sys
from pathlib import Path

from tests.cast import deactivate
from tests.live import Live
from tests.patience import PATIENCE

README = Path(__file__).parents[1] / "README.md"


async def test_who_watches_from_the_shell_sees_escalations_until_their_rights_end(
    live: Live, tmp_path: Path
) -> None:
    cast = live.cast
    address = live.socket_url.removeprefix("ws://").removesuffix("/graphql")
    program = tmp_path / "watch.py"
    program.write_text(shown_in_readme("watch.py").replace("127.0.0.1:8000", address))
    watching = await asyncio.create_subprocess_exec(
        sys.executable,
        program,
        live.token(cast.bob),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await live.until_online(cast.bob)

    handoff_id = await live.escalate_new()
    assert watching.stdout is not None
    async with asyncio.timeout(PATIENCE):
        seen = json.loads(await watching.stdout.readline())
    async with cast.database.transaction(cast.account_id) as tx:
        await deactivate(tx, cast.bob)
    async with asyncio.timeout(PATIENCE):
        refused, said = await watching.communicate()

    assert seen["data"]["escalationCreated"]["handoff"]["id"] == handoff_id
    assert json.loads(refused)["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
    assert (watching.returncode, json.loads(said)) == (1, {"id": "1", "type": "complete"})


def shown_in_readme(name: str) -> str:
    """Return the program that is to be saved under the name."""
    found = re.search(
        rf"Save this as `{re.escape(name)}`.*?```python\n(.*?)```", README.read_text(), re.DOTALL
    )
    assert found is not None
    return found[1]
