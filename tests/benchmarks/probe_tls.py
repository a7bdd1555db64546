"""Whole checks a second on one core over HTTPS (ECDSA P-256), each with a full handshake, next to stock httpx's."""

import os
import ssl
import tempfile
import time
from pathlib import Path
from statistics import median
from unittest.mock import patch

from tests.benchmarks._checks import log, stock_fetches, target, whole_checks
from tests.benchmarks.report import report

ROUNDS = 5


def main() -> None:
    """Print the line."""
    started = time.monotonic()
    with log() as settings, tempfile.TemporaryDirectory() as name, target(Path(name)) as url:
        authority = f"{name}/ca.pem"
        verify = ssl.create_default_context(cafile=authority)
        with patch.dict(os.environ, SSL_CERT_FILE=authority):
            rounds = [(stock_fetches(url, verify), whole_checks(url, settings)) for _ in range(ROUNDS)]
        stock, ours = zip(*rounds, strict=True)
        report(
            "probe_tls",
            median(rate.per_second for rate in ours),
            "checks/s",
            "httpx 0.28, a fetch over a fresh connection, fetches/s",
            median(rate.per_second for rate in stock),
            started,
            cpu_us_per_check=round(median(rate.cpu_us for rate in ours), 1),
            reference_cpu_us=round(median(rate.cpu_us for rate in stock), 1),
        )
