"""Batches: ids, shifted targets, positions and masks; context drop."""

import numpy as np
import torch

from jobs.lm.batches import BatchMaker, drop_context, lay_out
from pipeline.samples import IGNORE_INDEX
from pipeline.shards.reader import TokenShards
from tests.jobs.lm.tiny import TEXT, mixed_sequences, text_to_image_sequences, tiny_model
from tests.token_output import write_output
from tokenizer.layout import image_length


def test_targets_are_the_next_ids_of_the_loss_spans():
    sequence = mixed_sequences(1)[0]
    batch = lay_out([[sequence]], len(sequence.input_ids))
    [(start, stop)] = sequence.loss_spans
    wanted = np.full(len(sequence.input_ids), IGNORE_INDEX)
    wanted[start - 1 : stop - 1] = sequence.input_ids[start:stop]
    assert batch.targets_BT[0].tolist() == wanted.tolist()
    assert batch.ids_BT[0].tolist() == sequence.input_ids.tolist()
    assert batch.mask_B1TT is None


def test_no_target_looks_into_the_next_sequence():
    first, second = text_to_image_sequences(2)
    batch = lay_out([[first, second]], 200)
    border = len(first.input_ids)
    assert batch.targets_BT[0, border - 1] == IGNORE_INDEX
    assert batch.position_ids_BT[0, border - 1 : border + 1].tolist() == [border - 1, 0]
    assert batch.mask_B1TT is not None
    assert not batch.mask_B1TT[0, 0, border:, :border].any()
    assert (batch.targets_BT[0] != IGNORE_INDEX).sum() == first.num_loss_tokens + second.num_loss_tokens


def test_packed_windows_give_the_hidden_states_of_separate_forwards():
    model, sequences = tiny_model(), mixed_sequences(8)
    batch = lay_out([sequences[:3], sequences[3:4], sequences[4:8]], 260)
    with torch.no_grad():
        packed = model(batch.ids_BT, batch.position_ids_BT, batch.mask_B1TT)
        for row, window in enumerate([sequences[:3], sequences[3:4], sequences[4:8]]):
            start = 0
            for sequence in window:
                ids = torch.from_numpy(sequence.input_ids.astype(np.int64))[None]
                alone = model(ids, torch.arange(ids.shape[1])[None])[0]
                assert torch.allclose(packed[row, start : start + ids.shape[1]], alone, atol=1e-5)
                start += ids.shape[1]


def test_the_places_that_predict_an_image_are_those_behind_its_start():
    sequence = mixed_sequences(4)[3]
    batch = lay_out([[sequence]], 80)
    wanted = np.zeros(80, bool)
    for image in sequence.images:
        wanted[image.start : image.start + image_length(image.height, image.width) - 1] = True
    assert batch.in_image_BT[0].tolist() == wanted.tolist()
    second = sequence.images[1]
    assert batch.targets_BT[0, second.start - 1] == TEXT.vocab.start_of_image
    assert not batch.in_image_BT[0, second.start - 1]
    end = second.start + image_length(second.height, second.width) - 1
    assert batch.targets_BT[0, end - 1] == TEXT.vocab.end_of_image
    assert batch.in_image_BT[0, end - 1]


def test_context_drop_keeps_start_to_end_and_puts_loss_on_all_that_is_predicted():
    sequence = text_to_image_sequences(1)[0]
    [image] = sequence.images
    dropped = drop_context(sequence)
    length = image_length(64, 64)
    assert dropped.input_ids.tolist() == sequence.input_ids[image.start : image.start + length].tolist()
    assert (dropped.input_ids[0], dropped.input_ids[-1]) == (TEXT.vocab.start_of_image, TEXT.vocab.end_of_image)
    batch = lay_out([[dropped]], length)
    assert batch.position_ids_BT[0].tolist() == list(range(length))
    assert batch.targets_BT[0].tolist() == [*dropped.input_ids[1:].tolist(), IGNORE_INDEX]


def test_context_is_dropped_for_about_the_asked_share_and_by_seed_key_and_epoch(tmp_path):
    write_output(tmp_path, text_to_image_sequences(400))
    shards = TokenShards(str(tmp_path))

    def dropped(seed: int, epoch: int) -> list[bool]:
        maker = BatchMaker(shards, np.arange(400), 60, 0.1, seed)
        return [bool(maker.make([(epoch, (number,))]).ids_BT[0, 0] == TEXT.vocab.start_of_image) for number in range(400)]

    first = dropped(1, 0)
    assert 20 <= sum(first) <= 60
    assert first == dropped(1, 0)
    assert first != dropped(1, 1)
    assert first != dropped(2, 0)


def test_only_text_to_image_with_one_image_loses_its_context(tmp_path):
    sequences = mixed_sequences(8)
    write_output(tmp_path, sequences)
    maker = BatchMaker(TokenShards(str(tmp_path)), np.arange(8), 120, 1.0, seed=0)
    for number, sequence in enumerate(sequences):
        first = maker.make([(0, (number,))]).ids_BT[0, 0]
        assert first == (TEXT.vocab.start_of_image if sequence.task == "text_to_image" else TEXT.vocab.bos)


def test_windows_count_in_the_sequences_that_are_trained_on(tmp_path):
    sequences = text_to_image_sequences(6)
    write_output(tmp_path, sequences)
    maker = BatchMaker(TokenShards(str(tmp_path)), np.array([4, 1]), 60, 0.0, seed=0)
    batch = maker.make([(0, (1,)), (0, (0,))])
    for row, number in enumerate((1, 4)):
        assert batch.ids_BT[row, : len(sequences[number].input_ids)].tolist() == sequences[number].input_ids.tolist()
