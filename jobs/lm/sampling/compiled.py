"""The decoder's steps, compiled: where, in which shapes, how.

    compiled     steps over all rows with up to MOST_TOKENS new tokens a row; whole, in one graph; on a GPU replayed as a CUDA graph
    not          contexts, each of a length of its own, once an answer; draws, whose sizes change with the answers in a batch

    rows R     R, R/2, R/4 ... 1      an answer that ends leaves rows behind that are computed for nothing until half are free
    tokens T   1, 2, 4 ... 32         without a Jacobi window 1 and, behind a row of codes, 2
    keys K     K/4, K/2, 3K/4, K      what is masked costs its reading, an eighth of the cache on the average

Shapes are static, and there are no more than these. What is added to a step is padding: rows that nobody owns, and tokens behind a row's
last, which the next step overwrites. A row's places are a multiple of ROUND, so that another call of the sampler finds its shapes compiled.

Not run on a GPU yet.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from jobs.lm.sampling.decoder import State, run_step

MOST_TOKENS = 32
PARTS = 4  # of the places
ROUND = 512  # places
MOST_SHAPES = 256  # a bound for torch.compile, which gives up at 8


@dataclass(frozen=True)
class StepCompiler:
    """Makes compiled steps.

    Args:
        backend: Of torch.compile.
    """

    backend: str = "inductor"

    def places(self, num_places: int) -> int:
        """How many a row gets where so many are wanted."""
        return -(-num_places // ROUND) * ROUND

    def shape(self, state: State, num_rows: int, num_tokens: int, num_keys: int) -> tuple[int, int, int] | None:
        """Rows, tokens and keys of the step that is computed for another; None: it is not compiled."""
        if num_tokens > MOST_TOKENS:
            return None
        most_rows, _, places, _ = state.shape
        rows = most_rows
        while (less := -(-rows // 2)) >= num_rows and less < rows:
            rows = less
        part = places // PARTS
        return rows, 1 << (num_tokens - 1).bit_length(), min(-(-num_keys // part) * part, places)

    def prepare(self, state: State) -> None:
        """Say that a decoder's tensors stay where they are: a CUDA graph need not copy them, and may write the caches."""
        for tensor in state.tensors():
            torch._dynamo.mark_static_address(tensor, guard=False)

    @cached_property
    def _compiled(self) -> Callable[..., Tensor]:
        mode = "reduce-overhead" if self.backend == "inductor" and torch.cuda.is_available() else None
        return torch.compile(run_step, backend=self.backend, mode=mode, fullgraph=True, dynamic=False)

    def run(self, state: State, ids_RT: Tensor, starts_R: Tensor, num_keys: int) -> Tensor:
        """`run_step` of a shape that `shape` gave."""
        torch.compiler.cudagraph_mark_step_begin()  # the last step's result is used up: its memory is the next one's
        with torch._dynamo.config.patch(recompile_limit=MOST_SHAPES, accumulated_recompile_limit=2 * MOST_SHAPES):
            return self._compiled(state, ids_RT, starts_R, 0, num_keys)
