"""Choosing an action: proposers offer candidates, rules score them and choose one."""
