"""What the dashboard refuses, and the status it says so with.

::

    RefusalError              the message states the fact and the value, ``hint`` the mend   400
    ├── NotSignedInError      the token is missing or wrong                                  401
    ├── ForbiddenError        a request that another site has sent                           403
    ├── NotThereError         no such page, source, run table, fit or job                    404
    ├── ConflictError         the job is not in a state for that                             409
    ├── TooLargeError         more than the limits allow                                     413
    ├── WrongKindError        a body or a file of a kind that is not accepted                415
    └── BusyError             too many jobs are waiting                                      503
"""

from __future__ import annotations

from scalewise.core.errors import RunDataError, ScalewiseError, UnfitDataError, UsageError


class RefusalError(UsageError):
    """A request that is not answered as asked."""

    status = 400


class NotSignedInError(RefusalError):
    """The token is missing or wrong."""

    status = 401


class ForbiddenError(RefusalError):
    """A request that another site has sent."""

    status = 403


class NotThereError(RefusalError):
    """No such page, source, run table, fit or job."""

    status = 404


class ConflictError(RefusalError):
    """The job is not in a state for that."""

    status = 409


class TooLargeError(RefusalError):
    """More than the limits allow."""

    status = 413


class WrongKindError(RefusalError):
    """A body or a file of a kind that is not accepted."""

    status = 415


class BusyError(RefusalError):
    """Too many jobs are waiting."""

    status = 503


def status_of(error: ScalewiseError) -> int:
    """The HTTP status of a failure.

    >>> status_of(NotThereError("There is no job 7.")), status_of(UsageError("?"))
    (404, 400)
    """
    if isinstance(error, RefusalError):
        return error.status
    if isinstance(error, (RunDataError, UnfitDataError)):
        return 422
    return 400 if isinstance(error, UsageError) else 500
