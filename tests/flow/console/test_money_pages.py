"""The budget and eval pages on the running service: text of callers, caps that change with a reason, candidates (X1, C4, E9)."""

import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from html import unescape
from urllib.parse import parse_qsl, quote, urlsplit

import pytest_asyncio
from client import eventually, post, session
from commands import run
from conftest import ROOT, octant
from products import needs_example
from records import a_record
from signed_in import Person, signed_in
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.rows import Writer
from app.audit.scores import eval_candidates
from app.audit.tables import actions
from app.budget.tables import ledger, user_caps
from app.console import formats
from app.domain.calls import Attempt, Usage
from app.domain.money import MicroUSD, from_dollars
from app.releases.evaluations import eval_results, eval_runs

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"{{7*7}}"
LACKING = {
    path.stem for path in (ROOT / "releases").glob("*.toml") if not (ROOT / "releases/evals" / f"{path.stem}.json").exists()
}
PACE = r"at the pace of the last hour or since the first call, \$[\d.]+ an hour: \$"
TENANT = f"money-{uuid.uuid4().hex[:6]}"


@pytest_asyncio.fixture(scope="module")
async def operator(service_url: str, stack_env: dict[str, str]) -> AsyncIterator[Person]:
    octant(stack_env, "tenant", "create", TENANT, "--name", EVIL, "--day", "10", "--user-day", "1")
    key = octant(stack_env, "key", "create", "acme", "--name", "money pages", "--scope", "admin", "--quiet").strip()
    async with signed_in(service_url, key) as one:
        yield one


async def test_every_money_and_eval_page_opens_and_shows_text_as_text(operator: Person) -> None:
    for path in (
        "/console/budgets", f"/console/budgets?name={TENANT}&sort=spent&skip=9999999", f"/console/budgets/{TENANT}",
        f"/console/budgets/{TENANT}/user?id={quote(EVIL)}", f"/console/budgets/{TENANT}/user?id=-", "/console/evals",
        "/console/evals?release=1-start&suite=x", "/console/evals/production?feature=x&range=30d",
        "/console/evals/candidates?state=dismissed&reason=low_score", "/console/code/app/budget/hold.lua",
    ):  # fmt: skip
        answer = await operator.get(path)
        assert answer.status == 200, (path, answer.words)
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text
        assert "In the terminal" in answer.words, path
    assert 'href="/console/code/app/budget/hold.lua"' in (await operator.get("/console/budgets")).text
    for path in (
        "/console/budgets/no-such-tenant", "/console/evals/runs/999999999", "/console/evals?release=nope",
        "/console/code/app/settings.py", "/console/code/app/budget/../settings.py",
    ):  # fmt: skip
        assert (await operator.get(path)).status == 404


async def test_a_release_without_eval_results_is_not_shown_as_another(operator: Person) -> None:
    unknown = await operator.get("/console/evals?release=nope")
    assert (unknown.status, "No release 'nope'." in unknown.words) == (404, True)
    lacking = next(row[0] for row in (await operator.get("/console/releases?tab=all")).rows if row[0] in LACKING)
    shown = await operator.get(f"/console/evals?release={lacking}")
    assert f"Release {lacking} has no eval results here." in shown.words


async def test_tenants_rows_their_sum_and_the_calls_behind_them_are_the_ledger(
    service_url: str, stack_env: dict[str, str], operator: Person, stored: AsyncEngine
) -> None:
    """Each row is its tenant's spending and leads to its calls; the sum counts all of them."""
    prefix, costs = TENANT.replace("money", "sums"), dict[str, int]()
    for name, times in ((f"{prefix}-a", 3), (f"{prefix}-b", 2)):
        octant(stack_env, "tenant", "create", name, "--name", "one of two", "--day", "10", "--user-day", "5")
        key = octant(stack_env, "key", "create", name, "--name", "sums", "--quiet").strip()
        async with session(service_url, key) as http:
            bodies = ({"model": "fast", "user": f"u{n}", "messages": [{"role": "user", "content": "hi"}]} for n in range(times))
            answers = [await post(http, "/v1/chat/completions", body) for body in bodies]
        costs[name] = sum(from_dollars(answer.headers["octant-cost-usd"]) for answer in answers)

    async def in_the_ledger() -> bool:
        wanted = select(ledger.c.tenant, func.sum(ledger.c.amount)).where(ledger.c.tenant.in_(costs)).group_by(ledger.c.tenant)
        async with stored.connect() as connection:
            return {name: int(amount) for name, amount in await connection.execute(wanted)} == costs

    await eventually(in_the_ledger)
    page = await operator.get(f"/console/budgets?name={prefix}")
    end = next(at for at, row in enumerate(page.rows) if row[0] == "Sum of 2 tenants")
    rows = {row[0].split()[0]: (row[2], row[6]) for row in page.rows[:end] if row[0].startswith(prefix)}
    assert rows == {name: (formats.usd(cost), formats.usd(cost)) for name, cost in costs.items()}
    assert (page.rows[end][2], page.rows[end][6]) == (formats.usd(sum(costs.values())), formats.usd(sum(costs.values())))
    for name, cost in costs.items():
        behind = re.search(rf'href="(/console/calls\?tenant={name}&amp;[^"]+)"', page.text)
        assert behind
        found = (f"{3 if name.endswith('a') else 2} calls match", formats.usd(cost))

        async def shown(way: str = unescape(behind[1]), found: tuple[str, str] = found) -> bool:
            words = (await operator.get(way)).words
            return found[0] in words and found[1] in words

        await eventually(shown)


async def test_the_pages_show_the_worst_case_that_the_command_computes(operator: Person, stack_env: dict[str, str]) -> None:
    """A user's own cap lies above that of each user, and counts (C8)."""
    tenant = TENANT.replace("money", "worst")
    octant(stack_env, "tenant", "create", tenant, "--day", "8", "--user-day", "1")
    octant(stack_env, "budget", "set", tenant, "--user", "ada", "--day", "3")
    wanted = worst_case(stack_env, tenant)
    assert wanted == ["$3.00", "$8.00", "$248.00"]
    table = (await operator.get(f"/console/budgets?name={tenant}")).rows
    assert next(row for row in table if "Worst day: one user" in row)[-2:] == ["Worst day: one user", "Any key holder"]
    user, holder, month = wanted
    assert [row[-2:] for row in table if row[0] == tenant] == [[user, f"{holder} {month} a month"]]
    own = (await operator.get(f"/console/budgets/{tenant}")).words
    user, holder = re.findall(r"Worst day of (?:one user|any key holder) (\S+)", own)
    assert [user, holder] == wanted[:2]


def worst_case(env: dict[str, str], tenant: str) -> list[str]:
    """The figures of `octant budget worst-case` as a page writes them: of one user, of a key's holder, and that in a month."""
    printed = octant(env, "budget", "worst-case", tenant)
    return [formats.usd(from_dollars(dollars)) for dollars in re.findall(r"(?:, a day|the same, a month) +\$([\d.]+)", printed)]


async def test_the_money_of_an_attempt_that_broke_off_is_called_an_estimate(
    operator: Person, stored: AsyncEngine, stack_env: dict[str, str]
) -> None:
    """On overview and budgets its sum; on the trace, and in the terminal, the charge itself."""
    guess = Usage(output=9, estimated=True)
    lost = Attempt(
        number=1,
        provider="openai",
        model="m",
        outcome="cancelled",
        started_ms=0.0,
        latency_ms=1.0,
        usage=guess,
        cost=MicroUSD(40),
    )
    trace, number = uuid.uuid4().hex, f"call_{uuid.uuid4().hex[:8]}"
    of_it = {"id": number, "trace_id": trace, "tenant": TENANT, "at": datetime.now(UTC)}
    await Writer(stored).write([a_record(cost=MicroUSD(40), usage=guess, attempts=(lost,), **of_it)])
    for path in ("/console", "/console/budgets"):
        assert re.search(r", \$[\d.]+ of it estimated", (await operator.get(path)).words), path
    shown = await operator.get(f"/console/traces/{trace}")
    assert "for at most $0.00004, an estimate as an attempt broke off." in shown.words
    assert [row[0].endswith("cost estimated") for row in shown.rows if row[0].startswith("openai m")] == [True]
    assert "of which ≤ $0.00004 was spent an estimate" in shown.words
    words = "an estimate: it broke off without its provider's final figures"
    assert f"{number}  attempt 1, $0.00004: {words}" in octant(stack_env, "trace", trace)
    assert words in octant(stack_env, "calls", "show", number)


async def test_a_cap_changes_with_a_reason_and_the_log_has_no_users_id(operator: Person, stored: AsyncEngine) -> None:
    values = {"tenant": TENANT, "user": "ada-of-money", "day": "0.25"}
    asked = await operator.get(f"/console/do/budget-set?tenant={TENANT}&user=ada-of-money&day=0.25")
    assert "The cap a day will go from none to $0.25" in asked.words
    assert f"octant budget set {TENANT} --user ada-of-money --day 0.25" in asked.words
    assert f"To take it back: octant budget set {TENANT} --user ada-of-money --day none" in asked.words
    assert (await operator.submit("/console/do/budget-set", values)).status == 400
    done = await operator.submit("/console/do/budget-set", {**values, "reason": "a test of the console"})
    assert (done.status, str(done.headers["location"])[:20]) == (303, "/console/budgets?don"), done.words
    async with stored.connect() as connection:
        cap = await connection.scalar(select(user_caps.c.daily_cap).where(user_caps.c.tenant == TENANT))
        wanted = select(actions).where(actions.c.action == "budget set", actions.c.subject.contains(TENANT))
        rows = (await connection.execute(wanted.order_by(actions.c.number))).all()
    assert cap == 250_000
    assert [row.outcome for row in rows] == ["begun", "ok"]
    assert all("ada-of-money" not in row.subject and "day=0.25" in row.subject for row in rows)
    assert [row.subject.endswith(", before: --day none") for row in rows] == [False, True], "as the command writes it"
    assert "own" in (await operator.get(f"/console/budgets/{TENANT}")).words

    shown = await operator.get(str(done.headers["location"]))
    way = unescape(re.search(r'href="([^"]+)">Take it back…', shown.text)[1])  # type: ignore[index] # fails with the page's text
    asked = await operator.get(way)
    assert "The cap a day will go from $0.25 to none" in asked.words
    fields = dict(parse_qsl(urlsplit(way).query))
    assert (await operator.submit("/console/do/budget-set", {**fields, "reason": "taken back"})).status == 303
    async with stored.connect() as connection:
        assert await connection.scalar(select(user_caps.c.daily_cap).where(user_caps.c.tenant == TENANT)) is None
    elsewhere = str(done.headers["location"]).replace("undo_at=%2Fconsole%2Fdo", "undo_at=%2Fconsole%2Fsign-out%2Fdo")
    assert elsewhere != str(done.headers["location"])
    assert "Take it back" not in (await operator.get(elsewhere)).words, "a link that another wrote is not shown"


async def test_a_user_is_stopped_from_its_page_and_the_log_has_no_users_id(operator: Person, stored: AsyncEngine) -> None:
    here = f"/console/budgets/{TENANT}/user?id=ada-of-money"
    form = await operator.get(unescape(re.search(r'href="([^"]+)">Stop this user…', (await operator.get(here)).text)[1]))  # type: ignore[index] # fails with the page's text
    assert "It refuses every call, side effect, job and webhook of this user".lower() in form.words.lower()
    assert f'octant kill user {TENANT} ada-of-money --reason "…"' in form.words
    values = {"tenant": TENANT, "user": "ada-of-money"}
    done = await operator.submit("/console/do/kill-user", {**values, "reason": "a loop", "back": here})
    assert done.status == 303, done.words
    try:
        shown = await operator.get(str(done.headers["location"]))
        assert f"ada-of-money of {TENANT} is stopped by an operator: every call is refused." in shown.words
        assert "Resume…" in shown.words
        async with stored.connect() as connection:
            subjects = (await connection.scalars(select(actions.c.subject).where(actions.c.action == "kill user"))).all()
        assert subjects
        assert not [one for one in subjects if "ada-of-money" in one]
    finally:
        done = await operator.submit("/console/do/resume-user", {**values, "reason": "over", "back": here})
    shown = await operator.get(str(done.headers["location"]))
    assert f"ada-of-money of {TENANT} is released" in shown.words
    assert "Stop this user…" in shown.words


async def test_a_cap_below_the_price_of_one_call_is_warned_of_at_once(operator: Person, stack_env: dict[str, str]) -> None:
    """Before the change, by the command, and on the tenant's page as long as it is so."""
    into = " into the cap a day of each user, $0.0001."
    made = octant(stack_env, "tenant", "create", "tiny", "--day", "5", "--user-day", "0.0001")
    assert "Beware: no answer " in made
    assert into in made
    assert into in (await operator.get("/console/budgets/tiny")).words
    asked = await operator.get("/console/do/budget-set?tenant=tiny&day=0.0002")
    assert " into the cap a day, $0.0002." in asked.words
    assert "Beware" not in octant(stack_env, "budget", "set", "tiny", "--user-day", "5")
    assert "Beware" not in (await operator.get("/console/budgets/tiny")).words
    assert "given out" not in octant(stack_env, "budget", "show", "tiny")


async def test_a_cap_that_does_not_fit_says_which(operator: Person) -> None:
    for query, words in (("day=none", "always has a cap for the day"), ("day=x", "--day"), ("", "Nothing to set")):
        answer = await operator.get(f"/console/do/budget-set?tenant={TENANT}&{query}")
        assert answer.status == 400
        assert words in answer.words
        assert "Back to the form" not in answer.words, "no page is known that it was on"
    path = f"/console/do/budget-set?tenant={TENANT}&day=x"
    for way, leads in ((f"/console/budgets/{TENANT}", True), ("/elsewhere", False), (path, False)):
        answer = await operator.get(path, referer=f"http://127.0.0.1{way}")
        assert (f'href="/console/budgets/{TENANT}">Back to the form' in answer.text) is leads, way
        assert ("Back to the form" in answer.words) is leads, way
    assert (await operator.get("/console/do/budget-set?tenant=no-such-tenant&day=1")).status == 404


async def test_viewers_see_caps_and_candidates_and_change_neither(service_url: str, stack_env: dict[str, str]) -> None:
    key = octant(stack_env, "key", "create", "acme", "--name", "money viewer", "--scope", "view", "--quiet").strip()
    async with signed_in(service_url, key) as viewer:
        page = await viewer.get("/console/budgets/acme")
        assert page.status == 200
        assert "budget-set" not in page.text
        assert (await viewer.get("/console/do/budget-set?tenant=acme&day=1")).status == 403
        sent = await viewer.submit("/console/do/evals-dismiss", {"number": "1", "reason": "x"})
        assert sent.status == 403


async def test_a_candidate_is_dismissed_from_its_page(operator: Person, stored: AsyncEngine) -> None:
    asked = {"endpoint": "/v1/support/questions", "text": f"{EVIL} {TENANT}"}
    values = {
        "digest": uuid.uuid4().hex, "at": datetime.now(UTC), "tenant": TENANT, "user": "u", "request_id": "r",
        "feature": "support", "release": "1", "reasons": ["hand_over"], "times": 10_000, "asked": asked, "seen": {"answer": EVIL},
    }  # fmt: skip
    async with stored.begin() as connection:
        number = (await connection.execute(insert(eval_candidates).values(values).returning(eval_candidates.c.id))).scalar_one()
    page = await operator.get("/console/evals/candidates?reason=hand_over")
    assert TENANT in page.words
    assert "<script>alert" not in page.text
    assert f"python -m evals promote {number} --mode MODE --id CASE-ID" in page.words
    done = await operator.submit("/console/do/evals-dismiss", {"number": str(number), "reason": "asked by mary@example.org"})
    assert done.status == 303, done.words

    async def shown() -> bool:
        return bool(re.search(r"asked by <email:\w+>", (await operator.get("/console/evals/candidates?state=dismissed")).words))

    await eventually(shown)
    again = await operator.get(f"/console/do/evals-dismiss?number={number}")
    assert again.status == 400


async def test_a_call_is_marked_for_the_evals_from_its_trace_and_taken_back(
    service_url: str, stack_env: dict[str, str], api_key: str, operator: Person, stored: AsyncEngine
) -> None:
    async with session(service_url, api_key) as http:
        body = {"model": "smart", "user": "ada", "messages": [{"role": "user", "content": "is this a case?"}]}
        trace = (await post(http, "/v1/chat/completions", body)).headers["octant-trace-id"]
    way = f"/console/traces/{trace}"

    async def recorded() -> bool:
        return (await operator.get(way)).status == 200

    await eventually(recorded)
    page = await operator.get(way)
    call = re.search(r'href="/console/do/evals-mark\?call=(call_\w+)&amp;trace=(\w+)"', page.text)
    assert call
    assert call[2] == trace
    asked = await operator.get(f"/console/do/evals-mark?call={call[1]}&trace={trace}")
    assert f'python -m evals mark {call[1]} --reason "…"' in asked.words
    assert f'href="{way}"' in asked.text, "cancelling leads back to the trace"
    fields = {"call": call[1], "trace": trace, "reason": f"{EVIL} wrong, says mary@example.org"}
    done = await operator.submit("/console/do/evals-mark", fields)
    assert (done.status, done.headers["location"].partition("?")[0]) == (303, way)
    shown = await operator.get(way)
    assert re.search(r"marked for the evals .*says <email:\w+>", shown.words), shown.words
    assert "<script>alert" not in shown.text
    assert (await operator.submit("/console/do/evals-mark", fields)).status == 400
    key = octant(stack_env, "key", "create", "acme", "--name", "marks viewer", "--scope", "view", "--quiet").strip()
    async with signed_in(service_url, key) as viewer:
        assert "/console/do/" not in (await viewer.get(way)).text
        assert (await viewer.submit("/console/do/evals-unmark", fields)).status == 403
    assert (await operator.submit("/console/do/evals-unmark", fields)).status == 303
    of_it = select(actions.c.action, actions.c.outcome).where(actions.c.subject.contains(call[1])).order_by(actions.c.number)
    async with stored.connect() as connection:
        logged = (await connection.execute(of_it)).all()
    assert [(row.action, row.outcome) for row in logged] == [
        ("evals mark", "begun"), ("evals mark", "ok"), ("evals unmark", "begun"), ("evals unmark", "ok"),
    ]  # fmt: skip


@needs_example
async def test_a_wrong_answer_stands_beside_the_one_that_passes(operator: Person, stored: AsyncEngine) -> None:
    """Both are of stored runs: no trace is needed for them."""
    run = {"label": "simulator", "replay": False, "code": 0, "passed": 0.0, "total": 1, "cost_micro_usd": 5,
           "report": {"suite": "support"}}  # fmt: skip
    found = {"scorer": "facts", "words": "does not say <i>no</i>"}
    trials = [("r-old", {"passed": False, "findings": [found], "answer": "Cut <b>off"}),
              ("r-new", {"passed": True, "findings": [], "answer": "A whole answer."})]  # fmt: skip
    async with stored.begin() as connection:
        for release, each in trials:
            wanted = insert(eval_runs).values(run | {"release": release}).returning(eval_runs.c.id)
            named = {"run": (await connection.execute(wanted)).scalar_one(), "case": "ship-to-brazil", "trial": 0, "seconds": 0.1}
            named |= {"failure_mode": "unsupported_claim", "request_id": "req_elsewhere"}
            await connection.execute(insert(eval_results).values(named | each))
    for path in ("/console/evals", "/console/evals/cases/support/ship-to-brazil"):
        page = await operator.get(path)
        both = r"Cut <b>off Why it failed: facts: does not say <i>no</i>\. .* A whole answer\. No scorer found a fault"
        assert re.search(both, page.words), page.words
        assert "/console/releases/r-old/diff?to=r-new" in page.text
        assert "Cut <b>" not in page.text


@needs_example
async def test_a_flipped_case_leads_to_its_input_expectation_findings_and_answer(
    service_url: str, api_key: str, operator: Person, stored: AsyncEngine
) -> None:
    """The case's own made-up card number is redacted, too."""
    async with session(service_url, api_key) as http:
        body = {"model": "smart", "user": "ada", "messages": [{"role": "user", "content": "is the card refused?"}]}
        answered = await post(http, "/v1/chat/completions", body)
    run = {"release": "r-1", "label": "simulator", "replay": False, "code": 1, "passed": 0.0, "total": 2, "cost_micro_usd": 5,
           "report": {"suite": "support", "comparison": {"lost": ["card-not-echoed"]}}}  # fmt: skip
    trials = [
        {
            "passed": False,
            "findings": [{"scorer": "says_not", "words": "says <b>"}],
            "request_id": answered.headers["x-request-id"],
        },
        {"passed": False, "findings": [], "broken": "the service was away", "request_id": "req_of_another_service"},
    ]
    async with stored.begin() as connection:
        number = (await connection.execute(insert(eval_runs).values(run).returning(eval_runs.c.id))).scalar_one()
        for trial, each in enumerate(trials):
            named = {"run": number, "case": "card-not-echoed", "trial": trial, "failure_mode": "pii_leak", "seconds": 0.1}
            await connection.execute(insert(eval_results).values(named | each))
    listed = await operator.get(f"/console/evals/runs/{number}")
    assert listed.text.count('href="/console/evals/cases/support/card-not-echoed"') == 3, "flipped, and each trial"
    trace = f"/console/traces/{answered.headers['octant-trace-id']}"

    async def recorded() -> bool:
        return trace in (await operator.get("/console/evals/cases/support/card-not-echoed")).text

    await eventually(recorded)
    page = await operator.get("/console/evals/cases/support/card-not-echoed")
    assert re.search(r"Input, redacted .*<card:\w+> was declined", page.words), page.words
    assert "4111" not in page.text
    assert "Passes if something is answered and its number is not repeated." in page.words
    assert "says_not: says <b>" in page.words
    assert re.search(r'said wrong"><blockquote>[^<]+</blockquote>', page.text), "the answer of the recorded call"
    assert "the service was away Its call req_of_another_service is not recorded here" in page.words
    assert "Of its 2 newest stored trials, 0 passed." in page.words
    for path in ("support/no-such-case", "no-such-suite/card-not-echoed", "..%2fsupport/x"):
        assert (await operator.get(f"/console/evals/cases/{path}")).status == 404


async def test_the_forecast_of_today_is_the_same_whatever_the_range(
    service_url: str, stack_env: dict[str, str], api_key: str, operator: Person
) -> None:
    async with session(service_url, api_key) as http:
        await post(
            http, "/v1/chat/completions", {"model": "smart", "messages": [{"role": "user", "content": "what does it cost?"}]}
        )

    async def same() -> bool:
        said = [
            re.findall(
                f"forecast {PACE}",
                (await operator.get(f"/console?range={name}")).words,
            )
            for name in ("15m", "24h", "30d")
        ]
        return bool(said[0]) and said[0] == said[1] == said[2]

    await eventually(same)
    printed = run(stack_env, "status", "--since", "30d").stdout  # other tests' failed calls may end it with 1
    assert re.search(f"^Forecast of today +{PACE}", printed, re.MULTILINE), printed
