"""The event handler that the routes are declared on: it validates what comes in, and answers errors as problems."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from runbooks.api.http import JSON, PROBLEM, Problem, ProblemDocument, caller_of, what_is_wrong
from runbooks.aws.redaction import redact
from runbooks.errors import AwsThrottled, AwsUnavailable, LedgerUnavailable, PolicyInvalid
from runbooks.frame.step import logger
from runbooks.model import Model

app = APIGatewayHttpResolver(enable_validation=True)

AGAIN = 2
"""Seconds after which a caller may try again what AWS could not do now."""

_TITLES = {
    400: "Invalid request",
    401: "No identity",
    403: "Not allowed",
    404: "Not found",
    409: "Not now",
    500: "Our fault",
    503: "Try again",
}


def caller() -> str:
    """Who makes the request that is being answered."""
    return caller_of(app.current_event.raw_event)


class Message(Model):
    """What API Gateway itself says when it does not let a request through."""

    message: str


def answers(shape: type[Model], *problems: int, status: int = 200, title: str = "Done") -> dict[int, Any]:
    """What a route may answer, for the OpenAPI document. 400, 401, 403, 500 and 503 may come from any."""
    model: dict[int, Any] = {status: {"description": title, "content": {JSON: {"model": shape}}}}
    model |= {
        each: {"description": _TITLES[each], "content": {PROBLEM: {"model": ProblemDocument}}}
        for each in sorted({400, 401, 403, 500, 503, *problems})
    }
    for each in {403, 404, 500, 503} & model.keys():
        model[each]["content"][JSON] = {"model": Message}
    model[429] = {"description": "Throttled", "content": {JSON: {"model": Message}}}
    return model


def refused(problem: Problem) -> Response[str]:
    """The problem as an answer."""
    logger.info("refused", extra={"problem": problem.document.model_dump()})
    headers: dict[str, str | list[str]] = {"Retry-After": str(AGAIN)} if problem.status == 503 else {}
    return Response(problem.status, PROBLEM, problem.document.model_dump_json(), headers)


def _invalid(invalid: RequestValidationError) -> Response[str]:
    return refused(Problem(400, "Invalid request", what_is_wrong(invalid.errors())))


@app.not_found
def _no_route(_: NotFoundError) -> Response[str]:
    return refused(Problem(404, "No such route", "GET /openapi.json says which there are"))


_NOT_NOW = {
    AwsThrottled: "AWS takes no more calls at this moment, and nothing has happened",
    AwsUnavailable: "AWS has not answered as it should, so it is not known whether anything has happened",
    LedgerUnavailable: "the runs cannot be read or written at this moment, and nothing happens unrecorded",
}


def _unavailable(failure: Exception) -> Response[str]:
    """What AWS has said is for the log: it may name what a caller of this API need not know."""
    request = str(app.current_event.raw_event["requestContext"].get("requestId", "unknown"))
    cause = {"error": type(failure).__name__, "cause": redact(str(failure)), "request": request}
    logger.warning("AWS could not do it now", extra=cause)
    why = next(sentence for kind, sentence in _NOT_NOW.items() if isinstance(failure, kind))
    again = f"send the same request again in {AGAIN} seconds"
    return refused(Problem(503, "Try again", f"{why}; {again} (the log of the API has more, by the request {request})"))


def _no_policy(invalid: PolicyInvalid) -> Response[str]:
    return refused(Problem(503, "The policy is invalid", str(invalid)))


app.exception_handler(Problem)(refused)
app.exception_handler(RequestValidationError)(_invalid)
app.exception_handler([AwsThrottled, AwsUnavailable, LedgerUnavailable])(_unavailable)
app.exception_handler(PolicyInvalid)(_no_policy)
