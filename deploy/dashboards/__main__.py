"""Writes the dashboards: `python -m deploy.dashboards`. The same code gives the same bytes."""

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.dashboards import cost, overview, recovery, service

FOLDER = Path(__file__).resolve().parents[1] / "grafana"


def rendered() -> dict[str, str]:
    """File name → content, of all dashboards."""
    boards: list[Dashboard] = [room.build() for room in (overview, recovery, cost, service)]
    return {f"{board.uid}.json": JSONEncoder(sort_keys=True, indent=2).encode(board) + "\n" for board in boards}


if __name__ == "__main__":
    for name, content in rendered().items():
        (FOLDER / name).write_text(content)
