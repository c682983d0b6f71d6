"""The plan of the house, as a test. A failure here is a design question, not a typo."""

import ast
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from setuptools import find_packages

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "pipeline": {"pipeline"},
    "filters": {"filters", "pipeline"},
    "tokenizer": {"tokenizer", "pipeline"},
    "jobs": {"jobs", "filters", "tokenizer", "pipeline"},
}
HEAVY = {"ray", "torch", "torchvision", "transformers", "open_clip", "img2dataset", "skimage", "timm", "torchmetrics"} | {
    "peft",
    "tensorboard",
    "faiss",
    "imagehash",
    "scipy",
    "rapidocr",
    "onnxruntime",
    "cv2",
    "httpx",
    "py3langid",
    "gradio",
}
HEAVY_ROOMS = {  # they are about an nn.Module or a Ray actor; everyone else imports inside a function
    "pipeline/ray_runner.py",
    "tokenizer/vq/network.py",
    "tokenizer/vq/fitting",
    "jobs/lm",
}
LIGHT_IN_HEAVY_ROOMS = {  # a recipe is checked on a login node
    "jobs/lm/options.py",
    "tokenizer/vq/fitting/options.py",
    "tokenizer/vq/fitting/pictures.py",
}
BORROWED = (
    sys.stdlib_module_names | HEAVY | {"webdataset", "pyarrow", "numpy", "PIL", "tokenizers", "safetensors", "fsspec", "tqdm", "yaml"}
)
MODULES = sorted(path.relative_to(ROOT).as_posix() for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def imports(nodes: Iterable[ast.AST]) -> set[str]:
    """Every module that the import statements among `nodes` may load, in full."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def tops(names: Iterable[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def when_loaded(node: ast.AST) -> Iterable[ast.AST]:
    """The nodes that run when the module is imported: not what stands in functions, nor below `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTION) or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)):
            continue
        yield child
        yield from when_loaded(child)


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


NAMES = {module_name(path): path for path in MODULES}


def edges(path: str) -> set[str]:
    """The project's modules that one imports by name, lazily or not, for types or not."""
    found = {name for name in imports(ast.walk(tree(path))) if name in NAMES}
    own = module_name(path)
    return found - {own} - {name for name in found if any(other.startswith(f"{name}.") for other in found) and own.startswith(f"{name}.")}


def in_heavy_room(path: str) -> bool:
    return path not in LIGHT_IN_HEAVY_ROOMS and any(path == room or path.startswith(f"{room}/") for room in HEAVY_ROOMS)


@pytest.mark.parametrize("path", MODULES)
def test_imports_point_down(path):
    names = tops(imports(ast.walk(tree(path))))  # lazy ones too
    assert not (names & MAY_IMPORT.keys()) - MAY_IMPORT[path.split("/")[0]]
    assert not names & {"tests", "benchmarks"}


def test_there_are_no_circles_even_inside_a_package():
    graph = {name: edges(path) for name, path in NAMES.items()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*way, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", [path for path in MODULES if not in_heavy_room(path)])
def test_heavy_imports_stay_in_their_rooms(path):
    assert not tops(imports(when_loaded(tree(path)))) & HEAVY


@pytest.mark.parametrize("path", MODULES)
def test_a_file_is_at_most_300_lines(path):
    assert len((ROOT / path).read_text().splitlines()) <= 300


def test_most_files_are_short():
    lengths = sorted(len((ROOT / path).read_text().splitlines()) for path in MODULES)
    assert lengths[len(lengths) * 3 // 4] <= 180


@pytest.mark.parametrize("path", MODULES)
def test_every_file_begins_by_saying_what_is_here(path):
    words = ast.get_docstring(tree(path))
    assert words and words.split("\n")[0].endswith((".", ":"))


@pytest.mark.parametrize("path", MODULES)
def test_no_module_has_a_librarys_name_or_a_name_that_says_nothing(path):
    stem = Path(path).stem
    assert stem not in BORROWED - {"__init__", "__main__"}
    assert not set(Path(path).with_suffix("").parts) & {"utils", "util", "common", "helpers", "misc", "base", "core"}


@pytest.mark.parametrize("path", MODULES)
def test_no_option_hides_and_no_error_is_swallowed(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, FUNCTION) and not isinstance(node, ast.Lambda):
            assert node.args.kwarg is None, f"{node.name} takes **{node.args.kwarg and node.args.kwarg.arg}"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, "a bare except"
            names = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
            assert "Exception" not in names
            if "BaseException" in names:
                assert any(isinstance(child, ast.Raise) for child in ast.walk(node)), "BaseException is only passed on"


@pytest.mark.parametrize("path", MODULES)
def test_nothing_is_unpickled(path):
    assert not tops(imports(ast.walk(tree(path)))) & {"dill", "joblib", "shelve", "marshal"}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle":
            assert node.attr == "UnpicklingError", "torch.load raises it"
        assert not (isinstance(node, ast.ImportFrom) and node.module == "pickle")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            call = ast.unparse(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if call == "torch.load":
                assert given.get("weights_only") == "True"
            if call in ("np.load", "numpy.load"):
                assert given.get("allow_pickle") == "False"
            assert given.get("trust_remote_code", "False") == "False"


def run_python(code: str) -> str:
    """What a fresh interpreter prints, started in the project's root."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    "modules",
    ["filters, tokenizer.tasks, pipeline.runner, jobs.recipe", "jobs.__main__", "jobs.inspect_shards", "jobs.report", "tokenizer.vq"],
)
def test_light_packages_load_without_heavy_libraries(modules):
    assert run_python(f"import sys, {modules}; print(sorted({HEAVY!r} & sys.modules.keys()))") == "[]"


def test_the_tokenizer_works_without_ray_and_the_other_floors():
    code = "import sys; sys.modules['ray'] = None; import tokenizer.finisher, tokenizer.vq, tokenizer.text, tokenizer.grammar_scan"
    assert run_python(f"{code}; print(sorted({{'jobs', 'filters'}} & sys.modules.keys()))") == "[]"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_are_imported_from_this_project(package):
    """PyPI has other distributions with these import names."""
    assert Path(run_python(f"import {package}; print({package}.__file__)")) == ROOT / package / "__init__.py"
    module = __import__(package)
    assert Path(str(module.__file__)) == ROOT / package / "__init__.py"


def test_every_package_is_in_the_distribution_and_nothing_else():
    import tomllib

    include = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    folders = {Path(path).parent.as_posix().replace("/", ".") for path in MODULES}
    assert set(find_packages(str(ROOT), include=include)) == folders


def test_every_folder_of_code_is_a_package():
    folders = {Path(path).parent for path in MODULES}
    assert [str(folder) for folder in sorted(folders) if f"{folder.as_posix()}/__init__.py" not in MODULES] == []
