// The data of the page, what is chosen, and small helpers. Text from the dataset reaches the page as text only.
const data = JSON.parse(document.getElementById("data").textContent);
const pairs = data.pairs;
const total = pairs.name.length;
const column = (name) => pairs[name] || [];
const byId = (id) => document.getElementById(id);

const state = {
  pair: 0,
  left: data.folders[0][0],
  right: data.folders[3][0],
  split: 50, // per cent of the width that shows the left image
  shown: "both", // both, left, right: the latter two while flickering
  zoom: 0, // image pixels per screen pixel; 0: the picture fills the width
  pan: [0, 0], // px, of the zoomed picture
  gain: 1,
  difference: false,
  filters: new Map(), // key -> {label, test(pair)}; a pair is listed when every test holds
  listed: [], // indices of the pairs that are listed
};
const listeners = { pair: [], filter: [], view: [] };
const on = (what, act) => listeners[what].push(act);
const changed = (what) => listeners[what].forEach((act) => act());

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "click") element.addEventListener("click", value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const clipOf = (pair) => data.clips[pairs.clip[pair]];
const nameOf = (pair) => `${clipOf(pair)[0]}/${pairs.name[pair]}`;
const pathOf = (pair, folder) => `${clipOf(pair)[1]}/${folder}/${nameOf(pair)}.png`;
const urlOf = (pair, folder) => data.root + pathOf(pair, folder);
const isDark = (folder) => folder.startsWith("low");

const embedded = new Map();
document.querySelectorAll("#sheet img[data-pair]").forEach((image) => embedded.set(Number(image.dataset.pair), image));
function thumbnailOf(pair) {
  if (data.thumbs) return `${data.thumbs}${nameOf(pair)}.jpg`;
  return embedded.has(pair) ? embedded.get(pair).getAttribute("src") : "";
}

const numbers = new Map(data.clips.flatMap((clip) => Array.from({ length: clip[5] }, (_, i) => clip[4] + i))
  .map((pair) => [nameOf(pair), pair]));

function pairCalled(hash) {
  const name = hash.replace(/^#/, "");
  if (numbers.has(name)) return numbers.get(name);
  const clip = data.clips.find((one) => one[0] === name);
  return clip ? clip[4] : null;
}

function select(pair) {
  if (pair === null || pair === undefined || pair < 0 || pair >= total) return;
  state.pair = pair;
  try {
    history.replaceState(null, "", `#${nameOf(pair)}`);
  } catch (error) { // a page inside a frame may not change its address: then there is no link to the pair
  }
  changed("pair");
}

function step(by) { // to the next listed pair; from a pair that is not listed to the nearest in that direction
  const listed = state.listed;
  const place = listed.findIndex((pair) => pair >= state.pair);
  if (!listed.length) return;
  let next = place < 0 ? listed.length - (by > 0 ? 0 : 1) : place + by;
  if (by > 0 && place >= 0 && listed[place] !== state.pair) next -= 1;
  select(listed[Math.max(0, Math.min(listed.length - 1, next))]);
}

function stepClip(by) {
  const here = pairs.clip[state.pair];
  const others = state.listed.filter((pair) => by * (pairs.clip[pair] - here) > 0);
  if (!others.length) return;
  const clip = pairs.clip[by > 0 ? others[0] : others[others.length - 1]];
  select(others.find((pair) => pairs.clip[pair] === clip));
}

function filter(key, label, test) { // without a test the filter goes
  if (test) state.filters.set(key, { label, test });
  else state.filters.delete(key);
  const tests = [...state.filters.values()].map((one) => one.test);
  state.listed = [];
  for (let pair = 0; pair < total; pair += 1) if (tests.every((test) => test(pair))) state.listed.push(pair);
  changed("filter");
}

function short(value) {
  if (value === null || value === undefined) return "";
  return String(Number(value.toPrecision(3)));
}
