"""From pairs that are near to who is left out.

Shapes: N rows, M items (different signatures; several rows may have the same), P pairs of items.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from filters.keepers import all_but_the_best, ranking
from filters.neighbours.signatures import distinct, matrices
from pipeline.run_view import Ruling, RunView

PAIRS_AT_ONCE = 5_000_000  # that are held before they are folded into clusters


def all_but_one_of_each(
    view: RunView, kind: str, near: Callable[[np.ndarray], Iterator[np.ndarray]], chained: bool, reason: str
) -> Mapping[int, Ruling]:
    """Rulings for the living rows by their signatures; those of different lengths are never near.

    Args:
        kind: Of the filter that left the signatures.
        near: From the different signatures [M, W] uint8 to pairs of them, [P, 2] each.
        chained: If A is near B and B near C, one of the three is kept.
    """
    rulings: dict[int, Ruling] = {}
    rule = all_but_one_a_cluster if chained else all_but_their_keepers
    for rows, matrix in matrices(view.signatures(kind), view.alive):
        items, item_of = distinct(matrix)
        del matrix  # it may be gigabytes
        rulings |= rule(view, rows, item_of, near(items), reason)
    return rulings


def all_but_one_a_cluster(
    view: RunView, rows_N: np.ndarray, item_of_N: np.ndarray, pairs: Iterable[np.ndarray], reason: str
) -> Mapping[int, Ruling]:
    """Rulings for clusters in which every row is near another one: A near B and B near C are one cluster, whether or not A is near C.

    Args:
        rows_N: Rows of the view.
        item_of_N: The item of each.
        pairs: Of items that are near, [P, 2] each; in any order, and more than once.
    """
    num_items = int(item_of_N.max()) + 1
    label_of_N = connected(num_items, pairs)[item_of_N]
    crowded = np.flatnonzero(np.bincount(label_of_N)[label_of_N] > 1)
    order = crowded[np.argsort(label_of_N[crowded], kind="stable")]
    groups = np.split(rows_N[order], np.flatnonzero(np.diff(label_of_N[order])) + 1) if len(order) else []
    return all_but_the_best(view, (group.tolist() for group in groups), reason)


def all_but_their_keepers(
    view: RunView, rows_N: np.ndarray, item_of_N: np.ndarray, pairs: Iterable[np.ndarray], reason: str
) -> Mapping[int, Ruling]:
    """Rulings without chains: from the best row down, each is kept unless it is near one that is kept already; it names the best of those.

    All pairs are held in memory: 64 bytes and more each.
    """
    near: dict[int, set[int]] = defaultdict(set)
    for found in pairs:
        for one, two in found.tolist():
            near[one].add(two)
            near[two].add(one)
    crowded = np.bincount(item_of_N) > 1
    crowded[list(near)] = True
    rank, keys = ranking(view), view.keys
    item_of = {row: item for row, item in zip(rows_N.tolist(), item_of_N.tolist(), strict=True) if crowded[item]}
    keepers: dict[int, int] = {}  # item -> the row that is kept
    rulings: dict[int, Ruling] = {}
    for row in sorted(item_of, key=rank):
        item = item_of[row]
        kept = [keepers[other] for other in (item, *near[item]) if other in keepers]
        if kept:
            rulings[row] = Ruling(reason, keys[min(kept, key=rank)])
        else:
            keepers[item] = row
    return rulings


def connected(num_items: int, pairs: Iterable[np.ndarray]) -> np.ndarray:
    """[M] the number of each item's cluster, by union-find; an item that is near none is a cluster of its own."""
    labels = np.arange(num_items)
    held: list[np.ndarray] = []
    num_held = 0
    for found in pairs:
        held.append(found)
        num_held += len(found)
        if num_held > PAIRS_AT_ONCE:
            labels, held, num_held = _folded(labels, held), [], 0
    return _folded(labels, held)


def _folded(labels_M: np.ndarray, pairs: list[np.ndarray]) -> np.ndarray:
    """Labels after these pairs: an item stands for its cluster, so that earlier pairs need not be kept."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not pairs:
        return labels_M
    one, two = labels_M[np.concatenate(pairs)].T
    size = len(labels_M)
    found: np.ndarray = connected_components(coo_matrix((np.ones(len(one)), (one, two)), (size, size)), directed=False)[1]
    return found[labels_M]
