// Distributions: bars of one figure, cells of two. Each is a button that filters the list.
const BINS = 16;
const FEW = 6; // a figure with at most so many different values gets a bar for each value, not for ranges
const CELLS = [14, 9];
const BARS = [
  ["asked", "Darkness asked for (mean L*/100)"],
  ["got", "Darkness achieved (mean L*/100)"],
  ["motion", "Motion (px a source frame: blur length / window)"],
  ["blur", "Blur length (px)"],
  ["fastest", "Blur length of the fastest tenth (px)"],
  ["window", "Window (source frames)"],
  ["ms", "Exposure (ms)"],
  ["iso", "ISO"],
  ["defocus", "Defocus radius (px; 0: in focus)"],
  ["psnr", "PSNR of the input (dB)"],
  ["truth", "Ground truth, mean L*"],
  ["trust", "Least confidence of the motion"],
];
const FIELDS = [
  ["asked", "got", "Darkness achieved (up) against asked for (right)"],
  ["level", "sigma", "Noise, sigma of green in code values (up), by mean code value (right)"],
];

function bins(name, most) { // [{low, high, label, members}], the last one closed
  const values = column(name);
  const known = [...values.keys()].filter((pair) => values[pair] !== null);
  const different = [...new Set(known.map((pair) => values[pair]))].sort((a, b) => a - b);
  if (!different.length) return [];
  if (different.length <= FEW) {
    return different.map((value) => ({
      low: value, high: value, label: short(value), members: known.filter((pair) => values[pair] === value),
    }));
  }
  const low = different[0];
  const width = (different[different.length - 1] - low) / most;
  const result = Array.from({ length: most }, (_, i) => ({
    low: low + i * width, high: low + (i + 1) * width, members: [],
    label: `${short(low + i * width)} to ${short(low + (i + 1) * width)}`,
  }));
  for (const pair of known) result[Math.min(most - 1, Math.floor((values[pair] - low) / width))].members.push(pair);
  return result;
}

function toggle(key, label, members) {
  const same = state.filters.has(key) && state.filters.get(key).label === label;
  const set = new Set(members);
  filter(key, label, same ? null : (pair) => set.has(pair));
}

const drawn = []; // {key, label, members, element, show(listed share)} of every bar and cell

function plot(title, body, ...axis) {
  return make("div", { class: "plot", role: "group", "aria-label": title }, make("h3", null, title), body,
    make("div", { class: "axis", "aria-hidden": "true" }, ...axis.map((text) => make("span", null, text))));
}

function bars([name, title]) {
  const all = bins(name, BINS);
  if (!all.length) return null;
  const highest = Math.max(...all.map((bin) => bin.members.length));
  const few = all[0].low === all[0].high;
  const key = `bar ${name}`;
  const buttons = all.map((bin) => {
    const label = `${title}: ${bin.label}`;
    const [whole, part] = [make("i"), make("i")];
    whole.style.height = `${(100 * bin.members.length) / highest}%`;
    const text = `${bin.label}: ${bin.members.length} pairs`;
    const button = make("button", {
      "aria-label": text, title: text, "aria-pressed": "false", click: () => toggle(key, label, bin.members),
    }, whole, part);
    button.disabled = !bin.members.length;
    const show = (count) => { part.style.height = `${(100 * count) / highest}%`; };
    drawn.push({ key, label, members: bin.members, element: button, show });
    return button;
  });
  const axis = few ? all.map((bin) => bin.label) : [short(all[0].low), short(all[all.length - 1].high)];
  return plot(title, make("div", { class: few ? "bars few" : "bars" }, ...buttons), ...axis);
}

function scale(values, count, like) {
  const known = values.concat(like || []).filter((value) => value !== null);
  const [low, high] = known.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  const width = (high - low) / count || 1;
  return { low, high, width, of: (value) => Math.min(count - 1, Math.floor((value - low) / width)) };
}

function field([right, up, title]) {
  const [xs, ys] = [column(right), column(up)];
  if (!xs.length || !ys.length) return null;
  const same = right === "asked"; // both axes have one scale, so that the diagonal is where they agree
  const x = scale(xs, CELLS[0], same ? ys : null);
  const y = scale(ys, CELLS[1], same ? xs : null);
  const members = Array.from({ length: CELLS[0] * CELLS[1] }, () => []);
  for (let pair = 0; pair < total; pair += 1) {
    if (xs[pair] === null || ys[pair] === null) continue;
    members[(CELLS[1] - 1 - y.of(ys[pair])) * CELLS[0] + x.of(xs[pair])].push(pair);
  }
  const most = Math.max(...members.map((cell) => cell.length));
  const key = `field ${right} ${up}`;
  const cells = members.map((cell, i) => {
    if (!cell.length) return make("span");
    const [column, row] = [i % CELLS[0], CELLS[1] - 1 - Math.floor(i / CELLS[0])];
    const range = (axis, n) => `${short(axis.low + n * axis.width)} to ${short(axis.low + (n + 1) * axis.width)}`;
    const label = `${title}: ${range(x, column)}, ${range(y, row)}`;
    const text = `right ${range(x, column)}, up ${range(y, row)}: ${cell.length} pairs`;
    const button = make("button", {
      "aria-label": text, title: text, "aria-pressed": "false", click: () => toggle(key, label, cell),
    });
    button.style.opacity = 0.25 + 0.75 * Math.sqrt(cell.length / most);
    const show = (count) => button.classList.toggle("out", !count);
    drawn.push({ key, label, members: cell, element: button, show });
    return button;
  });
  return plot(title, make("div", { class: "cells" }, ...cells), `right ${short(x.low)} to ${short(x.high)}`,
    `up ${short(y.low)} to ${short(y.high)}`);
}

function drawCharts() { // the listed share of every bar
  const listed = new Uint8Array(total);
  state.listed.forEach((pair) => { listed[pair] = 1; });
  for (const bar of drawn) {
    bar.show(bar.members.reduce((count, pair) => count + listed[pair], 0));
    const active = state.filters.get(bar.key);
    bar.element.setAttribute("aria-pressed", Boolean(active && active.label === bar.label));
  }
}

function wireArrows(plot) { // one stop of the Tab key a plot; arrow keys, Home and End move inside it
  const buttons = [...plot.querySelectorAll("button:not([disabled])")];
  buttons.forEach((button, i) => { button.tabIndex = i ? -1 : 0; });
  plot.addEventListener("keydown", (event) => {
    const here = buttons.indexOf(document.activeElement);
    const there = { ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1, ArrowUp: here - 1, Home: 0,
      End: buttons.length - 1 }[event.key];
    if (here < 0 || there === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    if (!buttons[there]) return;
    buttons[here].tabIndex = -1;
    buttons[there].tabIndex = 0;
    buttons[there].focus();
  });
}

function wireCharts() {
  byId("plots").append(...[...FIELDS.map(field), ...BARS.map(bars)].filter(Boolean));
  document.querySelectorAll(".plot").forEach(wireArrows);
  on("filter", drawCharts);
}
