"""Problems of AWS in sentences that say what to do next."""

from __future__ import annotations

import pytest
from botocore import exceptions

from runbooks.errors import LedgerUnavailable
from workbench.cli.failures import Stop, sentence


def answered(code: str, message: str = "User alice is not authorized") -> exceptions.ClientError:
    return exceptions.ClientError({"Error": {"Code": code, "Message": message}}, "DescribeStacks")


@pytest.mark.parametrize(
    ("problem", "said", "next_step"),
    [
        (exceptions.NoCredentialsError(), "There are no AWS credentials", "aws sso login"),
        (exceptions.ProfileNotFound(profile="prod"), "The config profile (prod)", "aws configure list-profiles"),
        (exceptions.NoRegionError(), "which AWS region", "--region"),
        (exceptions.EndpointConnectionError(endpoint_url="http://x"), 'endpoint URL: "http://x"', "--endpoint-url"),
        (ValueError("Invalid endpoint: localhost:9"), "Invalid endpoint: localhost:9.", "AWS_ENDPOINT_URL"),
        (exceptions.ConnectTimeoutError(endpoint_url="http://x"), "could not be reached", "network"),
        (exceptions.SSOTokenLoadError(error_msg="expired"), "sign-in has run out", "aws sso login"),
        (answered("AccessDenied"), "AWS denied DescribeStacks: User alice is not authorized.", "--profile"),
        (answered("ExpiredToken"), "credentials have expired", "Sign in again"),
        (answered("InvalidClientTokenId"), "does not know these credentials", "--profile"),
        (answered("ThrottlingException"), "throttled DescribeStacks", "Try again"),
        (answered("ValidationError", "Bad."), "AWS refused DescribeStacks: ValidationError: Bad.", ""),
        (exceptions.ParamValidationError(report="Invalid length"), "The AWS call was not sent", "Invalid length"),
        (LedgerUnavailable("the table could not be read"), "LedgerUnavailable: the table could not be read.", ""),
        (FileNotFoundError(2, "No such file", "x.json"), "x.json cannot be used: no such file.", ""),
        (Stop("There is no such run."), "There is no such run.", ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_known_problem_says_what_happened_and_what_to_do(problem, said, next_step):
    told = sentence(problem)
    assert told is not None
    assert said in told
    assert next_step in told


def test_a_table_that_cannot_be_read_is_told_as_what_aws_answered():
    unavailable = LedgerUnavailable("runbooks-dev-state could not be read")
    unavailable.__cause__ = answered("AccessDeniedException")
    told = sentence(unavailable)
    assert told is not None
    assert told.startswith("AWS denied DescribeStacks")


def test_a_problem_that_nobody_foresaw_has_no_sentence():
    assert sentence(ZeroDivisionError()) is None
