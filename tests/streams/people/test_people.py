"""Readers of studies of people: records from made-up files, one line for what is wrong with them.

See also: tests/decide/judge/people/test_bandit_choices.py for the value of choices.
"""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
from support import Z
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.models.noisy_or import NoisyOr, outcome_table
from uncertain.posteriors.registry import build_model
from uncertain.streams.people import clicks
from uncertain.streams.people.registry import read_study

BANDITS = "subject,block,trial,mu1,mu2,choice,reward,RT\n1,1,1,3,-2,1,4,900\n1,1,2,3,-2,2,-2,700\n"
GRAPHS = "ppt,problem,test,n_nodes,spont_rate,power,do1,do2,do3,out1,out2,out3\n"
TESTS = GRAPHS + "1,1,1,3,0.1,0.8,1,-1,0,1,0,1\n1,1,2,3,0.1,0.8,0,0,0,0,1,1\n"
SEARCH = "ppt,context,environment,order_code,round,trial,env_index,x,y,reward,ms\n"
EVENTS = "ppt,trial,n_nodes,time,location,type\n1,1,3,500,2,action\n1,1,3,2000,3,effect\n"
TRIALS = "ppt,trial,n_nodes,delay_cond,graph\n1,1,3,reliable,2\n"


def folder(tmp_path: Path, **files: str) -> str:
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return str(tmp_path)


def surfaces(tmp_path: Path, change=lambda made: made) -> None:
    rng = np.random.default_rng(0)
    for name in ("rough", "smooth"):
        made = {
            str(k): {
                str(8 * x + y): {"x1": x, "x2": y, "y": float(rng.uniform())}
                for x in range(8)
                for y in range(8)
            }
            for k in range(2)
        }
        with gzip.open(tmp_path / f"{name}Environment.json.gz", "wt") as file:
            json.dump(change(made), file)


def graphs(tmp_path: Path) -> None:
    one = np.zeros((1, 3, 3), np.int8)
    other = one.copy()
    other[0, 0, 1] = 1
    np.savez(tmp_path / "graphs.npz", DBN3=np.concatenate([one, other]), DBN4=np.zeros((1, 4, 4)))


def test_bandits_are_records_of_two_arms(tmp_path: Path) -> None:
    study = read_study("bandits", folder(tmp_path, data2_two_stochastic_arms=BANDITS))
    (problem,) = study.problems
    assert (problem.person, problem.truth, problem.opening) == ("1", (3.0, -2.0), 0)
    assert [(r.action, r.y, r.kind) for r in problem.records] == [(0, 4, "event"), (1, -2, "event")]
    assert problem.records[1].where.line == 3
    assert build_model(problem.model).actions.count == 2


def test_interventions_are_arms_and_outcomes_codes(tmp_path: Path) -> None:
    study = read_study("interventions", folder(tmp_path, e4_interventions=TESTS))
    (problem,) = study.problems
    # On, off, free in base 3 (off 0, free 1, on 2); on, off, on in base 2.
    assert [(r.action, r.y) for r in problem.records] == [(2 * 9 + 0 * 3 + 1, 5), (9 + 3 + 1, 3)]
    assert problem.group == "e4, 3 nodes"
    assert problem.model == "noisy-or:nodes=3:spontaneous=0.1:power=0.8"
    assert study.notes == ("experiments not there: e3, e3third",)


def test_rounds_of_search_begin_with_an_arm_given_away(tmp_path: Path) -> None:
    surfaces(tmp_path)
    rows = "1,spatial,rough,0,1,1,1,6,5,62,1\n1,spatial,rough,0,1,2,1,0,1,40,1\n"
    study = read_study("search", folder(tmp_path, choices_first_half=SEARCH + rows))
    (problem,) = study.problems
    assert [r.action for r in problem.records] == [53, 1]
    assert (problem.opening, len(problem.truth), problem.records[0].r) == (1, 64, 62)
    # Payoffs and truth are on one scale, around the mean of all surfaces.
    shift = problem.records[0].y - 0.62
    assert problem.records[1].y == pytest.approx(0.4 + shift)
    assert shift - 1e-6 <= min(problem.truth) < max(problem.truth) <= 1 + shift + 1e-6
    assert build_model(problem.model).actions.count == 64


def test_clicks_are_decisions_and_what_they_cause_observations(tmp_path: Path) -> None:
    graphs(tmp_path)
    place = folder(tmp_path, mturk_events=EVENTS, mturk_trials_reference=TRIALS)
    study = clicks.read_clicks(place)
    (trial,) = study.trials
    assert [(r.kind, r.t, r.action, r.y) for r in trial.records] == [
        ("decision", 0.5, 1, None), ("observation", 2.0, None, 2.0),
    ]  # fmt: skip
    assert (trial.group, trial.clicks, trial.graph[0, 1]) == ("reliable, 3 nodes", 1, 1)
    assert "nothing" not in study.notes[0]
    text = "ppt,trial,time,belief,entropy\n1,1,0,1,6\n1,1,45000,2,1.5\n"
    folder(tmp_path, mturk_reference_entropy_by_belief=text)
    assert clicks.read_clicks(place).trials[0].reference == ((0.0, 6.0), (45.0, 1.5))


@pytest.mark.parametrize(
    ("study", "files", "words"),
    [
        ("bandit", {}, 'no study "bandit"; did you mean "bandits"'),
        ("bandits", {}, "no data2_two_stochastic_arms.csv or data2_two_stochastic_arms.csv.gz"),
        ("bandits", {"data2_two_stochastic_arms": "a,b\n1,2\n"}, ':1: no column "subject"'),
        ("bandits", {"data2_two_stochastic_arms": BANDITS.replace("-2,2,", "-2,3,")},
         ":3: choice: 3 is not a whole number 1 to 2"),
        ("bandits", {"data2_two_stochastic_arms": BANDITS + "1,1,3,9,-2,2,1,5\n"}, ":4: mu1"),
        ("bandits", {"data2_two_stochastic_arms": BANDITS.replace(",4,", ",x,")}, ":2: reward"),
        ("interventions", {}, "at least one of e3_interventions.csv"),
        ("interventions", {"e4_interventions": TESTS.replace("1,-1,0,1,0,1", "1,-1,0,0,0,1")},
         ":2: out1: is 0 though the node was fixed"),
        ("interventions", {"e4_interventions": TESTS.replace("1,-1,0,1", "1,-2,0,1")}, ":2: do2"),
        ("interventions", {"e4_interventions": TESTS.replace("0.8,0,0", "0.7,0,0")}, ":3: problem"),
        ("interventions", {"e4_interventions": TESTS.replace("0.1,0.8,1,", "1.1,0.8,1,")},
         ":2: spont_rate"),
        ("interventions", {"e4_interventions": TESTS.replace(",3,0.1", ",4,0.1")}, ":2: do4"),
        ("search", {"choices_first_half": SEARCH}, "no roughEnvironment.json"),
    ],
)  # fmt: skip
def test_wrong_files_are_one_line(tmp_path: Path, study, files, words) -> None:
    with pytest.raises(UsageError) as error:
        read_study(study, folder(tmp_path, **files))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        read_study("bandits", str(tmp_path / "absent"))


@pytest.mark.parametrize(
    "change",
    [
        lambda made: {k: dict(list(v.items())[:63]) for k, v in made.items()},
        lambda made: {},
        lambda made: [],
        lambda made: {k: {c: d | {"y": 3 * d["y"]} for c, d in v.items()} for k, v in made.items()},
    ],
)
def test_surfaces_that_are_none_are_refused(tmp_path: Path, change) -> None:
    surfaces(tmp_path, change)
    with pytest.raises(UsageError, match="no surfaces"):
        read_study("search", folder(tmp_path, choices_first_half=SEARCH))


@pytest.mark.parametrize(
    ("events", "trials", "words"),
    [
        (EVENTS.replace("action", "click"), TRIALS, ":2: type"),
        (EVENTS.replace("2000", "100"), TRIALS, ":3: time"),
        (EVENTS.replace(",2,action", ",4,action"), TRIALS, ":2: location"),
        (EVENTS, TRIALS.replace("reliable", "late"), ":2: delay_cond"),
        (EVENTS, TRIALS.replace(",2\n", ",3\n"), ":2: graph"),
    ],
)
def test_wrong_clicks_are_one_line(tmp_path: Path, events: str, trials: str, words: str) -> None:
    graphs(tmp_path)
    with pytest.raises(UsageError) as error:
        clicks.read_clicks(folder(tmp_path, mturk_events=events, mturk_trials_reference=trials))
    assert words in str(error.value)


@pytest.mark.parametrize(
    "made", [b"PK nonsense", b"", {"DBN3": np.zeros((1, 3, 3))}, {"DBN3": np.zeros((1, 2, 2)),
                                                             "DBN4": np.zeros((1, 4, 4))}],
)  # fmt: skip
def test_graphs_that_are_none_are_refused(tmp_path: Path, made) -> None:
    if isinstance(made, bytes):
        (tmp_path / "graphs.npz").write_bytes(made)
    else:
        np.savez(tmp_path / "graphs.npz", **made)
    with pytest.raises(UsageError, match=r"graphs\.npz"):
        clicks.read_clicks(folder(tmp_path, mturk_events=EVENTS, mturk_trials_reference=TRIALS))


@pytest.fixture(scope="module")
def tests_of(data):
    """(experiment, person) -> final entropies in bits, under the strengths told or other ones."""
    study = read_study("interventions", str(data / "human_causal_acl"))

    def entropies(power: float | None = None) -> dict[tuple[str, str], list[float]]:
        made: dict[tuple[str, str], list[float]] = {}
        for problem in study.problems:
            model = build_model(problem.model)
            assert isinstance(model, NoisyOr)
            strength = model.power if power is None else power
            table = outcome_table(model.nodes, model.spontaneous, strength)
            likely = np.prod([table[:, r.action, int(r.y)] for r in problem.records], axis=0)
            weights = likely / likely.sum()
            bits = -sum(w * math.log2(w) for w in weights if w > 0)
            made.setdefault((problem.group.partition(",")[0], problem.person), []).append(bits)
        return made

    return entropies


def test_interventions_leave_as_much_doubt_as_measured(tests_of) -> None:
    """Mean final entropies of all people, from the folder's SOURCE.txt; its files hold every other.

    Half of the people lie within 4.4 standard errors, a false alarm in 10^5: sd / sqrt(n) times
    the square root of a half, for they are a half of what they are compared with.
    """
    found, other = tests_of(), tests_of(0.5)
    wrong = []
    for experiment, count, bits in (("e4", 55, 2.49), ("e3", 75, 3.70), ("e3third", 60, 3.77)):
        of_each = [np.mean(x) for (name, _), x in found.items() if name == experiment]
        assert len(of_each) == count
        error = np.std(of_each, ddof=1) / math.sqrt(2 * count)
        assert abs(np.mean(of_each) - bits) < Z * error
        # Negative control: an observer who was told another strength is left with another doubt.
        off = np.mean([np.mean(x) for (name, _), x in other.items() if name == experiment])
        wrong.append(abs(off - bits) > Z * error)
    assert all(wrong)


def test_real_copies_are_read_whole(data) -> None:
    assert len(read_study("bandits", str(data / "human_bandits_gershman")).problems) == 880
    search = read_study("search", str(data / "human_gp_search"))
    assert sum(len(p.records) for p in search.problems) == 25_600
    # Payoffs lie around the surfaces with the noise that the observer is told.
    off = [r.y - p.truth[r.action] for p in search.problems for r in p.records]
    assert np.std(off) == pytest.approx(0.02, abs=0.001)
    trials = clicks.read_clicks(str(data / "human_causal_time")).trials
    assert len(trials) == 204
    assert sum(t.clicks for t in trials) == 997
