"""`octant threats`: the threat model with its controls and tests, as the console's page of security shows it."""

from typing import Annotated

import typer


def threats(
    words: Annotated[list[str] | None, typer.Argument(help="Words that stand in the row; left out: every threat.")] = None,
    state: Annotated[str, typer.Option(help="missing, failed, passed or ci.")] = "",
    risk: Annotated[str, typer.Option(help="A number of OWASP's, as LLM01.")] = "",
    of: Annotated[str, typer.Option(help="service, or the name of a product.")] = "",
) -> None:
    """List threats, each with its state, its control and the tests that prove it."""
    from app.console.security_threats import RISKS, STATES, ThreatFilter, matched, state_of
    from app.security.threats import read

    for option, value, known in (("--state", state, STATES), ("--risk", risk, RISKS)):
        if value and value not in known:
            raise typer.BadParameter(f"{option} takes {', '.join(known)}")
    rows = read()
    wanted = ThreatFilter(state, risk, of, " ".join(words or ()))
    found = [row for row in rows if wanted.has(row)]
    print(matched(found, len(rows)))
    for row in found:
        print(f"\n{row.number:>3}  {row.threat}\n     {STATES[state_of(row)]}; {row.risks}; {row.product or 'service'}")
        print(f"     control: {row.control.replace('`', '')}")
        for proof in row.proofs:
            print(f"     proof: {proof.path}::{proof.name}")
