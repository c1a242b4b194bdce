"""One list of call filters gives the command's options and the API's parameters."""

import inspect

from app.admin.calls import Exported, Wanted
from app.audit.call_filter import searched
from app.audit.query import EXACT, FEW_VALUES
from app.cli.calls import find

FIELDS = {field.name for field in searched()}


def test_every_field_of_the_index_can_be_searched_by() -> None:
    assert {*EXACT, *FEW_VALUES} - FIELDS == {"id"}  # `octant calls show`, `/v1/admin/calls/{id}`
    assert len(FIELDS) == 27


def test_the_command_and_the_api_have_each_field() -> None:
    bounds = {"at_least", "at_most", "limit"}
    assert Wanted.model_fields.keys() == FIELDS | bounds
    assert Exported.model_fields.keys() == FIELDS | bounds | {"format"}
    assert inspect.signature(find).parameters.keys() == FIELDS | bounds | {"context", "as_json", "out"}
