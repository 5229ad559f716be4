"""Moments of posteriors given by data, compared with reference draws."""
