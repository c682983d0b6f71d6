"""The front door: verbs, help and exit codes."""

import resource
import subprocess
import sys

import pytest

from jobs.__main__ import EXIT_CODES, OTHER_VERBS, RECIPE_VERBS, TABLE_VERBS, main
from pipeline.errors import MgptError
from tests.jobs.recipes import ROOT, write_recipe


def test_every_verb_has_help(capsys):
    for verb in RECIPE_VERBS | TABLE_VERBS | OTHER_VERBS:
        with pytest.raises(SystemExit) as stop:
            main([verb, "--help"])
        assert stop.value.code == 0
        assert len(capsys.readouterr().out) > 100


@pytest.mark.parametrize("arguments", [[], ["prepaer", "x.toml"], ["prepare"], ["prepare", "x.toml", "--dryrun"], ["inspect"]])
def test_wrong_usage_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


def test_a_missing_recipe_ends_with_2(capsys):
    assert main(["prepare", "no/such/recipe.toml"]) == 2
    assert "no/such/recipe.toml: no such file" in capsys.readouterr().err


def test_every_error_that_is_raised_on_purpose_has_an_exit_code():
    kinds = [kind for kind in MgptError.__subclasses__() if kind.__name__ not in ("SampleError", "PictureError")]  # these end in the ledger
    assert set(kinds) == set(EXIT_CODES)
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)


def test_a_disk_that_takes_no_more_is_a_clear_message_and_the_next_run_completes(tmp_path):
    """Stood in for by a limit on the size of files, which gives the same kind of error as a full disk at the same places."""
    recipe, output = write_recipe(tmp_path, 'kind = "shapes"\ncount = 12\nsizes = ["64x64"]', rest="[run]\nunit_size = 4\n")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))

    command = [sys.executable, "-m", "jobs", "prepare", str(recipe)]
    result = subprocess.run(command, cwd=ROOT, preexec_fn=limit, capture_output=True, text=True)
    assert result.returncode == 1
    assert "File too large" in result.stderr and "run again to go on" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(output.rglob("*.tmp"))
    assert main(["prepare", str(recipe)]) == 0
