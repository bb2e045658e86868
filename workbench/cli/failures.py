"""What goes wrong, in sentences: one that says what happened, and one that says what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from runbooks.errors import LedgerUnavailable, RunbookError


class Stop(Exception):
    """Ends a command with a sentence for people. `code` is the exit code: 2 unless a run or a check failed."""

    def __init__(self, sentence: str, code: int = 2) -> None:
        super().__init__(sentence)
        self.code = code


INTERRUPTED = 130


@contextmanager
def if_interrupted(what_goes_on: str) -> Iterator[None]:
    """Ends the command with what goes on without it, should somebody press Ctrl-C meanwhile."""
    try:
        yield
    except KeyboardInterrupt:
        raise Stop(f"Interrupted. {what_goes_on}", INTERRUPTED) from None


_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN_KEY = {"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "AuthFailure"}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"}
_THROTTLED = {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"}


def sentence(problem: BaseException) -> str | None:
    """The sentence for a known problem; None for one that nobody foresaw."""
    match problem:
        case Stop():
            return str(problem)
        case LedgerUnavailable(__cause__=Exception() as cause):
            return sentence(cause) or f"{problem}."
        case RunbookError():
            return f"{type(problem).__name__}: {problem}."
        case OSError() if problem.filename:
            return f"{problem.filename} cannot be used: {(problem.strerror or str(problem)).lower()}."
    return _of_aws(problem) if "botocore" in sys.modules else None


def _of_aws(problem: BaseException) -> str | None:
    from botocore import exceptions as aws

    match problem:
        case aws.ClientError():
            return _of_answer(problem)
        case aws.ProfileNotFound():
            return f"{problem}. `aws configure list-profiles` lists those that there are."
        case aws.NoRegionError():
            return "It is not known in which AWS region to look. Give --region, or set AWS_REGION."
        case aws.NoCredentialsError() | aws.PartialCredentialsError() | aws.CredentialRetrievalError():
            return "There are no AWS credentials to use. Sign in (`aws sso login`, `aws configure`), or give --profile."
        case aws.TokenRetrievalError() | aws.SSOError() | aws.UnauthorizedSSOTokenError():
            return f"The AWS sign-in has run out: {problem}. Sign in again with `aws sso login`."
        case aws.HTTPClientError() | aws.ConnectionError():
            return f"AWS could not be reached: {problem}. Check the network, --region and --endpoint-url."
        case ValueError() if str(problem).startswith("Invalid endpoint: "):
            return f"{problem}. An endpoint begins with http:// or https://; see --endpoint-url and AWS_ENDPOINT_URL."
        case aws.BotoCoreError() | ValueError() if type(problem).__module__.startswith("botocore"):
            return f"The AWS call was not sent: {problem}."
    return None


def _of_answer(problem: BaseException) -> str:
    response = getattr(problem, "response", {})
    operation = getattr(problem, "operation_name", "a call")
    code = response.get("Error", {}).get("Code", "Unknown")
    said = (response.get("Error", {}).get("Message") or "no reason given").rstrip(".")
    if code in _EXPIRED:
        return f"The AWS credentials have expired ({operation}: {said}). Sign in again, e.g. with `aws sso login`."
    if code in _UNKNOWN_KEY:
        return f"AWS does not know these credentials ({operation}: {said}). Sign in again, or give another --profile."
    if code in _DENIED:
        return f"AWS denied {operation}: {said}. Use a --profile that may, or have it allowed."
    if code in _THROTTLED:
        return f"AWS throttled {operation}: {said}. Try again in a moment."
    return f"AWS refused {operation}: {code}: {said}."
