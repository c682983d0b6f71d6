"""The trainer learns, resumes exactly, and begins with what it is given."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import RecipeError, ResumeError
from tests.forked import Forked, fork
from tests.tokenizer.vq.fitting.small import small_options, small_pools, write_config
from tokenizer.vq import ChameleonVQ
from tokenizer.vq.fitting.options import AdversarialOptions, CodebookOptions, LossWeights, PerceptualOptions, TeacherOptions
from tokenizer.vq.fitting.trainer import fit_vq

ROOT = Path(__file__).parents[4]


def lines_of(options, pools):
    lines = []
    fit_vq(options, pools, pools, lines.append)
    return lines


def tensors_of(options):
    return torch.load(f"{options.output}/checkpoint.pt", weights_only=True)["network"]


def equal(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


def changed(one, two):
    """First words of the names of what differs."""
    return {name.split(".")[0] for name in one if not torch.equal(one[name], two[name])}


def test_pictures_come_back_better_after_fitting(options, pools):
    first = fit_vq(replace(options, steps=0, output=options.output + "0"), pools, pools, lambda line: None)
    last = fit_vq(replace(options, steps=150), pools, pools, lambda line: None)
    assert last.psnr > first.psnr + 4
    assert last.codes_used > 8


def test_what_is_written_is_a_quantizer(options, pools):
    fit_vq(options, pools, pools, lambda line: None)
    vq = ChameleonVQ(f"{options.output}/vqgan.yaml", f"{options.output}/weights.safetensors").load()
    assert vq.decode(vq.encode(np.zeros((1, 32, 32, 3), np.uint8))).shape == (1, 32, 32, 3)


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(options, pools):
    whole = [line for line in lines_of(options, pools) if "loss" in line]
    parted = replace(options, output=options.output + "2")

    def stop_at_30(line):
        if line.startswith("step 30/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_vq(parted, pools, pools, stop_at_30)
    resumed = [line for line in lines_of(parted, pools) if "loss" in line]
    assert [line.rsplit(",", 1)[0] for line in resumed] == [line.rsplit(",", 1)[0] for line in whole[2:]]
    assert equal(tensors_of(options), tensors_of(parted))


def test_another_network_s_checkpoint_is_not_taken_over(options, pools):
    fit_vq(replace(options, steps=1), pools, pools, lambda line: None)
    write_config(Path(options.config).parent, ch=32)
    with pytest.raises(ResumeError, match="belongs to another network"):
        fit_vq(options, pools, pools, lambda line: None)


def test_fewer_steps_than_are_done_are_refused(options, pools):
    fit_vq(replace(options, steps=2), pools, pools, lambda line: None)
    with pytest.raises(RecipeError, match="has done 2 already"):
        fit_vq(replace(options, steps=1), pools, pools, lambda line: None)


def test_fitting_can_begin_with_weights(options, pools):
    fit_vq(options, pools, pools, lambda line: None)
    again = replace(options, output=options.output + "2", start_from=f"{options.output}/weights.safetensors", steps=0)
    before = json.loads(Path(options.output, "log.jsonl").read_text().splitlines()[-1])["psnr"]
    assert fit_vq(again, pools, pools, lambda line: None).psnr == pytest.approx(before, abs=0.1)  # float16 on the way


def test_a_batch_shared_among_threads_gives_the_same_step(options, pools):
    alone, shared = (replace(options, output=options.output + str(n), threads=n, steps=2) for n in (1, 2))
    for each in (alone, shared):
        fit_vq(each, pools, pools, lambda line: None)
    one, two = tensors_of(alone), tensors_of(shared)
    assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)


def test_bfloat16_learns_too(options, pools):
    quick = replace(options, precision="bfloat16", steps=20)
    assert fit_vq(quick, pools, pools, lambda line: None).psnr > 5


@pytest.mark.parametrize("kind", ["pixels", "both"])
def test_an_adversarial_run_goes_on_as_if_it_had_not_stopped(options, pools, backbone, kind):
    perceptual = PerceptualOptions("features", backbone, (0, 1)) if kind == "both" else PerceptualOptions()
    judged = AdversarialOptions(kind, rise_steps=4, channels=4)
    whole = replace(options, steps=16, save_every=8, report_every=4, perceptual=perceptual, adversarial=judged)
    parted = replace(whole, output=options.output + "2")
    fit_vq(whole, pools, pools, lambda line: None)

    def stop_at_12(line):
        if line.startswith("step 12/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_vq(parted, pools, pools, stop_at_12)
    fit_vq(parted, pools, pools, lambda line: None)
    assert equal(tensors_of(whole), tensors_of(parted))
    log = [json.loads(line) for line in Path(whole.output, "log.jsonl").read_text().splitlines()]
    assert {"loss", "pixels", "balance", "discriminator"} <= {name for row in log for name in row}


def test_the_adversarial_term_makes_pictures_rougher(options, pools):
    quiet = replace(options, steps=120, learning_rate=2e-3, losses=LossWeights(gradient=0, energy=0))
    loud = replace(quiet, output=options.output + "2", adversarial=AdversarialOptions("pixels", weight=1.0, from_step=20, rise_steps=10))
    gradients = [fit_vq(each, pools, pools, lambda line: None).gradient for each in (quiet, loud)]
    assert gradients[1] > 1.05 * gradients[0]


def test_lpips_can_be_the_perceptual_term(options, pools, torchvision_weights):
    wanted = replace(options, steps=2, crop_sizes=("32x32",), batch_pixels=2 * 32 * 32, perceptual=PerceptualOptions("lpips", "squeeze"))
    fit_vq(replace(wanted, report_every=1), pools, pools, lambda line: None)
    log = [json.loads(line) for line in Path(wanted.output, "log.jsonl").read_text().splitlines()]
    assert log[0]["perceptual"] > 0
    assert log[0]["loss"] > log[0]["pixels"]


def test_a_codebook_can_be_moved_by_the_optimizer(options, pools):
    moved = replace(options, steps=150, codebook=replace(options.codebook, update="gradient"))
    first = fit_vq(replace(moved, steps=0, output=options.output + "0"), pools, pools, lambda line: None)
    last = fit_vq(moved, pools, pools, lambda line: None)
    assert last.psnr > first.psnr + 3
    assert last.codes_used > 8


@pytest.mark.parametrize(("learns", "halves"), [("decoder", {"decoder", "post_quant_conv"}), ("encoder", {"encoder", "quant_conv"})])
def test_one_half_can_learn_while_the_rest_stays(options, pools, learns, halves):
    fit_vq(options, pools, pools, lambda line: None)
    half = replace(options, output=options.output + "2", start_from=f"{options.output}/weights.safetensors", learns=learns, steps=4)
    half = replace(half, adversarial=AdversarialOptions("pixels", channels=4, rise_steps=1))
    before = replace(half, output=options.output + "3", steps=1, learning_rate=0.0)
    fit_vq(before, pools, pools, lambda line: None)
    fit_vq(half, pools, pools, lambda line: None)
    assert changed(tensors_of(before), tensors_of(half)) == halves


def test_a_part_can_begin_anew_in_another_shape(options, pools):
    fit_vq(options, pools, pools, lambda line: None)
    other = Path(options.output, "other")
    other.mkdir()
    config = write_config(other, mid_blocks=2)
    wanted = replace(options, config=config, output=str(other / "out"), start_from=f"{options.output}/weights.safetensors", steps=1)
    with pytest.raises(RecipeError, match=r"missing decoder\.mid"):
        fit_vq(wanted, pools, pools, lambda line: None)
    fit_vq(replace(wanted, begin_anew=("encoder.mid", "decoder.mid")), pools, pools, lambda line: None)
    with pytest.raises(RecipeError, match="no part 'decodr'"):
        fit_vq(replace(wanted, output=str(other / "out2"), begin_anew=("decodr",)), pools, pools, lambda line: None)


def test_a_published_checkpoint_is_a_beginning(options, pools):
    golden = ROOT / "tests" / "golden" / "tokenizer"
    wanted = replace(options, config=str(golden / "vqgan.yaml"), start_from=str(golden / "vqgan.ckpt"), held_out_size=32)
    wanted = replace(wanted, crop_sizes=("32x32",), batch_pixels=2 * 32 * 32, steps=1, save_every=1, learning_rate=0.0)
    measure = fit_vq(wanted, pools, pools, lambda line: None)
    assert measure.codes_used > 0  # the codebook takes part from the first step
    published = torch.load(wanted.start_from, weights_only=True)["state_dict"]
    assert any(name.startswith("loss.") for name in published)
    assert all(torch.equal(published[name], tensor) for name, tensor in tensors_of(wanted).items() if not name.startswith("quantize"))


def test_a_codebook_that_begins_anew_waits_for_kmeans(options, pools):
    fit_vq(options, pools, pools, lambda line: None)
    again = replace(options, output=options.output + "2", start_from=f"{options.output}/weights.safetensors", begin_anew=("quantize",))
    measures = [fit_vq(replace(again, steps=steps), pools, pools, lambda line: None) for steps in (5, 15)]
    assert [measure.codes_used > 0 for measure in measures] == [False, True]


def test_an_encoder_that_begins_anew_first_learns_without_the_codebook_which_stays(options, pools):
    fit_vq(options, pools, pools, lambda line: None)
    again = replace(options, output=options.output + "2", start_from=f"{options.output}/weights.safetensors", learns="encoder")
    again = replace(again, begin_anew=("encoder", "quant_conv"))
    before, after = (fit_vq(replace(again, steps=steps), pools, pools, lambda line: None) for steps in (8, 30))
    assert (before.codes_used, after.codes_used > 0) == (0, True)
    assert after.psnr > before.psnr - 1
    given = torch.load(f"{options.output}/checkpoint.pt", weights_only=True)["average"]["quantize.embedding.weight"]
    assert torch.equal(given.half().float(), tensors_of(again)["quantize.embedding.weight"])


def imitating(options, pools):
    """A fitted network as the teacher of a smaller encoder below the same codebook, with nothing else to learn from."""
    fit_vq(replace(options, steps=150), pools, pools, lambda line: None)
    other = Path(options.output, "pupil")
    other.mkdir()
    weights = f"{options.output}/weights.safetensors"
    return replace(
        options,
        config=write_config(other, ch=8, decoder={"ch": 16}),
        output=str(other / "out"),
        start_from=weights,
        begin_anew=("encoder", "quant_conv"),
        learns="encoder",
        plain_steps=0,
        losses=LossWeights(0, 0, 0, 0, 0, 0),
        teacher=TeacherOptions(options.config, weights),
    )


def test_a_smaller_encoder_learns_from_another_one_s_vectors_without_looking_at_pictures(options, pools):
    wanted = imitating(options, pools)
    teacher = json.loads(Path(options.output, "log.jsonl").read_text().splitlines()[-1])["psnr"]
    before, after = (fit_vq(replace(wanted, steps=steps, save_every=400), pools, pools, lambda line: None).psnr for steps in (1, 400))
    assert after > before + 2
    assert after > teacher - 1.5
    log = [json.loads(line) for line in Path(wanted.output, "log.jsonl").read_text().splitlines()]
    assert {name for row in log if "loss" in row for name in row} == {"step", "loss", "teacher"}
    of_both = [ChameleonVQ(f"{each.output}/vqgan.yaml", f"{each.output}/weights.safetensors") for each in (options, wanted)]
    codes = np.arange(16, dtype=np.int32).reshape(1, 4, 4)
    assert np.array_equal(*(vq.load().decode(codes) for vq in of_both))  # the codes still mean what they meant


def test_a_teacher_with_other_vectors_is_refused(options, pools):
    wanted = imitating(options, pools)
    golden = ROOT / "tests" / "golden" / "tokenizer"
    teacher = TeacherOptions(str(golden / "vqgan.yaml"), str(golden / "vqgan.ckpt"))
    with pytest.raises(RecipeError, match=r"the teacher makes 32 numbers for 16 pixels a side, the network 4 numbers for 4"):
        fit_vq(replace(wanted, teacher=teacher), pools, pools, lambda line: None)


def test_a_checkpoint_made_with_other_parts_is_not_taken_over(options, pools):
    fit_vq(replace(options, steps=12), pools, pools, lambda line: None)
    for other in (
        replace(options, adversarial=AdversarialOptions("pixels")),
        replace(options, codebook=CodebookOptions(update="gradient")),
    ):
        with pytest.raises(ResumeError, match="choose another output"):
            fit_vq(other, pools, pools, lambda line: None)


def fit(folder: str, steps: int) -> None:
    options = replace(small_options(Path(folder)), steps=steps, save_every=10, report_every=5, plain_steps=5)
    fit_vq(options, small_pools(), small_pools(), lambda line: print(line, flush=True))


def run_in_a_process(folder: Path, steps: int, processes: int = 1) -> Forked:
    folder.mkdir(exist_ok=True)
    return fork(folder / "words.txt", fit, str(folder), steps, processes=processes)


def losses(lines):
    return [line.rsplit(",", 1)[0] for line in lines if "loss" in line]


def test_a_killed_run_goes_on_with_the_same_next_loss(tmp_path):
    whole = run_in_a_process(tmp_path / "whole", 200)
    killed = run_in_a_process(tmp_path / "killed", 200)
    killed.wait_for(lambda: "step 25/" in killed.words.read_text())
    killed.kill()
    seen = losses(killed.words.read_text().rpartition("\n")[0].splitlines())
    code, words = whole.finish()
    assert code == 0, words
    wanted = losses(words.splitlines())
    code, words = run_in_a_process(tmp_path / "killed", 200).finish()
    assert code == 0, words
    resumed = losses(words.splitlines())
    assert 5 <= len(seen) < len(wanted)
    assert seen == wanted[: len(seen)]
    assert len(resumed) < len(wanted)
    assert resumed == wanted[-len(resumed) :]


def test_two_ranks_make_the_same_network_as_one(tmp_path):
    assert run_in_a_process(tmp_path / "one", 12).finish()[0] == 0
    code, output = run_in_a_process(tmp_path / "two", 12, processes=2).finish()
    assert code == 0, output
    assert output.count("step 12/12: PSNR") == 1  # one voice
    tensors = [torch.load(tmp_path / name / "out" / "checkpoint.pt", weights_only=True) for name in ("one", "two")]
    assert all(torch.allclose(tensors[0]["network"][key], value, atol=2e-3) for key, value in tensors[1]["network"].items())
    assert tensors[1]["step"] == 12
