"""Writing ARNs."""


def arn(service: str, region: str, account: str, resource: str) -> str:
    """The ARN of a resource, in the partition that its region lies in."""
    partition = {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rsplit("-", 2)[0], "aws")
    return f"arn:{partition}:{service}:{region}:{account}:{resource}"
