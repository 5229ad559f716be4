"""Parts that several inference methods share."""
