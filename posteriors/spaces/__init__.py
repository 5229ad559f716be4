"""Spaces of candidates: distributions over graphs, and other objects built of integers."""
