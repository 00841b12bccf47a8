"""The OpenAPI document tells the truth about the API, and its page needs nobody else."""

import asyncio
import re
from typing import Any, cast

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from raised_api.app import ROUTES

NOW = 1_750_000_000


async def test_the_document_names_every_route(api: Any) -> None:
    document = await api.json("/api/openapi.json")
    assert document["openapi"] == "3.1.0"
    assert {route.path for route in ROUTES} < document["paths"].keys()
    assert "/api/v1/changes/stream" in document["paths"]


async def test_the_page_of_the_document_has_no_asset_from_elsewhere(api: Any) -> None:
    answer = await api.get("/api/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.search(r"(src|href)=\"(?!/|#)", answer.text)
    for route in ROUTES:
        assert f"GET {route.path}" in answer.text


def ask_all(document: Any, url: str) -> None:
    """Ask every operation with what the document allows, and with what it does not."""
    schema = schemathesis.openapi.from_dict(document).exclude(path_regex="stream$")
    asked = 0
    for result in schema.get_all_operations():
        operation = cast("Any", result).ok()  # an error in the document raises
        for mode in schemathesis.GenerationMode:
            cases = operation.as_strategy(generation_mode=mode)

            @settings(
                max_examples=15,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=cases)
            def ask(case: Any) -> None:
                # Whether a cursor or a zone is one cannot be said in a schema.
                case.call_and_validate(base_url=url, excluded_checks=[positive_data_acceptance])

            try:
                ask()
            except Exception as error:
                if "Impossible to generate" in str(error) or "Unsatisfiable" in repr(error):
                    continue
                raise
            asked += 1
    assert asked > len(ROUTES)


async def test_every_operation_answers_as_the_document_says(book: Any, api: Any) -> None:
    await book.whole()
    project = await book.project("one", created_at=NOW)
    for number in range(3):
        await book.investment(project, 100, NOW - number)
    await book.changes(5)
    await asyncio.to_thread(ask_all, await api.json("/api/openapi.json"), api.url)
