"""Captions by a model that runs here: BLIP, Florence-2, LLaVA, Qwen-VL, or another that the transformers library knows."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from filters.annotators.answers import Answer, AnswerRules, Failure
from filters.annotators.caption_model import CaptionModelSpec, CaptionRequest, Sampling
from filters.annotators.captioning import OnFailure, Said, refuse_options, with_captions
from filters.annotators.held_answers import HeldAnswers
from filters.pictures import show
from pipeline.errors import SampleError
from pipeline.samples import Sample
from pipeline.stage import Model, Needs


@dataclass(frozen=True)
class LocalCaptions:
    """Add captions of the main picture: the likeliest words, or with a temperature words drawn by (seed, key).

    What shares a batch moves floating point sums in their last bit. Which samples do is a function of the input alone, so that a run can be
    repeated to the byte; another `batch_size` may turn a near tie.
    """

    adds_captions: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs()

    model: str  # a folder with config, weights and processor, or a name on the Hugging Face hub
    revision: str = ""  # of a name: branch, tag or commit; empty takes the newest
    name: str = "generated"  # under which captions are stored, and get their share in tokens.captions
    prompt: str = ""  # a chat model's question, put into its chat template; of others the words that they go on from, or a task's token
    num_captions: int = 1  # a sample; more than one want a temperature
    max_new_tokens: int = 128
    temperature: float = 0.0  # 0 takes the likeliest token
    top_p: float = 1.0  # draw among the likeliest tokens that have this probability together
    num_beams: int = 1
    seed: int = 0
    max_side: int = 1024  # pixels of the longer side of what the model is shown
    batch_size: int = 8  # captions that are generated at once
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"  # auto: bfloat16 on a GPU, float32 without one
    device: str = "auto"  # auto: the first GPU, or the CPU
    truncated: Literal["cut", "drop", "keep"] = "cut"  # a caption that ends in mid-sentence: cut back to its last whole one, or not used
    refused: Literal["drop", "keep"] = "drop"  # "I'm sorry, but I can't ..." is not used
    on_failure: OnFailure = "fail"  # of a sample without a caption that can be used
    _model: list[Model] = field(default_factory=list, init=False, repr=False, compare=False)
    _held: HeldAnswers = field(default_factory=HeldAnswers, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        refuse_options(self, self.num_beams, self.batch_size)
        if self.temperature > 0 and self.num_beams > 1:
            raise ValueError("beams are searched, not sampled: leave temperature at 0, or num_beams at 1")

    @property
    def asks(self) -> CaptionModelSpec:
        return CaptionModelSpec(self.model, self.revision, self.precision, self.device)

    def setup(self, model: Model | None) -> None:
        assert model is not None
        self._model[:] = [model]

    def annotate(self, samples: list[Sample]) -> list[Sample]:
        rules = AnswerRules(self.name, self.model, self.prompt, self.truncated, self.refused)
        return with_captions(samples, self._ask, self._held, rules=rules, on_failure=self.on_failure)

    def _ask(self, samples: list[Sample]) -> list[Said]:
        said: dict[str, Said] = {}
        rows: list[tuple[str, int, np.ndarray]] = []  # key, number of the caption, picture [H, W, 3]
        for sample in samples:
            try:
                picture = np.asarray(show(sample, self.max_side))
            except SampleError as error:
                said[sample.key] = error
            else:
                rows += [(sample.key, number, picture) for number in range(self.num_captions)]
        answers: list[Answer | Failure] = []
        for start in range(0, len(rows), self.batch_size):
            answers += self._request(rows[start : start + self.batch_size])
        for start in range(0, len(rows), self.num_captions):
            said[rows[start][0]] = answers[start : start + self.num_captions]
        return [said[sample.key] for sample in samples]

    def _request(self, rows: list[tuple[str, int, np.ndarray]]) -> list[Answer | Failure]:
        sampling = Sampling(self.max_new_tokens, self.temperature, self.top_p, self.num_beams, self.seed)
        [model] = self._model
        keys, numbers, pictures = zip(*rows, strict=True)
        return list(model(CaptionRequest(pictures, keys, numbers, self.prompt, sampling)))
