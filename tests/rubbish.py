"""Wrong lines as broken producers and links make them."""

import random


def mutated(chance: random.Random, line: bytes) -> bytes:
    """The line with a few bytes changed, doubled or left out; its end stays."""
    body = bytearray(line[:-1])
    for _ in range(chance.randrange(4)):
        place = chance.randrange(len(body))
        kind = chance.randrange(3)
        if kind == 0:
            body[place] = chance.randrange(256)
        elif kind == 1:
            body[place:place] = body[place : place + chance.randrange(40)]
        else:
            del body[place : place + chance.randrange(1, 5)]
        body = body or bytearray(b"x")
    # A changed byte may be a line end too: that only makes more lines.
    return bytes(body) + b"\n"
