"""Set an extraction's watermark, knowing what that duplicates or skips. The procedure is in README.md beside this."""

from datetime import timedelta

from runbooks.arn import arn
from runbooks.catalogue.watermark_reset.decide import PHASE, decide, watermark_is_set, what_the_reset_rests_on
from runbooks.catalogue.watermark_reset.facts import Facts, gather, recheck, watch
from runbooks.catalogue.watermark_reset.input import Input
from runbooks.model import Phase, Risk, Runbook


def targets(given: Input, account: str, region: str) -> list[str]:
    """The table's ARN: extractions share it, so resets on it take turns."""
    return [arn("dynamodb", region, account, f"table/{given.table}")]


RUNBOOK = Runbook(
    name="watermark-reset",
    title="Set an extraction's watermark back or forth",
    risk=Risk.CHANGES_PRODUCTION,
    input=Input,
    facts=Facts,
    targets=targets,
    gather=gather,
    decide=decide,
    phases=(
        Phase(
            name=PHASE,
            question="Is the watermark set?",
            settled=watermark_is_set,
            rests_on=what_the_reset_rests_on,
            within=timedelta(minutes=2),
            recheck=recheck,
            watch=watch,
        ),
    ),
)
