"""Clusters: with chains and without, the same for any order of pairs, folded or not."""

import numpy as np
import pyarrow as pa
import pytest

from filters.neighbours import clusters
from filters.neighbours.clusters import all_but_one_a_cluster, all_but_their_keepers, connected
from pipeline.run_view import RunView

CHAIN = [(0, 1), (1, 2), (2, 3), (5, 6)]


def view(num_rows, aesthetic=None):
    columns = {"key": [f"k{row}" for row in range(num_rows)], "aesthetic": aesthetic or [None] * num_rows}
    columns |= {name: [10] * num_rows for name in ("original_width", "original_height")}
    return RunView(pa.table(columns), np.ones(num_rows, bool))


def left_out(rule, pairs, items, **others):
    rows = view(len(items), **others)
    rulings = rule(rows, np.arange(len(items)), np.array(items), [np.array(pairs)] if pairs else [], "near")
    return {row: ruling.duplicate_of for row, ruling in rulings.items()}


def test_a_chain_is_one_cluster():
    assert left_out(all_but_one_a_cluster, CHAIN, range(7)) == {1: "k0", 2: "k0", 3: "k0", 6: "k5"}


def test_without_chains_everyone_left_out_is_near_its_keeper():
    assert left_out(all_but_their_keepers, CHAIN, range(7)) == {1: "k0", 3: "k2", 6: "k5"}
    best_in_the_middle = [1.0, 9.0, 2.0, 3.0, 1.0, 1.0, 1.0]
    assert left_out(all_but_their_keepers, CHAIN, range(7), aesthetic=best_in_the_middle) == {0: "k1", 2: "k1", 6: "k5"}


def test_it_names_the_best_of_several_keepers():
    assert left_out(all_but_their_keepers, [(0, 2), (1, 2)], range(3), aesthetic=[5.0, 6.0, 1.0]) == {2: "k1"}


@pytest.mark.parametrize("rule", [all_but_one_a_cluster, all_but_their_keepers])
def test_rows_of_the_same_item_are_duplicates_without_a_pair(rule):
    assert left_out(rule, [], [0, 1, 0, 2, 0]) == {2: "k0", 4: "k0"}
    assert left_out(rule, [(0, 1)], [0, 1, 0, 2, 1]) == {1: "k0", 2: "k0", 4: "k0"}
    assert left_out(rule, [], [0, 1, 2]) == {}


def test_folding_early_changes_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    pairs = [rng.integers(0, 500, (rng.integers(1, 20), 2)) for _ in range(30)]
    whole = connected(500, pairs)
    monkeypatch.setattr(clusters, "PAIRS_AT_ONCE", 10)
    folded = connected(500, pairs[::-1])
    assert len(set(zip(whole.tolist(), folded.tolist(), strict=True))) == len(set(whole.tolist())) == len(set(folded.tolist())) < 400


def test_a_pair_that_comes_often_still_counts():
    assert len(set(connected(2, [np.array([[0, 1]] * 256)]).tolist())) == 1
