"""Heights: the rows that items below one another take, as a tree of sums. Knows numbers only; knows no message.

A Fenwick tree (Fenwick 1994, doi:10.1002/spe.4380240306): finding what lies at a row, and changing a height, cost
O(log n), so a dialog of thousands of messages scrolls and grows like one of ten.
"""

from collections.abc import Iterable


class Heights:
    """A list of heights (≥ 0, rows) that knows where each item begins."""

    def __init__(self, heights: Iterable[int] = ()) -> None:
        self._heights: list[int] = []
        self._sums: list[int] = []  # _sums[i]: of the (i + 1) & -(i + 1) heights that end with i
        for height in heights:
            self.append(height)

    def __len__(self) -> int:
        return len(self._heights)

    def __getitem__(self, index: int) -> int:
        return self._heights[index]

    def append(self, height: int) -> None:
        """One more item at the end."""
        end = len(self._heights) + 1
        self._sums.append(height + self.top(end - 1) - self.top(end - (end & -end)))
        self._heights.append(height)

    def truncate(self, length: int) -> None:
        """Keep the first ``length`` items."""
        del self._heights[length:], self._sums[length:]

    def __setitem__(self, index: int, height: int) -> None:
        change = height - self._heights[index]
        self._heights[index] = height
        place = index + 1
        while change and place <= len(self._sums):
            self._sums[place - 1] += change
            place += place & -place

    def top(self, index: int) -> int:
        """The row that item ``index`` begins on; for ``len(self)``, the sum of all."""
        rows = 0
        while index > 0:
            rows += self._sums[index - 1]
            index &= index - 1
        return rows

    @property
    def total(self) -> int:
        """All rows."""
        return self.top(len(self._heights))

    def find(self, row: int) -> tuple[int, int]:
        """The item that covers ``row``, and the row within it; (len(self), rows too many) beyond the end."""
        place, step = 0, 1 << len(self._sums).bit_length()
        while step := step >> 1:
            if place + step <= len(self._sums) and self._sums[place + step - 1] <= row:
                place += step
                row -= self._sums[place - 1]
        return place, row
