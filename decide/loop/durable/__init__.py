"""Durable serving: log of lines and replies, checkpoints, and recovery from both."""
