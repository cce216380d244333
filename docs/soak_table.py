"""The table of docs/reliability.md, made from docs/reliability.json, which `make soak` writes."""

import json
from pathlib import Path

BEGIN, END = "<!-- counted: begin -->", "<!-- counted: end -->"


def filled(page: str, counts: Path) -> str:
    """The page with the table between its two marks."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table(json.loads(counts.read_text()))}\n{END}{tail}"


def table(told: dict) -> str:
    """One row a class: rounds, what was counted, findings, the last seeds, minutes and the day."""
    lines = ["| class | rounds | counted | findings | last seeds | minutes | last run, UTC |", "|---" * 7 + "|"]
    for name, entry in sorted(told["classes"].items(), key=lambda item: _order(item[0])):
        counted = ", ".join(f"{number:,} {what}" for what, number in entry["counts"].items()) or "nothing"
        seeds = ", ".join(map(str, entry["seeds"]))
        lines.append(f"| {name} | {entry['rounds']:,} | {counted} | {entry['findings']} | {seeds} | "
                     f"{entry['minutes']:.0f} | {entry['last']} |")  # fmt: skip
    runs = {json.dumps(entry["run"], sort_keys=True): entry["run"] for entry in told["classes"].values()}
    lines.append("")
    for run in runs.values():
        versions = ", ".join(f"{name} {version}" for name, version in sorted(run["versions"].items()))
        lines.append(f"Run with seed {run['seed']}: {run['cores']} cores, {run['processor']}, Python {run['python']}, "
                     f"{versions}.")  # fmt: skip
    return "\n".join(lines)


def _order(name: str) -> tuple[int, str]:
    """T2 before T10; classes without a number last."""
    number = name.partition(" ")[0].strip(",").partition("-")[0].lstrip("T")
    return (int(number) if number.isdigit() else 99, name)
