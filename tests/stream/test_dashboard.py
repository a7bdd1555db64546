import json
import re
from pathlib import Path

from prometheus_client import REGISTRY

from stream import metrics

DASHBOARD = Path(__file__).parents[2] / "infra" / "deploy" / "grafana" / "stream.json"


def test_that_the_dashboard_asks_for_metrics_that_there_are() -> None:
    assert metrics.RESULTS
    families = {family.name: family.type for family in REGISTRY.collect()}
    known = {name + suffix for name in families for suffix in ("", "_total", "_bucket", "_sum", "_count")}

    asked = {
        name
        for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]
        for target in panel["targets"]
        for name in re.findall(r"pulse_stream_\w+", target["expr"])
    }

    assert len(asked) > 8
    assert asked <= known
