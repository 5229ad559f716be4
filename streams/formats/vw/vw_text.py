"""Vowpal Wabbit's text: `action:cost:probability | features`, or a line for each action.

The negative cost is the reward. If actions have lines of their own (ADF) an example ends with a
blank line, its first line may be `shared | features`, and at most one of the others has a label.
See also: vw_line.py for one line, examples.py for the log.
Source: the wiki of Vowpal Wabbit, "Input format" and "Contextual Bandit algorithms".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, takewhile

from ....posteriors.errors import UsageError
from ..files import Source
from ..log import LOOKAHEAD, Log, map_valid, read_ahead
from ..record import ErrorHandler, Where, raise_error
from .example import REMEDY, Action, Example
from .examples import AUTO, ExampleOptions, log_from_examples
from .vw_line import SHARED, VwLine, parse_vw_line

ONE, MANY = "one", "many"
LONGEST_BLOCK = 100_000
"""Lines; a longer example is one that lacks its blank line."""

Numbered = tuple[Where, str]


@dataclass(frozen=True)
class VwOptions(ExampleOptions):
    __doc__ = f"""{ExampleOptions.__doc__}
    lines: an example is "one" line or "many"; "auto" looks which. arms: how many there are at
    least, where they are numbered; else as many as the highest number.
    """

    lines: str = AUTO
    arms: int = 0


def read_vw(source: Source, config: VwOptions, on_error: ErrorHandler = raise_error) -> Log:
    """Read a log of the examples that have a cost.

    source: opened input.
    config: options.
    on_error: receives wrong lines.
    Raises: UsageError for a wrong option.
    """
    if config.lines not in (AUTO, ONE, MANY):
        raise UsageError(f"lines={config.lines}: choose one of {AUTO}, {ONE}, {MANY}")
    if config.arms < 0:
        raise UsageError(f"arms={config.arms}: must be at least 0")
    left_out: Counter[str] = Counter()
    found = _examples(source, config, on_error)
    return log_from_examples(found, config, "vw", left_out, on_error, config.arms)


def _examples(
    source: Source, config: VwOptions, on_error: ErrorHandler = raise_error
) -> Iterator[Example]:
    """Every example, whether it has a label or not."""
    texts = (text.strip("\r\n") for text in source.text_lines(on_error))
    numbered = ((Where(source.name, number), text) for number, text in enumerate(texts, 1))
    ahead, lines = read_ahead(numbered, LOOKAHEAD)
    if config.lines == MANY or (config.lines == AUTO and _many(ahead)):
        return map_valid(_blocks(lines), _several, on_error)
    return map_valid((line for line in lines if line[1].strip()), _single, on_error)


def _many(ahead: list[Numbered]) -> bool:
    """Whether actions have lines of their own, by the first lines that are not blank."""
    texts = [text for _, text in ahead]
    start = next((i for i, text in enumerate(texts) if text.strip()), 0)
    block = list(takewhile(str.strip, texts[start:]))
    if block and block[0].split("|")[0].split()[:1] == [SHARED]:
        return True
    labelled = sum(":" in text.partition("|")[0] for text in block)
    # A file that only asks looks like one long example, but for the blank line.
    ended = start + len(block) < len(texts)
    return len(block) > 1 and (labelled == 1 or (labelled == 0 and ended))


def _blocks(lines: Iterable[Numbered]) -> Iterator[list[Numbered]]:
    """Lines up to each blank one."""
    block: list[Numbered] = []
    # One more blank line, for the last example may lack it.
    for where, text in chain(lines, [(Where("", 0), "")]):
        if text.strip():
            block.append((where, text))
            if len(block) > LONGEST_BLOCK:
                raise UsageError(
                    f"{block[0][0].file}:{block[0][0].line}: {LONGEST_BLOCK} lines without a blank "
                    "one; if an example is one line, use --format vw:lines=one"
                )
        elif block:
            yield block
            block = []


def _single(numbered: Numbered) -> Example:
    """An example of one line."""
    where, text = numbered
    line = parse_vw_line(text, where)
    if line.shared:
        raise where.error("", "shared features without actions", "use --format vw:lines=many")
    made = Example(where, line.features, line.tag or None)
    if line.point is not None:
        made.point = line.point
    elif len(line.offered) > 1:
        made.offered = line.offered
    made.arm, made.cost, made.propensity = line.arm, line.cost, line.propensity
    return made


def _several(block: list[Numbered]) -> Example:
    """An example of a line for each action, after one for the features that they share, if any."""
    parsed = [(where, parse_vw_line(text, where)) for where, text in block]
    first, head = parsed[0]
    shared = head if head.shared else VwLine()
    actions = parsed[1:] if head.shared else parsed
    if not actions:
        raise first.error("", "shared features without actions", REMEDY)
    made = Example(first, shared.features, shared.tag or None, actions=[])
    assert made.actions is not None
    for place, (where, line) in enumerate(actions):
        if line.shared:
            raise where.error("", "a second shared line", "end each example with a blank line")
        if line.point is not None or len(line.offered) > 1:
            raise where.error("", "a label of several actions", "label one line, with its own")
        if line.arm is not None:
            if made.chosen is not None:
                raise where.error(
                    "", "a second line with a label", "end each example with a blank line, or use "
                    "--format vw:lines=one",
                )  # fmt: skip
            made.chosen, made.cost, made.propensity = place, line.cost, line.propensity
        made.actions.append(Action(line.tag, line.features))
    return made
