"""Search of one backend's own options within a wall-clock budget, its defaults first.

Random options follow; successive halving stops those early that do worse than others after as many
runs.
Sources: Bergstra and Bengio (2012), random search; Jamieson and Talwalkar (2016) and Li et al.
(2020), successive halving; both by way of Optuna (Akiba et al. 2019).

See also: space.py for the options, trials.py for the score of a trial.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np

from ....posteriors.errors import UsageError
from .space import add_defaults, add_settings, decode_choice, search_distributions, search_space

CHUNK = 8
"""Runs scored between two looks at the clock; the first rung of successive halving."""
REDUCTION = 2
"""One in so many goes on from each rung, to so many times as many runs."""
DULL = 100
"""Draws in a row that were tried before or fail, after which the search ends."""


class Outcome(StrEnum):
    """How a trial ended. Only one that is done can be the best; one that is late does not count."""

    DONE = "done"
    PRUNED = "pruned"
    SLOW = "slow"
    FAILED = "failed"
    LATE = "late"


class Trial(NamedTuple):
    """Result of a trial."""

    spec: str
    """With the value of every option that is searched."""
    outcome: Outcome
    scores: np.ndarray
    """`[N]`: score of each run that was finished."""
    p99: float | None
    """Seconds of decide + learn; None if not timed."""
    seconds: float
    """Duration of the trial."""

    @property
    def mean(self) -> float:
        """Mean score; NaN without runs."""
        return float(self.scores.mean()) if len(self.scores) else math.nan


@dataclass(frozen=True)
class Task:
    """Settings that the searches of all backends share."""

    scores: Callable[[str, int, int], np.ndarray]
    """`(spec, first, count) -> [count]`: scores of tuning runs from `first` on; raises UsageError
    for impossible options."""
    runs: int
    """Runs of a whole trial."""
    budget: float
    """Seconds a backend."""
    maximise: bool = True
    halving: bool = False
    """Whether successive halving stops trials early."""
    max_p99: float | None = None
    """Seconds of decide + learn at p99 that a trial must not exceed."""
    latency: Callable[[str], float] | None = None
    """`spec -> seconds` of decide + learn at p99."""
    seed: int = 0
    forget: Callable[[], None] = lambda: None
    """Releases the programs of a trial."""
    clock: Callable[[], float] = time.perf_counter


def load_optuna() -> Any:
    """Import Optuna and set it to log warnings only.

    Raises: UsageError if it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise UsageError("tuning needs Optuna: pip install 'uncertain[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _state_of(outcome: Outcome) -> Any:
    """The state of Optuna for an outcome."""
    from optuna.trial import TrialState

    states = {Outcome.DONE: TrialState.COMPLETE, Outcome.PRUNED: TrialState.PRUNED}
    return states.get(outcome, TrialState.FAIL)


class Search:
    """Search for one backend: `try_defaults` comes first, `try_random` spends the rest."""

    trials: list[Trial]
    """All so far."""
    seconds: float
    """Spent so far, compiling included."""

    def __init__(self, posterior: str, task: Task) -> None:
        """Begin a search.

        posterior: spec of the backend; options that it sets are not searched.
        task: settings.
        Raises: UsageError if Optuna is not installed or an option cannot be searched.
        """
        optuna = load_optuna()
        self.posterior, self.task = posterior, task
        self.trials: list[Trial] = []
        self.seconds = 0.0
        self._since: float | None = None
        self.space, self._distributions = search_space(posterior), search_distributions(posterior)
        pruners = optuna.pruners
        self._study = optuna.create_study(
            direction="maximize" if task.maximise else "minimize",
            sampler=optuna.samplers.RandomSampler(task.seed),
            pruner=pruners.SuccessiveHalvingPruner(CHUNK, REDUCTION)
            if task.halving
            else pruners.NopPruner(),
        )

    @property
    def default(self) -> Trial:
        """The trial of the defaults."""
        return self.trials[0]

    @property
    def best(self) -> Trial | None:
        """The best trial that is done: the defaults unless something is strictly better."""
        done = [trial for trial in self.trials if trial.outcome is Outcome.DONE]
        sign = 1 if self.task.maximise else -1
        return max(done, key=lambda trial: sign * trial.mean) if done else None

    def count(self, *outcomes: Outcome) -> int:
        """Return the number of trials that ended in certain ways.

        outcomes: the ways.
        """
        return sum(trial.outcome in outcomes for trial in self.trials)

    def try_defaults(self) -> None:
        """Try the defaults.

        Raises: UsageError if their trial takes longer than the budget.
        """
        with self._timed():
            trial = self._try(add_defaults(self.posterior), self._study.ask())
        if trial.outcome is Outcome.LATE:
            ran, runs = len(trial.scores), self.task.runs
            whole = trial.seconds * runs / ran
            took = "took" if ran == runs else "was going to take about"
            raise UsageError(
                f"a budget of {self.task.budget:.3g} s is too small: the first trial of "
                f"{self.posterior}, its defaults, {took} {whole:.3g} s with compiling; give "
                "several times as much, or fewer seeds or steps"
            )

    def try_random(self, tick: Callable[[], None] = lambda: None) -> None:
        """Try random options until the budget is spent or nothing new is left to try.

        tick: called after every trial.
        """
        seen = {trial.spec for trial in self.trials}
        dull = 0
        with self._timed():
            while self.space and dull < DULL and self._left() > 0:
                handle = self._study.ask(self._distributions)
                drawn = {
                    name: decode_choice(self.space[name], x) for name, x in handle.params.items()
                }
                spec = add_settings(self.posterior, drawn)
                dull += 1
                if spec in seen:
                    self._study.tell(handle, state=_state_of(Outcome.FAILED))
                    continue
                seen.add(spec)
                if self._try(spec, handle).outcome is not Outcome.FAILED:
                    dull = 0
                tick()

    def _try(self, spec: str, handle: Any) -> Trial:
        """Run one trial; the defaults are scored even if they are too slow."""
        task, first = self.task, not self.trials
        begin = task.clock()
        scores, p99, slow = np.zeros(0), None, False
        try:
            if task.latency is not None and task.max_p99 is not None:
                p99 = task.latency(spec)
                slow = p99 > task.max_p99
            outcome = Outcome.SLOW
            if not slow or first:
                scores, outcome = self._score(spec, handle)
            if slow and outcome is Outcome.DONE:
                outcome = Outcome.SLOW
        except UsageError:
            # An error of the defaults concerns the user; a random combination may well fail.
            if first:
                raise
            outcome = Outcome.FAILED
        if self._left() < 0:
            outcome = Outcome.LATE
        trial = Trial(spec, outcome, scores, p99, task.clock() - begin)
        self.trials.append(trial)
        done = outcome is Outcome.DONE
        self._study.tell(handle, trial.mean if done else None, state=_state_of(outcome))
        task.forget()
        return trial

    def _score(self, spec: str, handle: Any) -> tuple[np.ndarray, Outcome]:
        """Scores `[N]` a chunk at a time until all runs are done or the trial ends otherwise."""
        task, scores = self.task, np.zeros(0)
        while len(scores) < task.runs:
            # Even a trial that cannot finish runs one chunk, to estimate its whole duration.
            if self._left() < 0 and len(scores):
                return scores, Outcome.LATE
            more = task.scores(spec, len(scores), min(CHUNK, task.runs - len(scores)))
            scores = np.concatenate([scores, np.asarray(more, float)])
            if not np.isfinite(scores).all():
                return scores, Outcome.FAILED
            handle.report(float(scores.mean()), len(scores))
            # The defaults are the first trial and have no other to be compared with.
            if len(scores) < task.runs and handle.should_prune():
                return scores, Outcome.PRUNED
        return scores, Outcome.DONE

    @contextmanager
    def _timed(self) -> Iterator[None]:
        self._since = self.task.clock()
        try:
            yield
        finally:
            # After an interrupt too: trials until then are reported, with the time they took.
            self.seconds += self.task.clock() - self._since
            self._since = None

    @property
    def spent(self) -> float:
        """Seconds of the budget used so far, those of a running trial included."""
        now = 0.0 if self._since is None else self.task.clock() - self._since
        return self.seconds + now

    def _left(self) -> float:
        return self.task.budget - self.spent
