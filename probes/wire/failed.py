"""The one way in which a fetch fails."""

from schemas.enums import Reason


class FetchFailed(Exception):
    """What stood in the way: a reason of the closed list, and what to tell a person."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
