"""The one shape of every error that the service answers with."""

from collections.abc import Mapping

from starlette.responses import JSONResponse

from jointune.errors import JointuneError


class Refused(JointuneError):  # noqa: N818 - nothing went wrong in the program
    """A request that is not served.

    Attributes:
        status: HTTP status of the answer.
        headers: further headers of the answer.
    """

    def __init__(self, status: int, reason: str, remedy: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason, remedy)
        self.status, self.headers = status, dict(headers or {})

    def at(self, place: str) -> "Refused":
        """Return a copy whose reason names the part of the request that it is about."""
        return Refused(self.status, f"{place}: {self.reason}", self.remedy, self.headers)

    def response(self) -> JSONResponse:
        """Return the answer to send: ``{"error": {"reason": ..., "remedy": ...}}``."""
        return JSONResponse({"error": {"reason": self.reason, "remedy": self.remedy}}, self.status, self.headers)


def busy(reason: str) -> Refused:
    """Return a 503 that says when to try again."""
    return Refused(503, reason, "try again after the seconds in Retry-After", {"Retry-After": "1"})
