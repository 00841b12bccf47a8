"""The OpenAPI document tells the truth about the API, and its page needs nobody else."""

import asyncio
import re
from typing import Any, cast

import msgspec
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from raised.db import schema
from raised.db.engine import transact
from raised.db.requests.api_keys import SCOPES, add_key, new_key
from raised_api.app import HANDLERS
from raised_api.http.endpoint import response_type
from raised_api.openapi.document import path_template

NOW = 1_750_000_000


async def test_the_document_names_every_route(api: Any) -> None:
    document = await api.json("/api/openapi.json")
    assert document["openapi"] == "3.1.0"
    assert {path_template(handler) for handler in HANDLERS} < document["paths"].keys()
    assert "/api/v1/changes/stream" in document["paths"]
    assert "post" in document["paths"]["/api/v1/refresh"]
    assert "post" in document["paths"]["/webhooks/btcpay/{label}"]


def test_every_answer_is_described_by_the_frozen_struct_that_is_encoded() -> None:
    types = {handler.name: response_type(handler) for handler in HANDLERS}
    del types["project_evidence"]  # the document of `raised verify`, of the domain
    for name, answer in types.items():
        assert issubclass(answer, msgspec.Struct), name
        assert answer.__struct_config__.frozen, name


async def test_fields_are_documented_in_the_order_of_the_answers(book: Any, api: Any) -> None:
    project = await book.project("one")
    await book.investment(project, 100, NOW)
    schemas = (await api.json("/api/openapi.json"))["components"]["schemas"]
    for path, name in [
        ("/api/v1/summary", "Summary"),
        ("/api/v1/series", "Series"),
        ("/api/v1/investments", "InvestmentPage"),
        (f"/api/v1/projects/{project}", "ProjectDetail"),
        ("/health", "Health"),
    ]:
        body = (await api.get(path)).json()
        assert list(body) == list(schemas[name]["properties"]) == schemas[name]["required"], path


async def test_the_page_of_the_document_has_no_asset_from_elsewhere(api: Any) -> None:
    answer = await api.get("/api/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.search(r"(src|href)=\"(?!/|#)", answer.text)
    for handler in HANDLERS:
        assert f"GET {path_template(handler)}" in answer.text


def ask_all(document: Any, url: str, token: str) -> None:
    """Ask every operation with what the document allows, and with what it does not."""
    headers = {"authorization": f"Bearer {token}"}
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
                # Whether a cursor or a zone is one cannot be said in a schema. That our key goes
                # along is nothing schemathesis knows of.
                case.call_and_validate(
                    base_url=url,
                    headers=headers,
                    excluded_checks=[positive_data_acceptance, ignored_auth],
                )

            try:
                ask()
            except Exception as error:
                if "Impossible to generate" in str(error) or "Unsatisfiable" in repr(error):
                    continue
                raise
            asked += 1
    assert asked > len(HANDLERS)


async def test_every_operation_answers_as_the_document_says(book: Any, api: Any) -> None:
    await book.whole()
    project = await book.project("one", created_at=NOW)
    for number in range(3):
        await book.investment(project, 100, NOW - number)
    await book.invoice("shop", counted=1000)
    await book.source(schema.store, "shop")
    await book.changes(5)
    key = new_key(SCOPES)
    await transact(book.engine, add_key, key, SCOPES, NOW)
    document = await api.json("/api/openapi.json")
    await asyncio.to_thread(ask_all, document, api.url, key.token)
