# SPDX-License-Identifier: GPL-3.0-or-later
"""What is seen in a copy that is not of one moment."""

from __future__ import annotations

import pytest

from testbed.copies import KEYS, Writer


def values(writer: Writer, *numbers: int) -> dict[str, int]:
    return {f"{writer.key}{number % KEYS}": number for number in numbers}


@pytest.mark.parametrize(
    ("numbers", "before", "after", "wrong"),
    [
        ([], 0, 0, ""),
        ([1], 0, 0, ""),
        ([1, 2], 1, 2, ""),
        (range(1, 1001), 998, 1002, ""),
        ([1], 2, 2, "ends with write 1"),
        ([1, 2, 3, 4], 2, 2, "ends with write 4"),
        ([1, 3], 2, 3, "not as it was after write 3"),
        ([*range(1, 1000 - KEYS + 5), *range(1000 - KEYS + 6, 1001)], 1000, 1000, "not as it was after write 1000"),
    ],
)
def test_wrong(numbers: list[int], before: int, after: int, wrong: str) -> None:
    writer = Writer("0", "seed")
    said = writer.wrong(values(writer, *numbers), before, after)
    assert wrong in said if wrong else not said, said
