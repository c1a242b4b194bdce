// The console's own script: live parts, charts, keys; times are in first.js. Every page works without it.
"use strict";
// Live parts.
function badgeIs(number) { // pages without an answer, in the menu
  const badge = $("[data-badge]");
  if (badge) { badge.hidden = number === "0"; badge.firstChild.data = number; }
}
function showBadge(part) {
  const one = $("[data-waiting]", part);
  if (one) badgeIs(one.dataset.waiting);
}
let stopBar; // as it was asked for last
async function askBadge() { // only while the page is seen
  if (document.hidden) return;
  try {
    const answer = await fetch("/console/live/badge", { redirect: "error" });
    if (!answer.ok) return;
    const { waiting, stopped } = await answer.json();
    badgeIs(String(waiting));
    if (stopped === stopBar) return;
    stopBar = stopped;
    $("[data-stopped]").replaceChildren(...new DOMParser().parseFromString(stopped, "text/html").body.childNodes);
  } catch { /* the next one may come */ }
}
const RETRY = 5000; // milliseconds
function follow(part) {
  const note = $("[data-fresh]", part.parentElement) || $("[data-fresh]");
  let source, clock, again, last = 0, every = 2, held = false;
  const age = () => {
    if (!note) return;
    const seconds = Math.round((Date.now() - last) / 1000);
    const late = !last || seconds > 3 * every, old = $("[data-away]", part); // the stream lives, and what it brings is of before
    note.className = late || old ? "fresh late" : "fresh live";
    note.textContent = !last ? "connecting" : late ? held ? `held, ${span(seconds)} old` : `stopped ${span(seconds)} ago` : old ? "a store is away" : `live, ${seconds} s ago`;
  };
  const take = (event) => {
    const sent = JSON.parse(event.data);
    every = sent.every;
    const chosen = document.activeElement, region = part.contains(chosen) && chosen.matches(".wide") ? $$(".wide", part).indexOf(chosen) : -1; // a click anywhere in a table gives it the focus
    held = Boolean(last) && (String(getSelection()) !== "" || (region < 0 && part.contains(chosen) && chosen.matches(":focus-visible, input, select, textarea"))); // nothing is taken from under a selection, or from one who types
    if (held) { age(); return; } // the mark goes on counting: what is shown is as old as that
    last = Date.now();
    const open = $$("details", part).map((one) => one.open), across = $$(".tabs, .wide", part).map((one) => one.scrollLeft);
    const fresh = new DOMParser().parseFromString(sent.html, "text/html");
    part.replaceChildren(...fresh.body.childNodes);
    const over = $("[data-reload]", part); // what was live has ended: the page as it is now, without what was done before
    if (over && !document.activeElement.matches("input, select, textarea")) { source.close(); if (over.dataset.reload) location.replace(over.dataset.reload); else location.reload(); return; }
    $$("details", part).forEach((one, index) => { one.open = open[index] || false; });
    prepare(part); showBadge(part);
    if (region >= 0) $$(".wide", part)[region]?.focus({ preventScroll: true });
    $$(".tabs, .wide", part).forEach((one, index) => { one.scrollLeft = across[index] || 0; });
    age();
  };
  const connect = () => {
    source = new EventSource(part.dataset.live);
    source.addEventListener("part", take);
    source.addEventListener("over", () => { source.close(); location.reload(); });
    source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED) again = setTimeout(retry, RETRY); });
  };
  const retry = async () => { // the browser gives up for good at an answer that is no stream, as of a service that starts or has too many pages
    const answer = await fetch("/console/live/badge", { redirect: "manual" }).catch(() => null);
    if (!clock) return; // the page was left meanwhile
    if (answer?.type === "opaqueredirect") location.reload(); else connect(); // the session is over, or not
  };
  const begin = () => { clock = setInterval(age, 1000); age(); connect(); };
  addEventListener("pagehide", () => { source.close(); clearTimeout(again); clock = clearInterval(clock); });
  addEventListener("pageshow", (event) => { if (event.persisted) begin(); }); // a step back shows the page as it was left
  begin();
}

// Charts.
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const shown = (value) => (value == null ? "–" : Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3))));
function money(dollars) { // by the rule of formats.py, of the size that a chart has
  const size = Math.abs(dollars), sign = dollars < 0 ? "-" : "";
  if (size < 5e-10) return "$0";
  const rounded = Number(size.toPrecision(3));
  for (const [step, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) if (size >= 9999.5 && rounded >= step) return `${sign}$${(rounded / step).toPrecision(3)}${unit}`;
  if (size >= 999.995) return `${sign}$${Math.round(size).toLocaleString("en")}`;
  if (size >= 0.995) return `${sign}$${(size + 1e-9).toFixed(2)}`;
  const [whole, cents = ""] = Number(size.toPrecision(3)).toFixed(2 - Math.floor(Math.log10(Number(size.toPrecision(3))))).split(".");
  return `${sign}$${whole}.${cents.replace(/0+$/, "").padEnd(2, "0")}`;
}
function measured(value, unit) {
  if (value == null) return "–";
  if (unit === "$") return money(value);
  if (unit === "s" && value && Math.abs(value) < 1) return `${shown(1000 * value)} ms`; // as beside the chart
  const one = value === 1 && unit.length > 2 ? unit.replace(/s$/, "") : unit; // 1 call
  return `${shown(value)}${one ? " " + one : ""}`;
}
const dayOf = () => new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: zone });
function onAxis(ticks, step, ends) { // words of the ticks of a time axis: days, or times, with the day wherever a new one begins
  const hour = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: zone }), second = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: zone }), day = dayOf();
  const days = ticks.map((tick) => day.format(tick * 1000));
  if (step >= 86400) return days;
  return ticks.map((tick, at) => {
    const time = (step < 60 ? second : hour).format(tick * 1000);
    return severalDays(ends) && days[at] !== days[at - 1] ? `${time}\n${days[at]}` : time;
  });
}
const once = (words) => words.map((one, at) => (one === words[at - 1] ? null : one)); // a tick that would say the same as the one before says nothing
function severalDays([first, last]) { return dayOf().format(first * 1000) !== dayOf().format(last * 1000); }
const plots = new Map();
// All charts of a page show the time that one of them is pointed at. A dragged range is of that one alone.
const together = { key: "page", setSeries: false, scales: ["x", null], filters: { pub: (type) => type === "mousemove" || type === "mouseleave", sub: () => true } };
function during(at, step, spec, several) { // the span of a step; before the first record and after the end nothing is known
  const [first, end] = spec.known || [], write = (from) => (several ? full : new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: zone })).format(from * 1000);
  const begins = first != null && first > at && first < at + step ? first : at, ends = end == null ? at + step : Math.min(at + step, end);
  if (/bars|points/.test(spec.kind) || step < 60 || ends <= begins) return write(at);
  const last = write(ends), begun = write(begins), seconds = begins % 60 || ends % 60;
  const cut = (words) => (seconds ? words : words.slice(0, -3));
  return `${cut(begun)}–${cut(several && last.slice(0, 10) === begun.slice(0, 10) ? last.slice(11) : last)}`;
}
function roomOf(labels) { // pixels beside a chart: its longest label is not cut
  return Math.max(48, 16 + 6.5 * Math.max(0, ...(labels || []).map((label) => String(label ?? "").length)));
}
function draw(element) {
  if (!window.uPlot) return;
  const spec = JSON.parse(element.dataset.chart);
  const line = token("--line"), soft = token("--soft"), ground = getComputedStyle(element.closest(".chart")).backgroundColor;
  const colours = ["--s1", "--s2", "--s3", "--s4", "--s5"].map(token);
  const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "11px Inter, sans-serif" };
  const bars = spec.kind === "bars";
  const series = spec.series.map((one, index) => {
    const colour = one.colour ? token(`--${one.colour}`) : colours[index % 5];
    const made = { label: one.label, stroke: colour, width: 1.5, value: (_, v) => measured(v, spec.unit), points: { show: true, size: 4, filter: (u, at, show) => (one.values.filter((v) => v != null).length < 40 ? null : alone(u.data[at])) } };
    if (spec.kind === "points") Object.assign(made, { paths: () => null, points: { show: true, size: 6, fill: colour } }); // each is a run of its own
    if (bars) Object.assign(made, { fill: colour, paths: uPlot.paths.bars({ size: [0.9, 24] }), points: { show: false } });
    return made;
  });
  const step = spec.x.length > 1 ? spec.x[1] - spec.x[0] : 60, stack = spec.kind === "stack";
  const moments = bars || spec.kind === "points", x = moments ? spec.x : [...spec.x, spec.x.at(-1) + step]; // the last step has its end, too: a mark may be within
  let data = spec.series.map(({ values }) => (moments ? values : [...values, stack ? values.at(-1) : null]));
  if (stack) {
    let sum = x.map(() => 0);
    data = data.map((values) => (sum = sum.map((s, i) => s + (values[i] || 0))));
    series.forEach((one, index) => { one.fill = one.stroke; one.paths = uPlot.paths.stepped({ align: 1 }); one.points = { show: false }; one.value = (_, __, ___, i) => (i == null || i >= spec.x.length ? "–" : measured(spec.series[index].values[i], spec.unit)); });
    data.reverse(); series.reverse();
  }
  // Labels of marks stand in a row of their own above the plot, where they cover no value.
  const names = (spec.marks || []).filter((mark) => mark.x >= x[0] && mark.x <= x.at(-1)).slice(0, 40);
  const high = names.length ? 13 : 0;
  const marks = { hooks: { draw: [(u) => {
    const { ctx, bbox } = u, scale = devicePixelRatio;
    ctx.save(); ctx.font = `${11 * scale}px Inter, sans-serif`; ctx.textAlign = "left"; ctx.textBaseline = "middle"; ctx.strokeStyle = soft; ctx.fillStyle = soft; ctx.setLineDash([3, 3]);
    const placed = names.map((mark) => [Math.round(u.valToPos(mark.x, "x", true)), mark.label]).filter(([at]) => at >= bbox.left && at <= bbox.left + bbox.width).sort((a, b) => a[0] - b[0]);
    for (const one of grouped(placed, (words) => ctx.measureText(words).width, ctx.canvas.width, 4 * scale)) {
      const raised = one.begin > one.places[0]; // a label at the right edge stands over its line, which ends below it
      one.places.forEach((at, index) => { ctx.beginPath(); ctx.moveTo(at, bbox.top - (index || !raised ? 0 : high * scale)); ctx.lineTo(at, bbox.top + bbox.height); ctx.stroke(); });
      ctx.fillText(one.words, one.begin, bbox.top - (high * scale) / 2);
    }
    ctx.restore();
  }] } };
  plots.get(element)?.destroy();
  element.replaceChildren();
  const ends = [x[0], x.at(-1)], several = severalDays(ends);
  const last = (has) => spec.x.findLastIndex((_, i) => spec.series.some((one) => has(one.values[i])));
  const filled = last((value) => value), newest = filled >= 0 ? filled : last((value) => value != null); // the step under way may be empty yet
  const rest = (u) => { if (u.cursor.idx == null && newest >= 0) u.setLegend({ idx: newest }); }; // while nothing is pointed at
  const fit = (u) => { // on a phone a legend may have more lines: each name is seen
    const height = element.clientHeight - $(".u-legend", u.root).offsetHeight;
    if (height < u.height) queueMicrotask(() => u.setSize({ width: u.width, height })); // it takes no size while it draws
  };
  const options = {
    width: element.clientWidth, height: element.clientHeight - (element.closest(".compact") && innerWidth >= 1100 ? 24 : 44), // of its legend: one line or two
    padding: [high ? high + 4 : null, null, null, null], cursor: { drag: { x: true, y: false }, points: { size: 6 }, sync: together }, legend: { live: true },
    scales: { x: { time: true, ...(spec.kind === "points" ? { range: (_, from, to) => [from - Math.max(1, (to - from) / 30), to + Math.max(1, (to - from) / 30)] } : {}) }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } }, series: [{ value: (_, v) => (v == null ? "–" : during(v, step, spec, several)) }, ...series],
    axes: [{ ...axis, space: 80, size: several ? 40 : 26, values: (_, ticks, __, ___, step) => once(onAxis(ticks, step, ends)) }, { ...axis, space: 24, size: (_, labels) => roomOf(labels), values: (_, ticks) => once(ticks.map((t) => (spec.unit.length < 3 && t ? measured(t, spec.unit) : shown(t)))) }], plugins: [marks],
    hooks: { ready: [rest], setLegend: [fit], setCursor: [rest], setSelect: [(u) => {
      if (u.select.width < 8) return;
      const way = new URL(location.href);
      for (const [name, pixel] of [["since", u.select.left], ["until", u.select.left + u.select.width]]) way.searchParams.set(name, new Date(u.posToVal(pixel, "x") * 1000).toISOString().slice(0, 19) + "Z");
      for (const name of ["range", "after", "before", "skip"]) way.searchParams.delete(name); // another range begins with its first page
      location.href = way;
    }] },
  };
  plots.set(element, new uPlot(options, [x, ...data], element));
}
// Marks, as places and labels from left to right, in groups whose labels do not touch: near ones share a label, and touching lines are one.
function grouped(marks, measure, right, gap) {
  const found = [];
  const add = (places, labels) => {
    const words = labels.length === 1 ? labels[0] : labels.every((one) => one === labels[0]) ? `${labels[0]} ×${labels.length}` : `${labels.length} changes`;
    const wide = measure(words), begin = Math.min(places[0] + gap, right - wide), before = found.at(-1);
    if (before && begin < before.end + 2 * gap) { found.pop(); add([...before.places, ...places], [...before.labels, ...labels]); }
    else found.push({ places, labels, words, begin, end: begin + wide });
  };
  for (const [at, label] of marks) add([at], [label]);
  for (const one of found) one.places = one.places.filter((at, index) => !index || at - one.places[index - 1] >= gap);
  return found;
}
function alone(values) { // places of values without a neighbour: no line shows them
  return [...values.keys()].filter((i) => values[i] != null && values[i - 1] == null && values[i + 1] == null);
}
function drawAll() { $$("[data-chart]").forEach(draw); }

// On a phone a table of four columns or more is a list of labels and values; the style does that before this names the values.
function label(root) {
  for (const table of $$(".sheet table:not(.cards)", root)) {
    const heads = [...(table.tHead?.rows[0]?.cells || table.closest(".wide").querySelector("thead tr")?.cells || [])].map((head) => (head.querySelector(".hidden") ? "" : head.textContent.replace(`, ${zone}`, "").trim())); // words for a screen reader alone are too long for a label
    for (const row of $$("tbody tr, tfoot tr", table)) {
      let column = 0;
      for (const cell of row.cells) {
        if (column && heads[column]) cell.dataset.label = heads[column];
        column += cell.colSpan;
      }
    }
  }
}

function prepare(root) {
  label(root); nameZone(root); $$("[data-zone]", root).forEach((one) => { one.textContent = zone; });
  showTimes(root); showMoments(root);
  for (const element of plots.keys()) if (!element.isConnected) { plots.get(element).destroy(); plots.delete(element); }
  $$("[data-chart]", root).forEach(draw);
}

// Keys and palette.
const palette = $("#palette"), paletteText = $("#palette-text"), paletteList = $("#palette-list");
const places = paletteList ? JSON.parse(paletteList.dataset.places || "[]") : [];
const joined = (text) => text.toLowerCase().replace(/\b(roll|fall|on)[ -](back|call)/g, "$1$2"); // two spellings of one word
const wordsOf = (text) => joined(text).split(/[^\p{L}\p{N}]+/u).filter(Boolean);
const SMALL = /^(a|an|the|get|gets|got)$/;
const begins = (text, words) => words.some((word) => !SMALL.test(word)) && words.filter((word) => !SMALL.test(word)).every((word) => wordsOf(text).some((one) => one.startsWith(word)));
const phrases = (place) => `${place.title},${place.words}`.split(",").map((phrase) => wordsOf(phrase).join(" ")).filter(Boolean);
const acts = (place) => (place.href || "").startsWith("/console/do/");
const NOT = 9;
// How well a place fits, the best first: a whole phrase, one within, the beginning of one, beginnings of words, initials, and for a question a word of its own.
function rankOf(place, words) {
  const said = words.join(" "), own = phrases(place), within = (phrase) => ` ${said} `.includes(` ${phrase} `);
  const asks = /^(how|what|which|who|when|where|why|is|are|do|does|did|can)$/.test(words[0]) && words.length > 2;
  const fits = [
    own.includes(said), own.some((phrase) => phrase.includes(" ") && within(phrase)), own.some((phrase) => phrase.startsWith(said)),
    begins(place.title, words), begins(`${place.title} ${place.words}`, words), begins(`${place.title} ${place.about} ${place.words}`, words),
    said.length > 1 && wordsOf(place.title).map((word) => word[0]).join("").startsWith(said), asks && !acts(place) && !place.late && own.some(within),
  ];
  const at = fits.indexOf(true);
  return at < 0 ? NOT : at < 2 || !place.late ? at : at + 10; // the runbook's pages come after the console's own, unless one says just that
}
function go(item) { // to a place; the theme is switched where one is
  if (item.dataset.name !== "theme") { location.href = comingBack(item.dataset.href); return; }
  palette.close(); switchTheme();
}
function comingBack(href) { // an action leads back to the page that it was chosen on
  if (!href.startsWith("/console/do/") || location.pathname.startsWith("/console/do/")) return href;
  return `${href}${href.includes("?") ? "&" : "?"}back=${encodeURIComponent(location.pathname + location.search)}`;
}
function fillPalette() { // Enter opens the first entry, whatever it is: it is marked
  const typed = paletteText.value.trim(), words = wordsOf(typed);
  const search = { title: `Search for “${typed}”`, about: "Runbook and records", href: `/console/search?q=${encodeURIComponent(typed)}` };
  let found = [...places.filter((place) => !place.searched && !acts(place)), ...places.filter(acts)];
  if (typed) {
    const ranked = places.map((place) => [words.length ? rankOf(place, words) : NOT, place]).filter(([at]) => at !== NOT && at !== NOT + 10);
    const only = words.length === 1 ? words[0] : ""; // a name of the records may be how a word within an action or a page of the runbook begins: Enter does not choose that
    const strays = ranked.filter(([at, place]) => only && at % 10 > 1 && (acts(place) || place.late) && !wordsOf(place.title)[0].startsWith(only) && !wordsOf(`${place.title} ${place.words}`).includes(only));
    found = [...ranked.filter((one) => !strays.includes(one)).sort((a, b) => a[0] - b[0] || Number(a[1].late || false) - Number(b[1].late || false)).map(([, place]) => place), search, ...strays.map(([, place]) => place)];
  }
  if (found[0] === search && words.length > 1) { // no place has every word, such as "cap acme": below the search, those that have one
    const some = (place) => words.filter((word) => word.length > 2 && begins(`${place.title} ${place.words}`, [word])).length;
    found.push(...places.filter(some).sort((a, b) => Number(a.late || false) - Number(b.late || false) || some(b) - some(a)).slice(0, 8));
  }
  paletteList.replaceChildren(...found.map((place, index) => {
    const item = document.createElement("li");
    item.id = `palette-${index}`; item.setAttribute("role", "option"); item.setAttribute("aria-selected", String(index === 0)); item.dataset.href = place.href || ""; item.dataset.name = place.name || "";
    const about = document.createElement("span"); about.textContent = place.about; item.append(place.title, about);
    item.addEventListener("click", () => go(item));
    return item;
  }));
  mark(0);
}
function mark(index) {
  const items = [...paletteList.children];
  items.forEach((item, at) => item.setAttribute("aria-selected", String(at === index)));
  paletteText.setAttribute("aria-activedescendant", items[index]?.id || "");
  items[index]?.scrollIntoView({ block: "nearest" });
}
function openPalette() { paletteText.value = ""; fillPalette(); palette.showModal(); }
paletteText?.addEventListener("input", fillPalette);
paletteText?.addEventListener("keydown", (event) => {
  const items = [...paletteList.children], at = items.findIndex((item) => item.getAttribute("aria-selected") === "true");
  if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); mark((at + (event.key === "ArrowDown" ? 1 : -1) + items.length) % items.length); }
  if (event.key === "Enter") { event.preventDefault(); if (items[at]) go(items[at]); }
});
function row(step) {
  const rows = $$("[data-row]");
  const at = rows.findIndex((one) => one.classList.contains("chosen"));
  const next = rows[Math.min(Math.max(at + step, 0), rows.length - 1)];
  if (!next) return;
  rows[at]?.classList.remove("chosen");
  next.classList.add("chosen"); next.scrollIntoView({ block: "nearest" }); $("a, summary", next)?.focus();
}
function switchTheme() {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", document.documentElement.dataset.theme);
  drawAll();
}
let waiting = 0;
addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && places.length) { event.preventDefault(); openPalette(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) { if (event.key === "Escape") event.target.blur(); return; }
  if (Date.now() - waiting < 1500) { waiting = 0; const link = $(`nav.side a[data-key="${CSS.escape(event.key)}"]`); if (link) { event.preventDefault(); link.click(); return; } }
  if (event.key === "g") waiting = Date.now();
  else if (event.key === "/") { event.preventDefault(); $("#search")?.focus(); }
  else if (event.key === "?") $("#keys").showModal();
  else if (event.key === "j" || event.key === "k") row(event.key === "j" ? 1 : -1);
  else if (event.key === "Escape" && history.length > 1) history.back();
});
async function showWhole(button) { // a long text, in place of its beginning
  button.disabled = true;
  const answer = await fetch(button.dataset.whole).catch(() => null);
  if (!answer?.ok || answer.redirected) { location.href = button.dataset.whole; return; } // the session is over, or the network is away
  const sent = new DOMParser().parseFromString(await answer.text(), "text/html");
  $("pre", button.closest("details")).replaceWith($("pre", sent));
  button.closest("p").remove();
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if ("copy" in button.dataset) navigator.clipboard?.writeText(button.dataset.copy).then(() => { button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 1500); });
  if ("unfold" in button.dataset) button.setAttribute("aria-expanded", $(`#${button.dataset.unfold}`).classList.toggle("unfolded"));
  if ("whole" in button.dataset) showWhole(button);
  if ("openPalette" in button.dataset) openPalette();
  if ("themeSwitch" in button.dataset) switchTheme();
  if ("print" in button.dataset) print();
});
document.addEventListener("formdata", (event) => { // an address holds what was chosen alone; without scripts the service takes out the rest
  if (event.target.method === "get") for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
let resizing;
addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(drawAll, 150); });
setInterval(countOn, 5000);
if (narrow.matches && $("#search")) $("#search").placeholder = "Search"; // more words are cut there
$$("[data-print]").forEach((one) => { one.hidden = false; }); // it needs this script
early.disconnect();
prepare(document);
for (const one of $$("[data-said]")) { // said once: a reload, a step back or a shared link does not say it again
  const way = new URL(location.href);
  for (const name of one.dataset.said.split(" ")) way.searchParams.delete(name);
  history.replaceState(history.state, "", way);
}
function unfoldPlace() { // a link to a row that a phone has folded shows it
  const place = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1))), folded = place && place.closest(".folds:not(.unfolded)");
  if (!folded) return;
  folded.classList.add("unfolded");
  $(`[data-unfold="${folded.id}"]`)?.setAttribute("aria-expanded", "true");
  place.scrollIntoView();
}
addEventListener("hashchange", unfoldPlace);
unfoldPlace();
$("nav.side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
for (const one of $$(":is(.tabs, .ranges) [aria-current]")) { // on a phone they are one line, which scrolls
  const line = one.parentElement, box = one.getBoundingClientRect(), around = line.getBoundingClientRect();
  line.scrollLeft += box.left + box.width / 2 - around.left - around.width / 2;
}
$$("[data-live]").forEach(follow);
if ($("[data-badge]")) { setInterval(askBadge, 10000); document.addEventListener("visibilitychange", askBadge); }
if (location.hash) for (const one of $$("[data-back]")) { // a sign-in leads back to the place on the page, which servers do not see
  if (one.tagName === "A") { const way = new URL(one.href); way.searchParams.set("to", way.searchParams.get("to") + location.hash); one.href = way; }
  else one.value += location.hash;
}
