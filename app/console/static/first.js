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
  return narrow.matches && at <= Date.now() && whole.startsWith(today) && element.closest("table:not(.dated) > tbody") ? whole.slice(11) : whole;
}
function showTime(element) {
  const at = new Date(element.dateTime);
  if (isNaN(at) || "exact" in element.dataset) return;
  element.title = `${full.format(at)} (${zone}), ${at.toISOString()}`;
  element.textContent = "ago" in element.dataset ? ago(at, element.dataset.ago) : short(at, element);
}
function showTimes(root) { $$("time[datetime]", root).forEach(showTime); }

// Sentences of ours hold moments in UTC, with its name; with scripts they are in the browser's zone as well. A length of time
// that they count to now counts on.
const MOMENT = /(\d{4}-\d\d-\d\d) (\d\d:\d\d)(:\d\d)? UTC/;
const LENGTH = /(\d[\d.]*)\s(ms|s|min|h|d)(?: (\d+)\s(s|min|h))? (ago|old)\b/;
const UNITS = { ms: 1, s: 1000, min: 60000, h: 3600000, d: 86400000 };
function momentOf([, day, minute, second]) {
  const at = new Date(`${day}T${minute}${second || ":00"}Z`), time = document.createElement("time");
  time.dateTime = at.toISOString(); time.title = `${full.format(at)} (${zone}), ${at.toISOString()}`;
  time.dataset.exact = ""; // as exact as its sentence
  time.textContent = full.format(at).slice(0, second ? 19 : 16);
  return time;
}
function lengthOf([, number, unit, more, rest, kind]) {
  const at = new Date(Date.now() - number * UNITS[unit] - (more ? more * UNITS[rest] : 0)), time = document.createElement("time");
  time.dateTime = at.toISOString(); time.dataset.ago = kind === "old" ? kind : "";
  time.textContent = ago(at, time.dataset.ago);
  return time;
}
const PLACES = ".answer, .note, .banner, figcaption p, .ranges a, .reply, .finding, .door p";
function showMomentsOf(place) {
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
function showMoments(root) { $$(PLACES, root).forEach(showMomentsOf); }
function countOn() {
  for (const one of $$("time[data-ago]")) {
    const words = ago(new Date(one.dateTime), one.dataset.ago);
    if (one.textContent !== words) one.textContent = words;
  }
}

// The head of a table's first column of moments names their zone.
const TABLES = "table:not(.month)";
function nameZoneOf(table) { // whether there is no more to do
  const cell = $("tbody time[datetime]:not([data-ago])", table)?.closest("td, th"), head = cell && table.tHead?.rows[0]?.cells[cell.cellIndex];
  if (!head || $(".hidden, [data-zone]", head)) return Boolean(cell);
  const name = document.createElement("span");
  name.dataset.zone = ""; name.textContent = zone;
  head.append(", ", name);
  return true;
}
function nameZone(root) { $$(TABLES, root).forEach(nameZoneOf); }

// Times are written while the page is parsed, before each paint: text of another width would move what is below it. An element
// that is still open may get more text, and waits; of the open ones each is the last child of the one before. What was written
// is not looked for again: a trace has thousands of elements.
const KINDS = [["time[datetime]", showTime], [PLACES, showMomentsOf], [TABLES, nameZoneOf], ["[data-zone]", (one) => { one.textContent = zone; }]];
const unwritten = new Map();
const early = new MutationObserver((records) => {
  for (const { addedNodes } of records) {
    for (const node of addedNodes) {
      const kind = node.nodeType === Node.ELEMENT_NODE && KINDS.find(([which]) => node.matches(which));
      if (kind) unwritten.set(node, kind[1]);
    }
  }
  const open = new Set();
  for (let at = document.body; at; at = at.lastElementChild) open.add(at);
  for (const [one, write] of unwritten) {
    if (open.has(one) && write !== nameZoneOf) continue; // a table's head is named with its first row
    if (write(one) || !open.has(one)) unwritten.delete(one);
  }
  early.takeRecords();
});
early.observe(document, { childList: true, subtree: true });
