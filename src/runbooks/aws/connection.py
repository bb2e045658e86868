"""Clients of AWS, made with botocore: what boto3 adds to it is not used, and costs a cold start a sixth of its time."""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.config import Config
from botocore.loaders import Loader
from botocore.session import Session


@cache
def _loader() -> Loader:
    """Reads the descriptions of services, each once in a process."""
    loader: Loader = Session().get_component("data_loader")
    return loader


def new_session() -> Session:
    """A session with events of its own; credentials and endpoints come from the environment, as ever."""
    session = Session()
    session.register_component("data_loader", _loader())
    return session


@cache
def _plain() -> Session:
    return new_session()


def connect(service: str, region: str, config: Config) -> Any:
    """A client by boto3's name of the service, without the audited session's hooks."""
    return _plain().create_client(service, region_name=region, config=config)
