"""Which rows of the cache belong to whom. Rows in use are always the first ones, so that no step computes an idle row.

    a lane in text             full
    in an image, guided        full, none             none begins at start-of-image, where its places begin, too
    with two scales            full, image, none      image begins with the dialogue's images

A row's place p is the lane's place p + shift.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from jobs.lm.model import LanguageModel
from jobs.lm.sampling.choices import Choices
from jobs.lm.sampling.compiled import StepCompiler
from jobs.lm.sampling.decoder import Decoder
from jobs.lm.sampling.lane import Lane
from jobs.lm.sampling.upload import upload

NOISE_AHEAD = 32  # codes whose noise is drawn at once


@dataclass(eq=False)
class Active:
    """A lane that has rows."""

    lane: Lane
    rows: list[int]
    shifts: list[int]
    num_fed: int = 0  # places of the lane that are in the cache, in all its rows
    _noise: Tensor | None = field(default=None, repr=False)  # of the image's codes from `_noise_from` on
    _noise_from: int = 0

    def noise(self, choices: Choices, seed: int, start: int, stop: int) -> Tensor:
        """[stop - start, C], of the image's codes `start` to `stop`."""
        if self._noise is None or not self._noise_from <= start <= stop <= self._noise_from + len(self._noise):
            lane = self.lane
            self._noise_from = min(start, lane.num_decided)
            positions = lane.code_places[self._noise_from : stop + NOISE_AHEAD + stop - start] - lane.answer_start
            self._noise = choices.noise(*lane.request.noise_of(seed), positions.tolist())
        return self._noise[start - self._noise_from : stop - self._noise_from]

    def forget_noise(self) -> None:
        self._noise = None


class Rows:
    """The cache, and the ids that are in it or will be.

    Args:
        num_places: Of a row, with room for what is fed at once.
        compiler: Of the steps; None leaves them as they are.
    """

    def __init__(self, model: LanguageModel, num_rows: int, num_places: int, compiler: StepCompiler | None = None):
        num_places = compiler.places(num_places) if compiler else num_places
        self.decoder = Decoder(model, num_rows, num_places, compiler)
        self.ids_RK = torch.zeros(num_rows, num_places, dtype=torch.int64, device=model.device)
        self._owners: list[tuple[Active, int]] = []

    @property
    def num_used(self) -> int:
        return len(self._owners)

    def add(self, lane: Lane) -> Active:
        """Give a lane its first row."""
        active = Active(lane, [], [])
        self._add_row(active, 0)
        return active

    @torch.inference_mode()
    def remove(self, active: Active, *, keep: int) -> None:
        """Take away a lane's rows but the first `keep`; the last rows in use move into the holes."""
        while len(active.rows) > keep:
            row = active.rows.pop()
            active.shifts.pop()
            owner, branch = self._owners[-1]
            if owner is not active or branch != len(active.rows):
                last = len(self._owners) - 1
                self.decoder.move(last, row, owner.num_fed - owner.shifts[branch])
                self.ids_RK[row] = self.ids_RK[last]
                owner.rows[branch] = row
                self._owners[row] = (owner, branch)
            self._owners.pop()

    @torch.inference_mode()
    def branch(self, active: Active) -> None:
        """Give a lane whose image begins the rows that its guidance needs, and feed all its rows but for the last known token."""
        lane, request = active.lane, active.lane.request
        known, image_start = lane.num_known, lane.image_start
        self.write(active, active.num_fed)
        self._feed(active.rows[0], active.num_fed, lane.ids[active.num_fed : known - 1])
        active.num_fed = known - 1
        contexts = [] if request.image_guidance is None else [lane.image_context()]
        if contexts or request.guidance != 1:
            contexts.append([])
        for context in contexts:
            self._add_row(active, image_start - len(context))
            ids = context + lane.ids[image_start:]
            self.ids_RK[active.rows[-1], : len(ids)] = upload(ids, self.ids_RK.device)
            self._feed(active.rows[-1], 0, ids[: known - 1 - active.shifts[-1]])

    def write(self, active: Active, start: int) -> None:
        """Put a lane's ids from a place on into the table."""
        ids = upload(active.lane.ids[start:], self.ids_RK.device, torch.int64)
        for row, shift in zip(active.rows, active.shifts, strict=True):
            self.ids_RK[row, start - shift : start - shift + len(ids)] = ids

    @torch.inference_mode()
    def feed_context(self, active: Active) -> None:
        """Feed the first row of a lane that begins in text, but for its last token."""
        self.write(active, 0)
        self._feed(active.rows[0], 0, active.lane.ids[:-1])
        active.num_fed = len(active.lane.ids) - 1

    def step(self, actives: Sequence[Active], num_tokens: int) -> Tensor:
        """Feed the next tokens of all rows, each from where its lane is: [R, T, D], at least as many as are used and asked for."""
        num_keys = max(active.num_fed - min(active.shifts) for active in actives) + num_tokens
        num_rows, fed, num_keys = self.decoder.step_shape(self.num_used, num_tokens, num_keys)
        starts = [0] * num_rows
        for active in actives:
            for row, shift in zip(active.rows, active.shifts, strict=True):
                starts[row] = active.num_fed - shift
        starts_R = upload(starts, self.ids_RK.device)
        places_RT = starts_R[:, None] + torch.arange(fed, device=starts_R.device)
        return self.decoder.step(self.ids_RK[:num_rows].gather(1, places_RT), starts_R, num_keys)

    def _add_row(self, active: Active, shift: int) -> None:
        active.rows.append(len(self._owners))
        active.shifts.append(shift)
        self._owners.append((active, len(active.rows) - 1))

    def _feed(self, row: int, start: int, ids: Sequence[int]) -> None:
        """Feed a row by itself: a context is of its own length, and its numbers do not depend on others."""
        if ids:
            device = self.ids_RK.device
            self.decoder.forward(upload([ids], device), upload([start], device), row, start + len(ids))
