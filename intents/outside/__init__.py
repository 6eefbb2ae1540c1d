"""Whether somebody else signs with a wallet's key: its chain's count held against all that we signed."""
