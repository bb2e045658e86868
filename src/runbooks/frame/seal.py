"""The sealer: signs every run that has ended and whose starter is known, or has not become known in time.

A schedule calls it. It is the only function that may use the signing key, and it writes one manifest a day.

A run whose requester AWS vouches for waits for CloudTrail as well, if not as long. That the API was asked by alice is
certain; that this execution is the one which the API has started for her is not: whoever may call StartExecution can
be faster under the name that the API is about to use, with the same input. Only CloudTrail's event tells, and nothing
can be recorded behind a seal. So a seal at once would be a seal on what might be contradicted five minutes later.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from runbooks import clock
from runbooks.aws.failures import translate
from runbooks.aws.redaction import redact
from runbooks.errors import RunbookError
from runbooks.evidence import manifest
from runbooks.evidence.manifest import Page
from runbooks.evidence.seal import ALGORITHM, Signer
from runbooks.frame.notify import count
from runbooks.frame.step import Frame, frame, logger
from runbooks.store.runs import Run
from runbooks.store.seals import Seals
from runbooks.store.tables import ConditionFailed, Conflict

PATIENCE = timedelta(hours=2)
"""How long after its start a run waits for CloudTrail's event of it, which takes five minutes as a rule."""
PATIENCE_IF_VERIFIED = timedelta(minutes=20)
"""How long one waits whose requester AWS vouches for: the event can only confirm that, or tell of a forgery."""


def signer(frame: Frame) -> Signer:
    """Signs with the stack's key. Raises AccessDenied and the like."""
    kms, key = frame.client("kms"), frame.settings.signing_key
    try:
        public = kms.get_public_key(KeyId=key)["PublicKey"]
    except (BotoCoreError, ClientError) as failure:
        raise translate(failure, "kms:GetPublicKey") from failure

    def sign(message: bytes) -> bytes:
        try:
            answer = kms.sign(KeyId=key, Message=message, MessageType="RAW", SigningAlgorithm=ALGORITHM)
        except (BotoCoreError, ClientError) as failure:
            raise translate(failure, "kms:Sign") from failure
        signature: bytes = answer["Signature"]
        return signature

    return Signer(public, sign)


def is_due(run: Run, now: datetime) -> bool:
    """Whether a run that has ended may be sealed: its starter is known, or will not be waited for any longer."""
    patience = PATIENCE_IF_VERIFIED if run.identity == "verified" else PATIENCE
    return run.attributed_to is not None or now - clock.parse(run.started_at) >= patience


def turned(seals: Seals, now: datetime) -> Page:
    """Today's manifest. Those of the days before are closed, and a day without a run has one as well."""
    today, page = f"{now:%Y-%m-%d}", seals.page()
    if page is None:
        return seals.first_page(today, now)
    for day in list(manifest.days(page.day, today))[1:]:
        page = seals.next_page(page, day, now)
    return page


def seal_due(frame: Frame) -> int:
    """Seal what is due, and turn to the manifest of today. Returns how many runs were sealed.

    A run that cannot be sealed does not keep the others waiting; its error is raised at the end.
    """
    seals = Seals(frame.tables, signer(frame))
    now = clock.utc_now()
    page = turned(seals, now)
    sealed, failures = 0, []
    for listed in frame.ledger.unsealed():
        run = frame.ledger.find(listed.run_id)
        if run is None or run.sealed_at is not None or not is_due(run, now):
            continue
        try:
            page = seals.seal(run, page, now)
            sealed += 1
        except (ConditionFailed, Conflict):
            # Something was recorded at this moment, or there is another sealer: the next round sees what is there.
            logger.warning("a run could not be sealed now; the next round does it", extra={"unsealed_run": run.run_id})
            there = seals.page() or page
            if there.day != page.day:
                break  # another sealer has turned to another day meanwhile, and `now` is not of that day
            page = there
        except RunbookError as failure:
            logger.error("a run could not be sealed", extra={"unsealed_run": run.run_id, "cause": redact(str(failure))})
            failures.append(failure)
    count("RunsSealed", sealed)
    if failures:
        raise failures[0]
    return sealed


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The schedule's event. Another sealer at the same moment is no error."""
    try:
        return {"sealed": seal_due(frame())}
    except (ConditionFailed, Conflict):
        logger.warning("another sealer was faster")
        return {"sealed": 0}
