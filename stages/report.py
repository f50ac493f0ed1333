"""The report stage: scores and costs -> reports/<study>/."""

from bench import config, report
from bench.core import resume, runtime


def main() -> str:
    headline = report.build(config.read())
    resume.clear_finished()
    return headline


if __name__ == "__main__":
    runtime.stage(main)
