import copy
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from runbooks import catalogue
from workbench.asl import template as sam

ROOT = Path(__file__).parents[2]

Resources = dict[str, dict[str, Any]]


def translate(source: dict[str, Any]) -> Resources:
    """The resources that CloudFormation is given for a SAM template."""
    source = copy.deepcopy(source)
    source["Globals"]["Function"]["CodeUri"] = {"Bucket": "packaged", "Key": "src.zip"}
    for resource in source["Resources"].values():
        if resource["Type"] == "AWS::Serverless::StateMachine":
            resource["Properties"]["DefinitionUri"] = {"Bucket": "packaged", "Key": "machine.json"}
    session = boto3.Session(region_name="eu-central-1")
    translated = Translator({}, Parser(), boto_session=session).translate(source, parameter_values={})
    resources: Resources = translated["Resources"]
    return resources


def with_runbooks(source: dict[str, Any], count: int) -> dict[str, Any]:
    """The template with the first runbook's block repeated under other names, until there are so many."""
    source = copy.deepcopy(source)
    block = {key: value for key, value in source["Resources"].items() if key.startswith("EcsServiceRollback")}
    for number in range(len(catalogue.names()) + 1, count + 1):
        text = json.dumps(block)
        text = text.replace("EcsServiceRollback", f"Number{number}").replace("ecs-service-rollback", f"number-{number}")
        source["Resources"] |= json.loads(text)
    return source


@pytest.fixture(scope="session")
def source() -> dict[str, Any]:
    return sam.load(ROOT / "template.yaml")


@pytest.fixture(scope="session")
def resources(source: dict[str, Any]) -> Resources:
    return translate(source)


def of_type(resources: Resources, kind: str) -> dict[str, dict[str, Any]]:
    """The properties of all resources of a type, by logical id."""
    return {name: resource["Properties"] for name, resource in resources.items() if resource["Type"] == kind}
