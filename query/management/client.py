"""The `pulse` command's side of `/v1`: requests that end in an answer, or in words about what to do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from infra.cli import Exit
from infra.settings import Settings

TIMEOUT_S: Final = 20.0
LISTED_AT_ONCE: Final = 5_000
"""As many as the service tells in one answer."""
_ANSWER: Final = "application/json"
_PROBLEM: Final = "application/problem+json"

_OTHER_KEY: Final = "Send another key with PULSE_API_KEY=pulse_…; `pulse keys create` makes one."
_NO_KEY: Final = (
    "Run this in the folder where `pulse up` runs, or set PULSE_DATA to its data folder: its key is there. "
    "Elsewhere set PULSE_API_KEY=pulse_…"
)


class ServiceError(Exception):
    """The service refused, or could not be reached. `errors` are the problem's: [{detail, pointer}].

    `is_missing`: there is no such thing.
    """

    def __init__(
        self, message: str, code: Exit, errors: list[dict[str, str]] | None = None, *, is_missing: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.errors = errors or []
        self.is_missing = is_missing


class Service:
    """`/v1` of an installation. Every method raises ServiceError."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str, **parameters: str | int) -> Any:
        """The JSON of an answer."""
        return (await self.send("GET", path, params=parameters)).json()

    async def list(self, path: str, field: str, **parameters: str | int) -> list[dict[str, Any]]:
        """All pages of a list."""
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            at = {"limit": LISTED_AT_ONCE} | parameters | ({"cursor": cursor} if cursor else {})
            answer = await self.get(path, **at)
            items += answer[field]
            cursor = answer["next_cursor"]
            if cursor is None:
                return items

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Any request; returns the answer if it is good."""
        try:
            response = await self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise self._unreachable(str(error) or type(error).__name__) from None
        if response.is_redirect:
            raise self._unreachable(f"it sends on to {response.headers['location']}")
        if not _is_ours(response):
            raise self._unreachable(f"what answers there is not PulseAPI: HTTP {response.status_code}")
        if response.is_success:
            return response
        raise self._refused(response)

    def _unreachable(self, why: str) -> ServiceError:
        return ServiceError(
            f"The service at {self._client.base_url} cannot be reached ({why}). "
            "Start it with `pulse up`, or name another one with PULSE_PUBLIC_URL=https://…",
            Exit.UNREACHABLE,
        )

    def _refused(self, response: httpx.Response) -> ServiceError:
        problem = response.json()
        detail = problem["detail"]
        if response.status_code in (401, 403):
            advice = _OTHER_KEY if "Authorization" in self._client.headers else _NO_KEY
            return ServiceError(f"{self._client.base_url}: {detail}. {advice}", Exit.USAGE)
        if response.status_code >= 500 or response.status_code == 429:
            return ServiceError(f"{self._client.base_url}: {detail}", Exit.UNREACHABLE)
        return ServiceError(
            detail, Exit.NOT_FINE, problem.get("errors"), is_missing=response.status_code == httpx.codes.NOT_FOUND
        )


def _is_ours(response: httpx.Response) -> bool:
    """Something between us and the service, or in its place, has answers of its own."""
    kind = response.headers.get("content-type", "")
    return kind.startswith(_ANSWER if response.is_success else _PROBLEM) or response.status_code == 204


@asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[Service]:
    """The service of these settings, with their API key."""
    key = settings.api_key or settings.admin_key
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    url = httpx.URL(settings.base_url)
    own_machine = url.host in ("127.0.0.1", "localhost", "::1")
    async with httpx.AsyncClient(
        base_url=url,
        headers=headers,
        timeout=TIMEOUT_S,
        trust_env=not own_machine,
        verify=not (own_machine and url.scheme == "http"),  # loading all authorities takes longer than a command
    ) as client:
        yield Service(client)
