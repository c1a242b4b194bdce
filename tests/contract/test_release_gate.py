"""No release is live, or a canary, without eval results of exactly its manifest (B3)."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from conftest import own_database
from manifests import PRICES, prove, results_of, write
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy import delete, insert, update
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.domain.errors import Misconfigured
from app.domain.money import MicroUSD
from app.releases.bad_events import METRICS, SEEN
from app.releases.eval_gate import Score, Unproven
from app.releases.evaluations import eval_runs
from app.releases.manifest import Places
from app.releases.refusal import RefusedRollback
from app.releases.releases import Releases
from app.releases.setting_back import Pinned
from app.releases.tables import activations, canaries, canary_users, manifests
from app.releases.way_back import way_back

TRIAL = {"by": "ada", "reason": "better", "cap": MicroUSD(1_000_000), "days": 7}


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def own_engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    with own_database(database_url, "release_gate") as url:
        engine = create_async_engine(url)
        yield engine
        await engine.dispose()


@pytest_asyncio.fixture(loop_scope="session")
async def engine(own_engine: AsyncEngine) -> AsyncEngine:
    async with own_engine.begin() as connection:
        for table in (canary_users, canaries, activations, manifests, eval_runs):
            await connection.execute(delete(table))
    return own_engine


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Releases a, b and c of one prompt each, whose versions differ. None has results."""
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "p1.toml").write_text(PRICES)
    for release_id in "abc":
        path = tmp_path / "shop" / "prompts" / "answer" / f"{release_id}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'description = "d"\nsystem = "Be {release_id}."\nuser = "$text"\n')
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        pin = f'[prompts."shop/answer"]\nversion = "{release_id}"\nsha256 = "{digest}"\nroute = "smart"\n'
        write(tmp_path, release_id, pin)
    return Places(directory=tmp_path, prompts=tmp_path, indexes=tmp_path, providers=frozenset({"openai"}))


@pytest.fixture
def operator(engine: AsyncEngine, places: Places) -> Releases:
    away = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
    return Releases(engine, away, places, secret=b"tests")


async def test_a_release_without_results_is_refused_with_what_lacks_and_the_command(operator: Releases, places: Places) -> None:
    with pytest.raises(Unproven, match=r"python -m evals release a(.|\n)*--force") as refused:
        await operator.activate("a", by="ada", reason="r")
    sha256 = hashlib.sha256((places.directory / "a.toml").read_bytes()).hexdigest()
    assert sha256[:12] in str(refused.value)
    assert refused.value.lacking == ("prompt shop/answer: no suite's result for this manifest.",)
    assert await operator.history() == []


async def test_a_file_of_results_opens_the_gate_for_its_manifest_alone(operator: Releases, places: Places) -> None:
    prove(places.directory, "a")
    assert list(await operator.activate("a", by="ada", reason="r")) == []
    with (places.directory / "a.toml").open("a") as file:
        file.write("# one more line\n")
    with pytest.raises(Unproven, match="this one has changed since"):
        await operator.activate("a", by="ada", reason="r")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda results: results["suites"][0]["models"][0].update(passed=10), "changed after it was written"),
        (lambda results: results["suites"][0].pop("models"), r"suites\.0\.models: Field required"),
        (lambda results: results["suites"][0]["scores"]["overall"].update(passed=11), "more passed than there are"),
        (lambda results: results.update(release="b"), "changed after it was written"),
    ],
)
async def test_a_file_that_was_edited_counts_for_nothing_and_says_so(
    operator: Releases, places: Places, edit: "object", said: str
) -> None:
    path = prove(places.directory, "a")
    results = json.loads(path.read_text())
    edit(results)  # type: ignore[operator]
    path.write_text(json.dumps(results))
    with pytest.raises(Unproven, match=said):
        await operator.activate("a", by="ada", reason="r")


async def test_results_in_postgres_open_the_gate_too(engine: AsyncEngine, operator: Releases, places: Places) -> None:
    result = results_of(places.directory, "a").model_dump(mode="json")
    run = {"label": "real models", "replay": False, "code": 0, "passed": 9, "total": 10, "cost_micro_usd": 0, "report": {}}
    async with engine.begin() as connection:
        await connection.execute(insert(eval_runs).values(release="a", manifest="0" * 64, result=result, **run))
    with pytest.raises(Unproven):
        await operator.activate("a", by="ada", reason="of another manifest")
    sha256 = hashlib.sha256((places.directory / "a.toml").read_bytes()).hexdigest()
    async with engine.begin() as connection:
        await connection.execute(insert(eval_runs).values(release="a", manifest=sha256, result=result, **run))
    await operator.activate("a", by="ada", reason="r")


async def test_a_forced_release_needs_a_reason_and_keeps_what_it_lacks(operator: Releases) -> None:
    with pytest.raises(Misconfigured, match="--force needs a --reason"):
        await operator.activate("a", by="ada", reason=" ", force=True)
    lacking = await operator.activate("a", by="ada", reason="an outage", force=True)
    assert list(lacking) == (await operator.history())[0].unproven == ["prompt shop/answer: no suite's result for this manifest."]
    assert await operator.unproven() == {"live": 1, "canary": 0}


async def test_the_plain_way_back_needs_no_result_and_what_was_forced_stays_unproven(operator: Releases, places: Places) -> None:
    """Nor does one that passed when it went live and whose file is not on this machine."""
    prove(places.directory, "b")
    prove(places.directory, "c")
    await operator.activate("a", by="ada", reason="forced", force=True)
    for release in "bc":
        await operator.activate(release, by="ada", reason="r")
    (places.directory / "evals" / "b.json").unlink()
    assert await operator.rollback(by="ada", reason="worse") == "b"
    assert await operator.unproven() == {"live": 0, "canary": 0}
    assert await operator.rollback(by="ada", reason="worse", again=True) == "a"
    assert await operator.unproven() == {"live": 1, "canary": 0}


async def test_a_refused_release_is_named_to_go_back_to_by_force_alone(operator: Releases, places: Places) -> None:
    """And the refusal names the worst reasons and the release that passes (B2, B3)."""
    prove(places.directory, "a")
    await operator.activate("a", by="ada", reason="r")
    await operator.activate("b", by="ada", reason="forced", force=True)
    prove(places.directory, "c")
    await operator.activate("c", by="ada", reason="r")
    with pytest.raises(RefusedRollback, match="The eval gate refuses b for 1 reason") as refused:
        await operator.rollback(by="ada", reason="worse", to="b")
    assert "a passes it: `octant rollback --to a" in str(refused.value)
    assert "To roll back to b nevertheless: --force" in str(refused.value)
    with pytest.raises(Misconfigured, match="--force needs a --reason"):
        await operator.rollback(by="ada", reason=" ", to="b", force=True)
    assert (await operator.history())[0].release == "c"
    assert await operator.rollback(by="ada", reason="meant", to="b", force=True) == "b"
    found = await operator.refusal("b")
    assert (found.lacking, found.passes) == (["prompt shop/answer: no suite's result for this manifest."], "a")
    prove(places.directory, "b")
    await operator.activate("c", by="ada", reason="r")
    assert await operator.rollback(by="ada", reason="it has results now", to="b") == "b"
    assert await operator.unproven() == {"live": 0, "canary": 0}


async def test_a_release_that_passed_and_whose_newer_results_fail_is_refused_too(
    engine: AsyncEngine, operator: Releases, places: Places
) -> None:
    """But not the release before: a trigger has printed its name, before these results."""
    for release in "abc":
        prove(places.directory, release)
        await operator.activate(release, by="ada", reason="r")
    for release in "ab":
        prove(places.directory, release, scores={"overall": Score(passed=5, total=10, least=0.8)})
    with pytest.raises(RefusedRollback, match=r"points below the threshold(.|\n)*c, which is live, passes it"):
        await operator.rollback(by="ada", reason="worse", to="a")
    assert (await way_back(engine)).command("x") == "octant rollback --to b --reason x"
    assert [(await operator.refusal(name)).by_force for name in "ab"] == [True, False], "the console asks for as much"
    assert await operator.rollback(by="ada", reason="at 3 a.m.", to="b") == "b"
    assert (await operator.unproven())["live"] > 0
    assert await operator.rollback(by="ada", reason="at 3 a.m.", again=True) == "a", "never refused without a name"


async def test_the_way_back_leads_past_a_release_that_was_forced(engine: AsyncEngine, operator: Releases, places: Places) -> None:
    """A trigger prints the command: it must not be one that is refused."""
    for release, force in (("a", True), ("b", False), ("c", True), ("b", False)):
        if not force:
            prove(places.directory, release)
        await operator.activate(release, by="ada", reason="r", force=force)
    assert "--to c --force --reason" in (await way_back(engine)).command("x"), "a was forced, and b is live"
    prove(places.directory, "a")
    await operator.activate("a", by="ada", reason="r")
    assert (await way_back(engine)).command("x") == "octant rollback --to b --reason x"
    await operator.activate("c", by="ada", reason="r", force=True)
    await operator.activate("b", by="ada", reason="r")
    assert (await way_back(engine)).command("x") == "octant rollback --to a --reason x"
    prove(places.directory, "a", scores={"overall": Score(passed=5, total=10, least=0.8)})
    assert await operator.rollback(by="ada", reason="it was printed before these results", to="a") == "a"


async def test_a_manifest_of_other_code_hides_no_way_back(engine: AsyncEngine, operator: Releases, places: Places) -> None:
    """After a rollback of code, kept manifests may have fields that the earlier code does not know."""
    for release in "abc":
        if release != "b":
            prove(places.directory, release)
        await operator.activate(release, by="ada", reason="r", force=release == "b")
    async with engine.begin() as connection:
        await connection.execute(update(manifests).where(manifests.c.id == "a").values(text='id = "a"\nnewer = 1\n'))
    assert (await operator.refusal("b")).passes == "c"
    with pytest.raises(RefusedRollback, match="c, which is live, passes it"):
        await operator.rollback(by="ada", reason="worse", to="b")
    assert await operator.rollback(by="ada", reason="worse") == "b"
    assert (await way_back(engine)).previous == "a"


async def test_a_release_made_by_setting_one_pin_back_is_live_but_unproven(operator: Releases, places: Places) -> None:
    for release in "ab":
        prove(places.directory, release)
        await operator.activate(release, by="ada", reason="r")
    assert await operator.rollback(by="ada", reason="worse", only=Pinned("prompt", "shop/answer")) == "b.back-1"
    assert await operator.unproven() == {"live": 1, "canary": 0}
    await operator.activate("b", by="ada", reason="mended")
    assert await operator.unproven() == {"live": 0, "canary": 0}


async def test_no_rollback_leads_to_a_release_that_was_only_a_canary(operator: Releases, places: Places) -> None:
    for release in "ab":
        prove(places.directory, release)
        await operator.activate(release, by="ada", reason="r")
    await operator.try_out("c", 0.1, force=True, **TRIAL)  # type: ignore[arg-type]
    await operator.abort(by="ada", reason="worse")
    for only in (None, Pinned("prompt", "shop/answer")):
        with pytest.raises(Misconfigured, match="never live"):
            await operator.rollback(by="ada", reason="r", to="c", only=only)


async def test_a_canary_starts_and_is_promoted_only_with_results(operator: Releases, places: Places) -> None:
    prove(places.directory, "a")
    await operator.activate("a", by="ada", reason="first")
    with pytest.raises(Unproven):
        await operator.try_out("b", 0.1, **TRIAL)  # type: ignore[arg-type]
    path = prove(places.directory, "b")
    await operator.try_out("b", 0.1, **TRIAL)  # type: ignore[arg-type]
    await operator.abort(by="ada", reason="another time")
    path.unlink()
    await operator.try_out("b", 0.1, force=True, **TRIAL)  # type: ignore[arg-type]
    assert await operator.unproven() == {"live": 0, "canary": 1}
    await operator.promote(by="ada", reason="it is fine", force=True)
    assert await operator.unproven() == {"live": 1, "canary": 0}


async def test_users_who_prove_a_canary_do_not_stand_for_eval_results(
    engine: AsyncEngine, operator: Releases, places: Places
) -> None:
    """A promotion needs both."""
    for release in "ab":
        prove(places.directory, release)
    await operator.activate("a", by="ada", reason="first")
    canary = await operator.try_out("b", 0.5, **TRIAL)  # type: ignore[arg-type]
    rows = [
        {"canary": canary.id, "metric": metric, "digest": f"{n:032}", "has_canary": n % parts == 0, "step": 0}
        for metric, parts in [(SEEN, 2), *((metric, 3) for metric in METRICS)]
        for n in range(120)
    ]
    async with engine.begin() as connection:
        await connection.execute(insert(canary_users).values(rows))
    path = places.directory / "evals" / "b.json"
    kept = path.read_text()
    path.unlink()
    with pytest.raises(Unproven):
        await operator.promote(by="ada", reason="proven")
    path.write_text(kept)
    await operator.promote(by="ada", reason="proven")
    assert await operator.unproven() == {"live": 0, "canary": 0}
