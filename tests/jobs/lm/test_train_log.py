"""The log: one line a step, rewound with the run."""

from jobs.lm.train_log import append_log, read_log, rewind_log


def test_a_log_is_rewound_to_its_checkpoint(tmp_path):
    path = tmp_path / "log.jsonl"
    for step in range(1, 6):
        append_log(path, {"step": step, "loss": 1 / step})
    rewind_log(path, 3)
    append_log(path, {"step": 4, "loss": 9.0})
    assert [line["step"] for line in read_log(path)] == [1, 2, 3, 4]
    assert read_log(path)[-1]["loss"] == 9.0


def test_a_line_that_a_kill_cut_short_is_passed_over(tmp_path):
    path = tmp_path / "log.jsonl"
    append_log(path, {"step": 1})
    with path.open("a") as file:
        file.write('{"step": 2, "lo')
    assert read_log(path) == [{"step": 1}]
    rewind_log(path, 9)
    assert path.read_text() == '{"step": 1}\n'


def test_no_log_is_an_empty_one(tmp_path):
    assert read_log(tmp_path / "log.jsonl") == []
    rewind_log(tmp_path / "log.jsonl", 0)
    assert read_log(tmp_path / "log.jsonl") == []
