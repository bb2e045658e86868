"""What people read, on terminals of any width and in pipes."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from workbench.cli import output

ROWS = [
    ("RUN", "STATUS", "TARGET"),
    ("ecs-service-rollback-20261121T030000Z-7f3a1c2e", "SUCCEEDED", "service/analytics/report"),
]


def printed(rows: list[tuple[str, ...]], *, width: int, terminal: bool = True) -> list[str]:
    told = StringIO()
    output.table(Console(file=told, width=width, force_terminal=terminal, color_system=None, markup=False), rows)
    return told.getvalue().splitlines()


def test_a_table_that_fits_has_its_cells_below_each_other() -> None:
    assert printed(ROWS, width=100) == [
        "RUN                                             STATUS     TARGET",
        "ecs-service-rollback-20261121T030000Z-7f3a1c2e  SUCCEEDED  service/analytics/report",
    ]


def test_on_a_narrow_terminal_nothing_is_cut_and_the_name_is_on_a_line_of_its_own() -> None:
    assert printed(ROWS, width=60) == [
        "RUN",
        "  STATUS  TARGET",
        "ecs-service-rollback-20261121T030000Z-7f3a1c2e",
        "  SUCCEEDED  service/analytics/report",
    ]
    assert printed([("    cross-account-default-key", "Refused", "A " + "long " * 12 + "title")], width=40) == [
        "    cross-account-default-key",
        "      Refused  A long long long long",
        "      long long long long long long long",
        "      long title",
    ]


def test_in_a_pipe_a_row_is_one_line_however_long() -> None:
    assert len(printed(ROWS, width=60, terminal=False)) == len(ROWS)


def test_a_line_is_wrapped_between_words_on_a_terminal_and_left_whole_in_a_pipe() -> None:
    on_a_terminal, in_a_pipe = StringIO(), StringIO()
    for told, terminal in ((on_a_terminal, True), (in_a_pipe, False)):
        output.say(Console(file=told, width=20, force_terminal=terminal), "asked by alice on the first day")
    assert on_a_terminal.getvalue() == "asked by alice on \nthe first day\n"
    assert in_a_pipe.getvalue() == "asked by alice on the first day\n"
