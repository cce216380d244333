// The list of clips and pairs on the left: only the rows in view are in the document, so 12,000 pairs scroll at once.
const ROW = 26; // px
const list = byId("list");
let rows = []; // a pair's index, or a clip as it is in data.clips
let positions = []; // of each row among the pairs that are listed, from 1

function rebuildRows() {
  [rows, positions] = [[], []];
  let clip = -1;
  state.listed.forEach((pair, position) => {
    if (pairs.clip[pair] !== clip) {
      clip = pairs.clip[pair];
      rows.push(data.clips[clip]);
      positions.push(0);
    }
    rows.push(pair);
    positions.push(position + 1);
  });
  byId("rows").style.height = `${rows.length * ROW}px`;
  byId("count").textContent = `${state.listed.length} of ${total} pairs`;
  drawChips();
  drawRows();
}

function drawChips() {
  const chips = [...state.filters].filter(([, one]) => one.label).map(([key, one]) => make("button",
    { click: () => filter(key), "aria-label": `remove the filter ${one.label}` }, `${one.label} \u00d7`));
  byId("chips").replaceChildren(...chips);
}

function drawRows() {
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 5);
  const last = Math.min(rows.length, first + Math.ceil(list.clientHeight / ROW) + 10);
  const elements = [];
  for (let i = first; i < last; i += 1) elements.push(rowElement(rows[i], i));
  byId("rows").replaceChildren(...elements);
  const current = elements.find((element) => element.getAttribute("aria-selected") === "true");
  if (current) list.setAttribute("aria-activedescendant", current.id);
  else list.removeAttribute("aria-activedescendant");
}

function rowElement(row, place) {
  let element;
  if (Array.isArray(row)) {
    element = make("div", { class: "row clip", role: "presentation", title: row[2] },
      `${row[0]} `, make("small", null, `${row[1]}, ${row[2]}`));
  } else {
    const figures = column("psnr")[row] === null ? "" : `  ${short(column("psnr")[row])} dB`;
    element = make("div", {
      class: "row", id: `row-${row}`, role: "option", "aria-selected": String(row === state.pair),
      "aria-label": `pair ${nameOf(row)}`, "aria-setsize": state.listed.length,
      "aria-posinset": positions[place], click: () => select(row),
    }, `${nameOf(row)}${column("psnr").length ? figures : ""}`);
  }
  element.style.top = `${place * ROW}px`;
  return element;
}

function reveal() {
  const place = rows.indexOf(state.pair);
  if (place >= 0) {
    const top = place * ROW;
    if (top < list.scrollTop + ROW) list.scrollTop = Math.max(0, top - ROW);
    else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + 2 * ROW - list.clientHeight;
  }
  drawRows();
}

const KINDS = {
  "with noise": (pair) => column("noisy")[pair] === 1,
  "without noise": (pair) => column("noisy")[pair] === 0,
  defocused: (pair) => column("defocus")[pair] > 0,
  "in focus": (pair) => !(column("defocus")[pair] > 0),
  "with a warning": (pair) => warned.has(pair),
};
const warned = new Set(data.warnings.flatMap((runs) =>
  runs.flatMap(([first, count]) => Array.from({ length: count }, (_, i) => first + i))));

function wireList() {
  list.addEventListener("scroll", drawRows);
  new ResizeObserver(drawRows).observe(list);
  byId("kind").append(...Object.keys(KINDS).map((kind) => make("option", null, kind)));
  byId("kind").addEventListener("change", (event) => filter("kind", "", KINDS[event.target.value]));
  byId("split").addEventListener("change", (event) => {
    const split = event.target.value;
    filter("split", "", split && ((pair) => clipOf(pair)[1] === split));
  });
  byId("search").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    const texts = data.words.map((phrases) => phrases.join("; ").toLowerCase());
    filter("search", "", words.length && ((pair) => {
      const text = `${nameOf(pair)} ${clipOf(pair)[2].toLowerCase()} ${texts[pairs.words[pair]]}`;
      return words.every((word) => text.includes(word));
    }));
  });
  list.addEventListener("keydown", (event) => {
    const page = Math.floor(list.clientHeight / ROW) - 1;
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, End: total, Home: -total }[event.key];
    if (!by) return;
    event.preventDefault();
    step(by);
  });
  on("filter", rebuildRows);
  on("pair", reveal);
}
