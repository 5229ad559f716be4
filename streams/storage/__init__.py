"""Arrays and logs on disk: results stores, checkpoints, the write-ahead log, spilled streams."""
