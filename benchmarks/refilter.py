"""How long `mgpt refilter` takes over a large ledger: python -m benchmarks.refilter --rows 100000

The ledger is made of the one of a real run over examples/photos, whose rows are repeated with jittered scores and keys of their own.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.__main__ import main as mgpt
from jobs.recipe import load_recipe
from jobs.refilter import refilter, stored_recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--recipe", default="examples/photos.toml")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = [f"output={folder}", "tokens.target_size=128"]
        mgpt(["prepare", args.recipe, *(word for each in settings for word in ("--set", each))])
        for name in ("ledger", "signatures"):
            for path in (Path(folder) / name).glob("*.parquet"):
                pq.write_table(repeated(pq.read_table(path), args.rows), path)
        started = time.perf_counter()
        result = refilter(load_recipe(args.recipe, [*settings, "filter.2.max_aspect=1.4"]), stored_recipe(folder))
        seconds = time.perf_counter() - started
    print("| rows | filters | samples that change sides | seconds |\n|---|---|---|---|")
    changed = sum(len(rows) for rows in result.changes().values())
    print(f"| {len(result.before):,} | {len(load_recipe(args.recipe, []).filters)} | {changed:,} | {seconds:.2f} |")


def repeated(table: pa.Table, rows: int) -> pa.Table:
    """`rows` rows: those of the table over and over, each time with scores that differ a little, keys and signatures of their own."""
    rng = np.random.default_rng(0)
    table = table.take(pa.array(np.arange(rows) % table.num_rows))
    for place, field in enumerate(table.schema):
        if field.name == "key":
            table = table.set_column(place, field, pa.array([f"{row:09}" for row in range(rows)]))
        elif pa.types.is_float64(field.type):
            jitter = pa.array(rng.uniform(0.9, 1.1, rows))
            table = table.set_column(place, field, pa.compute.multiply(table[field.name], jitter))
        elif pa.types.is_binary(field.type):
            table = table.set_column(place, field, pa.array([rng.bytes(32) for _ in range(rows)]))
    return table


if __name__ == "__main__":
    main()
