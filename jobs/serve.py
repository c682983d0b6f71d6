"""`mgpt serve RECIPE`: a page to try a trained model on: text to image, editing, maps of pictures, captions and questions.

It listens on this machine alone unless --host says otherwise; who can reach it can use it. Wants the extra `serve`.
"""

import argparse

from jobs.recipe import Recipe
from jobs.sample import find_checkpoint
from jobs.sampling.engine import engine_spec
from jobs.sampling.session import Session
from jobs.sampling.web import import_gradio, serve_page
from pipeline.errors import RecipeError

HOST, PORT = "127.0.0.1", 7860


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default=HOST, help=f"address to listen on; {HOST} is this machine alone")
    parser.add_argument("--port", type=int, default=PORT)


def run(recipe: Recipe, args: argparse.Namespace) -> int:
    """Serve until interrupted, or with --dry-run say what would be served; the exit code."""
    if not 0 < args.port < 65_536:
        raise RecipeError(f"--port: 1 to 65535 is wanted, got {args.port}")
    print(f"serve       http://{args.host}:{args.port}")
    if args.dry_run:
        return 0
    gradio = import_gradio()
    checkpoint = find_checkpoint(recipe)
    print(f"checkpoint  {checkpoint}", flush=True)
    page = serve_page(Session(recipe, engine_spec(recipe, checkpoint)), gradio, host=args.host, port=args.port)
    print("ready; Ctrl-C ends it", flush=True)
    try:
        page.block_thread()
    finally:
        page.close()
    return 0
