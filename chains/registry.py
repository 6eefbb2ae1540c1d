"""One canonical chain for every spelling. [pure]"""

from collections.abc import Iterable

from chains.chain import Chain
from chains.defaults import ALIASES


def resolve(identifier: str | int, chains: Iterable[Chain]) -> Chain | None:
    """The chain that a name (any case), an alias or a decimal chain id means; None when there is none.

    A registered name wins over an alias. "01" is not chain 1: an id has one spelling.
    """
    if isinstance(identifier, bool):
        return None
    known = list(chains)
    text = str(identifier).lower()
    by_name = {chain.name.lower(): chain for chain in known}
    found = by_name.get(text) or by_name.get(ALIASES.get(text, ""))
    if found is not None:
        return found
    return next((chain for chain in known if str(chain.chain_id) == text), None)
