"""The four kinds of panel we use, and the frame around them, in one style.

Each panel says what it means, what to do when it looks bad, and which page of the runbook has more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders.heatmap import Panel as Heatmap
from grafana_foundation_sdk.builders.heatmap import YAxisConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.statetimeline import Panel as Timeline
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.dashboards.queries import VARIABLES, selector
from deploy.rules import slos

SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
Panel = Stat | Timeseries | Heatmap | Timeline
Expressions = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Description:
    """A panel's title and the parts of its description. ``page``: a page of the runbook, with an anchor if need be."""

    title: str
    means: str
    when_bad: str
    page: str

    def markdown(self) -> str:
        """The panel's description."""
        return f"{self.means}\n\n**When it is bad:** {self.when_bad}\n\nRunbook: [{self.page}](${{runbook}}/{self.page})"


@dataclass(frozen=True, slots=True)
class Levels:
    """From where on a figure is doubtful, and from where on bad. ``rising``: whether more is worse."""

    doubtful: float
    bad: float
    rising: bool = True

    def build(self) -> builders.ThresholdsConfig:
        """Grafana reads steps from the lowest; the lowest has no number."""
        colours = ("green", "yellow", "red") if self.rising else ("red", "yellow", "green")
        values = (None, self.doubtful, self.bad) if self.rising else (None, self.bad, self.doubtful)
        steps = [models.Threshold(value=value, color=colour) for value, colour in zip(values, colours, strict=True)]
        return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


NEVER = Levels(doubtful=0.000001, bad=0.000001)  # anything above nothing is bad
PLAIN = builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps([models.Threshold(value=None, color="blue")])


def figure(
    description: Description, unit: str, expression: str, levels: Levels | None = None, *, legend: str = "", span: int = 4
) -> Stat:
    """One number, as it is now, with its course behind it; several where the legend names a label."""
    return (
        Stat()
        .title(description.title)
        .description(description.markdown())
        .datasource(SOURCE)
        .unit(unit)
        .thresholds(levels.build() if levels else PLAIN)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(common.BigValueGraphMode.AREA)
        .color_mode(common.BigValueColorMode.VALUE)
        .height(4)
        .span(span)
        .with_target(_query(expression, legend, "A"))
    )


def lines(
    description: Description, unit: str, expressions: Expressions, levels: Levels | None = None, *, span: int = 8
) -> Timeseries:
    """Courses over time: legend → expression. A legend may name labels: ``{{feature}}``. Levels are drawn as dashed lines."""
    style = common.GraphThresholdsStyleMode.DASHED if levels else common.GraphThresholdsStyleMode.OFF
    panel = (
        Timeseries()
        .title(description.title)
        .description(description.markdown())
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .thresholds(levels.build() if levels else PLAIN)
        .thresholds_style(common_builders.GraphThresholdsStyleConfig().mode(style))
        .line_width(2)
        .fill_opacity(8)
        .show_points(common.VisibilityMode.NEVER)
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.TABLE)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
        .height(8)
        .span(span)
    )
    for letter, (legend, expression) in zip(ascii_uppercase, expressions.items(), strict=False):
        panel = panel.with_target(_query(expression, legend, letter))
    return panel


def distribution(description: Description, unit: str, expression: str, *, span: int = 12) -> Heatmap:
    """How observations spread over a histogram's buckets, over time."""
    return (
        Heatmap()
        .title(description.title)
        .description(description.markdown())
        .datasource(SOURCE)
        .unit(unit)
        .thresholds(PLAIN)
        .calculate(calculate=False)
        .cell_gap(1)
        .y_axis(YAxisConfig().unit(unit))
        .height(8)
        .span(span)
        .with_target(_query(expression, "{{le}}", "A").format(PromQueryFormat.HEATMAP))
    )


def states(
    description: Description, expression: str, legend: str, names: Sequence[tuple[str, str]], *, span: int = 12
) -> Timeline:
    """Which state each thing was in, over time. ``names``: text and colour of 0, 1, 2 and so on."""
    options = {
        str(value): models.ValueMappingResult(text=text, color=colour, index=value) for value, (text, colour) in enumerate(names)
    }
    steps = [models.Threshold(value=value or None, color=colour) for value, (_, colour) in enumerate(names)]
    return (
        Timeline()
        .title(description.title)
        .description(description.markdown())
        .datasource(SOURCE)
        .unit("none")
        .mappings([models.ValueMap(options=options)])
        .thresholds(builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
        .show_value(common.VisibilityMode.NEVER)
        .row_height(0.8)
        .height(8)
        .span(span)
        .with_target(_query(expression, legend, "A"))
    )


def board(uid: str, title: str, description: str, rows: Mapping[str, Sequence[Panel]]) -> models.Dashboard:
    """A dashboard whose variables and links are those of all of them. Panels are numbered in order."""
    made = (
        builders.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["octant"])
        .timezone("browser")
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .time("now-3h", "now")
        .refresh("30s")
        .link(
            builders.DashboardLink("Octant")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["octant"])
            .as_dropdown(as_dropdown=False)
            .include_vars(include_vars=True)
            .keep_time(keep_time=True)
        )
        .with_variable(builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for label in VARIABLES:
        made = made.with_variable(_variable(label))
    made = made.with_variable(
        builders.ConstantVariable("runbook").label("Where the runbook is").value(slos.read().runbook.rstrip("/"))
    )
    number = 0
    for name, panels in rows.items():
        number += 1
        made = made.with_row(builders.Row(name).id(number))
        for panel in panels:
            number += 1
            made = made.with_panel(panel.id(number))
    return made.build()


def _variable(label: str) -> builders.QueryVariable:
    """Features are those that made calls, providers those that received requests."""
    series = {"feature": "calls", "provider": "attempts"}[label]
    everything = models.VariableOption(selected=True, text="All", value="$__all")
    return (
        builders.QueryVariable(label)
        .label(label.capitalize())
        .datasource(SOURCE)
        .query(f"label_values({selector(series).split('{')[0]}, {label})")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
        .current(everything)
    )


def _query(expression: str, legend: str, letter: str) -> Dataquery:
    return Dataquery().datasource(SOURCE).expr(expression).legend_format(legend or "__auto").ref_id(letter).range()
