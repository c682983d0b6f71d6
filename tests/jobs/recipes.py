"""Recipes for tests: small, on the golden tokenizer, from shapes or from a folder."""

import hashlib
from pathlib import Path

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
GOLDEN_TOKENS = f"""
text = "{GOLDEN}/tokenizer/text_tokenizer.json"
vq = {{ kind = "chameleon", config = "{GOLDEN}/tokenizer/vqgan.yaml", weights = "{GOLDEN}/tokenizer/vqgan.ckpt", dtype = "float32" }}
"""


def write_recipe(
    folder: Path, source: str, *, tokens: str = "target_size = 64", rest: str = "", top: str = "seed = 3"
) -> tuple[Path, Path]:
    """A recipe file and its output folder; the tokens are the golden ones.

    Args:
        source: The keys of [source].
        rest: Tables that follow, such as [run] or [[filter]].
    """
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / "out"
    recipe = folder / "recipe.toml"
    recipe.write_text(f'{top}\noutput = "{output}"\n[source]\n{source}\n[tokens]\n{tokens}\n{GOLDEN_TOKENS}\n{rest}\n')
    return recipe, output


def token_digests(output: Path) -> dict[str, str]:
    """sha256 of every file under OUTPUT/tokens."""
    files = sorted(path for path in (output / "tokens").rglob("*") if path.is_file())
    return {str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
