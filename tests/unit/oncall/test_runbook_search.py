"""People find the runbook's page in their own words: customers, colleagues, people of finance (K1).

Each sentence was written before it was tried; pages got words for those that led astray.
"""

import re

import pytest
from commands import run
from hypothesis import given
from hypothesis import strategies as st

from app.console.pages.runbook import searched
from app.console.places import fitting, is_question
from app.oncall.runbook import pages
from app.oncall.runbook.pages import page_of
from app.oncall.runbook.search import SURE, find

RUNBOOK = pages.read()
# Each with the pages or sections that help.
CUSTOMERS = [
    ("your bot stopped replying to our customers", "provider-outage README latency kill-switch"),
    ("we get an answer only after half a minute", "latency"),
    ("the assistant takes ages today", "latency"),
    ("it just keeps loading and nothing comes", "latency provider-outage"),
    ("answers stop after three words", "rollback"),
    ("every reply ends mid-sentence", "rollback provider-outage"),
    ("the replies are suddenly very short", "rollback eval-drift"),
    ("All our calls are refused", "kill-switch"),
    ("you blocked our account", "kill-switch budget-exhausted"),
    ("we read that our limit is used up but we pay for more", "budget-exhausted cost-caps"),
    ("none of our calls get through, API broken", "callers"),
    ("our integration broke overnight, nothing changed on our side", "callers rollback"),
    ("model not found", "callers"),
    ("the API says our request is malformed", "callers"),
    ("the document we send is too big", "callers"),
    ("our password for the API is not accepted any more", "keys"),
    ("I can see what another company asked", "personal-data"),
    ("the chat shows my neighbour's address", "personal-data"),
    ("the bot asked me to transfer money to an unknown account", "injection-direct injection-document injection-tool"),
    ("the assistant swears at our clients", "eval-drift injection-direct"),
    ("it invents return policies that do not exist", "eval-drift"),
    ("it answers in English although I write French", "eval-drift rollback"),
    ("the answer is not JSON any more and our parser crashes", "malformed-output"),
    ("fields are missing from the ticket it fills in", "malformed-output eval-drift"),
    ("our overnight batch never finished", "jobs"),
    ("we never got the callback for our job", "jobs"),
    ("a third of our requests hang", "latency"),
    ("sometimes it is fast and sometimes it takes a minute", "latency"),
    ("we get too many requests although we send hardly any", "rate-limits cost-caps"),
    ("cannot reach your address, the browser says the connection is not private", "callers"),
    ("your domain does not resolve", "callers"),
    ("your status page says all is well but we cannot reach you", "callers"),
    ("only our office in Berlin cannot connect", "callers"),
    ("your certificate has expired", "callers"),
]
COLLEAGUES = [
    ("someone switched us off and did not say so", "kill-switch"),
    ("who stopped the service and may I start it again", "kill-switch"),
    ("support says the new wording makes everything worse", "rollback"),
    ("we shipped something at noon and now the quality is gone", "rollback eval-drift"),
    ("how do I get back to how it was yesterday", "rollback"),
    ("the Claude account has no credit left", "provider-outage#our-key-or-our-quota rate-limits"),
    ("Anthropic says our key was revoked", "provider-outage#our-key-or-our-quota keys"),
    ("OpenAI retired the model we use", "provider-outage#our-key-or-our-quota"),
    ("both vendors are down at the same time", "provider-outage"),
    ("everything goes to the backup model", "provider-outage"),
    ("answers read differently, bill of one vendor is rising", "provider-outage"),
    ("why do all answers suddenly come from GPT", "provider-outage"),
    ("the vendor throttles us at peak time", "rate-limits"),
    ("I cannot see any calls since ten o'clock", "observability postgres-away"),
    ("the dashboards are empty", "observability"),
    ("the numbers stopped at midnight", "observability"),
    ("the disk of the database server is full", "postgres-away"),
    ("the cache server was restarted and now no customer gets an answer", "valkey-away"),
    ("a customer's name appears in our log files", "personal-data"),
    ("a former employee still has access", "keys"),
    ("a laptop with an API key was stolen", "keys"),
    ("a stranger is guessing keys", "keys"),
    ("an article in the help center tells the bot to lie", "injection-document"),
    ("a note in an order made the bot give a refund", "injection-tool"),
    ("a user tricks the bot into showing its instructions", "injection-direct"),
    ("ten percent of people get a different answer", "canary"),
    ("the trial version is worse, end it", "canary rollback"),
    ("my phone did not ring tonight", "paging"),
    ("which colleague has the night shift", "paging README contacts"),
    ("how do I hand over to the next shift", "incidents paging"),
    ("what do I write to the customers", "incidents README"),
    ("we will miss what we promised in the contract", "objectives"),
    ("we have used up this month's allowed errors", "objectives"),
]
FINANCE = [
    ("the invoice from OpenAI is four times what we planned", "cost-spike"),
    ("we spent the monthly money in three days", "cost-spike budget-exhausted"),
    ("who used so much this week", "cost-spike cost-caps"),
    ("the customer wants a higher spending ceiling", "cost-caps budget-exhausted"),
    ("can we stop this tenant from spending more", "cost-caps cost-spike kill-switch"),
    ("the credit card at the vendor was declined", "provider-outage#our-key-or-our-quota rate-limits"),
    ("tokens per answer went up by half since Tuesday", "cost-spike rollback"),
]
# Two further trials, of all three. Before pages got words for them, the second one led to the right place first in 22 of 35.
LATER = [
    ("the chat window just shows three dots", "latency provider-outage"),
    ("our users wait for an eternity", "latency"),
    ("requests are refused with a message from you", "kill-switch budget-exhausted"),
    ("everything gets 403", "keys provider-outage kill-switch"),
    ("the bot repeats the same sentence over and over", "eval-drift rollback"),
    ("it suddenly answers like a pirate", "eval-drift rollback injection-direct"),
    ("after your update the summaries are cut", "rollback"),
    ("please bring back the old version", "rollback"),
    ("a developer committed the token to a public repo", "keys"),
    ("we rotated the key at OpenAI and now nothing works", "provider-outage#our-key-or-our-quota keys"),
    ("our VPN users get a certificate warning", "callers"),
    ("site can't be reached", "callers"),
    ("works in the browser, not from our server", "callers"),
    ("this customer's bill exploded", "cost-spike"),
    ("why did we pay 9,000 dollars yesterday", "cost-spike"),
    ("tenant wants us to raise his budget", "cost-caps budget-exhausted"),
    ("postgres is not accepting connections", "postgres-away"),
    ("redis is out of memory", "valkey-away"),
    ("jobs are piling up", "jobs"),
    ("social security numbers in the prompt log", "personal-data"),
    ("the model leaks its system prompt", "injection-direct"),
    ("a knowledge base page contains hidden instructions", "injection-document"),
    ("the canary is doing badly", "canary"),
    ("grafana panels are all blank", "observability"),
    ("I was woken up and do not know what to do", "README paging"),
    ("gpt-6 is not available any more", "provider-outage callers"),
    ("Claude keeps timing out, so does GPT", "latency provider-outage"),
    ("the extraction returns a string where a number should be", "malformed-output"),
    ("scores in the nightly evaluation dropped", "eval-drift objectives"),
    ("someone set the emergency stop and went home", "kill-switch"),
    ("the boss asks how bad it is", "incidents README"),
    ("our quota at Anthropic is reached", "rate-limits provider-outage#our-key-or-our-quota"),
    ("unknown parameter in our call", "callers"),
    ("errors for one customer only", "callers"),
    ("half of the answers come from the fallback", "provider-outage"),
    ("we pushed send and nothing happens for ages", "latency provider-outage"),
    ("chat is dead", "provider-outage README kill-switch"),
    ("all of our traffic is turned away", "kill-switch budget-exhausted"),
    ("why is my account suspended", "kill-switch budget-exhausted keys"),
    ("you changed something, the tone is different", "rollback eval-drift provider-outage"),
    ("the new prompt was a mistake", "rollback"),
    ("the sentences just break off", "rollback provider-outage"),
    ("it calls our customers idiots", "eval-drift injection-direct"),
    ("it promises discounts that were never approved", "eval-drift injection-direct injection-tool"),
    ("we receive another customer's conversation", "personal-data"),
    ("bank account numbers are in the records", "personal-data"),
    ("our parser gets text instead of an object", "malformed-output"),
    ("the JSON has a trailing comma", "malformed-output"),
    ("a thousand queued tasks are not worked on", "jobs"),
    ("the hook at our side is never called", "jobs"),
    ("vendor says we send too much per minute", "rate-limits"),
    ("Anthropic sent us an email that the payment did not go through", "provider-outage#our-key-or-our-quota contacts"),
    ("claude-sonnet was discontinued", "provider-outage#our-key-or-our-quota"),
    ("our credentials showed up on pastebin", "keys"),
    ("an ex-colleague may know the admin key", "keys"),
    ("finance asks who caused the costs on Sunday", "cost-spike cost-caps"),
    ("we are at 90 percent of the daily cap at noon", "cost-spike budget-exhausted cost-caps"),
    ("please give this tenant another 100 dollars", "cost-caps budget-exhausted"),
    ("database is read only", "postgres-away"),
    ("connection to valkey refused", "valkey-away"),
    ("the error budget is gone", "objectives"),
    ("no metrics since the restart", "observability"),
    ("users with a long history get an error", "callers"),
    ("our customers get a TLS error", "callers"),
    ("only customers in Asia see failures", "callers"),
    ("my colleague does not answer the page", "paging"),
    ("shift change with an open incident", "incidents paging"),
    ("a retrieved document gives the model commands", "injection-document"),
    ("someone got the bot to cancel another order", "injection-tool injection-direct personal-data"),
    ("OpenAI takes twenty seconds per answer", "latency"),
]
# Of incidents that an engineer met blind, and of a buyer. The wrong page of one of them stopped the last provider that answered.
MET = [
    ("nothing answers anymore: every request spins until it times out", "latency provider-outage"),
    ("all their calls are refused since a moment, other customers are fine", "budget-exhausted keys cost-caps kill-switch"),
    ("northwind: all calls are refused, other customers are fine", "budget-exhausted keys cost-caps kill-switch"),
    ("our numbers stand still", "observability postgres-away"),
    ("no new calls in the list", "observability postgres-away"),
    ("finance says the ledger has stopped", "observability postgres-away"),
    ("canceling statement due to lock timeout", "postgres-away"),
    ("all our calls get errors since a few minutes", "provider-outage README valkey-away"),
    ("answers break off, or come back as errors, since this morning's change", "rollback"),
    ("today's spend goes up much quicker than on any other day", "cost-spike"),
    ("it feels like half of the answers fail, or come late", "provider-outage latency"),
    ("provider_garbled", "provider-outage"),
    ("everything is slow, and some calls fail", "latency"),
    ("Globex says that we refuse them, all of a sudden", "keys budget-exhausted cost-caps kill-switch"),
    ("a key was revoked by mistake", "keys"),
    ("everything got slow for all customers, the providers' status pages are green", "latency"),
    ("CPU is at 100 %", "latency"),
    ("the site is down", "README callers provider-outage"),
    ("our people cannot log in", "keys callers"),
    ("the bot said something rude", "eval-drift injection-direct"),
    ("answers in the wrong language", "eval-drift rollback"),
]
# Of nights with faults, by the words with which each was looked for; each with the one place that helps.
NIGHT = [
    ("worker died", "latency#a-worker-is-frozen-or-was-killed"),
    ("killed by the kernel", "latency#a-worker-is-frozen-or-was-killed"),
    ("calls vanish", "latency#a-worker-is-frozen-or-was-killed"),
    ("gunicorn", "latency#a-worker-is-frozen-or-was-killed"),
    ("SIGKILL", "latency#a-worker-is-frozen-or-was-killed"),
    ("worker was killed", "latency#a-worker-is-frozen-or-was-killed"),
    ("WORKER TIMEOUT", "latency#a-worker-is-frozen-or-was-killed"),
    ("one of the workers is frozen", "latency#a-worker-is-frozen-or-was-killed"),
    ("remote end closed connection without response", "latency#a-worker-is-frozen-or-was-killed"),
    ("connection closed", "latency#a-worker-is-frozen-or-was-killed"),
    ("process hangs", "latency#a-worker-is-frozen-or-was-killed"),
    ("worker keeps restarting", "latency#a-worker-is-frozen-or-was-killed"),
    ("usage missing", "cost-spike#a-provider-reports-no-usage"),
    ("provider does not report usage", "cost-spike#a-provider-reports-no-usage"),
    ("usage_estimated", "cost-spike#a-provider-reports-no-usage"),
    ("cost estimated", "cost-spike#a-provider-reports-no-usage"),
    ("money is estimated", "cost-spike#a-provider-reports-no-usage"),
    ("costs went up ten times", "cost-spike#a-provider-reports-no-usage"),
    ("flood", "callers#one-key-sends-a-flood"),
    ("client retries in a loop", "callers#one-key-sends-a-flood"),
    ("someone lowered a cap", "budget-exhausted"),
    ("cap was lowered", "budget-exhausted"),
    ("wrong limit set", "budget-exhausted"),
    ("streaming broken", "provider-outage#streams-break-whole-answers-are-well"),
    ("streams cut off", "provider-outage#streams-break-whole-answers-are-well"),
    ("valkey was emptied", "valkey-away"),
    ("FLUSHALL", "valkey-away"),
    ("Every model provider is limiting our rate", "rate-limits#every-provider-limits-us"),
    ("invalid_request", "callers"),
    ("FATAL: sorry, too many clients already", "postgres-away#its-connections-are-used-up"),
    ("too many connections", "postgres-away#its-connections-are-used-up"),
    ("everything is 503", "provider-outage"),
    ("website chat shows error", "provider-outage"),
    ("customers say the bot is talking nonsense", "eval-drift"),
    ("we get 402", "provider-outage#our-key-or-our-quota"),
    ("openai refuses our key", "provider-outage#our-key-or-our-quota"),
    ("openai refuses every request", "provider-outage#a-model-refuses-requests-that-another-one-answers"),
    ("all calls get 400 since the parameter was dropped", "provider-outage#a-model-refuses-requests-that-another-one-answers"),
    ("embeddings 503", "provider-outage#a-model-without-a-second-provider"),
    ("nothing comes back from embeddings", "provider-outage#a-model-without-a-second-provider"),
    ("service is not running", "README#the-service-is-not-running"),
    ("process exited, nothing listens on the port", "README#the-service-is-not-running"),
    ("the process is gone", "README#the-service-is-not-running"),
    ("connection refused", "README#the-service-is-not-running"),
]
# Of a tired person at night: before words for them 13 of the first 20 led to the right place first, and 13 of the other 20; with
# words for the first half alone 15 of the other. Then these got words, too.
TIRED = [
    ("we get 401 from openai", "provider-outage#our-key-or-our-quota"),
    ("runaway batch job", "cost-spike callers#one-key-sends-a-flood"),
    ("anthropic says invalid x-api-key", "provider-outage#our-key-or-our-quota"),
    ("answers stop halfway", "provider-outage"),
    ("users complain it hangs", "latency latency#all-providers-are-slow"),
    ("app is not loading", "latency README#the-service-is-not-running"),
    ("a colleague left a script running over the weekend", "cost-spike"),
    ("the nightly import hammers us", "cost-spike rate-limits callers#one-key-sends-a-flood"),
    ("403 from claude", "provider-outage#our-key-or-our-quota"),
    (
        "openai rejects every request since ten minutes",
        "provider-outage provider-outage#our-key-or-our-quota provider-outage#a-model-refuses-requests-that-another-one-answers",
    ),
    ("one client floods us with calls", "cost-spike rate-limits callers#one-key-sends-a-flood"),
    ("azure key expired", "provider-outage#our-key-or-our-quota keys"),
    ("gpt returns 404 for our model", "provider-outage#our-key-or-our-quota"),
    ("pods keep restarting", "README#the-service-is-not-running latency"),
    ("customer says he is rate limited but should not be", "cost-caps rate-limits budget-exhausted"),
    ("prompt injection in an email attachment", "injection-document injection-direct"),
    ("cannot log in to the console", "keys"),
    ("where is the money going", "cost-spike"),
    ("the last deploy made it dumber", "rollback eval-drift"),
    ("webhook is not called", "jobs"),
    ("alert fires but everything looks fine", "paging alerts observability objectives"),
    ("all answers are in the wrong language", "eval-drift rollback"),
    ("db is read only", "postgres-away"),
    ("unauthorized error coming back from the vendor", "provider-outage#our-key-or-our-quota"),
    ("a batch runs wild and eats the budget", "cost-spike callers#one-key-sends-a-flood"),
    ("gemini answers 403 permission denied", "provider-outage#our-key-or-our-quota"),
    ("one user makes thousands of calls", "cost-spike budget-exhausted#one-user-is-refused callers#one-key-sends-a-flood"),
    ("openai 500s", "provider-outage"),
    ("claude is painfully slow tonight", "latency"),
    ("we are being billed for a loop", "cost-spike"),
    ("service will not start after reboot", "README#the-service-is-not-running"),
    ("tenant has no money left, wants more", "budget-exhausted cost-caps"),
    ("api key is on pastebin", "keys#a-key-has-leaked"),
    ("how do I shut it all off right now", "kill-switch"),
    ("stream dies in the middle", "provider-outage#streams-break-whole-answers-are-well"),
    ("the answers are rubbish since the morning", "eval-drift rollback"),
    ("redis keeps crashing", "valkey-away"),
    ("openai incorrect api key provided", "provider-outage#our-key-or-our-quota"),
    ("password of a user appeared in the logs", "personal-data"),
    ("someone should be woken but no call was made", "paging paging#pages-are-not-sent"),
    ("validation errors in the parser all over", "malformed-output"),
    ("embeddings give errors, chat ok", "provider-outage#a-model-without-a-second-provider"),
    ("rate limit hit at anthropic", "rate-limits"),
]
# Of twelve roles, from the customer to the chief. 26 of the first 41 led to the right place first without words for them.
# Of the other 20, which were kept apart until then, 13 did before and 15 after.
ROLES = [
    ("a dozen tickets: chat just says something went wrong, try again later", "provider-outage README valkey-away"),
    ("people write that the answers contradict each other", "eval-drift rollback"),
    ("a customer sees the order of someone else in the chat", "personal-data"),
    ("chat widget shows an error message to every visitor", "provider-outage README callers valkey-away"),
    ("the little wheel turns and turns and nothing appears", "latency provider-outage"),
    ("it tells me to call a number that is not yours", "injection-direct injection-document injection-tool eval-drift"),
    ("the text stops in the middle of a word", "provider-outage rollback"),
    ("it says that the service is temporarily unavailable", "provider-outage README kill-switch valkey-away"),
    ("the answers feel much dumber than last week", "eval-drift rollback"),
    ("we see HTTP 429 with retry-after from you although our volume is flat", "cost-caps rate-limits"),
    ("SDK raises AuthenticationError: the key we use for months", "keys"),
    ("json.loads fails on every second reply", "malformed-output"),
    ("we send the same Idempotency-Key and get 409", "callers README"),
    ("upload of a long contract fails with payload too large", "callers"),
    ("the batch we submitted last night is still in progress", "jobs"),
    ("is our data visible to other companies", "personal-data"),
    ("health check fails, container restarts again and again", "README#the-service-is-not-running latency"),
    ("the port is closed, curl says could not connect to server", "README#the-service-is-not-running"),
    ("the service crashed and did not come up again", "README#the-service-is-not-running"),
    ("process not found, pid is gone", "README#the-service-is-not-running"),
    ("demo ended by itself and make printed Error 3", "README#the-service-is-not-running"),
    ("every circuit is open", "provider-outage"),
    ("error rate jumped to forty percent", "provider-outage README objectives"),
    ("p99 went through the roof", "latency"),
    ("readyz is red", "valkey-away postgres-away README"),
    ("half of the calls time out, the other half are instant", "latency"),
    ("remaining connection slots are reserved for superusers", "postgres-away"),
    ("the database volume ran full during the night", "postgres-away"),
    ("a migration holds an exclusive lock", "postgres-away"),
    ("the card on file was rejected, they suspended the account", "provider-outage#our-key-or-our-quota"),
    ("insufficient credits, please top up", "provider-outage#our-key-or-our-quota"),
    ("one customer burned its monthly allowance over the weekend", "cost-spike budget-exhausted cost-caps"),
    ("a prompt made the bot reveal its hidden instructions", "injection-direct"),
    ("a web page that the bot read makes it say things", "injection-document"),
    ("since we shipped yesterday's prompt, complaints double", "rollback eval-drift"),
    ("undo the last deployment now", "rollback"),
    ("judge scores in production slide downwards", "eval-drift objectives"),
    ("model was silently swapped by the vendor", "eval-drift provider-outage#our-key-or-our-quota malformed-output"),
    ("all charts went flat at 2 am", "observability"),
    ("Anthropic's status page says elevated errors on Sonnet", "provider-outage"),
    ("OpenAI cut our tokens per minute in half", "rate-limits"),
    ("customers say the assistant answers complete rubbish since lunch", "eval-drift rollback"),
    ("your endpoint gives ECONNREFUSED", "README#the-service-is-not-running callers"),
    ("POST /v1/embeddings answers 503, chat completions work", "provider-outage#a-model-without-a-second-provider"),
    ("vector search returns nothing because no embedding can be made", "provider-outage#a-model-without-a-second-provider"),
    ("socket hang up after 60 seconds", "latency callers provider-outage"),
    ("you never call our webhook", "jobs"),
    ("we are locked out in the middle of our sale", "budget-exhausted keys kill-switch cost-caps"),
    ("everything from you is refused since nine o'clock, our contract says otherwise", "kill-switch budget-exhausted keys"),
    ("all requests fail with 503 since 03:12", "provider-outage README valkey-away"),
    ("load is 30 and everything crawls", "latency"),
    ("redis was killed by the OOM killer", "valkey-away"),
    ("the primary failed over and now writes are refused", "postgres-away valkey-away"),
    ("OpenAI charged us 700 million tokens in a day", "cost-spike"),
    ("every answer costs twice as much as last month", "cost-spike"),
    ("someone posted our API key on GitHub", "keys"),
    ("thousands of login attempts with made-up keys", "keys"),
    ("full email addresses show up in the traces", "personal-data"),
    ("the ten percent test group has more errors", "canary"),
    ("make it stop answering at once, it is harming people", "kill-switch"),
    ("no one was called although the site was down for an hour", "paging"),
]
# The first words of a person who was just woken up.
FIRST = ("what do I do", "what now", "help", "first thing", "is it us", "where do I start", "HELP!")
SMALL = ("the", "to be", "is it", "what", "???", "日本", " ")
SAID = [*CUSTOMERS, *COLLEAGUES, *FINANCE, *LATER, *MET, *TIRED, *ROLES]


def places(words: str) -> list[tuple[float, str]]:
    """The scores and the places, best first."""
    return [(score, topic.address.removeprefix("runbook/").replace(".md", "")) for score, topic in find(RUNBOOK, words)]


def fits(place: str, wanted: str) -> bool:
    """Whether a place is one that helps, or a section of a page that does."""
    return bool({place, place.partition("#")[0]} & set(wanted.split()))


def test_a_page_that_was_changed_is_found_by_its_new_words() -> None:
    """What is counted of the pages is kept between searches."""
    assert places("quokkas") == []
    changed = [page_of(page.name, page.text.replace("Words: ", "Words: quokkas, ", 1)) for page in RUNBOOK]
    assert {topic.page.name for _, topic in find(changed, "quokkas")} >= {"latency.md", "valkey-away.md"}
    assert places("quokkas") == []


def test_a_command_that_helps_under_a_condition_is_printed_with_it() -> None:
    """A stop of the one provider that answers does more harm than the fault: the terminal shows commands, and no page."""
    for page in ("provider-outage", "latency", "rate-limits"):
        assert next(one for one in RUNBOOK if one.name == f"{page}.md").section("Contain").condition.startswith("Only if "), page
    for words, condition in (
        ("flood", "Only if other callers suffer"),
        ("all providers limit us", "Only if our volume"),
        ("usage missing", "Only if another model"),
        ("frozen worker", "Only if callers cannot wait"),
    ):
        assert f"\n  {condition}" in run({}, "runbook", words).stdout, words
    lines = run({}, "runbook", "a model provider is failing").stdout.splitlines()
    at = lines.index("Contain")
    assert lines[at + 1].startswith("  Only if another provider answers: ")
    assert "a model that has no other provider, such as those of embeddings, is lost with the stop" in lines[at + 1]
    assert lines[at + 2].startswith("  fill in PROVIDER: octant kill provider PROVIDER ")


@pytest.mark.parametrize("page", ["malformed-output.md", "eval-drift.md"])
def test_a_fault_of_one_model_stops_that_model_and_not_its_provider(page: str) -> None:
    """A stop of the provider takes its well models too, and those that no other provider has."""
    stop = next(one for one in RUNBOOK if one.name == page).section("Contain").commands[0].text
    assert stop.startswith("octant kill model PROVIDER/MODEL ")


def test_most_sentences_lead_to_the_right_place_first() -> None:
    """Of the first 74, 35 did when they were written."""
    first = {words: places(words)[0][1] for words, _ in SAID}
    wrong = [(words, first[words], wanted) for words, wanted in SAID if not fits(first[words], wanted)]
    assert len(wrong) <= 0.06 * len(SAID), wrong


def test_nearly_every_sentence_has_the_right_place_among_the_first_three() -> None:
    """Of the first 74, 53 had."""
    wrong = [words for words, wanted in SAID if not any(fits(place, wanted) for _, place in places(words)[:3])]
    assert len(wrong) <= 0.02 * len(SAID), wrong


def test_a_wrong_place_is_seldom_offered_as_if_it_were_sure() -> None:
    """Of the first 74, 31 were: a page that does not fit may stop the one provider that still answers."""
    firsts = [(words, *places(words)[0], wanted) for words, wanted in SAID]
    wrong = [(words, place) for words, score, place, wanted in firsts if score >= SURE and not fits(place, wanted)]
    assert len(wrong) <= 0.03 * len(SAID), wrong
    sure = sum(score >= SURE for _, score, _, _ in firsts)
    assert sure >= 0.8 * len(SAID), "a search that is never sure leads nowhere"


def test_one_rare_word_of_many_is_no_sure_guess() -> None:
    """The more of a sentence a place has, the more it counts."""
    alone, within = (places(words)[0] for words in ("gdpr", "my cousin's novel mentions gdpr in chapter seven"))
    assert alone[1] == within[1] == "personal-data"
    assert within[0] < SURE <= alone[0]


def test_the_terminal_says_when_it_is_not_sure() -> None:
    """It lists the nearest places and no command to run, as the console does."""
    ran = run({"PATH": "/nowhere"}, "runbook", "the new office coffee machine is broken")
    assert ran.returncode == 0
    assert ran.stdout.startswith("Nothing fits well, and a page that does not fit can do harm; nearest:")
    assert "$ octant" not in ran.stdout
    assert "begin with runbook/README.md" in ran.stdout
    assert run({"PATH": "/nowhere"}, "runbook", "all our calls are refused").stdout.startswith("Stopping everything\n")


@pytest.mark.parametrize(("words", "wanted"), NIGHT, ids=[words for words, _ in NIGHT])
def test_each_fault_of_a_night_is_found_first_and_for_sure(words: str, wanted: str) -> None:
    score, place = places(words)[0]
    assert (place, score >= SURE) == (wanted, True)


@pytest.mark.parametrize("words", FIRST)
def test_the_first_words_of_a_woken_person_lead_to_the_first_page(words: str) -> None:
    """Once "help" led to a page on help articles, and words without any symptom ended in a traceback."""
    score, place = places(words)[0]
    assert (place, score >= SURE) == ("README", True)


def test_the_first_page_and_a_callers_error_come_with_their_commands() -> None:
    assert "\n  $ octant status --since 15m\n" in run({}, "runbook", "what do I do").stdout
    assert "\n  $ octant calls --since 15m --failed --limit 5\n" in run({}, "runbook", "invalid_request").stdout


@pytest.mark.parametrize("words", SMALL)
def test_words_that_say_nothing_are_answered_with_a_request_for_a_symptom(words: str) -> None:
    ran = run({}, "runbook", words)
    assert (ran.returncode, ran.stdout, "Traceback" in ran.stderr) == (1, "", False)
    assert "These words name no symptom: write what callers see" in ran.stderr


SOME = st.one_of(
    st.text(max_size=40), st.lists(st.sampled_from([*SMALL, "us", "do", "down", "429", "openai"]), max_size=6).map(" ".join)
)


@given(SOME)
def test_every_text_is_searched_for_without_an_error(words: str) -> None:
    """In the terminal, on the console's page, and in its search box."""
    assert all(score > 0 for score, _ in find(RUNBOOK, words, ["openai"]))
    searched(RUNBOOK, words, ["openai", "anthropic"])
    assert isinstance(fitting(words), list)
    assert is_question(words) in (True, False)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [("No model 'gpt-1'. GET /v1/models lists them.", "callers"), ("No model 'gpt-1'", "callers"), ("model_not_found", "callers"),
     ("No model provider could answer.", "provider-outage"),
     ("No model gave output that satisfies the schema.", "malformed-output")],
)  # fmt: skip
def test_the_texts_of_our_own_errors_lead_to_their_pages(words: str, wanted: str) -> None:
    score, place = places(words)[0]
    assert (place, score >= SURE) == (wanted, True)


def test_a_sentence_of_which_one_word_alone_says_something_is_no_symptom() -> None:
    assert places("someone who did not build it")[0][0] < SURE
    ran = run({"PATH": "/nowhere"}, "runbook", "someone who did not build it")
    assert len(re.findall(r"^  runbook/", ran.stdout, re.MULTILINE)) == 3
