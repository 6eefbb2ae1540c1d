"""The program: what puts the packages together and runs them."""

__version__ = "0.1.0"
