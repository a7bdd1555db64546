from pathlib import Path

import pytest

from tests.faults.processes import Installation
from tests.faults.run import run_faults

pytestmark = pytest.mark.engines


def test_that_nothing_is_lost_or_doubled_whoever_is_killed(tmp_path: Path) -> None:
    faults = [
        "revise monitors",
        "kill producer",
        "correct records",
        "kill worker",
        "kill kafka",
        "correct records",
        "kill clickhouse",
        "rebalance",
        "correct records",
        "kill worker",
    ]

    with Installation(tmp_path, monitors=500) as installation:
        report = run_faults(installation, faults, pause_s=2)

    report.check()
    assert report.acknowledged > 5_000
    assert report.verdict.rows["status_changes"] > 100
    assert report.verdict.rows["corrections"] == 30
