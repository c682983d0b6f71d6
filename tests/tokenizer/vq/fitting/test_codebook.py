"""The codebook goes where the vectors are."""

import torch

from tokenizer.vq.fitting.codebook import CodebookAverages, kmeans
from tokenizer.vq.fitting.options import CodebookOptions
from tokenizer.vq.network import Codebook


def clouds(generator):
    """Vectors around four places."""
    places = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    return places.repeat_interleave(50, 0) + 0.1 * torch.randn(200, 2, generator=generator), places


def test_kmeans_finds_where_the_vectors_lie():
    generator = torch.Generator().manual_seed(1)
    vectors, places = clouds(generator)
    book = Codebook(8, 2)
    kmeans(vectors, book, 10, generator)
    assert (torch.cdist(places, book.embedding.weight).min(1).values < 0.3).all()


def test_averages_follow_the_encoder_and_dead_codes_begin_anew():
    generator = torch.Generator().manual_seed(0)
    vectors, _ = clouds(generator)
    book = Codebook(8, 2)
    book.embedding.weight.data = torch.full((8, 2), 1000.0)
    book.embedding.weight.data[0] = torch.tensor([1.0, 1.0])  # the only one that is ever the nearest
    averages = CodebookAverages(book, CodebookOptions(decay=0.5, dead_below=0.05), vectors_a_step=200)
    for _ in range(20):
        averages.update(vectors, book.nearest(vectors))
    assert torch.allclose(book.embedding.weight[0], vectors.mean(0), atol=0.01)
    assert averages.revive(vectors, generator) == 7
    assert (torch.cdist(book.embedding.weight[1:], vectors).min(1).values < 1e-3).all()
    assert averages.revive(vectors, generator) == 0
    averages.update(vectors, book.nearest(vectors))
    assert (torch.cdist(book.embedding.weight[1:], vectors).min(1).values < 1).all()  # they stay where they were put


def test_a_codebook_that_the_optimizer_moves_is_only_counted():
    vectors, _ = clouds(torch.Generator().manual_seed(0))
    book = Codebook(8, 2)
    before = book.embedding.weight.detach().clone()
    averages = CodebookAverages(book, CodebookOptions(update="gradient", decay=0.5), vectors_a_step=200)
    averages.update(vectors, torch.zeros(200, dtype=torch.int64))
    assert torch.equal(book.embedding.weight, before)
    assert averages.counts_K[0] > 100 > averages.counts_K[1]
