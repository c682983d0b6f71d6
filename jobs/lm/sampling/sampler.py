"""Sampling: many answers at once, of different forms, sizes and lengths.

    full    <s> prompt end-of-turn  start h w  c c c break ... end      places from 0 at <s>
    none                            start h w  c c c break ... end      places from 0 at start

All branches of all answers are rows of one batch. What the layout forces is fed along with the code before it, so a line break costs no
step of its own. The head is linear: guidance mixes hidden states, and logits are computed once an answer, of the possible ids alone. An
answer that is done makes room for the next. Inside images the host knows what comes where, so it waits for the device only where it must:
at the end of an image, for rows that are shown, and with a Jacobi window.

Jacobi decoding: a window of guessed codes is fed along. A code is drawn by its own place's noise, so what is drawn behind guesses that
turn out right is what would have been drawn anyway: these are accepted, the draws behind them are the next guesses. The result is that of
decoding one by one, up to the rounding of products of other shapes.

Shapes: R rows, T tokens fed, G answers, W codes of a window, C choices, D hidden size.

Source: Lumina-mGPT, `FlexARInferenceSolver` and its logits processors; speculative Jacobi decoding (arXiv 2410.01699), with the acceptance
by equality under common noise that Gumbel coupling allows.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from jobs.lm.model import LanguageModel
from jobs.lm.requests import OnRow, SampleRequest, SampleResult
from jobs.lm.sampling.choices import code_choices, draw, size_choices, text_choices
from jobs.lm.sampling.compiled import StepCompiler
from jobs.lm.sampling.lane import Lane, Mode
from jobs.lm.sampling.rows import Active, Rows
from jobs.lm.sampling.upload import upload
from tokenizer.text import TextTokenizer


class Sampler:
    """A model and its vocabulary, ready to sample.

    Args:
        names: Every token's id by its name.
        num_codes: Of the VQ that decodes; the vocabulary may name more.
        seed: Of the noise.
        batch_size: Answers at once.
        jacobi_window: Codes that are guessed and checked in one pass; 0 and 1 are without.
        compiler: Of the decoder's steps; None leaves them as they are.
    """

    def __init__(
        self,
        model: LanguageModel,
        text: TextTokenizer,
        names: Mapping[str, int],
        num_codes: int,
        *,
        seed: int,
        batch_size: int = 8,
        jacobi_window: int = 0,
        compiler: StepCompiler | None = None,
    ):
        self._model, self._text = model, text
        self._seed, self._batch_size, self._window = seed, batch_size, max(jacobi_window, 1)
        self._compiler = compiler
        self._codes = code_choices(model, text.vocab, num_codes)
        self._sizes = size_choices(model, text.vocab)
        self._texts = text_choices(model, text.vocab, names)
        self._start_of_image = int(torch.searchsorted(self._texts.ids_C, text.vocab.start_of_image))

    def sample(self, requests: Sequence[SampleRequest], on_row: OnRow | None = None) -> Iterator[SampleResult]:
        """Yield answers as they finish.

        Args:
            on_row: Called with (number, image, row, codes_W) as soon as a row of codes is final.

        Raises:
            RecipeError: A prompt and its answer are longer than what the model was made for; before any work.
        """
        limit = self._model.config.max_position_embeddings
        waiting = deque(Lane(request, self._text, limit) for request in requests)
        if not waiting:
            return
        most = self._batch_size if self._compiler else min(self._batch_size, len(waiting))  # compiled for one number of rows
        num_rows = most * max(_num_branches(lane.request) for lane in waiting)
        with torch.inference_mode():
            num_places = max(lane.most_tokens for lane in waiting) + 4 * self._window + 16  # with room for a window, its breaks and padding
            rows = Rows(self._model, num_rows, num_places, self._compiler)
        actives: list[Active] = []
        while waiting or actives:
            while waiting and len(actives) < self._batch_size:
                actives.append(self._admit(rows, waiting.popleft()))
            self._step(rows, actives, on_row)
            for active in [active for active in actives if active.lane.mode is Mode.DONE]:
                rows.remove(active, keep=0)
                actives.remove(active)
                yield active.lane.result()

    def _admit(self, rows: Rows, lane: Lane) -> Active:
        active = rows.add(lane)
        if lane.in_image:
            rows.branch(active)
        else:
            rows.feed_context(active)
        return active

    @torch.inference_mode()
    def _step(self, rows: Rows, actives: Sequence[Active], on_row: OnRow | None) -> None:
        in_codes = [active for active in actives if active.lane.mode is Mode.CODES]
        others = [active for active in actives if active.lane.mode is not Mode.CODES]
        ends = [int(_window_places(active, self._window)[-1]) for active in in_codes] + [active.lane.num_known for active in others]
        num_tokens = max(end - active.num_fed for end, active in zip(ends, [*in_codes, *others], strict=True))
        hidden_RTD = rows.step(actives, num_tokens)
        if in_codes:
            self._draw_codes(rows, in_codes, hidden_RTD, on_row)
        in_text = [active for active in others if active.lane.mode is Mode.TEXT]
        groups = {mode: [active for active in others if active.lane.mode is mode] for mode in (Mode.TEXT, Mode.HEIGHT, Mode.WIDTH)}
        for mode, group in groups.items():
            if group:
                self._draw_tokens(rows, group, mode, hidden_RTD)
        for active in in_codes:
            if active.lane.num_decided == len(active.lane.code_places):
                self._end_image(rows, active)
        for active in in_text:
            if active.lane.in_image:
                rows.branch(active)

    def _draw_codes(self, rows: Rows, group: Sequence[Active], hidden_RTD: Tensor, on_row: OnRow | None) -> None:
        device, W = hidden_RTD.device, self._window
        windows = [_window_places(active, W) for active in group]
        places_GW = np.stack([np.pad(places, (0, W - len(places)), mode="edge") for places in windows])
        offsets_GW = upload(places_GW - 1 - np.array([[active.num_fed] for active in group]), device)
        logits = self._codes.logits(mix_guided(group, hidden_RTD, offsets_GW).flatten(0, 1)).unflatten(0, (len(group), W))
        drawn_GW = self._draw_at(group, logits, [active.lane.num_decided for active in group], W)
        accepted = [1] * len(group)
        if W > 1:
            full_G = upload([active.rows[0] for active in group], device)
            guessed_GW = rows.ids_RK[full_G[:, None], upload(places_GW, device)]
            right = (guessed_GW == drawn_GW)[:, :-1].cumprod(1).sum(1).tolist()
            accepted = [min(1 + count, len(places)) for count, places in zip(right, windows, strict=True)]
        _write_codes(rows, group, windows, drawn_GW)
        for active, places, count in zip(group, windows, accepted, strict=True):
            lane = active.lane
            lane.num_codes += count
            lane.num_code_steps += 1
            lane.num_decided += count
            active.num_fed = int(places[count - 1])
            if on_row:
                self._show_rows(rows, active, lane.num_decided - count, on_row)
        if W > 1:
            self._guess(rows, group, logits[:, -1], [len(places) - count for count, places in zip(accepted, windows, strict=True)])

    def _draw_at(self, group: Sequence[Active], logits_GWC: Tensor, firsts: Sequence[int], W: int) -> Tensor:
        """[G, W] ids of the codes drawn at W codes of each image from `firsts` on; behind an image's end, its last code is drawn again."""
        G, _, C = logits_GWC.shape
        noise_GWC = torch.empty(G, W, C, device=logits_GWC.device)
        for g, (active, first) in enumerate(zip(group, firsts, strict=True)):
            last = len(active.lane.code_places)
            noise = active.noise(self._codes, self._seed, min(first, last - 1), min(first + W, last))
            noise_GWC[g, : len(noise)] = noise
            noise_GWC[g, len(noise) :] = noise[-1]
        top_k, temperature = (
            upload(values, logits_GWC.device).repeat_interleave(W)
            for values in (
                [active.lane.request.image_top_k for active in group],
                [float(active.lane.request.temperature) for active in group],
            )
        )
        chosen = draw(logits_GWC.flatten(0, 1), noise_GWC.flatten(0, 1), top_k, temperature)
        return self._codes.ids_C[chosen].view(G, W)

    def _guess(self, rows: Rows, group: Sequence[Active], logits_GC: Tensor, num_guessed: Sequence[int]) -> None:
        """Guess the codes that enter the window: what their noise would choose by the last logits there are."""
        W = self._window
        firsts = [active.lane.num_decided + count for active, count in zip(group, num_guessed, strict=True)]
        guesses_GW = self._draw_at(group, logits_GC[:, None].expand(-1, W, -1), firsts, W)
        places = [active.lane.code_places[first : first + W] for active, first in zip(group, firsts, strict=True)]
        _write_codes(rows, group, places, guesses_GW)

    def _draw_tokens(self, rows: Rows, group: Sequence[Active], mode: Mode, hidden_RTD: Tensor) -> None:
        """Draw tokens that decide what comes next: the host waits for them."""
        choices = self._texts if mode is Mode.TEXT else self._sizes
        offsets = [[active.lane.num_known - 1 - active.num_fed] for active in group]
        hidden_GD = mix_guided(group, hidden_RTD, upload(offsets, hidden_RTD.device))[:, 0]
        logits_GC = choices.logits(hidden_GD)
        for g, active in enumerate(group):
            if mode is not Mode.TEXT:
                logits_GC[g, active.lane.max_grids :] = -torch.inf
            elif not active.lane.may_start_image:
                logits_GC[g, self._start_of_image] = -torch.inf
        noise = [
            choices.noise(*active.lane.request.noise_of(self._seed), [active.lane.num_known - active.lane.answer_start]) for active in group
        ]
        requests = [active.lane.request for active in group]
        top_k = torch.tensor([request.text_top_k if mode is Mode.TEXT else request.image_top_k for request in requests])
        temperature = torch.tensor([float(request.temperature) for request in requests])
        chosen = draw(logits_GC, torch.cat(noise), top_k.to(logits_GC.device), temperature.to(logits_GC.device))
        for active, token in zip(group, choices.ids_C[chosen].tolist(), strict=True):
            known = active.lane.num_known
            active.num_fed = known
            active.lane.take(token)
            rows.write(active, known)

    def _end_image(self, rows: Rows, active: Active) -> None:
        lane = active.lane
        places = upload(lane.code_places, rows.ids_RK.device)
        lane.end_image(rows.ids_RK[active.rows[0], places].tolist())
        active.forget_noise()
        rows.remove(active, keep=1)
        if lane.in_image:
            rows.branch(active)

    def _show_rows(self, rows: Rows, active: Active, decided_before: int, on_row: OnRow) -> None:
        lane, width = active.lane, active.lane.row_width
        for row in range(decided_before // width, lane.num_decided // width):
            places = upload(lane.code_places[row * width : (row + 1) * width], rows.ids_RK.device)
            ids = rows.ids_RK[active.rows[0], places].cpu().numpy()
            on_row(lane.request.number, lane.num_images - 1, row, self._text.vocab.id_to_code[ids].astype(np.int64))


def mix_guided(group: Sequence[Active], hidden_RTD: Tensor, offsets_GW: Tensor) -> Tensor:
    """[G, W, D]: the hidden states whose logits are the guided ones; those of an answer without guidance stay as they are."""
    if all(len(active.rows) == 1 for active in group):
        return hidden_RTD[upload([[active.rows[0]] for active in group], hidden_RTD.device), offsets_GW]
    branches = [(active.rows[0], active.rows[min(1, len(active.rows) - 1)], active.rows[-1]) for active in group]
    full, image, none = (
        hidden_RTD[rows_G[:, None], offsets_GW].to(torch.promote_types(hidden_RTD.dtype, torch.float32))
        for rows_G in upload(branches, hidden_RTD.device).T
    )
    scales = [_scales(active) for active in group]
    text_scale, image_scale = upload(scales, full.device, full.dtype).T[:, :, None, None]
    return none + image_scale * (image - none) + text_scale * (full - image)


def _scales(active: Active) -> tuple[float, float]:
    if len(active.rows) == 1:
        return 1.0, 1.0
    request = active.lane.request
    return float(request.guidance), 1.0 if request.image_guidance is None else float(request.image_guidance)


def _num_branches(request: SampleRequest) -> int:
    if request.kind == "text":
        return 1
    return 3 if request.image_guidance is not None else 1 + (request.guidance != 1)


def _window_places(active: Active, window: int) -> np.ndarray:
    """Places of the next codes."""
    lane = active.lane
    return lane.code_places[lane.num_decided : lane.num_decided + window]


def _write_codes(rows: Rows, group: Sequence[Active], places: Iterable[np.ndarray], ids_GW: Tensor) -> None:
    """Put code ids into the table, in all rows of their lanes."""
    targets = [
        (row, place - shift, g, w)
        for g, (active, own) in enumerate(zip(group, places, strict=True))
        for row, shift in zip(active.rows, active.shifts, strict=True)
        for w, place in enumerate(own.tolist())
    ]
    if targets:
        row, place, g, w = upload(targets, ids_GW.device).T
        rows.ids_RK[row, place] = ids_GW[g, w]
