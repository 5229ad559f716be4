"""What is true: worlds answer actions with observations."""
