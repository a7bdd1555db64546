"""`make bench` runs every benchmark of this folder, `make bench NAME=probe` one: each is a module with `main()`."""

import importlib
import pkgutil
import sys

import tests.benchmarks

NOT_BENCHMARKS = {"__main__", "report"}


def names() -> list[str]:
    """The benchmarks there are."""
    found = {module.name for module in pkgutil.iter_modules(tests.benchmarks.__path__)}
    return sorted(name for name in found - NOT_BENCHMARKS if not name.startswith("_"))


def run(wanted: list[str]) -> int:
    """Run the wanted benchmarks, or all."""
    unknown = set(wanted) - set(names())
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    for name in wanted or names():
        importlib.import_module(f"tests.benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
