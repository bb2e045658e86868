"""Taking changes back when that takes time, several calls, or none; and changes that an earlier run has made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from runbooks.errors import AwsRejected, AwsThrottled, CheckFailed, PlanStale, TargetBusy
from runbooks.model import Change, Contained, Irreversible, NothingToUndo
from tests.frame.toy import WITHIN, Toy, World, change, shows, undo

if TYPE_CHECKING:
    from tests.frame.conftest import Steps

Make = Callable[..., Toy]
LATE = WITHIN.total_seconds() / 60 + 1
"""Minutes after which an inverse should have had its effect."""


@pytest.fixture
def toy(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> Make:
    def make(world: World, *changes: Change) -> Toy:
        return Toy(steps.begun, world, monkeypatch, *changes)

    return make


def test_the_next_inverse_waits_until_the_one_before_has_had_its_effect(toy: Make) -> None:
    made = toy(World({"a": "old", "b": "old"}, takes={"toy:Unset": 10}), change("a"), change("b"))
    made.apply()
    assert made.undo()["undone"] is False
    assert made.statuses == ["done", "settling"]
    made.at(5)
    waits = made.undo()
    assert (waits["undone"], waits["wait_seconds"]) == (False, 15)
    assert made.world.made == ["toy:Set", "toy:Set", "toy:Unset"]
    made.at(11)
    made.undo()
    assert made.statuses == ["done", "undone"]
    made.undo()
    made.at(22)
    assert made.undo()["undone"] is True
    assert made.world.values == {"a": "old", "b": "old"}
    assert made.world.made == ["toy:Set", "toy:Set", "toy:Unset", "toy:Unset"]


def test_an_inverse_without_effect_by_its_deadline_is_left_and_says_so(toy: Make) -> None:
    made = toy(World({"a": "old"}, takes={"toy:Unset": 9999}), change("a"))
    made.apply()
    made.undo()
    made.at(LATE - 1.01)
    assert made.undo()["undone"] is False
    made.at(LATE - 1)
    assert made.undo()["undone"] is True
    assert made.statuses == ["left"]
    assert "toy:Unset was accepted, and had no effect by" in made.records[1].note


def test_what_must_come_first_is_called_and_waited_for_before_the_inverse(toy: Make) -> None:
    save = undo("copy", "saved", operation="toy:Save")
    made = toy(World({"a": "old"}, takes={"toy:Save": 5}), change("a", undo=undo("a", "old", first=save)))
    made.apply()
    made.undo()
    assert made.world.made == ["toy:Set", "toy:Save"]
    made.at(6)
    made.undo()
    assert made.statuses == ["done"]
    made.undo()
    assert made.statuses == ["undone"]
    assert made.world.made == ["toy:Set", "toy:Save", "toy:Unset"]
    assert made.world.values == {"a": "old", "copy": "saved"}


def test_a_call_of_an_inverse_may_take_as_long_as_it_says_itself(toy: Make) -> None:
    save = undo("copy", "saved", operation="toy:Save", within=timedelta(minutes=2 * LATE))
    made = toy(World({"a": "old"}, takes={"toy:Save": LATE}), change("a", undo=undo("a", "old", first=save)))
    made.apply()
    made.undo()
    made.at(LATE - 1)
    assert made.undo()["undone"] is False
    made.at(LATE)
    made.undo()
    made.undo()
    assert made.statuses == ["undone"]
    assert made.world.values == {"a": "old", "copy": "saved"}


def test_a_call_of_an_inverse_that_the_world_has_no_need_of_is_left_out(toy: Make) -> None:
    save = undo("copy", "saved", operation="toy:Save", only_if=shows("written", "yes"))
    made = toy(World({"a": "old"}), change("a", undo=undo("a", "old", first=save)))
    made.apply()
    made.undo()
    made.undo()
    assert made.statuses == ["undone"]
    assert made.world.made == ["toy:Set", "toy:Unset"]
    assert "undo.omitted" in made.events


def test_a_call_of_an_inverse_that_the_world_has_need_of_is_made(toy: Make) -> None:
    save = undo("copy", "saved", operation="toy:Save", only_if=shows("written", "yes"))
    made = toy(World({"a": "old", "written": "yes"}), change("a", undo=undo("a", "old", first=save)))
    made.apply()
    made.undo()
    made.undo()
    assert made.statuses == ["undone"]
    assert made.world.made == ["toy:Set", "toy:Save", "toy:Unset"]
    assert made.events.count("undo.settled") == 2
    assert "undo.omitted" not in made.events


def test_what_shows_the_old_value_already_needs_no_inverse(toy: Make) -> None:
    made = toy(World({"a": "old"}), change("a"))
    made.apply()
    made.world.values["a"] = "old"
    made.world.coming.clear()
    assert made.undo()["undone"] is True
    assert made.world.made == ["toy:Set"]
    assert "undo.recognised" in made.events


def test_a_change_that_cannot_be_looked_at_is_taken_back_by_its_inverse_or_left(toy: Make) -> None:
    blind = {"proof": None, "repeat_harmless": True}
    made = toy(
        World({"a": "old", "b": "old"}),
        change("a", undo=Irreversible(irreversible="it is sent"), **blind),
        change("b", **blind),
    )
    made.approve()
    made.apply()
    made.undo()
    assert made.undo()["undone"] is True
    assert made.statuses == ["left", "undone"]
    assert made.world.made == ["toy:Set", "toy:Set", "toy:Unset"]


def test_what_lies_inside_an_earlier_change_goes_with_it_and_needs_no_call(toy: Make) -> None:
    made = toy(World({"a": "old", "b": "old"}), change("a"), change("b", undo=Contained(goes_with=1)))
    made.apply()
    made.undo()
    assert made.statuses == ["done", "undone"]
    assert made.undo()["undone"] is True
    assert made.world.made == ["toy:Set", "toy:Set", "toy:Unset"]


def test_a_call_that_leaves_nothing_behind_needs_no_inverse(toy: Make) -> None:
    probe = change("b", undo=NothingToUndo(nothing_to_undo="a probe"), proof=None, repeat_harmless=True)
    made = toy(World({"a": "old"}), change("a"), probe)
    made.apply()
    made.undo()
    assert made.undo()["undone"] is True
    assert made.statuses == ["undone", "undone"]
    assert made.world.made == ["toy:Set", "toy:Set", "toy:Unset"]


def test_a_plan_with_what_cannot_be_undone_needs_approval_whatever_the_policy_says(toy: Make) -> None:
    made = toy(World({"a": "old", "b": "old"}), change("a"), change("b", undo=Irreversible(irreversible="it is sent")))
    assert made.document["approval_needed"] is True


def test_what_cannot_be_undone_is_left_for_a_human_while_the_target_shows_it(toy: Make) -> None:
    made = toy(World({"a": "old"}), change("a", undo=Irreversible(irreversible="the old one could not start")))
    made.approve()
    made.apply()
    assert made.undo()["undone"] is True
    assert made.statuses == ["left"]


def test_what_cannot_be_undone_and_has_gone_back_itself_is_not_left(toy: Make) -> None:
    made = toy(World({"a": "old"}), change("a", undo=Irreversible(irreversible="the old one could not start")))
    made.approve()
    made.apply()
    made.world.coming.clear()
    made.world.values["a"] = "old"
    assert made.undo()["undone"] is True
    assert made.statuses == ["undone"]
    assert "has gone back itself" in made.records[1].note


def test_a_target_that_is_busy_is_waited_for_and_then_undone(toy: Make) -> None:
    made = toy(World({"a": "old"}), change("a"))
    made.apply()
    made.world.fails["toy:Unset"] = TargetBusy("it is being created")
    assert made.undo()["undone"] is False
    assert made.statuses == ["done"]
    made.at(1)
    del made.world.fails["toy:Unset"]
    assert made.undo()["undone"] is True
    assert made.world.values == {"a": "old"}


def test_a_target_that_stays_busy_is_left_when_the_deadline_is_over(toy: Make) -> None:
    made = toy(World({"a": "old"}), change("a"))
    made.apply()
    made.world.fails["toy:Unset"] = TargetBusy("it is being created")
    made.undo()
    made.at(LATE)
    assert made.undo()["undone"] is True
    assert made.statuses == ["left"]
    assert "it is being created" in made.records[1].note


def test_an_inverse_waits_until_the_target_has_come_to_rest(toy: Make) -> None:
    made = toy(World({"a": "old", "state": "busy"}), change("a", undo=undo("a", "old", when=shows("state", "idle"))))
    made.apply()
    assert made.undo()["undone"] is False
    made.at(10)
    waits = made.undo()
    assert waits["undone"] is False
    assert waits["wait_seconds"] == 30
    assert made.world.made == ["toy:Set"]
    made.at(20)
    made.world.values["state"] = "idle"
    assert made.undo()["undone"] is True
    assert made.world.values["a"] == "old"


def test_a_target_that_never_comes_to_rest_is_left_and_says_so(toy: Make) -> None:
    made = toy(World({"a": "old"}), change("a", undo=undo("a", "old", when=shows("state", "idle"))))
    made.apply()
    made.undo()
    made.at(2 * LATE)
    assert made.undo()["undone"] is True
    assert made.statuses == ["left"]
    assert "was not ready for toy:Unset" in made.records[1].note


def test_what_an_earlier_run_has_made_is_adopted_without_a_call_and_undone_like_ones_own(toy: Make) -> None:
    made = toy(World({"a": "new"}), change("a", adopts=True))
    made.apply()
    assert (made.world.made, made.statuses) == ([], ["done"])
    assert "change.adopted" in made.events
    assert made.undo()["undone"] is True
    assert made.world.values == {"a": "old"}


def test_what_is_to_be_adopted_and_is_gone_makes_the_plan_stale(toy: Make) -> None:
    made = toy(World({"a": "old"}), change("a", adopts=True))
    with pytest.raises(PlanStale, match="not there any more"):
        made.apply()
    assert (made.world.made, made.statuses) == ([], [])


def test_an_unknown_change_that_cannot_be_looked_at_is_made_again_as_a_repeat_is_harmless(toy: Make) -> None:
    made = toy(World({"a": "old"}, lost={"toy:Set"}), change("a", proof=None, repeat_harmless=True))
    with pytest.raises(TimeoutError):
        made.apply()
    assert made.statuses == ["unknown"]
    made.at(2)
    assert "cannot be told by reading" in made.inspect()["settled"][0]
    made.apply()
    assert made.statuses == ["done"]
    assert made.world.made == ["toy:Set", "toy:Set"]


def test_a_rejection_of_a_repeat_does_not_hide_that_the_first_attempt_may_have_had_its_effect(toy: Make) -> None:
    made = toy(World({"a": "old"}, takes={"toy:Set": 10}, lost={"toy:Set"}), change("a"))
    with pytest.raises(TimeoutError):
        made.apply()
    made.at(2)
    made.world.fails["toy:Set"] = AwsRejected("it is being renamed under another name")
    with pytest.raises(AwsRejected):
        made.apply()
    assert made.statuses == ["unknown"]
    made.at(15)
    made.undo()
    assert made.statuses == ["undone"]
    assert made.world.values == {"a": "old"}


def test_a_rejection_after_an_attempt_without_effect_had_none_either(toy: Make) -> None:
    made = toy(World({"a": "old"}, fails={"toy:Set": AwsThrottled("slow down")}), change("a"))
    with pytest.raises(AwsThrottled):
        made.apply()
    made.world.fails["toy:Set"] = AwsRejected("it is no value")
    with pytest.raises(AwsRejected):
        made.apply()
    assert made.statuses == ["no-effect"]


def test_a_check_that_does_not_hold_had_no_effect(toy: Make) -> None:
    made = toy(World({"a": "old"}, fails={"toy:Set": CheckFailed("no rows")}), change("a"))
    with pytest.raises(CheckFailed):
        made.apply()
    assert made.statuses == ["no-effect"]
    assert made.undo()["undone"] is True
    assert made.world.made == []
