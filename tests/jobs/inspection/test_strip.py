"""A dialogue drawn as one picture: what it shows, and that every part of it finds room."""

import numpy as np
from PIL import Image

from jobs.__main__ import main
from jobs.inspection.dialogue import cut_into_pieces
from jobs.inspection.strip import GROUNDS, MAX_SIDE, WIDTH, ShownTurn, draw_strip, shown_turns
from pipeline.shards.reader import TokenShards
from tests.jobs.recipes import write_recipe
from tokenizer.text import TextTokenizer

RED, BLUE = (np.full((64, 96, 3), color, np.uint8) for color in ((200, 0, 0), (0, 0, 200)))


def count(strip: Image.Image, color: tuple[int, int, int]) -> int:
    return int((np.asarray(strip) == color).all(axis=-1).sum())


def test_images_are_shown_whole_on_the_ground_of_their_turn():
    strip = draw_strip([ShownTurn("user", ("a red ", RED, " one")), ShownTurn("assistant", (BLUE,))])
    assert strip.width == WIDTH
    assert count(strip, (200, 0, 0)) == count(strip, (0, 0, 200)) == 64 * 96
    rows = np.flatnonzero((np.asarray(strip) == (0, 0, 200)).all(axis=-1).any(axis=1))
    assert strip.getpixel((WIDTH - 1, int(rows[0]))) == GROUNDS["assistant"]


def test_what_does_not_fit_in_a_line_goes_to_the_next():
    many = draw_strip([ShownTurn("assistant", (RED,) * 12)])
    assert count(many, (200, 0, 0)) == 12 * 64 * 96
    words = draw_strip([ShownTurn("user", ("many words " * 60,))])
    assert words.height > draw_strip([ShownTurn("user", ("many words",))]).height * 3
    lines = draw_strip([ShownTurn("user", ("a\n\nb",))])
    assert lines.height > draw_strip([ShownTurn("user", ("a b",))]).height


def test_large_images_are_shrunk():
    strip = draw_strip([ShownTurn("user", (np.full((600, 300, 3), 7, np.uint8),))])
    assert count(strip, (7, 7, 7)) == MAX_SIDE * MAX_SIDE // 2


def test_show_draws_what_it_prints(tmp_path, capsys):
    recipe, output = write_recipe(tmp_path, 'kind = "shapes"\ncount = 2\nsizes = ["64x64"]')
    assert main(["prepare", str(recipe)]) == 0
    assert main(["inspect", "show", str(output), "000000000", "--pictures", str(tmp_path / "drawn")]) == 0
    [path] = (tmp_path / "drawn").iterdir()
    assert str(path) in capsys.readouterr().out and Image.open(path).width == WIDTH
    shards = TokenShards(str(output))
    pieces = cut_into_pieces(shards.read(0), TextTokenizer(shards.text_tokenizer))
    user, assistant = shown_turns(pieces, [RED])
    assert user.content[0].startswith("Generate an image of 64x64") and assistant.content == (RED,)
