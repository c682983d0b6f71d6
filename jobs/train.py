"""`mgpt train RECIPE`: from token shards to checkpoints in OUTPUT/train.

On many GPUs: `torchrun --nproc-per-node 8 -m jobs train RECIPE`. A run goes on from its last checkpoint, on any number of processes.
On a Ray cluster: `--set train.processes=16`, by Ray Train.
With --plan, what windows of several sizes would waste on these shards and this mixture, and nothing is trained.
"""

import argparse
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.recipe import Recipe
from pipeline import paths
from pipeline.errors import RecipeError
from pipeline.shards.reader import TokenShards
from tokenizer.layout import PIXELS_PER_CODE

if TYPE_CHECKING:
    from jobs.lm.grid import Grid
    from jobs.lm.train_data import TrainData


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plan", action="store_true", help="print padding, tokens and steps for several sizes of windows, train nothing")
    parser.add_argument("--json", action="store_true", help="with --plan: for machines")


def run(recipe: Recipe, args: argparse.Namespace) -> int:
    """Train, or go on training, or with --dry-run say what would be done; the exit code."""
    folder = train_folder(recipe)
    if args.dry_run and not paths.exists(paths.join(recipe.output, "tokens", "manifest.json")):
        print("train       the token shards are not there yet: `mgpt prepare` makes them")
        return 0
    TokenShards(recipe.output)  # refuse before torch is loaded: that takes seconds
    if "plan" in args and args.plan:  # `mgpt run` has no such flag
        from jobs.lm.plan_table import plan_table, print_plan

        print_plan(plan_table(recipe.output, recipe.train, recipe.seed), as_json=args.json)
        return 0
    from jobs.lm.describe import describe
    from jobs.lm.parallel import open_ranks
    from jobs.lm.train_data import open_data
    from jobs.lm.trainer import load_trainer

    data = open_data(recipe.output, recipe.train, recipe.seed)
    if args.dry_run:
        print(describe(data, recipe.train, recipe.tokens.max_tokens))
        return 0
    if recipe.train.processes:
        from jobs.ray_train import train_on_ray

        train_on_ray(recipe, run)
        return 0
    with open_ranks(recipe.train.device) as ranks:
        grid = _grid(recipe, data) if recipe.train.grid_every else None
        max_tokens = recipe.tokens.max_tokens
        trainer = load_trainer(data, recipe.train, seed=recipe.seed, folder=folder, max_tokens=max_tokens, ranks=ranks, grid=grid)
        done = trainer.step >= recipe.train.steps
        if ranks.first:
            print(describe(data, recipe.train, recipe.tokens.max_tokens))
            if done:
                print(f"{folder}: already done, {trainer.step} steps")
            elif trainer.step:
                print(f"{folder}: going on from step {trainer.step}")
        if not done:
            trainer.run()
    return 0


def _grid(recipe: Recipe, data: "TrainData") -> "Grid":
    from jobs.lm.grid import plan_grid

    if recipe.vq.downsample != PIXELS_PER_CODE:
        raise RecipeError(f"tokens.vq: a code stands for {recipe.vq.downsample} pixels a side, in the token layout for {PIXELS_PER_CODE}")
    return plan_grid(
        data,
        recipe.sample,
        count=recipe.train.grid_count,
        seed=recipe.seed,
        num_codes=recipe.vq.num_codes,
        load_vq=cache(recipe.vq.load),
        max_tokens=data.plan.window,
    )


def train_folder(recipe: Recipe) -> Path:
    """OUTPUT/train.

    Raises:
        RecipeError: The output is no local folder.
    """
    if not paths.is_local(recipe.output):
        raise RecipeError(f"output: {recipe.output}: training and sampling want a local folder")
    return Path(paths.open_fs(recipe.output)[1]) / "train"
