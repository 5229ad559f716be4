"""Vowpal Wabbit's formats: text and decision-service JSON."""
