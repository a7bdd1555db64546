"""`make fuzz REQUESTS=…`: so many generated requests; prints how many of which operation, and fails on any finding."""

import asyncio
import re
import sys
import tempfile
import time
from pathlib import Path

from pydantic import SecretStr

from tests.engines import fresh_settings, running_clickhouse, running_kafka
from tests.fuzz.run import fuzz
from tests.query.management.service import ADMIN_KEY
from tests.query.service import running_query
from tests.query.story import story_of


def main(wanted: int) -> int:
    """0 where every answer is one that the document tells."""
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_kafka(Path(folder) / "kafka") as kafka,
        running_clickhouse(Path(folder) / "clickhouse") as clickhouse,
    ):
        settings = fresh_settings(kafka, clickhouse)
        assert settings.clickhouse
        reader = (Path(folder) / "clickhouse" / "reader-password").read_text()
        account = re.sub("//.*@", f"//reader:{reader}@", settings.clickhouse.get_secret_value())
        settings = settings.model_copy(
            update={"admin_key": SecretStr(ADMIN_KEY), "rate_factor": 1e6, "clickhouse_sql": SecretStr(account)}
        )
        asyncio.run(story_of(settings).tell())
        with running_query(settings):
            findings = fuzz(f"http://{settings.http}", ADMIN_KEY, wanted)
    print(findings)
    failed = len(findings.failures)
    print(f"{findings.requests} requests, {failed} findings, {time.monotonic() - started:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
