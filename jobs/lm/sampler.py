"""Sampling: pictures by the schedule of their size, answers in text until they end.

    conditional     <s> prompt end-of-turn  start h w  c c c break ... end      positions from 0 at <s>
    unconditional                           start h w  c c c break ... end      positions from 0 at start

Both branches of a picture are rows of one batch, padded on the left so that the images lie side by side. What the schedule forces is fed
along with the code before it, so a line break costs no step of its own.

Shapes: B rows, P prompt tokens, L image tokens, K = P + L places in the cache, C codes, V vocabulary.

Source: Lumina-mGPT, `FlexARInferenceSolver` and its logits processors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import StaticCache

from jobs.lm.model import LanguageModel
from jobs.lm.noise import gumbel
from jobs.lm.options import SampleOptions
from pipeline.errors import RecipeError
from pipeline.samples import ImageRef, ImageSpan, TokenSequence, Turn
from tokenizer.grammar import Slot, check_sequence, find_loss_spans, forced_id, image_slots
from tokenizer.sequence import generation_prompt
from tokenizer.tasks.text_to_image import text_to_image_prompt
from tokenizer.text import TextTokenizer
from tokenizer.vocab import CONTROL_NAME


@dataclass(frozen=True)
class Sampler:
    """A model and its vocabulary, ready to sample.

    Args:
        names: Every token's id by its name.
        num_codes: Of the VQ that decodes; the vocabulary may name more.
    """

    model: LanguageModel
    text: TextTokenizer
    names: Mapping[str, int]
    num_codes: int
    options: SampleOptions
    seed: int

    def pictures(self, prompts: Sequence[str], numbers: Sequence[int]) -> list[TokenSequence]:
        """Sample one picture of `options.size` for each prompt, all in one batch.

        Args:
            numbers: The noise of a picture is drawn by its number.

        Returns:
            The whole dialogues, from begin-of-sequence to the end-of-turn after the picture.

        Raises:
            RecipeError: Prompt and picture are longer than what the model was made for.
        """
        width, height = self.options.width_height
        vocab = self.text.vocab
        contexts = [self._prompt(prompt, (width, height)) for prompt in prompts]
        image_ids = self._sample_images(contexts, numbers, height, width)
        sequences = []
        for prompt, number, context, image in zip(prompts, numbers, contexts, image_ids, strict=True):
            ids = np.concatenate([context, image, [vocab.end_of_turn]]).astype(vocab.dtype)
            spans, images = find_loss_spans(ids, vocab), (ImageSpan(len(context), height, width),)
            if problems := check_sequence(ids, spans, images, vocab):
                raise RuntimeError(f"sampled a sequence that breaks the grammar: {problems}")
            sequences.append(TokenSequence(f"{number:04d}", "text_to_image", ids, spans, images, caption=prompt))
        return sequences

    @torch.inference_mode()
    def answer(self, turns: Sequence[Turn], codes: Mapping[ImageRef, np.ndarray], number: int = 0) -> str:
        """Sample the next answer of a dialogue, in text.

        Args:
            turns: User and assistant in turn, the user's last.
            codes: [h, w] for every image that the turns refer to.
            number: The noise is drawn by it.

        Returns:
            What comes before end-of-turn, or before `max_text_tokens` or the model's limit are reached.
        """
        context = torch.from_numpy(generation_prompt(turns, codes, self.text).astype(np.int64))[None].to(self.model.device)
        self._check_length(context.shape[1] + 1)
        length = min(context.shape[1] + self.options.max_text_tokens, self.model.config.max_position_embeddings)
        choices = self._text_choices()
        cache = StaticCache(self.model.config, max_cache_len=length)
        start = torch.zeros(1, dtype=torch.int64, device=context.device)
        head = self.model.lm_head.weight[choices]
        answer: list[int] = []
        fed, chunk = 0, context
        while fed + chunk.shape[1] < length:
            new = slice(fed, fed + chunk.shape[1])
            positions = torch.arange(new.start, new.stop, device=chunk.device)[None]
            hidden = self.model(chunk, positions, _visible(start, new, length), cache)
            logits = (hidden[:, -1] @ head.T).float()
            noise = torch.from_numpy(gumbel(self.seed, number, len(answer), self.text.vocab.size))[None].to(logits.device)[:, choices]
            token = int(choices[draw(logits, noise, self.options.text_top_k, self.options.temperature)])
            if token == self.text.vocab.end_of_turn:
                break
            answer.append(token)
            fed, chunk = new.stop, torch.tensor([[token]], device=chunk.device)
        return self.text.decode(answer)

    @torch.inference_mode()
    def _sample_images(self, contexts: Sequence[np.ndarray], numbers: Sequence[int], height: int, width: int) -> np.ndarray:
        """[N, L] ids from start-of-image to end-of-image."""
        vocab, options, device = self.text.vocab, self.options, self.model.device
        slots = image_slots(height, width)
        N, L, P = len(contexts), len(slots), max(map(len, contexts))
        self._check_length(P + L)
        guided = options.guidance != 1
        rows = [*contexts, *([np.empty(0, np.int64)] * N if guided else [])]
        starts = torch.tensor([P - len(row) for row in rows])  # of each row's own tokens: what comes before is padding
        ids = torch.zeros(len(rows), P + L, dtype=torch.int64)
        for b, row in enumerate(rows):
            ids[b, P - len(row) : P] = torch.from_numpy(row.astype(np.int64))
        for place, slot in enumerate(slots):
            ids[:, P + place] = forced_id(int(slot), height, width, vocab) or 0
        positions = (torch.arange(P + L) - starts[:, None]).clamp_min(0)
        ids, positions, starts = ids.to(device), positions.to(device), starts.to(device)
        code_ids = torch.from_numpy(vocab.code_to_id[: self.num_codes].astype(np.int64)).to(device)
        head_CD = self.model.lm_head.weight[code_ids]
        cache = StaticCache(self.model.config, max_cache_len=P + L)
        fed = 0
        for place in np.flatnonzero(slots == Slot.CODE).tolist():
            new = slice(fed, P + place)
            hidden = self.model(ids[:, new], positions[:, new], _visible(starts, new, P + L), cache)
            logits = (hidden[:, -1] @ head_CD.T).float()
            if guided:
                logits = options.guidance * (logits[:N] - logits[N:]) + logits[N:]
            noise = np.stack([gumbel(self.seed, number, place, len(code_ids)) for number in numbers])
            codes = draw(logits, torch.from_numpy(noise).to(device), options.image_top_k, options.temperature)
            ids[:, P + place] = code_ids[codes].repeat(len(rows) // N)
            fed = P + place
        return ids[:N, P:].cpu().numpy()

    def _prompt(self, prompt: str, size: tuple[int, int]) -> np.ndarray:
        return generation_prompt([Turn("user", (text_to_image_prompt(prompt, size),))], {}, self.text)

    def _text_choices(self) -> Tensor:
        """Ids that an answer in text may hold: all but the control tokens, and end-of-turn."""
        plain = {token_id for name, token_id in self.names.items() if not CONTROL_NAME.fullmatch(name)}
        return torch.tensor(sorted(plain | {self.text.vocab.end_of_turn}), device=self.model.device)

    def _check_length(self, length: int) -> None:
        limit = self.model.config.max_position_embeddings
        if length > limit:
            raise RecipeError(f"sample: prompt and answer take {length} tokens, the model was made for {limit}")


def draw(logits_BC: Tensor, noise_BC: Tensor, top_k: int, temperature: float) -> Tensor:
    """Choose among the `top_k` highest logits of each row.

    Args:
        noise_BC: Gumbel noise.

    Returns:
        [B] int64, indices into C.
    """
    if top_k < logits_BC.shape[1]:
        lowest = logits_BC.topk(top_k).values[:, -1:]
        logits_BC = logits_BC.masked_fill(logits_BC < lowest, -torch.inf)
    return (logits_BC / temperature + noise_BC).argmax(1)


def _visible(starts_B: Tensor, queries: slice, num_keys: int) -> Tensor:
    """[B, 1, T, K] bool: which keys the tokens at `queries` see.

    Padding before a row's start sees itself alone, so that no softmax is empty.
    """
    keys = torch.arange(num_keys, device=starts_B.device)
    places = keys[queries, None]
    own = keys >= starts_B[:, None, None]
    return (((keys <= places) & own) | (keys == places))[:, None]
