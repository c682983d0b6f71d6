"""`mgpt inspect WHAT PATH`: look into token shards. PATH is an output folder, or its `tokens` folder.

info: totals. show: a sample's dialogue in words. decode: pictures from tokens.
mixture: tasks, asked for and come out. lint: the grammar of every sequence. verify: that nothing is
lost and no file changed. lint and verify end with exit code 6 where something is wrong.
"""

import argparse

from jobs.inspection.decode import decode
from jobs.inspection.info import print_info
from jobs.inspection.lint import print_lint
from jobs.inspection.mixture import print_mixture
from jobs.inspection.show import show
from jobs.inspection.verify import print_verify

FOUND_WRONG = 6  # exit code


def configure(parser: argparse.ArgumentParser) -> None:
    """The subcommands."""
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")

    def add(name: str, words: str) -> argparse.ArgumentParser:
        kind = kinds.add_parser(name, help=words, description=words)
        kind.add_argument("path", metavar="PATH", help="an output folder, or its tokens folder")
        return kind

    info = add("info", "totals, tasks, buckets, fingerprints")
    info.add_argument("--json", action="store_true", help="for machines")
    shown = add("show", "a sample's dialogue in words, and what became of it")
    shown.add_argument("keys", nargs="+", metavar="KEY")
    shown.add_argument("--pictures", default="", metavar="DIR", help="also draw each dialogue as a PNG there, images decoded from tokens")
    decoded = add("decode", "PNGs of a sample's pictures, drawn from their tokens")
    decoded.add_argument("keys", nargs="+", metavar="KEY")
    decoded.add_argument("--out", default="", metavar="DIR", help="where to; default: OUTPUT/decoded")
    decoded.add_argument("--limit", type=int, default=64, metavar="N", help="pictures at most, default 64")
    mixed = add("mixture", "the tasks that came out, beside those that the recipe asked for")
    mixed.add_argument("--json", action="store_true", help="for machines")
    add("lint", "check the grammar of every sequence, index against shards, checksums of ids")
    add("verify", "prove that accepted + rejected + failed = input, and that every file's hash holds")


def run(args: argparse.Namespace) -> int:
    """One inspection; the exit code."""
    match args.what:
        case "info":
            print_info(args.path, as_json=args.json)
        case "show":
            show(args.path, args.keys, args.pictures)
        case "decode":
            decode(args.path, args.keys, args.out, args.limit)
        case "mixture":
            print_mixture(args.path, as_json=args.json)
        case "lint":
            return 0 if print_lint(args.path) else FOUND_WRONG
        case "verify":
            return 0 if print_verify(args.path) else FOUND_WRONG
    return 0
