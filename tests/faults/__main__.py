"""`make faults SECONDS=…`: faults in any order for so long; prints one JSON line, and fails where anything differs."""

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from infra.logs import configure_logs
from tests.faults.processes import Installation
from tests.faults.run import FAULTS, run_faults

MONITORS: Final = 500
PAUSE_S: Final = 1.0
WEIGHTS: Final = {
    "kill worker": 8,
    "kill producer": 2,
    "kill kafka": 1,
    "kill clickhouse": 2,
    "freeze worker": 2,
    "rebalance": 3,
    "revise monitors": 2,
    "correct records": 3,
}
SECONDS_A_FAULT: Final = 3.0


def main(seconds: float) -> int:
    """0 where everything equals the log."""
    configure_logs("faults")
    started = time.monotonic()
    seed = int(time.time())
    random.seed(seed)
    count = max(len(FAULTS), int(seconds / SECONDS_A_FAULT))
    faults = random.choices([*WEIGHTS], [*WEIGHTS.values()], k=count)
    with tempfile.TemporaryDirectory() as folder, Installation(Path(folder), MONITORS) as installation:
        report = run_faults(installation, faults, PAUSE_S)
        line = {
            "seconds": round(time.monotonic() - started),
            "seed": seed,
            "faults": dict(report.faults),
            "exits": dict(report.exits),
            "results_acknowledged": report.acknowledged,
            "results_stored": report.verdict.stored,
            "rows": report.verdict.rows,
            "lost": report.lost,
            "differences": [str(difference) for difference in report.verdict.differences],
        }
        print(json.dumps(line), flush=True)
        try:
            report.check()
        except AssertionError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60))
