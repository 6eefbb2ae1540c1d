"""Sizes as people read them."""


def shown(size: int) -> str:
    """Bytes in kB or MB."""
    return f"{size / 1e6:.1f} MB" if size >= 1_000_000 else f"{size / 1e3:.1f} kB"
