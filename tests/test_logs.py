"""The log: one line an event, with the fields that say which one it was."""

import logging

from server.logs import WithFields


def test_a_line_ends_with_its_fields() -> None:
    record = logging.makeLogRecord({"msg": "mail not accepted", "delivery_id": "01a2", "code": None})

    assert WithFields("%(message)s").format(record) == "mail not accepted delivery_id='01a2' code=None"


def test_a_field_cannot_begin_a_line_of_its_own() -> None:
    record = logging.makeLogRecord({"msg": "lost", "error": "a\nERROR forged"})

    assert WithFields("%(message)s").format(record) == r"lost error='a\nERROR forged'"


def test_a_line_without_fields_stays_as_it_is() -> None:
    record = logging.makeLogRecord({"msg": "started %s", "args": ("now",), "color_message": "started"})

    assert WithFields("%(message)s").format(record) == "started now"
