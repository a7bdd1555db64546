"""API keys: how one looks, and who a request is by it.

A key is `pulse_<id>_<secret>`. Only the sha256 of its secret is kept: 32 random bytes need no slow hash. It is
looked up by its id, and compared in constant time.
"""

import asyncio
import hashlib
import hmac
import secrets
import string
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Final

from aiokafka.errors import KafkaError
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from query.connections import Away
from query.context import Context, CurrentContext
from query.limits import RatePolicy, limited
from query.problems import ProblemError, ProblemKind
from schemas.monitors import DEFAULT_WORKSPACE, Key, KeyScope
from schemas.topics import KEYS

PREFIX: Final = "pulse"
ID_LENGTH: Final = 12
SECRET_LENGTH: Final = 43
"""Of 62 letters: 256 bits."""
LOOK_LIMIT_S: Final = 2.0
_ALPHABET: Final = string.ascii_letters + string.digits
ADMIN: Final = "admin-key"
NO_KEY: Final = "send the header `Authorization: Bearer pulse_...`"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request: the workspace and the scopes come from the key, never from the request."""

    workspace: str
    by: str
    scopes: frozenset[KeyScope]

    def may(self, scope: KeyScope) -> bool:
        """Whether the scope, or `admin`, is among the key's."""
        return scope in self.scopes or KeyScope.ADMIN in self.scopes


def new_key(name: str, scopes: list[KeyScope], expires_at: int | None) -> tuple[str, Key]:
    """A new key's text, which is shown once, and what is kept of it."""
    key_id, secret = _random(ID_LENGTH), _random(SECRET_LENGTH)
    kept = Key(id=key_id, name=name, secret_sha256=_sha256(secret), scopes=scopes, expires_at=expires_at)
    return f"{PREFIX}_{key_id}_{secret}", kept


def parse_key(text: str) -> tuple[str, str] | None:
    """The id and the secret of a key's text; None if it does not look like one."""
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    return (key_id, secret) if prefix == PREFIX and key_id and secret else None


def opens(key: Key, secret: str, now_ms: int) -> bool:
    """Whether the secret is the key's, and the key still good."""
    fits = hmac.compare_digest(key.secret_sha256, _sha256(secret))
    return fits and (key.expires_at is None or now_ms < key.expires_at)


def caller_of(context: Context, text: str) -> Caller | None:
    """Who a key's text stands for; None for a key that is unknown, revoked or expired."""
    admin_key = context.settings.admin_key
    if admin_key and hmac.compare_digest(admin_key.get_secret_value().encode(), text.encode()):
        return Caller(DEFAULT_WORKSPACE, ADMIN, frozenset({KeyScope.ADMIN}))
    parts = parse_key(text)
    entry = context.catalog.key(parts[0]) if parts else None
    if parts is None or entry is None or not opens(entry.document, parts[1], time.time_ns() // 1_000_000):
        return None
    return Caller(entry.workspace, f"key:{entry.id}", frozenset(entry.document.scopes))


async def _just_made(context: Context, text: str) -> Caller | None:
    """The same of a key that another process may have made since the log was read here; none without Kafka."""
    parts = parse_key(text)
    if parts is None or context.catalog.key(parts[0]) is not None:
        return None
    with suppress(Away, KafkaError, TimeoutError, OSError):
        await asyncio.wait_for(context.catalog.catch_up(KEYS), LOOK_LIMIT_S)
    return caller_of(context, text)


_bearer: Final = HTTPBearer(
    auto_error=False,
    scheme_name="ApiKey",
    bearerFormat="pulse_<id>_<secret>",
    description="`Authorization: Bearer pulse_<id>_<secret>`; make one with `pulse keys create`.",
)


def requires(scope: KeyScope) -> Callable[..., Awaitable[Caller]]:
    """A dependency: the caller, if its key may do this. Ends in 401, 403, 429, or 503 while no key is known yet."""

    async def authenticate(
        request: Request,
        context: CurrentContext,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Caller:
        if not context.catalog.caught_up.is_set():
            raise ProblemError(ProblemKind.LOG_AWAY, context.catalog.trouble, headers={"Retry-After": "2"})
        text = credentials.credentials if credentials else ""
        caller = caller_of(context, text)
        if caller is None:
            context.limits.count_failure(request.scope)  # first, so that it bounds what Kafka is asked, too
            caller = await _just_made(context, text)
        if caller is None:
            raise _unauthorized("the API key is unknown, revoked or expired" if credentials else NO_KEY)
        if not caller.may(scope):
            raise ProblemError(ProblemKind.FORBIDDEN, f"this needs a key with the scope `{scope}`")
        return caller

    return authenticate


Reader = Annotated[Caller, Depends(requires(KeyScope.READ))]
HistoryReader = Annotated[
    Caller, Depends(limited(RatePolicy("history", quota=600, window_s=60), requires(KeyScope.READ)))
]
"""Who asks for what only the engines know, and not the memory of this service."""
Writer = Annotated[Caller, Depends(requires(KeyScope.WRITE))]
Pusher = Annotated[Caller, Depends(requires(KeyScope.PUSH))]
Admin = Annotated[Caller, Depends(requires(KeyScope.ADMIN))]


def _unauthorized(detail: str) -> ProblemError:
    return ProblemError(ProblemKind.NO_KEY, detail, headers={"WWW-Authenticate": 'Bearer realm="PulseAPI"'})


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
