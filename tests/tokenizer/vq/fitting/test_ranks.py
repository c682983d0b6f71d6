"""Shares of a batch."""

from tokenizer.vq.fitting.ranks import Ranks


def test_shares_make_up_the_whole_and_differ_by_one_at_most():
    for size in (1, 2, 3, 7):
        for count in (7, 8, 20):
            shares = [Ranks(rank, size).share(count) for rank in range(size)]
            assert [number for share in shares for number in share] == list(range(count))
            assert max(map(len, shares)) - min(map(len, shares)) <= 1
