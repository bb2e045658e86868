"""What Amazon RDS offers for Aurora: engine versions, instance classes and the families of parameter groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

POSTGRESQL, MYSQL = "aurora-postgresql", "aurora-mysql"
PORTS = {POSTGRESQL: 5432, MYSQL: 3306}
LICENSES = {POSTGRESQL: "postgresql-license", MYSQL: "general-public-license"}
VERSIONS = {
    POSTGRESQL: ("13.20", "14.15", "14.17", "15.10", "15.12", "16.4", "16.6", "16.8", "17.4", "17.5"),
    MYSQL: ("8.0.mysql_aurora.3.04.3", "8.0.mysql_aurora.3.08.2", "8.0.mysql_aurora.3.10.0"),
}
DEFAULTS = {POSTGRESQL: "16.8", MYSQL: "8.0.mysql_aurora.3.08.2"}
CLASSES = (
    "db.t4g.medium",
    "db.t4g.large",
    "db.r5.large",
    "db.r5.xlarge",
    "db.r6g.large",
    "db.r6g.xlarge",
    "db.r6g.2xlarge",
    "db.r7g.large",
    "db.serverless",
)


@dataclass(frozen=True)
class Version:
    """A version of an engine that Aurora offers."""

    engine: str
    number: str

    @property
    def major(self) -> str:
        return self.number.split(".")[0] if self.engine == POSTGRESQL else "8.0"

    @property
    def license(self) -> str:
        return LICENSES[self.engine]

    @property
    def family(self) -> str:
        """The family that a parameter group must have to fit."""
        return f"{self.engine}{self.major}"

    @property
    def order(self) -> tuple[int, ...]:
        """Higher for later versions of the same engine."""
        return tuple(int(part) for part in self.number.replace("mysql_aurora.", "").split("."))

    def described(self) -> dict[str, Any]:
        """As in DescribeDBEngineVersions."""
        product = "Aurora PostgreSQL" if self.engine == POSTGRESQL else "Aurora MySQL"
        shown = self.number if self.engine == POSTGRESQL else self.number.rpartition("mysql_aurora.")[2]
        later = [each for each in versions(self.engine) if each.order > self.order]
        return {
            "Engine": self.engine,
            "MajorEngineVersion": self.major,
            "EngineVersion": self.number,
            "DBParameterGroupFamily": self.family,
            "DBEngineDescription": product,
            "DBEngineVersionDescription": f"{product} {shown}",
            "ValidUpgradeTarget": [
                {
                    "Engine": self.engine,
                    "EngineVersion": each.number,
                    "Description": f"{product} {each.number}",
                    "AutoUpgrade": False,
                    "IsMajorVersionUpgrade": each.major != self.major,
                }
                for each in later
            ],
            "ExportableLogTypes": ["postgresql"] if self.engine == POSTGRESQL else ["audit", "error", "slowquery"],
            "SupportsLogExportsToCloudwatchLogs": True,
            "SupportsReadReplica": False,
            "SupportedEngineModes": ["provisioned"],
            "SupportedFeatureNames": [],
            "Status": "available",
            "SupportsParallelQuery": False,
            "SupportsGlobalDatabases": True,
        }

    def orderable(self, instance_class: str, region: str) -> dict[str, Any]:
        """As in DescribeOrderableDBInstanceOptions."""
        return {
            "Engine": self.engine,
            "EngineVersion": self.number,
            "DBInstanceClass": instance_class,
            "LicenseModel": self.license,
            "AvailabilityZones": [{"Name": f"{region}{letter}"} for letter in "abc"],
            "MultiAZCapable": False,
            "ReadReplicaCapable": False,
            "Vpc": True,
            "SupportsStorageEncryption": True,
            "StorageType": "aurora",
            "SupportsIops": False,
            "SupportsEnhancedMonitoring": True,
            "SupportsIAMDatabaseAuthentication": True,
            "SupportsPerformanceInsights": instance_class != "db.t4g.medium",
            "SupportedEngineModes": ["provisioned"],
            "SupportsStorageAutoscaling": False,
            "SupportsKerberosAuthentication": True,
            "OutpostCapable": False,
            "SupportsGlobalDatabases": not instance_class.startswith("db.t"),
            "SupportsClusters": True,
        }


def versions(engine: str) -> list[Version]:
    """Those of the engine that can be had, the earliest first; none for an engine that Aurora does not have."""
    return [Version(engine, number) for number in VERSIONS.get(engine, ())]


def find(engine: str, number: str) -> Version | None:
    """The version of that number; a major number alone means the latest of its versions."""
    fitting = [each for each in versions(engine) if number in (each.number, each.major)]
    return fitting[-1] if fitting else None
