"""The headless recipes show what the hosted page shows: through an own FastAPI app, and in an own page."""

import asyncio
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import httpx
import pytest

from infra.demo.recipes import headless
from tests.browser.chromium import Chromium
from tests.end_to_end.product import Product

pytestmark = pytest.mark.engines


Ask = Callable[[str], httpx.Response]


@pytest.fixture
def ask(product: Product, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Asks the recipe's app, pointed at the running product."""
    monkeypatch.setattr(headless, "PULSE_URL", str(product.client.base_url))

    async def asked(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(headless.app)
        async with (
            headless.lifespan(headless.app),
            httpx.AsyncClient(transport=transport, base_url="http://ours.test") as client,
        ):
            return await client.get(path)

    return lambda path: asyncio.run(asked(path))


def test_the_json_is_the_document_of_the_hosted_page(product: Product, ask: Ask) -> None:
    ours, theirs = ask("/our-status/demo.json").json(), product.status()

    assert ours["page"] == theirs["page"]
    assert [group["name"] for group in ours["groups"]] == ["Shop", "Behind the shop"]


def test_the_template_names_every_monitor_and_its_status(product: Product, ask: Ask) -> None:
    text = ask("/our-status/demo").text

    for monitor in product.monitors().values():
        assert f"{monitor['name']}: up" in text


def test_an_unknown_page_is_a_404_of_our_own(ask: Ask) -> None:
    assert ask("/our-status/nowhere").status_code == 404


@pytest.mark.browser
def test_a_page_of_another_origin_fetches_the_status(product: Product, tmp_path: Path) -> None:
    recipe = files("infra.demo.recipes").joinpath("frontend.html").read_text("utf-8")
    page = tmp_path / "frontend.html"
    page.write_text(recipe.replace("https://pulse.example.com", str(product.client.base_url)).replace("acme", "demo"))

    seen = Chromium.found(tmp_path / "profile").see(page.as_uri(), "--virtual-time-budget=5000")

    assert not seen.complaints
    for monitor in product.monitors().values():
        assert f"{monitor['name']}: {monitor['status']}" in seen.text
