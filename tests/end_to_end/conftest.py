"""One running product for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.end_to_end.product import Product


@pytest.fixture(scope="package")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """`pulse up --demo`, with every monitor of the demo page up."""
    with Product(tmp_path_factory.mktemp("product")) as running:
        yield running
