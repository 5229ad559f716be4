"""How an action is chosen: proposers offer candidates, rules score them."""
