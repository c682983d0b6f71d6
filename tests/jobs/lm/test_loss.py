"""The loss and its gradients against the plain formula."""

import pytest
import torch
from torch.nn import functional as F

from jobs.lm import loss as loss_module
from jobs.lm.batches import Batch, lay_out
from jobs.lm.loss import batch_loss, image_token_ids
from pipeline.errors import VerificationError
from pipeline.samples import IGNORE_INDEX
from tests.jobs.lm.tiny import TEXT, mixed_sequences, tiny_model

VOCAB = TEXT.vocab
IMAGE_IDS = image_token_ids(VOCAB.codes, VOCAB.sizes, VOCAB.end_of_row, VOCAB.end_of_image)


def mixed_batch() -> Batch:
    sequences = mixed_sequences(8)
    return lay_out([sequences[:3], sequences[3:4], sequences[4:8]], 260)


def test_the_loss_is_mean_cross_entropy_over_shifted_positions_and_the_mean_squared_log_partition():
    """The reference's formula, on whole logits: shift by one, ignore -100, add 1e-5 times the mean of squared log-partitions."""
    model, sequences = tiny_model(), mixed_sequences(8)
    batch = lay_out([[sequence] for sequence in sequences], 110)
    hidden = model(batch.ids_BT, batch.position_ids_BT, batch.mask_B1TT)
    ours = batch_loss(hidden, model.lm_head.weight, batch, z_loss=1e-5)

    labels = torch.full((8, 110), IGNORE_INDEX)
    for row, sequence in enumerate(sequences):
        labels[row, : len(sequence.input_ids)] = torch.from_numpy(sequence.labels)
    logits = model.lm_head(model(batch.ids_BT, batch.position_ids_BT))[:, :-1].flatten(0, 1)
    shifted = labels[:, 1:].flatten()
    valid = shifted != IGNORE_INDEX
    cross_entropy = F.cross_entropy(logits[valid], shifted[valid])
    z = logits[valid].logsumexp(-1).square().mean()
    assert ours.total.item() == pytest.approx((cross_entropy + 1e-5 * z).item(), abs=1e-6)
    assert ours.cross_entropy.item() == pytest.approx(cross_entropy.item(), abs=1e-6)
    assert ours.z.item() == pytest.approx(z.item(), rel=1e-6)


@pytest.mark.parametrize("chunk", [1, 1 << 18, 1 << 30])
@pytest.mark.parametrize("restricted", [False, True])
def test_gradients_are_those_of_autograd_whatever_the_chunk(monkeypatch, chunk, restricted):
    monkeypatch.setattr(loss_module, "CHUNK_LOGITS", chunk)
    torch.manual_seed(0)
    batch = mixed_batch()
    hidden = torch.randn(3, 260, 8, requires_grad=True)
    head = torch.randn(VOCAB.size, 8, requires_grad=True)
    ours = batch_loss(hidden, head, batch, z_loss=1e-2, image_ids=IMAGE_IDS if restricted else None)
    plain = plain_loss(hidden, head, batch, z_loss=1e-2, restricted=restricted)
    assert ours.total.item() == pytest.approx(plain.item(), rel=1e-6)
    wanted = torch.autograd.grad(plain, (hidden, head))
    for got, want in zip(torch.autograd.grad(ours.total, (hidden, head)), wanted, strict=True):
        assert torch.allclose(got, want, rtol=1e-4, atol=1e-6)
        assert want.abs().max() > 1e-3


def test_packed_windows_give_the_loss_and_the_gradients_of_separate_sequences():
    sequences = mixed_sequences(8)
    packed = lay_out([sequences[:3], sequences[3:4], sequences[4:8]], 260)
    separate = lay_out([[sequence] for sequence in sequences], 110)
    results = []
    for batch in (packed, separate):
        model = tiny_model()
        hidden = model(batch.ids_BT, batch.position_ids_BT, batch.mask_B1TT)
        loss = batch_loss(hidden, model.lm_head.weight, batch, z_loss=1e-5)
        loss.total.backward()
        results.append((loss.total.item(), {name: parameter.grad for name, parameter in model.named_parameters()}))
    assert results[0][0] == pytest.approx(results[1][0], abs=1e-5)
    for name, gradient in results[0][1].items():
        assert gradient.abs().max() > 0, name
        assert torch.allclose(gradient, results[1][1][name], rtol=0, atol=1e-5), name


def test_gradients_are_those_of_the_references_formula():
    """Mean cross entropy over valid shifted positions and 1e-5 times the mean of squared log-partitions, by autograd on whole logits."""
    sequences = mixed_sequences(8)
    batch = lay_out([[sequence] for sequence in sequences], 110)
    gradients = []
    for ours in (True, False):
        model = tiny_model()
        hidden = model(batch.ids_BT, batch.position_ids_BT)
        head = model.lm_head.weight
        total = (
            batch_loss(hidden, head, batch, z_loss=1e-5).total if ours else plain_loss(hidden, head, batch, z_loss=1e-5, restricted=False)
        )
        total.backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    assert all(torch.allclose(gradients[0][name], gradients[1][name], rtol=0, atol=1e-5) for name in gradients[0])


@pytest.mark.parametrize("task_weights", [{}, {"depth": 3.0, "text_only": 0.0}])
def test_the_parts_of_a_step_add_up_to_it(task_weights):
    sequences, model = mixed_sequences(8), tiny_model()
    parts = [[sequences[:3]], [sequences[3:4], sequences[4:8]], [()]]
    whole_step = lay_out([row for part in parts for row in part], 260, task_weights)
    results = []
    for batches in ([whole_step], [lay_out(part, 260, task_weights) for part in parts]):
        model.zero_grad(set_to_none=True)
        weight = sum(batch.weight for batch in batches)
        total = 0.0
        for batch in batches:
            hidden = model(batch.ids_BT, batch.position_ids_BT, batch.mask_B1TT)
            loss = batch_loss(hidden, model.lm_head.weight, batch, z_loss=1e-3, step_weight=weight)
            loss.total.backward()
            total += loss.total.item()
        results.append((total, [parameter.grad.clone() for parameter in model.parameters()]))
    assert results[0][0] == pytest.approx(results[1][0], abs=1e-5)
    assert all(torch.allclose(a, b, rtol=0, atol=1e-5) for a, b in zip(results[0][1], results[1][1], strict=True))


def test_a_tasks_weight_is_what_its_tokens_count_in_the_mean():
    sequences = mixed_sequences(8)
    weights = {"depth": 3.0, "text_only": 0.0}
    batch = lay_out([[sequence] for sequence in sequences], 110, weights)
    torch.manual_seed(0)
    hidden, head = torch.randn(8, 110, 8), torch.randn(VOCAB.size, 8)
    loss = batch_loss(hidden, head, batch, z_loss=0.0)
    counts = torch.tensor([weights.get(batch.tasks[task], 1.0) for task in loss.tasks_N])
    assert loss.total.item() == pytest.approx(((loss.token_losses_N * counts).sum() / counts.sum()).item(), rel=1e-5)
    assert batch.weight == pytest.approx(counts.sum().item())
    assert loss.total.item() != pytest.approx(loss.token_losses_N.mean().item(), rel=1e-3)


def test_restricted_positions_know_only_what_an_image_can_hold():
    batch = mixed_batch()
    hidden, head = torch.randn(3, 260, 8), torch.randn(VOCAB.size, 8)
    before = batch_loss(hidden, head, batch, z_loss=0.0, image_ids=IMAGE_IDS)
    head[VOCAB.end_of_turn] += 5  # can stand anywhere but in an image
    after = batch_loss(hidden, head, batch, z_loss=0.0, image_ids=IMAGE_IDS)
    in_image = batch.in_image_BT[batch.targets_BT != IGNORE_INDEX]
    assert torch.equal(before.token_losses_N[in_image], after.token_losses_N[in_image])
    assert not torch.equal(before.token_losses_N[~in_image], after.token_losses_N[~in_image])


def test_the_ids_of_an_image_are_all_that_the_sequences_have_in_them():
    allowed = set(IMAGE_IDS.tolist())
    assert len(allowed) == len(VOCAB.codes) + len(VOCAB.sizes) + 2
    batch = mixed_batch()
    assert set(batch.targets_BT[batch.in_image_BT & (batch.targets_BT != IGNORE_INDEX)].tolist()) <= allowed


def test_an_id_that_cannot_stand_in_an_image_is_reported():
    batch = mixed_batch()
    place = (batch.in_image_BT & (batch.targets_BT != IGNORE_INDEX)).nonzero()[0]
    batch.targets_BT[place[0], place[1]] = VOCAB.size - 1
    with pytest.raises(VerificationError, match=f"id {VOCAB.size - 1} stands in an image"):
        batch_loss(torch.randn(3, 260, 8), torch.randn(VOCAB.size, 8), batch, z_loss=0.0, image_ids=IMAGE_IDS)


def test_without_gradients_the_loss_is_the_same():
    batch, hidden, head = mixed_batch(), torch.randn(3, 260, 8), torch.randn(VOCAB.size, 8, requires_grad=True)
    with_gradients = batch_loss(hidden, head, batch, z_loss=1e-5)
    with torch.no_grad():
        without = batch_loss(hidden, head, batch, z_loss=1e-5)
    assert not without.total.requires_grad
    assert torch.equal(with_gradients.total, without.total)


def test_token_losses_are_told_apart_by_task():
    batch = mixed_batch()
    loss = batch_loss(torch.randn(3, 260, 8), torch.randn(VOCAB.size, 8), batch, z_loss=0.0)
    wanted = {task: sum(s.num_loss_tokens for s in mixed_sequences(8) if s.task == task) for task in batch.tasks}
    assert dict(zip(batch.tasks, torch.bincount(loss.tasks_N).tolist(), strict=True)) == wanted


def plain_loss(hidden: torch.Tensor, head: torch.Tensor, batch: Batch, *, z_loss: float, restricted: bool) -> torch.Tensor:
    """On whole logits, by autograd."""
    logits = hidden @ head.T
    if restricted:
        outside = torch.ones(VOCAB.size, dtype=torch.bool)
        outside[IMAGE_IDS] = False
        logits = logits.masked_fill(batch.in_image_BT[..., None] & outside, -torch.inf)
    valid = batch.targets_BT != IGNORE_INDEX
    return F.cross_entropy(logits[valid], batch.targets_BT[valid]) + z_loss * logits[valid].logsumexp(-1).square().mean()
