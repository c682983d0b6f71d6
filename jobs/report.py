"""`OUTPUT/report.html`: what a run made of its samples, in one file that opens anywhere. Of a drawn world, what was found in JSON, too."""

from collections.abc import Mapping

from jobs.drawn_world import judge, write_result
from jobs.reporting import distribution, drawn_world, model, pictures, scores, summary
from jobs.reporting.page import page
from jobs.reporting.run_data import read_run
from pipeline import paths

REPORT_FILE = "report.html"


def write_report(output: str, originals: Mapping[str, bytes]) -> str:
    """Write the report from what lies in an output; what is not there (yet) has no section.

    Args:
        originals: Encoded main pictures by key, as many as could be read again; some of them are shown.

    Returns:
        The report's path.

    Raises:
        VerificationError: Something in the output is damaged.
    """
    data = read_run(output, originals.keys())
    judged = judge(output, data.recipe, data.samples)
    if judged:
        write_result(output, judged)
    sections = [
        summary.head(data),
        summary.funnel(data),
        pictures.pairs(data, originals),
        drawn_world.asked_and_seen(data, judged) or model.sampled(data),
        model.loss_curve(data),
        model.held_out_by_task(data),
        model.newest_grid(data),
        distribution.tasks(data),
        distribution.buckets(data),
        distribution.lengths(data),
        scores.scores(data),
        pictures.left_out(data, originals),
        summary.about(data),
    ]
    path = paths.join(output, REPORT_FILE)
    paths.commit_bytes(path, page(f"{summary.title(data)}: report", sections))
    return path
