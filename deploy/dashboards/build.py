"""All dashboards as files. The same code gives the same bytes."""

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.dashboards import cost, overview, recovery, service


def dashboard_files() -> dict[str, str]:
    """File name → content."""
    boards: list[Dashboard] = [room.build() for room in (overview, recovery, cost, service)]
    return {f"{board.uid}.json": JSONEncoder(sort_keys=True, indent=2).encode(board) + "\n" for board in boards}
