"""Labelled rows as a bandit: what is read, in which order rows come, what each arm pays, errors."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from console import call
from support import Z
from uncertain.decide.rules.base import arm_features
from uncertain.posteriors.base import Arms
from uncertain.posteriors.errors import UsageError
from uncertain.streams.worlds.base import World
from uncertain.streams.worlds.payoff import read_payoff, right_class_payoff
from uncertain.streams.worlds.registry import agent_model_spec, build_world

ROWS = "size,colour,always,kind\n1,red,7,b\n2,blue,7,a\n3,red,7,b\n6,green,7,c\n"


def world(tmp_path: Path, text: str = ROWS, **options: Any) -> World:
    file = tmp_path / "rows.csv"
    file.write_text(text)
    settings = {"file": file, "label": "kind", **options}
    return build_world("labelled:" + ":".join(f"{k}={v}" for k, v in settings.items()))


def played(world: World, arms: list[int], seed: int = 0) -> tuple[np.ndarray, ...]:
    """Context, pays of every arm and answer of each arm played in turn."""
    assert world.pays is not None
    assert isinstance(world.actions, Arms)
    state = world.init(jax.random.key(seed))
    pays_of, count = world.pays, world.actions.count

    @jax.jit
    def play(state: Any, key: Any, answering: Any, arm: Any) -> Any:
        x = world.context(key, state)
        offered = arm_features(count, x)
        pays = pays_of(state, offered)
        state, paid = world.answer(answering, state, offered[arm], jnp.zeros(()))
        return state, (x, pays, paid)

    seen = []
    for step, arm in enumerate(arms):
        state, found = play(state, jax.random.key(step), jax.random.key(100 + step), arm)
        seen.append(found)
    return tuple(np.asarray(part) for part in zip(*seen, strict=True))


def test_texts_become_columns_and_numbers_are_standardised(tmp_path) -> None:
    made = world(tmp_path)
    assert made.actions == Arms(3, 4)
    assert made.notes == (
        f'{tmp_path / "rows.csv"}: column "always" is always 7.0 and was left out',
    )
    contexts, pays, _ = played(made, [0] * 4)
    assert abs(contexts[:, 0].mean()) < 1e-6
    assert abs(contexts[:, 0].std() - 1) < 1e-6
    # blue, green, red, in this order; classes a, b, c.
    colours = {1: [0, 0, 1], 2: [1, 0, 0], 3: [0, 0, 1], 6: [0, 1, 0]}
    kinds = {1: [0, 1, 0], 2: [1, 0, 0], 3: [0, 1, 0], 6: [0, 0, 1]}
    sizes = np.round(3 + contexts[:, 0] * np.std([1, 2, 3, 6])).astype(int)
    assert sorted(sizes) == [1, 2, 3, 6]
    for size, x, pay in zip(sizes, contexts, pays, strict=True):
        assert x[1:].tolist() == colours[size]
        assert pay.tolist() == kinds[size]


def test_every_row_once_in_an_order_of_the_run_then_again(tmp_path) -> None:
    text = "x,kind\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(50))
    made = world(tmp_path, text)
    contexts, pays, paid = played(made, [0] * 110)
    first = contexts[:50, 0]
    assert len(np.unique(first)) == 50
    np.testing.assert_array_equal(contexts[50:100, 0], first)
    other = played(made, [0] * 50, seed=1)[0][:, 0]
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(paid, pays[:, 0])
    assert set(paid) == {0.0, 1.0}


def test_parquet_says_the_same_as_csv(tmp_path) -> None:
    columns = {
        "size": [1, 2, 3, 6], "colour": ["red", "blue", "red", "green"], "always": [7] * 4,
        "kind": ["b", "a", "b", "c"],
    }  # fmt: skip
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table(columns), file)
    one = played(world(tmp_path), [1] * 6)
    two = played(build_world(f"labelled:file={file}:label=kind"), [1] * 6)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    pq.write_table(pa.table(columns | {"size": [1, None, 3, 6]}), file)
    with pytest.raises(UsageError, match=r"rows.parquet:2: size: empty"):
        build_world(f"labelled:file={file}:label=kind:numeric=false")


def test_rewards_and_labels_of_an_npz(tmp_path) -> None:
    file = tmp_path / "rows.npz"
    contexts = np.arange(12.0).reshape(6, 2) ** 2
    rewards = np.arange(18.0).reshape(6, 3)
    np.savez(file, contexts=contexts, rewards=rewards, kind=np.array([3, 1, 3, 1, 1, 3]))
    made = build_world(f"labelled:file={file}")
    seen, pays, paid = played(made, [2] * 6)
    order = np.argsort(seen[:, 0])
    np.testing.assert_array_equal(pays[order], rewards)
    np.testing.assert_array_equal(paid[order], rewards[:, 2])
    _, pays, _ = played(build_world(f"labelled:file={file}:label=kind"), [0] * 6)
    assert pays[order].tolist() == [[0, 1], [1, 0], [0, 1], [1, 0], [1, 0], [0, 1]]
    np.savez(file.with_name("gap.npz"), contexts=contexts + np.array([0, np.inf]))
    with pytest.raises(UsageError, match=r"gap.npz:1: contexts: not finite"):
        build_world(f"labelled:file={file.with_name('gap.npz')}")
    with pytest.raises(UsageError, match=r'rows.npz: no array "kin"; did you mean "kind"'):
        build_world(f"labelled:file={file}:label=kin")


# What arms pay.


def test_mushrooms_pay_what_they_are_known_for(tmp_path) -> None:
    text = "x,kind\n" + "".join(f"{i},{('edible', 'poisonous')[i % 2]}\n" for i in range(10))
    made = world(tmp_path, text, payoff="mushroom")
    assert made.actions == Arms(2, 1)
    _, pays, paid = played(made, [0] * 400)
    good = pays[:, 0] == 5
    assert good.sum() == 200
    assert np.all(paid[good] == 5)
    assert np.all(pays[~good, 0] == -15)
    assert set(paid[~good]) == {5.0, -35.0}
    assert np.all(pays[:, 1] == 0)
    # 200 fair coins: a share of one half within Z standard errors, and not of two thirds.
    share, error = np.mean(paid[~good] == 5), 0.5 / np.sqrt(200)
    assert abs(share - 1 / 2) < Z * error
    assert abs(share - 2 / 3) > Z * error / 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pay.csv", "kind,yes,no\na,1,0\nb,2 or -1 at 0.25,0.5\nc,0,0\nunused,9,9\n"),
        ("pay.toml", '[a]\nyes=1\nno=0\n[b]\nyes="2 or -1 at 0.25"\nno=0.5\n[c]\nyes=0\nno=0\n'),
    ],
)
def test_a_table_of_ones_own(tmp_path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    table = read_payoff(str(file), ("a", "b", "c"), "rows.csv")
    assert table.arms == ("yes", "no")
    np.testing.assert_allclose(table.mean, [[1, 0], [0.25 * 2 - 0.75, 0.5], [0, 0]])
    assert world(tmp_path, payoff=file).actions == Arms(2, 4)


def test_the_right_class_pays_one() -> None:
    np.testing.assert_array_equal(right_class_payoff(("a", "b", "c")).mean, np.eye(3))


# What an agent believes, and wrong use.


def test_an_agent_s_model_is_filled_in_from_the_file(tmp_path) -> None:
    world(tmp_path)
    text = f"labelled:file={tmp_path / 'rows.csv'}:label=kind"
    assert agent_model_spec(text) == agent_model_spec(text, "linear") == "linear:arms=3:features=4"
    assert agent_model_spec(text, "mlp:hidden=(8,)") == "mlp:arms=3:features=4:hidden=(8,)"
    with pytest.raises(UsageError, match=r"count=3.*count=2"):
        agent_model_spec(text, "linear:arms=2")
    done = call("simulate", text, "--steps", 5)
    assert done.status == 0, done.err
    assert [len(row["x"]) for row in done.rows] == [4] * 5
    assert 'column "always" is always 7.0 and was left out' in done.err


GAP = ROWS.replace("2,blue", ",blue")
MANY = "x,kind\n" + "".join(f"n{i},{'ab'[i % 2]}\n" for i in range(200))


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (ROWS, "label=knd", 'rows.csv:1: no column "knd"; did you mean "kind"?'),
        (ROWS, "", "name its classes with label=COLUMN; there are: always, colour, kind, size"),
        (ROWS, "label=kind:drop=sise", 'rows.csv:1: no column "sise"; did you mean "size"?'),
        (ROWS, "label=kind:numeric=true", "rows.csv:2: colour: 'red' is no number; correct it, or"),
        (GAP, "label=kind:numeric=true", "rows.csv:3: size: empty; correct it, or leave it out"),
        (MANY, "label=kind", "rows.csv:2: x: 'n0' is no number, and 200 different texts are no"),
        (MANY, "label=x", '"x" has 200 different values, at most 100 classes'),
        ("x,kind\n1,a\n1,b\n", "label=kind", 'no column beside "kind" that varies'),
        ("x,kind\n1,a\n2,a\n", "label=kind", '"kind" is always a; classes need to be two'),
        ("x,kind\n", "label=kind", "rows.csv: no rows"),
        ("", "label=kind", "rows.csv: empty"),
        ("x,kind\n1\n", "label=kind", "rows.csv:2: 1 columns, the header has 2"),
        (ROWS, "label=kind:payoff=mushroom", 'mushroom: no class "a", which'),
        (ROWS, "label=kind:payoff=mushrom", 'no payoff table "mushrom"; did you mean "mushroom"?'),
        (ROWS, "label=kind:payoff=absent.toml", "absent.toml: cannot be read (No such file"),
        (ROWS, "label=kind:payoff=absent.csv", "absent.csv: cannot be read (No such file"),
        (ROWS, "label=kind:colour=red", 'world labelled has no option "colour"'),
    ],
)
def test_wrong_use_is_one_line_with_a_remedy(tmp_path, text, options, words) -> None:
    (tmp_path / "rows.csv").write_text(text)
    spec = f"labelled:file={tmp_path / 'rows.csv'}" + (f":{options}" if options else "")
    with pytest.raises(UsageError) as refused:
        build_world(spec)
    assert words in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind,yes\na,1\nb,1\n", 'no class "c", which'),
        ("kind,yes\na,1\nb,2 or 3\nc,1\n", 'class "b", arm "yes": \'2 or 3\' is no entry'),
        ("kind,yes\na,1\nb,2 or 3 at 2\nc,1\n", "is no entry"),
        ("kind,yes\na,1\na,2\n", 'pay.csv:3: kind: "a" occurs twice'),
        ("kind\na\nb\nc\n", "no classes with arms"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, text, words) -> None:
    (tmp_path / "pay.csv").write_text(text)
    with pytest.raises(UsageError) as refused:
        world(tmp_path, payoff=tmp_path / "pay.csv")
    assert words in str(refused.value)


def test_a_toml_table_without_an_arm_is_refused(tmp_path) -> None:
    file = tmp_path / "pay.toml"
    for text, words in (
        ("[a]\nyes=1\nno=1\n[b]\nyes=1\n[c]\nyes=1\nno=1\n", 'class "b" and arm "no" have no'),
        ("a=1\n", "a is no table"),
        ("[a\n", "not TOML"),
    ):
        file.write_text(text)
        with pytest.raises(UsageError) as refused:
            world(tmp_path, payoff=file)
        assert words in str(refused.value)


def test_unreadable_files_are_one_line() -> None:
    for name in ("absent.csv", "absent.npz", "absent.parquet"):
        with pytest.raises(UsageError, match=rf"{name}: cannot be read.*check the path"):
            build_world(f"labelled:file={name}:label=kind")
    with pytest.raises(UsageError, match="needs a file"):
        build_world("labelled")


def test_published_sets(data: Path) -> None:
    folder = data / "showdown_bandits"
    statlog = build_world(f"labelled:file={folder / 'statlog.npz'}")
    assert statlog.actions == Arms(7, 9)
    mushroom = build_world(
        f"labelled:file={folder / 'mushroom.csv.gz'}:label=class:payoff=mushroom"
    )
    # 22 columns of 117 different texts, one of them always the same.
    assert mushroom.actions == Arms(2, 116)
    assert len(mushroom.notes) == 1
