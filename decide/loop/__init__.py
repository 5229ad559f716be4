"""The loop: decide, observe, learn; live, rolled out over seeds, or along a log."""
