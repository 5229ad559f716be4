"""What is measured: gain, calibration, regret, latency, and the record that holds them."""
