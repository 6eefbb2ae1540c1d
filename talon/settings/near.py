"""How far two names are from each other [pure]."""


def distance(one: str, other: str) -> int:
    """Letters to insert, drop, replace, or swap with their neighbour, to make one text of the other.

    Damerau (1964), in the form of optimal string alignment: no part is edited twice.
    """
    # rows of the table for one letter more each: two rows back are enough for a swap
    before: list[int] = []
    above = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, sought in enumerate(other, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != sought))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == sought:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, above = above, row
    return above[-1]
