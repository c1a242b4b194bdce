"""Panels of the canary that runs."""

from deploy.dashboards.panels import NEVER, Description, Levels, Panel, figure, lines
from deploy.dashboards.queries import newest

PAGE = "canary.md"
STOP, PROMOTE = 2.7, 1.3  # log10 of 500 to 1 and of 20 to 1


def canary() -> list[Panel]:
    """Its share, users, deadline and evidence, and whether the service has stopped one."""
    running = f"({newest('canary_share')} > 0)"
    return [
        figure(
            Description(
                "Share of the canary",
                "Share of the users that a canary gets. 0: none runs.",
                "nothing: an operator has started it. `octant release status` shows how it stands.",
                PAGE,
            ),
            "percentunit",
            newest("canary_share"),
        ),
        figure(
            Description(
                "Time to decide",
                "Until an operator has to promote or abort the canary. Below 0: overdue. No data: none runs.",
                "decide: the evidence did not.",
                f"{PAGE}#past-its-deadline",
            ),
            "s",
            f"{newest('canary_deadline')} and {running}",
            Levels(doubtful=86_400, bad=0, rising=False),
        ),
        figure(
            Description(
                "Canary stopped by the service",
                "1 for a day after the service stopped a canary: on evidence, by its first users, for its cost or its split.",
                "every user has the live release again. `octant release why ID` shows the counts.",
                f"{PAGE}#stopped-by-the-service",
            ),
            "none",
            newest("canary_aborted", ("cause",)),
            NEVER,
            legend="{{cause}}",
        ),
        figure(
            Description(
                "Users counted",
                "Users that the running canary has counted, by the release that they have.",
                "none for long: no traffic, or workers cannot write to Postgres.",
                PAGE,
            ),
            "short",
            newest("canary_users", ("release",)),
            legend="{{release}}",
        ),
        lines(
            Description(
                "Evidence against the canary",
                "log10 of the evidence that it is worse, by metric: 2 is 100 to 1. At 2.7 in one metric the service stops it."
                " `seen`: that the split is wrong; it stops at 3.",
                "a metric rises steadily: abort it before the service does.",
                f"{PAGE}#stopped-by-the-service",
            ),
            "none",
            {"{{metric}}": newest("canary_evidence", ("metric",))},
            Levels(doubtful=1, bad=STOP),
        ),
        lines(
            Description(
                "Evidence for promotion",
                "log10 of the evidence that it is less than twice as bad, by metric. Promotion needs 1.3 in each.",
                "it does not rise: there are too few bad events to tell. At the deadline an operator decides.",
                f"{PAGE}#past-its-deadline",
            ),
            "none",
            {"{{metric}}": newest("canary_promotion", ("metric",))},
            Levels(doubtful=PROMOTE, bad=0, rising=False),
        ),
    ]
