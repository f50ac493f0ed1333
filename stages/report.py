"""The report stage: scores and costs -> reports/<study>/."""

from bench import config, report, runtime


def main() -> str:
    return report.build(config.read())


if __name__ == "__main__":
    runtime.stage(main)
