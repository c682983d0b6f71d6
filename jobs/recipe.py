"""A recipe: TOML in, checked objects out. Loads no torch: a recipe is checked on a login node.

Unknown keys, wrong types and missing files are refused here, before any work, with the key's path.
"""

import hashlib
import json
import math
import tomllib
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from filters import FILTERS, Filter
from filters.annotators import ANNOTATORS, Annotator, fingerprint_annotator
from filters.clip import ClipModel
from jobs.filter_tables import build_filters, check_scales, named_table
from jobs.lm.options import SampleOptions, TrainOptions
from jobs.overrides import apply_overrides
from pipeline import paths
from pipeline.config import build, build_kind
from pipeline.errors import RecipeError
from pipeline.shards.schema import FORMAT_VERSION
from pipeline.sources import SOURCES, Source
from pipeline.sources.joined import JoinedSources
from tokenizer.options import TokenOptions
from tokenizer.tasks import TASKS
from tokenizer.tasks.task import WeightedTask
from tokenizer.vocab import Vocab, load_vocab
from tokenizer.vq import VQ, VQ_BACKENDS

KEY_PREFIX = "key_prefix"  # of any source: in front of its keys, so that those of two sources differ


@dataclass(frozen=True)
class RunOptions:
    """How the work is done; all but `unit_size` and `score_rejected` leave no trace in the data."""

    executor: Literal["inprocess", "ray"] = "inprocess"  # the same bytes from both
    address: str = ""  # of a Ray cluster, as ray.init takes it; empty: the environment's RAY_ADDRESS, or a cluster started on this machine
    workers: int = 0  # CPU workers of the ray executor; 0 takes as many as fit
    max_failed_fraction: float = 0.02  # of the input; above it the run ends with exit code 3
    score_rejected: bool = True  # filters also measure what an earlier one left out, so that thresholds can be moved later; dearer
    unit_size: int = 1000  # samples that are done, committed and resumed together, at most 10,000; a tar is a unit of its own

    def __post_init__(self) -> None:
        if not 0 <= self.max_failed_fraction <= 1:
            raise RecipeError(f"run.max_failed_fraction: a fraction from 0 to 1 is wanted, got {self.max_failed_fraction}")
        if not 1 <= self.unit_size <= 10_000:
            raise RecipeError(f"run.unit_size: 1 to 10000 samples are wanted, got {self.unit_size}")
        if self.workers < 0:
            raise RecipeError(f"run.workers: 0 or more are wanted, got {self.workers}")


@dataclass(frozen=True)
class Recipe:
    """Everything that a recipe says, as objects."""

    seed: int
    output: str
    run: RunOptions
    source: Source | None  # None in a recipe that only trains and samples
    filters: tuple[tuple[str, Filter], ...]  # name (the kind, unless the recipe gives another), filter
    annotators: tuple[tuple[str, Annotator], ...]
    clip: ClipModel
    tokens: TokenOptions
    vq: VQ
    tasks: tuple[WeightedTask, ...]
    train: TrainOptions
    sample: SampleOptions
    tables: dict[str, Any] = field(repr=False)  # as written, overrides applied

    @property
    def clip_filters(self) -> tuple[str, ...]:
        """The kinds that want CLIP's vectors."""
        return tuple(kind for kind, item in self.filters if getattr(item, "needs_clip", False))

    @property
    def scores_captions(self) -> bool:
        """Generated captions get a CLIP score: there are some, and [clip] says whose weights."""
        return self.clip.is_on and any(getattr(item, "adds_captions", False) for _, item in self.annotators)

    def vocab(self) -> Vocab:
        """The vocabulary of the text tokenizer, checked against the codebook."""
        vocab = load_vocab(self.tokens.text_path)
        if self.vq.num_codes > len(vocab.codes):
            raise RecipeError(f"tokens.text: {self.tokens.text_path} names {len(vocab.codes)} codes, the VQ has {self.vq.num_codes}")
        return vocab

    def resolved(self) -> dict[str, Any]:
        """The recipe with every default filled in, as it is stored beside its output."""
        plain: dict[str, Any] = {"seed": self.seed, "run": asdict(self.run), "source": self._source_tables()}
        plain["filter"] = [named_table(name, item) | _table(item) for name, item in self.filters]
        plain["annotator"] = [{"kind": kind} | _table(item) for kind, item in self.annotators]
        plain["clip"] = asdict(self.clip)
        plain["tokens"] = asdict(self.tokens) | {"vq": {"kind": self.tokens.vq.get("kind", "chameleon")} | _table(self.vq)}
        plain["task"] = [{"kind": task.kind, "weight": task.weight} | _table(task.task) for task in self.tasks]
        plain["train"], plain["sample"] = asdict(self.train), asdict(self.sample)
        return json.loads(json.dumps(plain))  # tuples become lists, as they will be when read back

    def _source_tables(self) -> list[dict[str, Any]]:
        if self.source is None:
            return []
        parts = self.source.sources if isinstance(self.source, JoinedSources) else (self.source,)
        tables = self.tables["source"] if isinstance(self.tables["source"], list) else [self.tables["source"]]
        prefixes = [{KEY_PREFIX: table[KEY_PREFIX]} if table.get(KEY_PREFIX) else {} for table in tables]
        return [{"kind": table["kind"]} | prefix | _table(part) for part, table, prefix in zip(parts, tables, prefixes, strict=True)]

    def data_identity(self) -> dict[str, Any]:
        """What the bytes of the token shards depend on: the resolved recipe's part about the data, and fingerprints of all input."""
        assert self.source is not None
        resolved = self.resolved()
        identity = {name: resolved[name] for name in ("seed", "source", "filter", "annotator", "tokens", "task")}
        identity["annotator"] = [
            {name: value for name, value in table.items() if name not in getattr(item, "untraced", ())}
            for table, (_, item) in zip(identity["annotator"], self.annotators, strict=True)
        ]
        identity["run"] = {"unit_size": self.run.unit_size, "score_rejected": self.run.score_rejected}
        identity["format_version"] = FORMAT_VERSION
        identity["fingerprints"] = {"vocabulary": self.vocab().fingerprint, "vq": self.vq.fingerprint()}
        files = {name: getattr(item, "head_file", item) for name, item in self.filters}
        identity["fingerprints"] |= {f"filter {name}": item.fingerprint() for name, item in files.items() if hasattr(item, "fingerprint")}
        if self.clip_filters or self.scores_captions:  # device and batch size leave no trace
            identity["clip"] = {name: resolved["clip"][name] for name in ("model", "pretrained", "precision")}
            identity["fingerprints"]["clip"] = self.clip.fingerprint()
        for number, (kind, item) in enumerate(self.annotators):
            if (found := fingerprint_annotator(item)) is not None:
                identity["fingerprints"][f"annotator[{number}]({kind})"] = found
        identity["input"] = _bounded(self.source.fingerprint())
        return identity


def load_recipe(path: str, overrides: list[str]) -> Recipe:
    """Read and check a recipe.

    Args:
        overrides: `--set` arguments, "tokens.target_size=256".

    Raises:
        RecipeError: What is wrong, and where.
    """
    return build_recipe(load_tables(path, overrides))


def load_tables(path: str, overrides: list[str]) -> dict[str, Any]:
    """A TOML file as it is written, overrides applied.

    Raises:
        RecipeError: No such file, or no TOML.
    """
    try:
        tables = tomllib.loads(paths.read_bytes(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: no valid TOML: {error}") from error
    return apply_overrides(tables, overrides)


def build_recipe(tables: dict[str, Any]) -> Recipe:
    """Check parsed tables and build what they name.

    Raises:
        RecipeError: What is wrong, and where.
    """
    top = build(_Top, tables, "recipe")
    tokens: TokenOptions = build(TokenOptions, top.tokens, "tokens")
    vq: VQ = build_kind(VQ_BACKENDS, {"kind": "chameleon"} | tokens.vq, "tokens.vq")
    vq.check()
    recipe = Recipe(
        seed=top.seed,
        output=top.output.rstrip("/"),
        run=build(RunOptions, top.run, "run"),
        source=_build_source(top.source),
        filters=build_filters(tuple(_with_targets(table, tokens) for table in top.filter)),
        annotators=_build_each(ANNOTATORS, top.annotator, "annotator"),
        clip=build(ClipModel, top.clip, "clip"),
        tokens=tokens,
        vq=vq,
        tasks=_build_tasks(top.task, tokens),
        train=build(TrainOptions, top.train, "train"),
        sample=build(SampleOptions, top.sample, "sample"),
        tables=tables,
    )
    recipe.vocab()
    return recipe


@dataclass(frozen=True)
class _Top:
    """The top level of a recipe, before the kinds are looked up."""

    output: str
    seed: int = 0
    run: dict[str, Any] = field(default_factory=dict)
    source: Any = None  # a table, or a list of tables that are read one after the other
    filter: tuple[dict[str, Any], ...] = ()
    annotator: tuple[dict[str, Any], ...] = ()
    clip: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=dict)
    task: tuple[dict[str, Any], ...] = ({"kind": "text_to_image"},)
    train: dict[str, Any] = field(default_factory=dict)
    sample: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.output:
            raise RecipeError("output: a folder is wanted")


def _build_source(tables: Any) -> Source | None:
    if tables is None:
        return None
    if isinstance(tables, dict):
        if KEY_PREFIX not in tables:
            source: Source = build_kind(SOURCES, tables, "source")
            return source
        tables = [tables]
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise RecipeError(f"source: a table [source] or several [[source]] are wanted, got {tables!r}")
    sources = tuple(
        build_kind(SOURCES, {name: value for name, value in table.items() if name != KEY_PREFIX}, f"source[{number}]")
        for number, table in enumerate(tables)
    )
    return JoinedSources(sources, tuple(_key_prefix(table, f"source[{number}]") for number, table in enumerate(tables)))


def _key_prefix(table: dict[str, Any], where: str) -> str:
    prefix = table.get(KEY_PREFIX, "")
    if not isinstance(prefix, str) or "." in prefix or prefix.startswith("__"):
        raise RecipeError(f"{where}.{KEY_PREFIX}: wants text without a dot that does not begin with '__', got {prefix!r}")
    return prefix


def _with_targets(table: dict[str, Any], tokens: TokenOptions) -> dict[str, Any]:
    """A filter that judges by buckets means the run's own, unless it says otherwise."""
    kind = FILTERS.get(table.get("kind", ""))
    if kind is None or "target_size" in table or all(f.name != "target_size" for f in fields(kind)):
        return table
    return {"target_size": tokens.target_size, "smaller_targets": list(tokens.smaller_targets)} | table


def _build_each(kinds: dict[str, type], tables: tuple[dict[str, Any], ...], where: str) -> tuple[tuple[str, Any], ...]:
    built = []
    for number, table in enumerate(tables):
        item = build_kind(kinds, table, f"{where}[{number}]")
        check_scales(item, f"{where}[{number}]")
        if (table["kind"], getattr(item, "name", "")) in [(kind, getattr(other, "name", "")) for kind, other in built]:
            raise RecipeError(f"{where}[{number}]: {table['kind']} is listed twice")
        built.append((table["kind"], item))
    return tuple(built)


def _build_tasks(tables: tuple[dict[str, Any], ...], tokens: TokenOptions) -> tuple[WeightedTask, ...]:
    tasks = []
    for number, table in enumerate(tables):
        weight = table.get("weight", 1.0)
        if type(weight) not in (int, float) or not 0 < weight < math.inf:
            raise RecipeError(f"task[{number}].weight: a number above 0 is wanted, got {weight!r}")
        if tokens.mixture == "planned" and weight > tokens.max_repeats:
            raise RecipeError(
                f"task[{number}].weight: {weight:g} is more often than tokens.max_repeats, {tokens.max_repeats}, lets a sample be used"
            )
        task = build_kind(TASKS, {name: value for name, value in table.items() if name != "weight"}, f"task[{number}]")
        tasks.append(WeightedTask(table["kind"], task, float(weight)))
    if not tasks:
        raise RecipeError("task: at least one is wanted")
    return tuple(tasks)


def _table(item: Any) -> dict[str, Any]:
    return {f.name: getattr(item, f.name) for f in fields(item) if f.init}


def _bounded(fingerprint: dict[str, str], limit: int = 10_000) -> dict[str, str]:
    """Input files by name; a digest of all of them where there are too many to write down."""
    if len(fingerprint) <= limit:
        return dict(fingerprint)
    digest = hashlib.sha256(json.dumps(sorted(fingerprint.items())).encode()).hexdigest()
    return {f"{len(fingerprint)} files": digest}
