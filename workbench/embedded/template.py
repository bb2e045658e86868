"""The deployed template: SAM translated to CloudFormation, and its intrinsic functions."""

from __future__ import annotations

import base64
import contextlib
import copy
import hashlib
import importlib.metadata
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML was built without libyaml
    from yaml import SafeLoader

STAGE_PARAMETERS = ("Environment", "Stage")
NO_VALUE = object()
"""What `AWS::NoValue` resolves to; properties and list elements with it vanish."""


class TemplateError(Exception):
    """The template asks for something that the embedded AWS does not know, or is wrong."""


class _Loader(SafeLoader):  # type: ignore[misc]  # yaml is untyped
    """A safe loader that knows the short forms of intrinsic functions."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _short_form)


def read(path: Path) -> dict[str, Any]:
    """The template as it is written, with short forms as `Fn::` objects."""
    template: dict[str, Any] = yaml.load(path.read_text(), _Loader)  # noqa: S506  # a safe one, see above
    return template


def parameters_of(template: Mapping[str, Any], stage: str, given: Mapping[str, str]) -> dict[str, str]:
    """Every parameter's value: the stage, what is given, else the default. Raises TemplateError if one has none."""
    values: dict[str, str] = {}
    for name, declared in template.get("Parameters", {}).items():
        if name in given:
            values[name] = given[name]
        elif name in STAGE_PARAMETERS:
            values[name] = stage
        elif "Default" in declared:
            values[name] = str(declared["Default"])
        else:
            raise TemplateError(f"the parameter {name} has no default; give it a value")
        allowed = [str(value) for value in declared.get("AllowedValues", [values[name]])]
        if values[name] not in allowed:
            raise TemplateError(f"the parameter {name} must be one of {', '.join(allowed)}, not {values[name]!r}")
    return values


def translated(template: Mapping[str, Any], parameters: Mapping[str, str], region: str) -> dict[str, Any]:
    """The template as plain CloudFormation. Kept on disk, since the translator takes two seconds to load and run."""
    key = json.dumps(
        [template, dict(parameters), region, importlib.metadata.version("aws-sam-translator")], default=str
    )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "embedded-aws"
    kept = cache / f"{hashlib.sha256(key.encode()).hexdigest()}.json"
    with contextlib.suppress(OSError, ValueError):
        found: dict[str, Any] = json.loads(kept.read_text())
        return found
    result = _translate(template, parameters, region)
    with contextlib.suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(result))
        partial.replace(kept)
    return result


def _translate(template: Mapping[str, Any], parameters: Mapping[str, str], region: str) -> dict[str, Any]:
    from samtranslator.model.exceptions import InvalidDocumentException
    from samtranslator.translator.transform import transform

    fragment = copy.deepcopy(dict(template))
    somewhere = {"Bucket": "artifacts", "Key": "artifact"}
    if "CodeUri" in fragment.get("Globals", {}).get("Function", {}):
        fragment["Globals"]["Function"]["CodeUri"] = somewhere
    for resource in fragment.get("Resources", {}).values():
        for name in ("CodeUri", "DefinitionUri", "ContentUri"):
            if isinstance(resource.get("Properties", {}).get(name), str):
                resource["Properties"][name] = somewhere
    earlier = os.environ.get("AWS_DEFAULT_REGION")
    os.environ["AWS_DEFAULT_REGION"] = region
    try:
        result: dict[str, Any] = transform(fragment, dict(parameters), _NoPolicies())
    except InvalidDocumentException as error:
        causes = "; ".join(str(cause.message) for cause in error.causes)
        raise TemplateError(f"the SAM translator rejects the template: {causes}") from error
    finally:
        if earlier is None:
            del os.environ["AWS_DEFAULT_REGION"]
        else:
            os.environ["AWS_DEFAULT_REGION"] = earlier
    return json.loads(json.dumps(result))  # type: ignore[no-any-return]


class _NoPolicies:
    """Managed policies are named by ARN in the template; no list of them is asked from IAM."""

    def load(self) -> dict[str, str]:
        return {}


Attribute = Callable[[str, str | None], Any]
"""(logical id, attribute or None for Ref) -> what a resource resolves to."""


class Resolver:
    """Evaluates intrinsic functions. `pseudo` holds the `AWS::` parameters."""

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, str],
        pseudo: Mapping[str, str],
        attribute: Attribute,
    ) -> None:
        self._template = template
        self._values = {**parameters, **pseudo}
        self._attribute = attribute

    def condition(self, name: str) -> bool:
        """Whether the named condition holds."""
        return bool(self.resolve(self._template["Conditions"][name]))

    def resolve(self, value: Any) -> Any:
        """The value with every intrinsic function evaluated. Raises TemplateError for one that is not known here."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref":
                return self._ref(argument)
            if name == "Condition" and isinstance(argument, str):
                return self.condition(argument)
            if name.startswith("Fn::"):
                return self._function(name[4:], argument)
        resolved = {name: self.resolve(item) for name, item in value.items()}
        return {name: item for name, item in resolved.items() if item is not NO_VALUE}

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self._values:
            return self._values[name]
        return self._attribute(name, None)

    def _function(self, name: str, argument: Any) -> Any:
        match name:
            case "GetAtt":
                logical, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
                return self._attribute(logical, self.resolve(attribute))
            case "Sub":
                return self._sub(argument)
            case "Join":
                separator, parts = argument
                return str(separator).join(str(part) for part in self.resolve(parts))
            case "Select":
                index, choices = argument
                return self.resolve(choices)[int(self.resolve(index))]
            case "Split":
                separator, text = argument
                return str(self.resolve(text)).split(separator)
            case "If":
                condition, then, otherwise = argument
                return self.resolve(then if self.condition(condition) else otherwise)
            case "Equals":
                left, right = self.resolve(argument)
                return str(left) == str(right)
            case "Not":
                return not self.resolve(argument)[0]
            case "And":
                return all(self.resolve(argument))
            case "Or":
                return any(self.resolve(argument))
            case "FindInMap":
                mapping, first, second = self.resolve(argument)
                return self._template["Mappings"][mapping][first][second]
            case "Base64":
                return base64.b64encode(str(self.resolve(argument)).encode()).decode()
            case _:
                raise TemplateError(f"the embedded AWS does not know Fn::{name}")

    def _sub(self, argument: Any) -> str:
        text, names = (argument, {}) if isinstance(argument, str) else argument

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in names:
                return str(self.resolve(names[name]))
            if name in self._values:
                return self._values[name]
            logical, _, attribute = name.partition(".")
            return str(self._attribute(logical, attribute or None))

        return re.sub(r"\$\{([^}]+)\}", value, text)
