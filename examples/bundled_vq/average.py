"""Weights between two networks of one shape: python examples/bundled_vq/average.py FIRST SECOND SHARE_OF_THE_SECOND OUT

Between the start of a short run and its end the mean squared error is lower than at either: what both have learned is common, what they
guess is not. Source: Wortsman et al. 2109.01903 (WiSE-FT).
"""

import sys

from safetensors.torch import load_file, save_file


def main() -> None:
    first, second, share, out = sys.argv[1:]
    old, new = load_file(first), load_file(second)
    assert old.keys() == new.keys()
    save_file({name: old[name].float().lerp(new[name].float(), float(share)).half() for name in old}, out)


if __name__ == "__main__":
    main()
