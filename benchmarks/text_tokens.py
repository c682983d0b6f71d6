"""How many tokens text takes: `python -m benchmarks.text_tokens`.

The captions of the example photographs, code of this project, numbers, and the first article of the Universal Declaration of Human Rights
in several languages. Every text must come back as it went in.
"""

# ruff: noqa: RUF001 (other scripts)

import argparse
import json
from pathlib import Path

from tokenizer.options import TokenOptions
from tokenizer.text import TextTokenizer

ROOT = Path(__file__).parents[1]
ARTICLES = {
    "English": "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and "
    "should act towards one another in a spirit of brotherhood.",
    "German": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt und sollen "
    "einander im Geist der Brüderlichkeit begegnen.",
    "French": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de conscience et "
    "doivent agir les uns envers les autres dans un esprit de fraternité.",
    "Spanish": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y conciencia, deben "
    "comportarse fraternalmente los unos con los otros.",
    "Russian": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и должны поступать в "
    "отношении друг друга в духе братства.",
    "Chinese": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "Japanese": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "Arabic": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق.",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", default="", help="text_tokenizer.json; empty: the bundled one")
    tokenizer = TextTokenizer(parser.parse_args().text or TokenOptions().text_path)
    rows = (ROOT / "examples" / "photos" / "metadata.jsonl").read_text().splitlines()
    texts = {"captions of the example photographs": "\n".join(json.loads(row)["text"] for row in rows)}
    texts |= {"Python": Path(__file__).parent.joinpath("encode.py").read_text(), "digits": "3.14159265358979 on 2026-11-21 at 12:21:25"}
    texts |= {f"declaration in {language}": text for language, text in ARTICLES.items()}
    print("| text | characters | bytes | tokens | characters a token |")
    print("|---|---|---|---|---|")
    for name, text in texts.items():
        ids = tokenizer.encode(text)
        if tokenizer.decode(ids) != text:
            raise SystemExit(f"{name}: did not come back as it went in")
        print(f"| {name} | {len(text)} | {len(text.encode())} | {len(ids)} | {len(text) / len(ids):.2f} |")


if __name__ == "__main__":
    main()
