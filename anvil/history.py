"""How much of its past the local chain keeps: anvil itself keeps every block for ever. [pure]"""

from typing import Any

# what a node with pruned history keeps at least; receipts are asked for within seconds, and proofs look back minutes
MAX_BLOCKS = 1_024
# whatever the blocks hold, so that busy ones do not make it large
MAX_TRANSACTIONS = 4_096
# a block with thousands of transactions is no reason to forget the one before it
MIN_BLOCKS = 64
# account states of older blocks, each a whole copy: as far back as anvil answers about the past
MAX_STATES = 32
# a chain is known by its first block, and anvil makes another one at every start; the oldest are those we began with
MAX_FIRST_BLOCKS = 8


def shorten(state: dict[str, Any]) -> dict[str, Any]:
    """A dumped state with the newest blocks, their transactions, receipts and account states only.

    The accounts, which are the chain's present, are all kept. ValueError or KeyError for what is no dumped state.
    """
    numbered = [(int(block["header"]["number"], 16), block) for block in state["blocks"]]
    first = [block for number, block in numbered if number == 0]
    first.sort(key=lambda block: int(block["header"]["timestamp"], 16))
    newest = sorted((pair for pair in numbered if pair[0] > 0), key=lambda pair: pair[0], reverse=True)
    kept: list[tuple[int, Any]] = []
    transactions = 0
    for number, block in newest[:MAX_BLOCKS]:
        transactions += len(block["transactions"])
        if transactions > MAX_TRANSACTIONS and len(kept) >= MIN_BLOCKS:
            break
        kept.append((number, block))
    from_block = kept[-1][0] if kept else 0
    held = {each["block_hash"] for each in state["transactions"] if each["block_number"] >= from_block}
    return {
        **state,
        "blocks": first[:MAX_FIRST_BLOCKS] + [block for _, block in reversed(kept)],
        "transactions": [each for each in state["transactions"] if each["block_hash"] in held],
        "historical_states": _newest_states(state.get("historical_states"), kept),
    }


def _newest_states(states: list[Any] | None, kept: list[tuple[int, Any]]) -> list[Any] | None:
    """Pairs of a block's hash and its accounts, oldest first: anvil forgets them in the order in which it loads them.

    It writes them in the order of their hashes. A block does not say its own hash, the one behind it does.
    """
    if states is None:
        return None
    numbers = {block["header"]["parentHash"]: number - 1 for number, block in kept}
    newest = max((number for number, _ in kept), default=0)
    return sorted(states, key=lambda pair: numbers.get(pair[0], newest))[-MAX_STATES:]
