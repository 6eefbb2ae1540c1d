"""Freezing: a human stops signatures at once and keeps every setting."""
