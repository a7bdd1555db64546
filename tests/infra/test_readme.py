"""The first page that README.md leads to: its `pulse.yaml` fits its `/health`, and leaves the sample shop alone."""

import re
import textwrap
from importlib.resources import files
from pathlib import Path

import pytest
from fakeredis import FakeAsyncRedis
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import create_async_engine

from infra.demo.health import health_router
from probes.in_process import AppUnderTest
from schemas.documents import PulseDocument, parse_document
from schemas.enums import Outcome

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def document() -> PulseDocument:
    """The `pulse.yaml` of the five minutes."""
    block = re.search(r"```yaml\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert block
    return parse_document(textwrap.dedent(block[1]))


def test_an_app_with_the_recipe_is_up(document: PulseDocument) -> None:
    app = FastAPI()
    app.include_router(health_router(create_async_engine("sqlite+aiosqlite://"), FakeAsyncRedis()))

    with AppUnderTest(app) as under_test:
        (result,) = map(under_test.check, document.monitors)

    assert result.outcome is Outcome.UP, result.message


def test_it_names_nothing_that_the_sample_shop_has(document: PulseDocument) -> None:
    shop = parse_document(files("infra.demo").joinpath("pulse.yaml").read_text("utf-8"))

    assert not {each.slug for each in document.monitors} & {each.slug for each in shop.monitors}
    assert not {each.slug for each in document.pages} & {each.slug for each in shop.pages}
