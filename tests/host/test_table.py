"""Tables for a terminal."""

from host.table import table


def test_columns_are_as_wide_as_they_are_shown_and_numbers_end_at_one_edge() -> None:
    shown = table(("参数", "Value"), [("so2", "1.5"), ("二氧化碳", "421.25")], right=(1,))
    assert shown.splitlines() == [
        "参数       Value",
        "so2          1.5",
        "二氧化碳  421.25",
    ]


def test_what_a_peer_sent_cannot_move_the_cursor() -> None:
    assert table(("error",), [("refused \x1b[2J\r",)]).splitlines()[1] == "refused ?[2J?"
