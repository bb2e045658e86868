"""What is read of a KMS key: whether it can be used."""

from __future__ import annotations

from botocore.exceptions import ClientError

from runbooks.aws.session import AwsSession
from runbooks.model import Model

USABLE, UNREADABLE = "Enabled", "unreadable"


class Key(Model):
    """A key. `state` is KMS's word for it, `gone`, or `unreadable` if nobody here may look at it."""

    state: str
    by_aws: bool = False
    """Whether AWS manages it: such a key cannot be disabled, and its policy lets the whole account use it."""


def read_key(aws: AwsSession, key: str) -> Key:
    """The key of that id, alias or ARN. Calls: kms DescribeKey."""
    kms = aws.client("kms")
    try:
        described = kms.describe_key(KeyId=key)["KeyMetadata"]
    except kms.exceptions.NotFoundException:
        return Key(state="gone")
    except ClientError as failure:
        # A key may be another account's, whose policy does not know this role.
        if failure.response["Error"]["Code"] != "AccessDeniedException":
            raise
        return Key(state=UNREADABLE)
    return Key(state=described["KeyState"], by_aws=described.get("KeyManager") == "AWS")
