"""The headless recipes show what the hosted page shows: through an own FastAPI app, and in an own page."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from infra.demo.recipes import headless
from tests.browser.chromium import Chromium
from tests.end_to_end.product import Product

pytestmark = pytest.mark.engines


@pytest.fixture
def our_app(product: Product, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The recipe's app, pointed at the running product."""
    monkeypatch.setattr(headless, "PULSE_URL", str(product.client.base_url))
    with TestClient(headless.app) as client:
        yield client


def test_the_json_is_the_document_of_the_hosted_page(product: Product, our_app: TestClient) -> None:
    ours, theirs = our_app.get("/our-status/demo.json").json(), product.status()

    assert ours["page"] == theirs["page"]
    assert [group["name"] for group in ours["groups"]] == ["Shop", "Behind the shop"]


def test_the_template_names_every_monitor_and_its_status(product: Product, our_app: TestClient) -> None:
    text = our_app.get("/our-status/demo").text

    for monitor in product.monitors().values():
        assert f"{monitor['name']}: up" in text


def test_an_unknown_page_is_a_404_of_our_own(our_app: TestClient) -> None:
    assert our_app.get("/our-status/nowhere").status_code == 404


@pytest.mark.browser
def test_a_page_of_another_origin_fetches_the_status(product: Product, tmp_path: Path) -> None:
    recipe = files("infra.demo.recipes").joinpath("frontend.html").read_text("utf-8")
    page = tmp_path / "frontend.html"
    page.write_text(recipe.replace("https://pulse.example.com", str(product.client.base_url)).replace("acme", "demo"))

    seen = Chromium.found(tmp_path / "profile").see(page.as_uri(), "--virtual-time-budget=5000")

    assert not seen.complaints
    for monitor in product.monitors().values():
        assert f"{monitor['name']}: {monitor['status']}" in seen.text
