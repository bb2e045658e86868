"""The reviewed list of calls that only read.

Whatever is not here is a mutation: botocore's own `readonly` marks are missing for rds, s3, iam, ec2, kms and
dynamodb, and a name that starts with Get can still hand out a secret. A call enters this list when somebody has
read what it does. `secretsmanager:GetSecretValue`, `kms:Decrypt` and `ecr:GetAuthorizationToken` are left out
on purpose: they reveal secrets.
"""

from __future__ import annotations

_READS: dict[str, str] = {
    "application-autoscaling": "DescribeScalableTargets DescribeScalingActivities DescribeScalingPolicies "
    "DescribeScheduledActions",
    "cloudtrail": "LookupEvents",
    "cloudwatch": "DescribeAlarms DescribeAlarmHistory GetDashboard GetMetricData GetMetricStatistics ListMetrics",
    "dynamodb": "BatchGetItem DescribeContinuousBackups DescribeTable DescribeTimeToLive GetItem Query Scan",
    "ec2": "DescribeAvailabilityZones DescribeNatGateways DescribeNetworkAcls DescribeRouteTables "
    "DescribeSecurityGroupRules DescribeSecurityGroups DescribeSubnets DescribeVpcEndpoints DescribeVpcs",
    "ecr": "BatchGetImage DescribeImages DescribeRepositories ListImages",
    "ecs": "DescribeClusters DescribeServiceDeployments DescribeServiceRevisions DescribeServices "
    "DescribeTaskDefinition DescribeTasks ListServiceDeployments ListServices ListTaskDefinitions ListTasks",
    "elbv2": "DescribeTargetGroups DescribeTargetHealth",
    "glue": "GetCrawler GetJob GetJobBookmark GetJobRun GetJobRuns GetPartitions GetTable ListCrawls",
    "iam": "GetInstanceProfile GetPolicy GetPolicyVersion GetRole GetRolePolicy ListAttachedRolePolicies "
    "ListRolePolicies SimulatePrincipalPolicy",
    "kms": "DescribeKey GetKeyPolicy GetKeyRotationStatus ListAliases ListGrants",
    "lambda": "GetAlias GetFunctionConfiguration GetFunctionConcurrency ListEventSourceMappings ListVersionsByFunction",
    "logs": "DescribeLogGroups DescribeLogStreams FilterLogEvents GetLogEvents",
    "rds": "DescribeAccountAttributes DescribeDBClusterAutomatedBackups DescribeDBClusterEndpoints "
    "DescribeDBClusterParameterGroups "
    "DescribeDBClusterSnapshotAttributes "
    "DescribeDBClusterSnapshots DescribeDBClusters DescribeDBEngineVersions DescribeDBInstances "
    "DescribeDBParameterGroups DescribeDBSubnetGroups DescribeEvents DescribeOrderableDBInstanceOptions "
    "ListTagsForResource",
    "s3": "GetBucketEncryption GetBucketLocation GetBucketPolicy GetBucketTagging GetBucketVersioning HeadBucket "
    "HeadObject ListObjectVersions ListObjectsV2",
    "sagemaker": "DescribeEndpoint DescribeEndpointConfig DescribeInferenceComponent DescribeModel "
    "DescribeModelPackage DescribeTrainingJob ListEndpoints ListInferenceComponents ListTags",
    "secretsmanager": "DescribeSecret GetResourcePolicy ListSecretVersionIds",
    "service-quotas": "GetAWSDefaultServiceQuota GetServiceQuota ListServiceQuotas",
    "sns": "GetSubscriptionAttributes GetTopicAttributes ListSubscriptionsByTopic",
    "sts": "AssumeRole GetCallerIdentity",
    "stepfunctions": "DescribeExecution DescribeStateMachine GetExecutionHistory ListExecutions",
}

READS: frozenset[str] = frozenset(
    f"{service}:{operation}" for service, operations in _READS.items() for operation in operations.split()
)
"""Calls that only read, as `service:Operation` with boto3's service name."""


def is_read(operation: str) -> bool:
    """Whether the call is on the reviewed list of reads."""
    return operation in READS
