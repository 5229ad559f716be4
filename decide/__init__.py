"""Choosing, looping and judging."""
