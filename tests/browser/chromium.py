"""Chromium without a window: what a page becomes in a real browser, and how it looks."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARTIFACTS = Path(__file__).parents[2] / "artifacts"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)
LIMIT_S = 90


@dataclass(frozen=True, slots=True)
class Seen:
    """The page's HTML after its scripts have run, and what the browser complained of."""

    html: str
    complaints: list[str]

    @property
    def text(self) -> str:
        """What a person reads."""
        body = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", self.html, flags=re.DOTALL)
        return " ".join(re.sub(r"<[^>]+>", " ", body).split())


@dataclass(frozen=True, slots=True)
class Chromium:
    """A browser with a profile of its own."""

    program: str
    profile: Path

    @classmethod
    def found(cls, profile: Path) -> "Chromium":
        """The installed one. Skips the test where there is none, but fails under CI=true."""
        program = next((path for path in map(shutil.which, NAMES) if path), None)
        if program is None:
            missing = "no Chromium: install the package `chromium` of your distribution"
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
        return cls(program, profile)

    def see(self, url: str, *flags: str) -> Seen:
        """Open the page and read it back."""
        done = self._run("--dump-dom", *flags, url)
        return Seen(done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line])

    def picture(self, url: str, name: str, size: str, *flags: str) -> Path:
        """Take a screenshot into `artifacts/`."""
        ARTIFACTS.mkdir(exist_ok=True)
        path = ARTIFACTS / name
        path.unlink(missing_ok=True)
        self._run(f"--screenshot={path}", f"--window-size={size}", *flags, url)
        return path

    def _run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [self.program, *FLAGS, f"--user-data-dir={self.profile}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True)
