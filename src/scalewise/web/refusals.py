"""What the dashboard refuses, and the status it says so with.

::

    Refusal               the message states the fact and the value, ``hint`` the mend   400
    ├── NotSignedIn       the token is missing or wrong                                  401
    ├── Forbidden         a request that another site has sent                           403
    ├── NotThere          no such page, source, run table, fit or job                    404
    ├── Conflict          the job is not in a state for that                             409
    ├── TooLarge          more than the limits allow                                     413
    ├── WrongKind         a body or a file of a kind that is not accepted                415
    └── Busy              too many jobs are waiting                                      503
"""

from __future__ import annotations

from scalewise.core.errors import UnfitDataError, RunDataError, ScalewiseError, UsageError


class Refusal(UsageError):
    """A request that is not answered as asked."""

    status = 400


class NotSignedIn(Refusal):
    """The token is missing or wrong."""

    status = 401


class Forbidden(Refusal):
    """A request that another site has sent."""

    status = 403


class NotThere(Refusal):
    """No such page, source, run table, fit or job."""

    status = 404


class Conflict(Refusal):
    """The job is not in a state for that."""

    status = 409


class TooLarge(Refusal):
    """More than the limits allow."""

    status = 413


class WrongKind(Refusal):
    """A body or a file of a kind that is not accepted."""

    status = 415


class Busy(Refusal):
    """Too many jobs are waiting."""

    status = 503


def status_of(error: ScalewiseError) -> int:
    """The HTTP status of a failure.

    >>> status_of(NotThere("There is no job 7.")), status_of(UsageError("?"))
    (404, 400)
    """
    if isinstance(error, Refusal):
        return error.status
    if isinstance(error, (RunDataError, UnfitDataError)):
        return 422
    return 400 if isinstance(error, UsageError) else 500
