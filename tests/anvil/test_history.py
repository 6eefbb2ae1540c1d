"""What the local chain forgets, and what it never does."""

from typing import Any

from anvil import history


def block(number: int, transactions: int = 0, at: int = 0) -> dict[str, Any]:
    header = {"number": hex(number), "timestamp": hex(at), "parentHash": f"hash {number - 1}"}
    return {"header": header, "transactions": [{}] * transactions}


def state(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    mined = [
        {"block_number": int(each["header"]["number"], 16), "block_hash": each["header"]["number"]}
        for each in blocks
        for _ in each["transactions"]
    ]
    return {
        "accounts": {"0xabc": 1},
        "best_block_number": len(blocks),
        "blocks": blocks,
        "transactions": mined,
        "historical_states": None,
    }


def numbers(shortened: dict[str, Any]) -> list[int]:
    return [int(each["header"]["number"], 16) for each in shortened["blocks"]]


def test_a_short_history_stays_as_it_is() -> None:
    whole = state([block(0), block(1, 2), block(2, 1)])
    assert history.shorten(whole) == whole


def test_the_newest_blocks_stay_with_their_transactions_and_so_does_the_first() -> None:
    whole = state([block(number, 1 if number else 0) for number in range(3_001)])
    shortened = history.shorten(whole)
    assert numbers(shortened) == [0, *range(3_001 - history.MAX_BLOCKS, 3_001)]
    assert [each["block_number"] for each in shortened["transactions"]] == numbers(shortened)[1:]
    # what is true now is not history
    assert shortened["accounts"] == whole["accounts"]
    assert shortened["best_block_number"] == whole["best_block_number"]


def test_full_blocks_count_by_what_they_hold_but_some_always_stay() -> None:
    per_block = history.MAX_TRANSACTIONS // 200
    shortened = history.shorten(state([block(0), *(block(number, per_block) for number in range(1, 500))]))
    assert len(shortened["transactions"]) == history.MAX_TRANSACTIONS // per_block * per_block
    heavy = history.shorten(state([block(0), *(block(number, history.MAX_TRANSACTIONS) for number in range(1, 70))]))
    assert len(numbers(heavy)) == history.MIN_BLOCKS + 1


def test_of_the_first_blocks_that_each_start_adds_the_oldest_stay() -> None:
    """The chain is known by one of the first that it ever had; anvil lists them in no order."""
    firsts = [block(0, at=at) for at in (30, 10, 99, *range(100, 120))]
    shortened = history.shorten(state([*firsts, block(1)]))
    times = [int(each["header"]["timestamp"], 16) for each in shortened["blocks"][:-1]]
    assert times == [10, 30, 99, 100, 101, 102, 103, 104]


def test_the_newest_account_states_stay_and_are_loaded_oldest_first() -> None:
    """In any other order anvil would forget a young one at the next block, and keep an old one."""
    whole = state([block(number) for number in range(101)])
    # the newest block's hash is in no block; they come in the order of their hashes
    whole["historical_states"] = sorted([f"hash {number}", {}] for number in range(41, 101))
    shortened = history.shorten(whole)
    assert [each[0] for each in shortened["historical_states"]] == [
        f"hash {number}" for number in range(101 - history.MAX_STATES, 101)
    ]
