"""Measures: gain, calibration, regret, latency, and the record that holds them."""
