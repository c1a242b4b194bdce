"use strict";
// Before the first paint: the theme that this browser chose, if it chose one.
const chosen = localStorage.getItem("theme");
if (chosen) document.documentElement.dataset.theme = chosen;
document.documentElement.classList.add("scripts");
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

// Times: stored and sent in UTC, shown in the browser's zone, which the page names.
const full = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium", timeZone: zone });
function ago(at, kind = "") { // by the kind of a `data-ago`: a moment ago, "old" of a thing, "length" of what goes on
  const seconds = Math.round((Date.now() - at) / 1000);
  if (kind === "length") return lasting(Math.max(seconds, 0));
  if (kind === "old") return `${span(Math.max(seconds, 0))} old`;
  if (seconds < 0) return `in ${span(-seconds)}`;
  return seconds < 5 ? "just now" : `${span(seconds)} ago`;
}
function lasting(seconds) { // its two largest units, by the rule of formats.py
  const [size, unit, part, rest] = seconds < 172800 ? [3600, "h", 60, "min"] : [86400, "d", 3600, "h"];
  const more = Math.floor((seconds % size) / part);
  return seconds < 3600 || !more ? span(seconds) : `${Math.floor(seconds / size)} ${unit} ${more} ${rest}`;
}
function span(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} d`;
}
const narrow = matchMedia("(max-width: 760px)");
function short(at, element) { // on a phone a table says the time alone of what was today; of what is to come the day matters
  const whole = full.format(at), today = full.format(Date.now()).slice(0, 10);
  return narrow.matches && at <= Date.now() && whole.startsWith(today) && element.closest("tbody") ? whole.slice(11) : whole;
}
function showTimes(root, open = new Set(), which = "time[datetime]") {
  for (const element of $$(which, root)) {
    if (open.has(element)) continue;
    const at = new Date(element.dateTime);
    if (isNaN(at)) continue;
    element.title = `${full.format(at)} (${zone}), ${at.toISOString()}`;
    element.textContent = "ago" in element.dataset ? ago(at, element.dataset.ago) : short(at, element);
  }
}

// Sentences of ours hold moments in UTC, with its name; with scripts they are in the browser's zone as well. A length of time
// that they count to now counts on.
const MOMENT = /(\d{4}-\d\d-\d\d) (\d\d:\d\d)(:\d\d)? UTC/;
const LENGTH = /(\d[\d.]*) (ms|s|min|h|d)(?: (\d+) (s|min|h))? (ago|old)\b/;
const UNITS = { ms: 1, s: 1000, min: 60000, h: 3600000, d: 86400000 };
function momentOf([, day, minute, second]) {
  const at = new Date(`${day}T${minute}${second || ":00"}Z`), time = document.createElement("time");
  time.dateTime = at.toISOString(); time.title = `${full.format(at)} (${zone}), ${at.toISOString()}`;
  time.textContent = full.format(at).slice(0, second ? 19 : 16);
  return time;
}
function lengthOf([, number, unit, more, rest, kind]) {
  const at = new Date(Date.now() - number * UNITS[unit] - (more ? more * UNITS[rest] : 0)), time = document.createElement("time");
  time.dateTime = at.toISOString(); time.dataset.ago = kind === "old" ? kind : "";
  time.textContent = ago(at, time.dataset.ago);
  return time;
}
function showMoments(root, open = new Set()) {
  for (const place of $$(".answer, .note, .banner, figcaption p, .ranges a, .reply, .finding, .door p", root)) {
    if (open.has(place)) continue;
    for (const [pattern, made] of [[MOMENT, momentOf], [LENGTH, lengthOf]]) {
      const walk = document.createTreeWalker(place, NodeFilter.SHOW_TEXT), found = [];
      while (walk.nextNode()) if (pattern.test(walk.currentNode.data) && !walk.currentNode.parentElement.closest("time, code")) found.push(walk.currentNode);
      for (let node of found) {
        for (let match; (match = pattern.exec(node.data)); ) {
          const rest = node.splitText(match.index);
          node = rest.splitText(match[0].length);
          rest.replaceWith(made(match));
        }
      }
    }
  }
}
function countOn() {
  for (const one of $$("time[data-ago]")) {
    const words = ago(new Date(one.dateTime), one.dataset.ago);
    if (one.textContent !== words) one.textContent = words;
  }
}

// The head of a table's first column of moments names their zone.
function nameZone(root) {
  for (const table of $$("table:not(.month)", root)) {
    const cell = $("tbody time[datetime]:not([data-ago])", table)?.closest("td, th"), head = cell && table.tHead?.rows[0]?.cells[cell.cellIndex];
    if (!head || $(".hidden, [data-zone]", head)) continue;
    const name = document.createElement("span");
    name.dataset.zone = ""; name.textContent = zone;
    head.append(", ", name);
  }
}

// Times are written while the page is parsed, before each paint: text of another width would move what is below it. An element
// that is still open may get more text; of the open ones each is the last child of the one before.
const early = new MutationObserver(() => {
  const open = new Set();
  for (let at = document.body; at; at = at.lastElementChild) open.add(at);
  showTimes(document, open, "time[datetime]:not([title])"); showMoments(document, open); nameZone(document);
  for (const one of $$("[data-zone]")) if (!open.has(one) && one.textContent !== zone) one.textContent = zone;
  early.takeRecords();
});
early.observe(document, { childList: true, subtree: true });
