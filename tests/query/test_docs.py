"""`/docs` stands on this service alone, and shows examples that are true."""

import ast
import re
from importlib.resources import files

import jinja2
import orjson
import pytest
from pydantic import TypeAdapter

from query.examples import RECIPES, status_example
from query.status_document import StatusDocument
from tests.query.filled import Filled, openapi_document


@pytest.fixture(scope="module")
def filled() -> Filled:
    return Filled()


def test_the_page_loads_nothing_from_elsewhere(filled: Filled) -> None:
    page = filled.get("/docs").text
    loaded = re.findall(r'(?:src|href)="(.*?)"', page)

    assert "swagger-ui-bundle.js" in page
    assert "http://" not in page
    assert "https://" not in page
    assert [address for address in loaded if filled.get(address).status_code != 200] == ["data:,"]


def test_swagger_ui_is_cached_for_ever_and_compressed(filled: Filled) -> None:
    address = re.findall(r'src="(/static/.*?)"', filled.get("/docs").text)[0]
    answer = filled.get(address, headers={"accept-encoding": "br"})

    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "br"
    assert int(answer.headers["content-length"]) < 600_000


def test_every_recipe_stands_in_the_description_as_it_is_in_its_file() -> None:
    told = openapi_document()["info"]["description"]

    assert "## Examples" in told
    for title, name, language in RECIPES:
        text = files("infra.demo.recipes").joinpath(name).read_text("utf-8")
        assert f"### {title}\n\n```{language}\n{text}```" in told
        if language == "python":
            ast.parse(text)


def test_the_template_of_the_recipe_rounds_nothing_up_and_says_what_is_old() -> None:
    template = jinja2.Template(files("infra.demo.recipes").joinpath("headless.html").read_text("utf-8"))
    status = status_example()
    (monitor,) = status["groups"][0]["monitors"]
    monitor["uptime"]["30d"]["uptime"] = 0.99999

    old, fresh = (template.render(status=status | {"stale_since": at}) for at in ("2026-11-23T20:00:00Z", None))

    assert "99.99 % in 30 days" in fresh
    assert "Nothing newer than 2026-11-23T20:00:00Z is known" in old
    assert "Nothing newer" not in fresh


def test_the_example_of_the_status_document_is_one() -> None:
    status = openapi_document()["paths"]["/status/{slug}"]["get"]["responses"]["200"]
    shown = status["content"]["application/json"]

    assert shown["example"] == status_example()
    assert shown["schema"] == {"$ref": "#/components/schemas/StatusDocument"}
    TypeAdapter(StatusDocument).validate_json(orjson.dumps(shown["example"]))
