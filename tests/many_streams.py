"""Lines of many streams, and what a server says to them."""

import random
from typing import Any

from uncertain.cli.commands.run import RunOptions
from uncertain.decide.loop.server.server import Server
from uncertain.streams.formats.record import LineError, Record, Where

LINEAR = RunOptions(model="linear:arms=3:features=1", key_by="user", horizon=4, seed=7)


def turns(streams: int, count: int, seed: int = 0) -> list[Record]:
    """Requests and late observations of streams in random order; ids are a stream's own."""
    rng, waiting, found = random.Random(seed), {}, []
    for n in range(count):
        user = f"u{rng.randrange(streams)}"
        mine = waiting.setdefault(user, [])
        if mine and rng.random() < 0.5:
            id = mine.pop(rng.randrange(len(mine)))
            found.append(Record(id, Where("test", n + 1), y=rng.gauss(0, 1), key=user))
        else:
            mine.append(n)
            x, t = [rng.gauss(0, 1)], 1.7e9 + n
            found.append(Record(n, Where("test", n + 1), x=x, t=t, key=user))
    return found


def said(server: Server, records: list[Record]) -> list[dict[str, Any]]:
    """Replies without what the clock decides, and refusals."""
    found = []
    for record in records:
        try:
            reply = server.answer(record)
        except LineError as error:
            reply = {"user": record.key, "error": str(error)}
        found.append({name: x for name, x in reply.items() if name not in ("latency", "user")})
    return found


def unalarmed(replies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replies without the alarm, which is one over all streams."""
    return [{k: v for k, v in reply.items() if k != "alarm"} for reply in replies]
