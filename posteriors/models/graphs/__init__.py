"""Models of causal graphs, whose parameters are integrated out."""
