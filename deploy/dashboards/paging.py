"""Pages, their deliveries, and the dead-man's switch: a row of the service's dashboard."""

from deploy.dashboards.panels import NEVER, Description, Levels, Panel, figure, lines
from deploy.dashboards.queries import newest, rate, total


def panels() -> list[Panel]:
    """The row."""
    return [
        figure(
            Description(
                "Pages open",
                "Pages that are not resolved: triggered, or acknowledged by a person.",
                "`triggered`: acknowledge it; `octant oncall page list` names it.",
                "paging.md#a-page-came",
            ),
            "none",
            newest("pages_open", ("status",)),
            Levels(doubtful=1, bad=3),
            legend="{{status}}",
        ),
        figure(
            Description(
                "Pages not sent",
                "Pages that wait to be sent, in Postgres or in files.",
                "a receiver does not take them, or Postgres is away. The fallback receivers have them.",
                "paging.md#pages-are-not-sent",
            ),
            "none",
            newest("pages_unsent"),
            NEVER,
        ),
        figure(
            Description(
                "Watchdog",
                "Since the watchdog alert last came; about a minute while all is well. 0 where paging is off.",
                "Prometheus, Alertmanager or the way from there to us is down: no alert pages.",
                "paging.md#the-watchdog-is-missing",
            ),
            "s",
            newest("watchdog_age"),
            Levels(doubtful=180, bad=600),
        ),
        figure(
            Description(
                "Pages sent from files",
                "Alarms that came while Postgres was away, in all the time that is shown.",
                "such pages do not escalate: bring Postgres back.",
                "paging.md#pages-are-not-sent",
            ),
            "none",
            total("pages", event='="spooled"'),
            NEVER,
        ),
        lines(
            Description(
                "Events of pages",
                "What happened to pages, per second.",
                "`paged` far above `acknowledged`: pages are not answered. `reopened` often: an alert flaps.",
                "paging.md#a-page-came",
            ),
            "cps",
            {"{{event}}": rate("pages", ("event",))},
        ),
        lines(
            Description(
                "Deliveries of pages",
                "Attempts per second to send an event, by receiver and outcome.",
                "`refused`: the receiver's key or address is wrong. `failed`: it is away, and is tried again.",
                "paging.md#pages-are-not-sent",
            ),
            "cps",
            {"{{receiver}} {{outcome}}": rate("page_deliveries", ("receiver", "outcome"))},
        ),
        lines(
            Description(
                "Heartbeats",
                "Heartbeats to the outside checker per second, by outcome.",
                "`withheld`: Postgres is away or a page cannot be sent. `failed`: the checker does not answer.",
                "paging.md#the-heartbeat-fails",
            ),
            "cps",
            {"{{outcome}}": rate("heartbeats", ("outcome",))},
        ),
    ]
