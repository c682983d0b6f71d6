"""`mgpt VERB ...`, the same as `python -m jobs VERB ...`.

Exit codes: 0 done · 1 bug · 2 usage or recipe · 3 finished, but over the allowed failure rate, or a unit could not be done · 4 the plan
cannot run on this cluster · 5 resume refused · 6 verification failed · 130, 143 interrupted, run again to go on.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType, ModuleType

from jobs import annotate, eval_vq, fit_text, fit_vq, inspect_shards, prepare, refilter, run, sample, serve, signatures, train
from jobs.recipe import load_tables
from jobs.stages import build_stages, check_stage_before, choose_stages
from pipeline.errors import MgptError, PlanError, RecipeError, ResumeError, ShardError, VerificationError

RECIPE_VERBS: dict[str, ModuleType] = {  # they take a recipe: run(recipe, args)
    "annotate": annotate,
    "prepare": prepare,
    "refilter": refilter,
    "train": train,
    "sample": sample,
    "serve": serve,
    "run": run,
}
TABLE_VERBS: dict[str, ModuleType] = {  # they take a recipe of their own form: run(tables, args)
    "fit-vq": fit_vq,
    "eval-vq": eval_vq,
    "fit-text": fit_text,
}
OTHER_VERBS: dict[str, ModuleType] = {  # run(args)
    "inspect": inspect_shards,
    "signatures": signatures,
}
EXIT_CODES: dict[type[MgptError], int] = {RecipeError: 2, ShardError: 3, PlanError: 4, ResumeError: 5, VerificationError: 6}
INTERRUPTED, TERMINATED = 130, 143


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code."""
    args = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        if args.verb in RECIPE_VERBS:
            code = _run_stages(args)
        elif args.verb in TABLE_VERBS:
            code = TABLE_VERBS[args.verb].run(load_tables(args.recipe, args.set), args)
        else:
            code = OTHER_VERBS[args.verb].run(args)
        return code
    except MgptError as error:
        print(f"mgpt {args.verb}: {error}", file=sys.stderr)
        return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)
    except _Terminated:
        print(f"mgpt {args.verb}: terminated; the same command goes on where it stopped", file=sys.stderr)
        return TERMINATED
    except KeyboardInterrupt:
        print(f"mgpt {args.verb}: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `mgpt inspect ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk, a read-only output: nobody's bug, and a traceback helps nobody
        if error.errno is None:
            raise
        print(
            f"mgpt {args.verb}: {error.strerror}: {error.filename or 'the output'}; what is finished is kept, run again to go on",
            file=sys.stderr,
        )
        return 1


def _run_stages(args: argparse.Namespace) -> int:
    """A verb for each stage of a recipe, most often the only one; stops at the first that does not end with 0."""
    stages = choose_stages(build_stages(load_tables(args.recipe, args.set)), args.stage)
    trains = args.verb in ("train", "run") and not args.dry_run and not getattr(args, "plan", False)
    with ExitStack() as stack:
        if trains and len(stages) > 1:  # processes that train together find each other once: a second time they would look in old places
            from jobs.lm.parallel import open_ranks

            stack.enter_context(open_ranks(stages[0].recipe.train.device))
        for stage in stages:
            if stage.name:
                print(f"stage {stage.name}: {stage.recipe.output}", flush=True)
            if trains:
                check_stage_before(stage)
            code: int = RECIPE_VERBS[args.verb].run(stage.recipe, args)
            if code:
                return code
    return 0


class _Terminated(BaseException):
    """SIGTERM, as an exception that no handler for errors catches."""


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    raise _Terminated


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mgpt", description="From pictures and captions to token shards, and from token shards to pictures."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, module in (RECIPE_VERBS | TABLE_VERBS | OTHER_VERBS).items():
        words = (module.__doc__ or "").strip().split("\n")[0]
        verb = verbs.add_parser(name, help=words, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        if name not in OTHER_VERBS:
            verb.add_argument("recipe", metavar="RECIPE", help="a TOML file")
            verb.add_argument(
                "--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the recipe, as in tokens.target_size=256"
            )
            verb.add_argument("--dry-run", action="store_true", help="check the recipe, say what would be done, do nothing")
        if name in RECIPE_VERBS:
            verb.add_argument("--stage", metavar="NAME", help="only this stage of a recipe that has several")
        module.configure(verb)
    return parser


if __name__ == "__main__":
    sys.exit(main())
