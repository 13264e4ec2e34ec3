"""The one shape of every error that the service answers with."""

from collections.abc import Mapping

from starlette.responses import JSONResponse

from jointune.errors import JointuneError


class Refused(JointuneError):  # noqa: N818 - nothing went wrong in the program
    """A request that is not served.

    Attributes:
        status: of the answer.
        reason: what is wrong with the request, or with the moment.
        remedy: what its sender can do about it.
        headers: further ones of the answer.
    """

    def __init__(self, status: int, reason: str, remedy: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.status = status
        self.reason = reason
        self.remedy = remedy
        self.headers = dict(headers or {})

    def at(self, where: str) -> "Refused":
        """The same, saying which part of the request it is about."""
        return Refused(self.status, f"{where}: {self.reason}", self.remedy, self.headers)

    def response(self) -> JSONResponse:
        """The answer."""
        return error_response(self.status, self.reason, self.remedy, self.headers)


def error_response(status: int, reason: str, remedy: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """``{"error": {"reason": ..., "remedy": ...}}``."""
    return JSONResponse({"error": {"reason": reason, "remedy": remedy}}, status, dict(headers or {}))


def busy(reason: str) -> Refused:
    """503, with the time after which to try again."""
    return Refused(503, reason, "try again after the seconds in Retry-After", {"Retry-After": "1"})
