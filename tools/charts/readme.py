"""The README of a chart: what it is, and its values as a table."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tools.charts import values

MADE = "<!-- Made from Chart.yaml and values.yaml by `python -m tools.charts`. -->"


def of_chart(folder: Path) -> str:
    """Write the README of the chart in `folder`."""
    chart = yaml.safe_load((folder / "Chart.yaml").read_text(encoding="utf-8"))
    lines = [MADE, "", f"# {chart['name']}", "", f"{chart['description']}. Version {chart['version']}.", ""]
    lines += ["| value | default | meaning |", "|---|---|---|"]
    for value in values.read(folder / "values.yaml"):
        default = json.dumps(value.default, ensure_ascii=False).replace("|", "\\|")
        meaning = value.description.replace("|", "\\|")
        if "enum" in value.directives:
            meaning += f" One of: {', '.join(value.directives['enum'])}."
        lines.append(f"| `{'.'.join(value.path)}` | `{default}` | {meaning} |")
    return "\n".join(lines) + "\n"
