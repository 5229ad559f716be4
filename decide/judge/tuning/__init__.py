"""Searching the options of posteriors with equal time budgets."""
