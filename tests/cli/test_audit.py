"""`audit`: a run is read, found, exported, checked offline, and reported on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runbooks.model import canonical, digest
from workbench import scenario
from workbench.cli.reference import MACHINES
from workbench.embedded import EmbeddedAws
from workbench.incident import Incident, run_scenario

from .conftest import Answer

RUNBOOK = "ecs-service-rollback"
REVERSED = ("--from", "2026-11-30", "--to", "2026-11-01")
SCENARIOS = scenario.of(RUNBOOK)
Command = Callable[..., Answer]


def ran(aws: EmbeddedAws, name: str = "health-checks-fail", *, sealed: bool = True, **changes: object) -> Incident:
    incident = run_scenario(aws, RUNBOOK, replace(SCENARIOS[name], **changes))
    if sealed:
        aws.cloudtrail("alice", incident.execution_arn)
        aws.invoke("SealFunction", {})
    return incident


@pytest.fixture
def key(on_aws: Command, tmp_path: Path) -> Path:
    """The public key, as the auditor was given it before."""
    assert on_aws("audit", "key", "--out", str(tmp_path / "key.pem")).code == 0
    return tmp_path / "key.pem"


@pytest.fixture
def exported(aws: EmbeddedAws, on_aws: Command, tmp_path: Path) -> tuple[str, Path]:
    """A run, and the file with its trail."""
    run = ran(aws).run_id
    file = tmp_path / "trail.json"
    assert on_aws("audit", "export", run, "--out", str(file)).code == 0
    return run, file


# -- show --------------------------------------------------------------------------------------------------------------


def test_a_runs_trail_reads_as_a_timeline_with_its_seal(aws: EmbeddedAws, on_aws: Command) -> None:
    run = ran(aws).run_id
    answer = on_aws("audit", "show", run)
    assert answer.code == 0
    assert "CloudTrail: arn:aws:iam::123456789012:user/alice started it" in " ".join(answer.stdout.split())
    assert answer.stdout.rstrip().endswith("17 audit entries, chain verified, sealed")


def test_a_failed_run_shows_its_error_and_cause_first(aws: EmbeddedAws, on_aws: Command) -> None:
    failed = ran(aws, decision="deny", ends="FAILED", error="ApprovalDenied", world_after=None, changes=0)
    head = on_aws("audit", "show", failed.run_id).stdout.splitlines()[:3]
    assert head[1].startswith("ApprovalDenied, execute, asked by alice")
    assert head[2] == failed.cause
    document = on_aws("audit", "show", failed.run_id, "--json").document
    assert (document["error"], document["cause"]) == ("ApprovalDenied", failed.cause)


def test_all_of_every_entry_can_be_shown(aws: EmbeddedAws, on_aws: Command) -> None:
    incident = ran(aws)
    shown = on_aws("audit", "show", incident.run_id, "--full").stdout
    for entry in incident.audit:
        assert f"hash {entry.hash}, after {entry.prev}" in shown
    assert '"operation": "ecs:UpdateService"' in shown


def test_a_run_that_is_not_sealed_says_so(aws: EmbeddedAws, on_aws: Command) -> None:
    run = ran(aws, sealed=False).run_id
    assert on_aws("audit", "show", run).stdout.rstrip().endswith("chain verified, not sealed yet")


def test_a_days_manifest_is_shown_as_what_it_is_and_has_no_report(aws: EmbeddedAws, on_aws: Command) -> None:
    name = f"manifest-{aws.clock.now():%Y-%m-%d}"
    run = ran(aws, "healthy-already").run_id
    going_on = on_aws("audit", "show", name)
    assert (going_on.code, going_on.stdout.rstrip().endswith("chain verified, the day has not ended")) == (0, True)
    aws.clock.advance(days=1)
    aws.invoke("SealFunction", {})
    shown = on_aws("audit", "show", name)
    assert shown.code == 0
    assert shown.stdout.startswith(f"{name}  the runs that were sealed on {name.removeprefix('manifest-')}\n")
    assert run in shown.stdout
    assert shown.stdout.rstrip().endswith("3 audit entries, chain verified, sealed")
    report = on_aws("audit", "report", name)
    assert (report.code, report.stdout) == (2, "")
    assert f"{name} is no run; `runbook audit show {name}` has what is on its trail." in report.complaint


# -- verify ------------------------------------------------------------------------------------------------------------


def test_an_export_is_verified_offline_with_the_key(runbook: Command, exported: tuple[str, Path], key: Path) -> None:
    answer = runbook("audit", "verify", str(exported[1]), "--key", str(key))
    assert answer.code == 0
    first, second = answer.stdout.splitlines()
    assert first == "VERIFIED: 1 run, 17 entries, no manifest"
    assert re.fullmatch(rf"1 seal of the key sha256:[0-9a-f]{{64}} \({re.escape(str(key))}\)", second)


def test_a_fingerprint_in_the_environment_is_enough(
    runbook: Command, on_aws: Command, exported: tuple[str, Path]
) -> None:
    pinned = on_aws("audit", "key", "--json").document["fingerprint"]
    answer = runbook("audit", "verify", str(exported[1]), "--json", env={"RUNBOOK_AUDIT_KEY": pinned})
    assert answer.code == 0
    assert answer.document["verified"] is True
    assert answer.document["sealed_with"] == {exported[0]: pinned}
    assert answer.document["pinned_in"] == "RUNBOOK_AUDIT_KEY"


def test_the_operators_configuration_pins_keys_in_files_with_blanks_in_their_names(
    runbook: Command, exported: tuple[str, Path], key: Path, tmp_path: Path
) -> None:
    configuration = tmp_path / "runbook" / "config.toml"
    configuration.parent.mkdir()
    key.rename(configuration.parent / "seals of 2026.pem")
    earlier = f"sha256:{'0' * 64}"
    configuration.write_text(f'[audit]\nkeys = ["{earlier}", "seals of 2026.pem"]\n')
    env = {"XDG_CONFIG_HOME": str(tmp_path)}
    answer = runbook("audit", "verify", str(exported[1]), "--full", env=env)
    assert answer.code == 0, answer.stderr
    _, by, of_run = answer.stdout.splitlines()
    assert by.endswith(f"({configuration.parent}/seals of 2026.pem), pinned in {configuration}")
    assert of_run.startswith(f"  {exported[0]}  sha256:")
    strange = runbook("audit", "verify", str(exported[1]), "--key", earlier, env=env)
    assert strange.code == 1
    assert "which is not a trusted one" in strange.stdout
    configuration.write_text("[audit]\nkey = 1\n")
    wrong = runbook("audit", "verify", str(exported[1]), env=env)
    assert (wrong.code, "all that it may say of the audit trail is" in wrong.complaint) == (2, True)


def test_when_the_signing_key_was_replaced_both_keys_together_verify_what_both_have_sealed(
    aws: EmbeddedAws, on_aws: Command, runbook: Command, key: Path, tmp_path: Path
) -> None:
    day = f"{aws.clock.now():%Y-%m-%d}"
    old = ran(aws).run_id
    kms = aws.client("kms")
    made = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    kms.update_alias(AliasName=aws.outputs["SigningKeyAlias"], TargetKeyId=made)
    another = run_scenario(aws, "watermark-reset", scenario.of("watermark-reset")["healthy-already"])
    aws.cloudtrail("alice", another.execution_arn)
    aws.invoke("SealFunction", {})
    new = another.run_id
    aws.clock.advance(days=1)
    aws.invoke("SealFunction", {})
    file, second = str(tmp_path / "day.json"), str(tmp_path / "second.pem")
    on_aws("audit", "key", "--out", second)
    told = on_aws("audit", "export", "--from", day, "--to", day, "--out", file, "--json").document
    assert len(told["keys"]) == 2
    both = runbook("audit", "verify", file, "--key", str(key), "--key", second, "--json")
    assert both.code == 0
    signed = both.document["sealed_with"]
    assert (signed[old], signed[new]) == (signed[old], signed[f"manifest-{day}"])
    assert signed[old] != signed[new]
    for alone in (str(key), second):
        assert runbook("audit", "verify", file, "--key", alone).code == 1


def test_without_a_key_nothing_is_verified_and_that_is_said_loudly(
    runbook: Command, exported: tuple[str, Path]
) -> None:
    answer = runbook("audit", "verify", str(exported[1]))
    assert answer.code == 2
    assert answer.stdout.startswith("NOTHING IS VERIFIED: there is no key to trust.")


def test_an_entry_that_was_changed_is_named(runbook: Command, exported: tuple[str, Path], key: Path) -> None:
    run, file = exported
    file.write_bytes(file.read_bytes().replace(b"the plan is what I would do", b"the plan is what I never saw"))
    answer = runbook("audit", "verify", str(file), "--key", str(key))
    assert answer.code == 1
    first, last = answer.stdout.splitlines()
    assert first == f"{run}: entry 5 (approval.decided) was changed after it was written"
    assert last.startswith("NOT VERIFIED: ")


def test_what_is_not_canonical_is_refused(runbook: Command, exported: tuple[str, Path], key: Path) -> None:
    file = exported[1]
    file.write_text(json.dumps(json.loads(file.read_bytes()), indent=2))
    answer = runbook("audit", "verify", str(file), "--key", str(key))
    assert answer.code == 1
    assert "is not a canonical export: byte 2" in answer.complaint


@pytest.mark.parametrize("content", [b"", b"\n", b"# README\n", b'{"name": "package", "version": 1}', b"\x89PNG\xff"])
def test_what_never_was_an_export_could_not_be_checked(
    runbook: Command, key: Path, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "another"
    file.write_bytes(content)
    answer = runbook("audit", "verify", str(file), "--key", str(key))
    assert (answer.code, answer.stdout) == (2, "")
    assert answer.complaint.startswith(f"NOTHING IS VERIFIED: {file} is no export: it is ")


def test_a_folder_without_a_trail_could_not_be_checked(runbook: Command, key: Path, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    answer = runbook("audit", "verify", str(folder), "--key", str(key))
    assert (answer.code, answer.stdout) == (2, "")
    assert answer.complaint.startswith(f"NOTHING IS VERIFIED: {folder} has no trail in it: no file whose name ends in ")


@pytest.mark.parametrize(
    "tampered",
    [
        lambda data: b"\xff" + data[1:],
        lambda data: data.replace(b'"keys"', b'"kays"').replace(b'"trails"', b'"trials"'),
        lambda data: data[:40],
        lambda data: data[: len(data) // 2],
        lambda data: data[30:],
    ],
    ids=["its first byte", "its names", "nearly all cut off", "half cut off", "its beginning cut off"],
)
def test_an_export_that_is_hardly_one_any_more_does_not_verify(
    runbook: Command, exported: tuple[str, Path], key: Path, tampered: Callable[[bytes], bytes]
) -> None:
    file = exported[1]
    file.write_bytes(tampered(file.read_bytes()))
    answer = runbook("audit", "verify", str(file), "--key", str(key))
    assert answer.code == 1
    assert answer.complaint.startswith("NOT VERIFIED: ")


def test_a_fingerprint_that_is_not_whole_is_told_from_a_file(runbook: Command, exported: tuple[str, Path]) -> None:
    answer = runbook("audit", "verify", str(exported[1]), "--key", "sha256:4f1c...")
    assert answer.code == 2
    assert answer.complaint.startswith("sha256:4f1c... is no fingerprint: that is sha256: and 64 hex digits (0-9, a-f)")


def test_a_key_that_is_none_is_said(runbook: Command, exported: tuple[str, Path]) -> None:
    answer = runbook("audit", "verify", str(exported[1]), "--key", str(exported[1]))
    assert answer.code == 2
    assert "holds no P-256 public key" in answer.complaint


# -- export ------------------------------------------------------------------------------------------------------------


def test_an_export_is_the_same_bytes_every_time(on_aws: Command, exported: tuple[str, Path]) -> None:
    run, file = exported
    assert on_aws("audit", "export", run).stdout.encode() == file.read_bytes()


def test_days_are_exported_with_their_manifests(
    aws: EmbeddedAws, on_aws: Command, runbook: Command, key: Path, tmp_path: Path
) -> None:
    first = f"{aws.clock.now():%Y-%m-%d}"
    ran(aws)
    aws.clock.advance(days=1)
    last = f"{aws.clock.now():%Y-%m-%d}"
    aws.invoke("SealFunction", {})
    aws.clock.advance(days=1)
    aws.invoke("SealFunction", {})
    file = str(tmp_path / "days.json")
    days = ("--from", first, "--to", last)
    told = on_aws("audit", "export", *days, "--out", file, "--json").document
    assert (len(told["trails"]), told["unsealed"]) == (3, [])
    answer = runbook("audit", "verify", file, "--key", str(key), *days)
    assert answer.code == 0
    assert f"manifests of {first} to {last}" in answer.stdout


def test_an_export_says_what_is_not_sealed(aws: EmbeddedAws, on_aws: Command, tmp_path: Path) -> None:
    run = ran(aws, sealed=False).run_id
    answer = on_aws("audit", "export", run, "--out", str(tmp_path / "trail.json"))
    assert answer.code == 0
    assert answer.complaint.endswith(f"{run} is not sealed yet, so it will not verify.")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["export"], "Give a run, or both --from and --to."),
        (["export", "--from", "2026-11-21"], "Give a run, or both --from and --to."),
        (["export", "--from", "yesterday", "--to", "2026-11-21"], "'yesterday' is no day."),
        (["export", *REVERSED], "--from 2026-11-30 is after --to 2026-11-01, so no day is meant."),
        (["search", *REVERSED], "--from 2026-11-30 is after --to 2026-11-01, so no day is meant."),
        (["verify", "trail.json", *REVERSED], "--from 2026-11-30 is after --to 2026-11-01, so no day is meant."),
        (["export", "no-such-run"], "There is no run 'no-such-run'"),
        (["export", "--from", "2020-01-01", "--to", "2020-01-02"], "Nothing was sealed from 2020-01-01 to 2020-01-02"),
        (["search"], "Give --target, --actor, --approved-by, --runbook or --outcome, or both --from and --to."),
        (["search", "--outcome", "GOOD"], "A run does not end as 'GOOD'."),
        (["search", "--actor", "alice", "--before", "nonsense"], "is not what a page of results ended with"),
        (["report", "no-such-run"], "There is no run 'no-such-run'"),
    ],
)
def test_a_mistake_is_said(aws: EmbeddedAws, on_aws: Command, arguments: list[str], complaint: str) -> None:
    answer = on_aws("audit", *arguments)
    assert answer.code == 2
    assert complaint in answer.complaint


# -- report ------------------------------------------------------------------------------------------------------------


def test_the_report_has_what_a_post_mortem_needs(runbook: Command, exported: tuple[str, Path]) -> None:
    run, file = exported
    report = runbook("audit", "report", run, "--file", str(file)).stdout
    for expected in (
        f"# {run}: SUCCEEDED",
        "| Started by (CloudTrail) | arn:aws:iam::123456789012:user/alice |",
        "| Time to recover | ",
        "| critical | 4 tasks of snowflake-report-service:4 failed since ",
        "1. `ecs:UpdateService` (Roll the service back): done",
        "   - taskDefinition snowflake-report-service:4",
        "   + taskDefinition snowflake-report-service:2",
        "| arn:aws:iam::123456789012:user/bob | approved plan ",
        "```mermaid\nflowchart TD",
        "chain verified",
    ):
        assert expected in report


def test_the_graph_shows_the_path_that_was_taken(aws: EmbeddedAws, on_aws: Command) -> None:
    denied = ran(aws, decision="deny", ends="FAILED", error="ApprovalDenied", world_after=None, changes=0)
    report = on_aws("audit", "report", denied.run_id).stdout
    names = dict(re.findall(r'^    (s\d+)[\[{]"(.*)"[\]}]$', report, re.MULTILINE))
    (taken,) = re.findall(r"^    class (\S+) taken$", report, re.MULTILINE)
    passed = {names[name] for name in taken.split(",")}
    assert passed == set(denied.states)


def test_the_report_says_on_which_machine_the_path_is_drawn_since_the_run_may_have_used_another(
    runbook: Command, exported: tuple[str, Path]
) -> None:
    run, file = exported
    machine = json.loads((MACHINES / f"{RUNBOOK}.asl.json").read_text())
    report = runbook("audit", "report", run, "--file", str(file)).stdout
    assert f"(SHA-256 `{digest(machine)}`). The trail does not have the machine that the run used" in report


def test_a_report_goes_into_a_file(runbook: Command, exported: tuple[str, Path], tmp_path: Path) -> None:
    run, file = exported
    out = tmp_path / "report.md"
    assert runbook("audit", "report", run, "--file", str(file), "--out", str(out)).stdout == ""
    assert out.read_text() == runbook("audit", "report", run, "--file", str(file), "--json").document["markdown"]


def test_a_report_on_a_trail_that_was_tampered_with_says_so_above_everything_else_and_ends_with_1(
    runbook: Command, exported: tuple[str, Path], tmp_path: Path
) -> None:
    run, file = exported
    file.write_bytes(file.read_bytes().replace(b"the plan is what I would do", b"the plan is what I never saw"))
    banner = "> **NOT VERIFIED: what follows is no evidence, since its audit trail is not what was recorded.**\n"
    fault = "entry 5 was changed after it was written"
    answer = runbook("audit", "report", run, "--file", str(file))
    assert (answer.code, answer.stdout.startswith(banner)) == (1, True)
    assert f"> - {fault}.\n" in answer.stdout
    out = tmp_path / "report.md"
    written = runbook("audit", "report", run, "--file", str(file), "--out", str(out))
    assert (written.code, written.stdout, out.read_text()) == (1, "", answer.stdout)
    assert written.complaint == f"NOT VERIFIED: {out} is no evidence: {fault}."
    document = runbook("audit", "report", run, "--file", str(file), "--json")
    assert (document.code, document.document["audit_verified"], document.document["faults"]) == (1, False, [fault])


def test_a_report_on_a_run_of_the_account_whose_trail_was_tampered_with_ends_with_1(
    aws: EmbeddedAws, on_aws: Command
) -> None:
    run = ran(aws).run_id
    aws.client("dynamodb").delete_item(
        TableName=aws.outputs["AuditTableName"], Key={"run_id": {"S": run}, "seq": {"N": "2"}}
    )
    answer = on_aws("audit", "report", run)
    assert answer.code == 1
    assert answer.stdout.startswith("> **NOT VERIFIED: ")
    assert answer.complaint.endswith("entry 2 is missing before entry 3.")


def test_a_seal_that_nobody_has_checked_is_a_claim_and_with_the_key_it_is_checked(
    runbook: Command, exported: tuple[str, Path], key: Path
) -> None:
    run, file = exported
    of_file = ("audit", "report", run, "--file", str(file))
    unchecked = runbook(*of_file)
    assert (
        unchecked.code,
        bool(re.search(r"\| Sealed \| claimed \S+, signature not checked \|", unchecked.stdout)),
    ) == (
        0,
        True,
    )
    assert "It says that it is sealed with the key `sha256:" in unchecked.stdout
    for checked in (runbook(*of_file, "--key", str(key)), runbook(*of_file, env={"RUNBOOK_AUDIT_KEY": str(key)})):
        assert checked.code == 0
        assert re.search(r"\| Sealed \| \S+, signature checked \|", checked.stdout)
        assert "It is sealed with the trusted key `sha256:" in checked.stdout
        assert "not checked" not in checked.stdout


def test_a_report_whose_seal_does_not_hold_with_the_key_says_so_and_ends_with_1(
    runbook: Command, exported: tuple[str, Path]
) -> None:
    run, file = exported
    answer = runbook("audit", "report", run, "--file", str(file), "--key", f"sha256:{'0' * 64}")
    assert answer.code == 1
    assert answer.stdout.startswith("> **NOT VERIFIED: ")
    assert "which is not a trusted key" in answer.complaint
    assert re.search(r"\| Sealed \| claimed \S+, NOT VERIFIED \|", answer.stdout)


def test_a_report_on_a_run_that_waits_for_its_seal_is_none_on_a_forgery(
    aws: EmbeddedAws, on_aws: Command, key: Path, tmp_path: Path
) -> None:
    run = ran(aws, sealed=False).run_id
    in_account = on_aws("audit", "report", run, "--key", str(key))
    assert (in_account.code, "| Sealed | NOT YET |" in in_account.stdout) == (0, True)
    file = tmp_path / "unsealed.json"
    on_aws("audit", "export", run, "--out", str(file))
    from_file = on_aws("audit", "report", run, "--file", str(file), "--key", str(key))
    assert (from_file.code, "has no seal: its tail was cut off" in from_file.complaint) == (1, True)


def test_a_file_without_the_run_says_what_it_has(runbook: Command, exported: tuple[str, Path]) -> None:
    answer = runbook("audit", "show", "another", "--file", str(exported[1]))
    assert answer.code == 2
    assert f"It has {exported[0]}." in answer.complaint


def test_what_is_read_from_a_file_says_that_nobody_has_checked_its_signature(
    runbook: Command, exported: tuple[str, Path]
) -> None:
    run, file = exported
    says = f"runbook audit verify {file} --key KEYFILE"
    assert f"signature not checked: {says}" in runbook("audit", "show", run, "--file", str(file)).stdout
    assert f"Signature not checked: `{says}`." in runbook("audit", "report", run, "--file", str(file)).stdout


def test_a_trail_under_another_runs_name_is_not_shown(
    runbook: Command, exported: tuple[str, Path], tmp_path: Path
) -> None:
    run, file = exported
    document = json.loads(file.read_bytes())
    document["trails"][0]["run_id"] = "another"
    forged = tmp_path / "forged.json"
    forged.write_bytes(canonical(document))
    answer = runbook("audit", "show", "another", "--file", str(forged))
    assert (answer.code, answer.stdout) == (1, "")
    assert f"NOT VERIFIED: {forged} has, as the trail of another, entries of {run}." in answer.complaint


# -- search ------------------------------------------------------------------------------------------------------------


def test_a_run_is_found_by_target_actor_runbook_outcome_and_day(aws: EmbeddedAws, on_aws: Command) -> None:
    incident = ran(aws)
    assert incident.run is not None
    today = f"{aws.clock.now():%Y-%m-%d}"
    for by in (
        ["--target", incident.run.targets[0]],
        ["--actor", "arn:aws:iam::123456789012:user/Alice"],
        ["--runbook", RUNBOOK],
        ["--approved-by", "arn:aws:iam::123456789012:user/Bob"],
        ["--approved-by", "bob", "--from", today, "--to", today],
        ["--runbook", RUNBOOK, "--outcome", "SUCCEEDED"],
        ["--outcome", "SUCCEEDED", "--from", today],
        ["--from", today, "--to", today],
    ):
        found = on_aws("audit", "search", *by, "--json").document
        assert [run["run_id"] for run in found["runs"]] == [incident.run_id], by
    for by in (
        ["--approved-by", "alice"],
        ["--runbook", RUNBOOK, "--outcome", "FAILED"],
        ["--approved-by", "bob", "--to", "2020-01-01"],
    ):
        assert on_aws("audit", "search", *by).stdout == "There are no such runs.\n"


def test_who_looks_for_an_approver_among_those_who_asked_is_told_how_to_look_for_approvals(
    aws: EmbeddedAws, on_aws: Command
) -> None:
    ran(aws)
    answer = on_aws("audit", "search", "--actor", "bob").stdout
    assert answer == ("There are no such runs.\n--actor is who asked for a run. What bob approved: --approved-by bob\n")


def test_who_denied_a_plan_has_not_approved_it(aws: EmbeddedAws, on_aws: Command) -> None:
    ran(aws, decision="deny", ends="FAILED", error="ApprovalDenied", world_after=None, changes=0)
    assert on_aws("audit", "search", "--approved-by", "bob").stdout == "There are no such runs.\n"


# -- demo --------------------------------------------------------------------------------------------------------------


def test_the_demo_writes_its_trail_and_key_and_they_verify(
    installed: Command, runbook: Command, tmp_path: Path
) -> None:
    file, key = str(tmp_path / "trail.json"), str(tmp_path / "key.pem")
    answer = installed("demo", "--export", file, "--key-out", key)
    assert answer.code == 0, answer.stderr
    assert runbook("audit", "verify", file, "--key", key).code == 0


def test_the_demo_of_everything_has_no_one_trail_to_export(runbook: Command) -> None:
    assert "Leave out --all." in runbook("demo", "--all", "--export", "x").complaint
