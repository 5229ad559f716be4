"""Worlds: truths that answer actions with observations."""
