"""The live server: nothing is compiled after the start, memory is bounded.

See also: tests/cli/live/test_run.py for the protocol.
"""

import pytest
from uncertain.cli.commands.run import RunOptions
from uncertain.cli.live.run import build_server
from uncertain.streams.formats.record import Record, Where

EVENTS = 1000


@pytest.mark.parametrize("listed", [False, True])
def test_nothing_is_traced_again(listed: bool) -> None:
    server = build_server(RunOptions(model="linear:arms=3:features=2"))
    before = server.traces()
    for i in range(EVENTS):
        offer = [2, 0, 1][: 1 + i % 3] if listed and i % 2 else None
        where = Where("test", i + 1)
        reply = server.answer(Record(i, where, t=float(i), x=[1.0, i % 7], actions=offer))
        assert offer is None or reply["action"] in offer
        server.answer(Record(i, where, y=float(i % 2)))
    assert server.traces() == before
    assert server.counters.learnt == EVENTS
    assert len(server.pending) == 0


def test_what_waits_is_bounded() -> None:
    server = build_server(RunOptions(model="linear:arms=3:features=2", horizon=10))
    for i in range(50):
        server.answer(Record(i, Where("test", i + 1), x=[1.0, 2.0]))
    assert len(server.pending) == 10
    assert server.pending.dropped == 40


def test_a_refused_line_changes_nothing() -> None:
    def replies(wrong: bool) -> list:
        server = build_server(RunOptions(model="linear:arms=3:features=2"))
        found = []
        for i in range(6):
            where = Where("test", i + 1)
            found.append(server.answer(Record(i, where, x=[1.0, 2.0]))["scores"])
            if wrong:
                for record in (Record(i, where, y=[1.0]), Record(i, where, x=[1.0, 2.0])):
                    with pytest.raises(Exception, match=rf"test:{i + 1}"):
                        server.answer(record)
            found.append(server.answer(Record(i, where, y=1.0))["nll"])
        return found

    assert replies(True) == replies(False)
