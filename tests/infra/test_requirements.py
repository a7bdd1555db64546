"""What is installed is what the code needs, on every Python that `make up` takes."""

import ast
import re
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from infra.logs import PACKAGES

ROOT = Path(__file__).parents[2]
IN_LATER_PYTHONS = {"backports-zstd"}


def imported() -> Iterator[str]:
    """The distributions that our packages import from, as the lock spells them."""
    distributions = packages_distributions()
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                names = [node.module]
            for name in names:
                for distribution in distributions.get(name.partition(".")[0], []):
                    yield re.sub("[-_.]+", "-", distribution).lower()


def test_no_import_is_left_out_of_the_lock_on_some_python() -> None:
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    on_some_pythons = set(re.findall(r"^([a-z0-9-]+)==\S+ ; python_full_version", lock, re.MULTILINE))

    assert set(imported()) & on_some_pythons == IN_LATER_PYTHONS
