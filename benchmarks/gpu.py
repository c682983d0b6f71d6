"""One GPU at work, from random weights: `python -m benchmarks.gpu [encode] [train] [sample]`. No figures exist yet.

    encode    pictures to codes by the pipeline's own encoder with Chameleon's network, by side and batch
    train     steps of the trainer on packed windows at a 7B's width and the layers asked for, in bfloat16; any option by --train key=value
    sample    the sampler at a 7B's shape with guidance, by side and batch, compiled or not, with and without a Jacobi window

A line of JSON for each measurement as it is made, then a table. MFU is work over the device's peak: padding and what is computed twice to
save memory count as none, both branches of guidance count. `of_memory` is the time that reading weights and filled cache takes at the
device's bandwidth, over the time of a pass. `waits` are how often the host waited for the device while it sampled, counted by torch's own
debug mode.

    python -m benchmarks.gpu                                    an H100 or H200, about 20 minutes
    python -m benchmarks.gpu train --layers 8 --train compile=true --train activation_checkpointing=true
    python -m benchmarks.gpu --device cpu --tiny                a try of the script

Needs torch, transformers, pyarrow, Pillow, safetensors and numpy; neither Ray nor webdataset nor open_clip.
"""

import argparse
import json
import platform
import tempfile
import time
import tomllib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.chameleon_size import chameleon_size_network
from jobs.lm.dropout import ResidualDropout
from jobs.lm.flops import peak_flops, work_of
from jobs.lm.folder import read_names
from jobs.lm.meters import peak_memory
from jobs.lm.model import LanguageModel, draw_weights, new_config
from jobs.lm.options import TrainOptions
from jobs.lm.requests import SampleRequest
from jobs.lm.sampling.compiled import StepCompiler
from jobs.lm.sampling.sampler import Sampler
from jobs.lm.train_data import open_data
from jobs.lm.trainer import load_trainer
from pipeline.samples import IGNORE_INDEX, Turn
from tests.token_output import TEXT_TOKENIZER_PATH, text_to_image_sequence, write_output
from tokenizer.layout import NUM_HEAD, image_length
from tokenizer.tasks.text_to_image import text_to_image_prompt
from tokenizer.text import TextTokenizer
from tokenizer.vq.chameleon import LoadedChameleon

CAPTION = "a red circle above two blue squares on a wooden table, seen from the side in the light of the evening"
BANDWIDTH = {
    "B200": 8.0e12,
    "GH200": 4.9e12,
    "H200": 4.8e12,
    "H100 PCIe": 2.0e12,
    "H100 NVL": 3.9e12,
    "H100": 3.35e12,
}  # bytes/s, data sheets
SEVEN_B = {"hidden_size": 4096, "num_heads": 32, "intermediate_size": 11008}
TINY = {"hidden_size": 64, "num_heads": 2, "intermediate_size": 96}
VOCABULARY = 65536  # Chameleon's
COLUMNS = ("what", "size", "batch", "dtype", "compiled", "window", "ms", "images/s", "tokens/s", "mfu", "of_memory", "waits", "memory_gb")

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=[], help="encode, train, sample; all where none is named")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="tiny shapes, to try the script")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 768], help="pixels a side")
    parser.add_argument("--encode-batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--sample-batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--windows", type=int, nargs="*", default=[0, 16], help="Jacobi windows, at batch 1")
    parser.add_argument("--sample-layers", type=int, default=32)
    parser.add_argument("--compiled", nargs="+", default=["no", "yes"], choices=["no", "yes"], help="the sampler's steps")
    parser.add_argument(
        "--layers", type=int, default=8, help="of the model that is trained; optimizer and weights take 16 bytes a parameter"
    )
    parser.add_argument("--train", action="append", default=[], metavar="KEY=VALUE", help="options of [train], in TOML")
    parser.add_argument("--rounds", type=int, default=5, help="encoded batches and training steps that count, behind warm-ups")
    args = parser.parse_args()
    if unknown := set(args.what) - PARTS.keys():
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    if args.tiny:
        args.sizes, args.encode_batches, args.sample_batches, args.windows = [32], [2], [2], [0]
        args.layers, args.sample_layers, args.rounds, args.compiled = 1, 1, 1, ["no"]
    device = torch.device(args.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    print(json.dumps({"device": name, "torch": torch.__version__, "transformers": transformers.__version__}), flush=True)
    rows = []
    for what in args.what or PARTS:
        for row in PARTS[what](args, device):
            rows.append({"what": what} | row)
            print(json.dumps(rows[-1]), flush=True)
    print("\n| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    for row in rows:
        print("| " + " | ".join(str(row.get(column, "")) for column in COLUMNS) + " |")


def encode(args: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """Batches of random pictures; from bytes on the host to codes on the host."""
    with torch.device("meta"):
        network = chameleon_size_network()
    vq = LoadedChameleon(chameleon_size_network(), args.dtype, device.type, 16)
    peak = peak_flops(0, args.dtype, device)
    rng = np.random.default_rng(0)
    for size in args.sizes:
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            network.encode(torch.empty(1, 3, size, size))
        for batch in args.encode_batches:
            pixels = rng.integers(0, 256, (batch, size, size, 3), np.uint8)
            seconds = median_seconds(lambda pixels=pixels: vq.encode(pixels), args.rounds, device)
            yield {
                "size": size,
                "batch": batch,
                "dtype": args.dtype,
                "ms": round(1000 * seconds, 2),
                "images/s": round(batch / seconds, 1),
                "tokens/s": round(batch * (size // 16) ** 2 / seconds),
                "gflop_an_image": round(counter.get_total_flops() / 1e9, 1),
            } | share("mfu", batch * counter.get_total_flops() / seconds, peak)


def train(args: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """Whole steps: windows read from shards, packed, forward, backward, AdamW."""
    given = tomllib.loads("\n".join(args.train))
    if unknown := given.keys() - {field.name for field in fields(TrainOptions)}:
        raise SystemExit(f"--train: [train] has no option {', '.join(sorted(unknown))}")
    length = image_length(args.sizes[-1], args.sizes[-1])
    base = (TINY if args.tiny else SEVEN_B) | {"num_layers": args.layers, "dtype": args.dtype, "device": device.type}
    base |= {"window": 4 * (length + 60), "batch_size": 2, "micro_batch": 1, "steps": 1000, "dropout": 0.0}
    options = TrainOptions(**(base | given))
    text, rng = TextTokenizer(TEXT_TOKENIZER_PATH), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        count = 8 * options.batch_size * (options.window // length + 1)
        sides = [args.sizes[number % len(args.sizes)] for number in range(count)]
        made = [text_to_image_sequence(f"{n}", CAPTION, text, rng, height=side, width=side) for n, side in enumerate(sides)]
        write_output(folder, made)
        data = open_data(folder, options, 0)
        trainer = load_trainer(data, options, seed=0, folder=Path(folder) / "train", max_tokens=options.window)
        maker, dropout = data.maker(), ResidualDropout(trainer.model, options.dropout, 0)
        trainer.model.train()
        counts: list[np.ndarray] = []

        def step() -> None:  # the loop's own, without logs and checkpoints
            batches = [maker.make(rows) for rows in trainer._parts(data.plan.step(trainer.step))]
            trainer._take_step(batches, dropout)
            trainer.step += 1
            loss_tokens = (int((batch.targets_BT != IGNORE_INDEX).sum()) for batch in batches)
            counted = zip(batches, loss_tokens, strict=True)
            counts.append(np.sum([(batch.num_tokens, batch.num_pairs, loss, batch.num_images) for batch, loss in counted], 0))

        seconds = median_seconds(step, args.rounds, device)
        tokens, pairs, loss_tokens, images = np.mean(counts[-args.rounds :], 0).tolist()
        work = work_of(trainer.model, trainer.model.config.vocab_size).flops(tokens, pairs, loss_tokens)
        yield {
            "size": "+".join(map(str, args.sizes)),
            "batch": f"{options.batch_size} x {options.window}",
            "dtype": args.dtype,
            "compiled": "yes" if options.compile else "no",
            "ms": round(1000 * seconds, 1),
            "images/s": round(images / seconds, 2),
            "tokens/s": round(tokens / seconds),
            "padding": round(1 - tokens / (options.batch_size * options.window), 4),
            "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
            "options": given,
            "memory_gb": round(peak_memory() / 1e9, 2),
        } | share("mfu", work / seconds, peak_flops(options.peak_tflops, args.dtype, device))


def sample(args: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """Pictures with guidance 4 from a prompt; the codes are noise, the arithmetic is that of a trained model."""
    text, names = TextTokenizer(TEXT_TOKENIZER_PATH), read_names(TEXT_TOKENIZER_PATH)
    options = TrainOptions(**((TINY if args.tiny else SEVEN_B) | {"num_layers": args.sample_layers}))
    vocab = replace(text.vocab, size=max(VOCABULARY, text.vocab.size))
    model = random_model(new_config(options, vocab, names, image_length(max(args.sizes), max(args.sizes)) + 100), args.dtype, device)
    work, peak, speed = work_of(model, len(vocab.codes)), peak_flops(0, args.dtype, device), bandwidth(device)
    plans = [(batch, 0) for batch in args.sample_batches if 0 in args.windows] + [(1, window) for window in args.windows if window]
    for compiled in args.compiled:
        for size, (batch, window) in ((size, plan) for size in args.sizes for plan in plans):
            compiler = StepCompiler() if compiled == "yes" else None
            sampler = Sampler(model, text, names, len(vocab.codes), seed=0, batch_size=batch, jacobi_window=window, compiler=compiler)
            passes = [0]

            def draw(asked: int, sampler: Sampler = sampler, batch: int = batch, passes: list[int] = passes) -> None:
                turns = (Turn("user", (text_to_image_prompt(CAPTION, (asked, asked)),)),)
                requests = [SampleRequest(number, turns, size=(asked, asked), guidance=4.0) for number in range(batch)]
                passes[0] = max(result.num_code_steps for result in sampler.sample(requests))

            draw(size)  # compiles
            waits = count_waits(lambda draw=draw, size=size: draw(size)) if device.type == "cuda" else ""
            seconds = median_seconds(lambda draw=draw, size=size: draw(size), 1, device, warm_ups=0)
            length = image_length(size, size)
            fed = 2 * batch * length  # tokens of both branches
            flops = work.flops(fed, fed * length / 2, batch * length) / 3  # forward alone
            config, width = model.config, model.lm_head.weight.element_size()
            cache = (
                2 * 2 * batch * config.num_hidden_layers * config.hidden_size * width * length / 2
            )  # of a pass, half filled on the average
            layers = sum(parameter.numel() for name, parameter in model.named_parameters() if "layers" in name)
            read = (layers + len(vocab.codes) * config.hidden_size) * width + cache
            yield (
                {
                    "size": size,
                    "batch": batch,
                    "dtype": args.dtype,
                    "compiled": compiled,
                    "window": window,
                    "passes": passes[0],
                    "ms": round(1000 * seconds / passes[0], 2),
                    "images/s": round(batch / seconds, 3),
                    "tokens/s": round(batch * (length - NUM_HEAD) / seconds, 1),
                    "waits": waits,
                    "memory_gb": round(peak_memory() / 1e9, 2),
                }
                | share("mfu", flops / seconds, peak)
                | share("of_memory", passes[0] * read / seconds, speed)
            )


PARTS: dict[str, Callable[[argparse.Namespace, torch.device], Iterator[Row]]] = {"encode": encode, "train": train, "sample": sample}


def random_model(config: Any, dtype: str, device: torch.device) -> LanguageModel:
    """Weights drawn where they lie: a 7B would take minutes and 28 GB on the host."""
    with torch.device("meta"):
        model = LanguageModel(config)
    rotary = type(model.model.rotary_emb)(config)  # its tables are computed, not stored
    model = model.to(getattr(torch, dtype)).to_empty(device=device)
    model.tie()
    model.model.rotary_emb = rotary.to(device)
    draw_weights(model, torch.Generator(device).manual_seed(0))
    return model.eval().requires_grad_(False)


def median_seconds(work: Callable[[], object], rounds: int, device: torch.device, warm_ups: int = 2) -> float:
    """Of a call, behind some that do not count."""
    taken = []
    for _ in range(warm_ups + rounds):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - started)
    return float(np.median(taken[warm_ups:]))


def count_waits(work: Callable[[], object]) -> int:
    """How often the host waits for the device, as far as torch notices."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


def share(name: str, value: float, most: float) -> Row:
    """A part of the most there can be; nothing where that is not known."""
    return {name: round(value / most, 4)} if most else {}


def bandwidth(device: torch.device) -> float:
    """Bytes a second of the device's memory; 0 where it is not known."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((speed for word, speed in BANDWIDTH.items() if word in name), 0.0)


if __name__ == "__main__":
    main()
