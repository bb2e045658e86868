"""Split an endpoint's traffic as it should be, on a configuration that works. The procedure is in README.md here."""

from datetime import timedelta

from runbooks.arn import arn
from runbooks.catalogue.sagemaker_variant_fix.decide import decide
from runbooks.catalogue.sagemaker_variant_fix.facts import (
    Facts,
    gather,
    recheck_creation,
    recheck_deployment,
    watch,
    watch_creation,
)
from runbooks.catalogue.sagemaker_variant_fix.input import Input
from runbooks.catalogue.sagemaker_variant_fix.plan import CREATE, DEPLOY, PROBE, SCALE_IN, SCALE_OUT, SET
from runbooks.catalogue.sagemaker_variant_fix.progress import (
    configuration_is_in_service,
    configuration_is_there,
    every_variant_has_answered,
    instances_are_added,
    instances_are_removed,
    weights_are_set,
    what_scaling_in_rests_on,
    what_scaling_out_rests_on,
    what_the_creation_rests_on,
    what_the_deployment_rests_on,
    what_the_probe_rests_on,
    what_the_weights_rest_on,
)
from runbooks.model import Phase, Risk, Runbook

_SHOWS_AFTER = timedelta(seconds=15)
"""Until then DescribeEndpoint may still show the endpoint as before the call, as if it had been rolled back."""


def targets(given: Input, account: str, region: str) -> list[str]:
    """The endpoint's ARN, in which SageMaker writes the name in lower case."""
    return [arn("sagemaker", region, account, f"endpoint/{given.endpoint.lower()}")]


RUNBOOK = Runbook(
    name="sagemaker-variant-fix",
    title="Split a SageMaker endpoint's traffic as it should be",
    risk=Risk.CHANGES_PRODUCTION,
    input=Input,
    facts=Facts,
    targets=targets,
    gather=gather,
    decide=decide,
    phases=(
        Phase(
            name=CREATE,
            asked="Is an endpoint configuration to be made?",
            question="Is the endpoint configuration there?",
            settled=configuration_is_there,
            rests_on=what_the_creation_rests_on,
            within=timedelta(minutes=5),
            recheck=recheck_creation,
            watch=watch_creation,
        ),
        Phase(
            name=DEPLOY,
            asked="Is another endpoint configuration asked for?",
            question="Is the new endpoint configuration in service?",
            settled=configuration_is_in_service,
            rests_on=what_the_deployment_rests_on,
            within=timedelta(minutes=90),
            at_least=_SHOWS_AFTER,
            recheck=recheck_deployment,
            watch=watch,
        ),
        Phase(
            name=SCALE_OUT,
            asked="Are instances to be added?",
            question="Are the instances added?",
            settled=instances_are_added,
            rests_on=what_scaling_out_rests_on,
            within=timedelta(minutes=30),
            at_least=_SHOWS_AFTER,
            recheck=watch,
            watch=watch,
        ),
        Phase(
            name=SET,
            asked="Are weights to be set?",
            question="Are the weights set?",
            settled=weights_are_set,
            rests_on=what_the_weights_rest_on,
            within=timedelta(minutes=30),
            at_least=_SHOWS_AFTER,
            recheck=watch,
            watch=watch,
        ),
        Phase(
            name=SCALE_IN,
            asked="Are instances to be removed?",
            question="Are the instances removed?",
            settled=instances_are_removed,
            rests_on=what_scaling_in_rests_on,
            within=timedelta(minutes=30),
            at_least=_SHOWS_AFTER,
            recheck=watch,
            watch=watch,
        ),
        Phase(
            name=PROBE,
            asked="Is there a payload to probe with?",
            question="Has every variant answered?",
            settled=every_variant_has_answered,
            rests_on=what_the_probe_rests_on,
            within=timedelta(minutes=5),
            recheck=watch,
            watch=watch,
        ),
    ),
    # A model may take a minute to answer, and two variants are probed one after the other. What is not done by then
    # the next delivery of the step goes on with.
    acting_within=timedelta(seconds=150),
)
