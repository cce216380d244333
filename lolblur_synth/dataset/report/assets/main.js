// Keys, links and warnings; then the first pair is shown.
const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  J: () => stepClip(1),
  K: () => stepClip(-1),
  " ": flick,
  z: () => setZoom(cycle(Object.values(ZOOMS), state.zoom)),
  g: () => set({ gain: cycle(Object.values(GAINS), state.gain) }),
  Escape: () => set({ shown: "both", difference: false }),
  d: () => byId("difference").click(),
  "/": () => byId("search").focus(),
};
const PANS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const focus = document.activeElement;
  const types = focus.matches("input[type=search], select, textarea");
  if (event.key === "Escape" && types) focus.blur();
  if (types || (event.key === " " && focus.matches("button, summary, a"))) return;
  const digit = /^Digit([1-5])$/.exec(event.code);
  if (digit) set({ [event.shiftKey ? "right" : "left"]: data.folders[Number(digit[1]) - 1][0] });
  else if (KEYS[event.key]) KEYS[event.key]();
  else if (state.zoom && PANS[event.key] && !focus.matches("input, [role=listbox]")) {
    set({ pan: state.pan.map((value, axis) => value + PANS[event.key][axis]) });
  } else return;
  event.preventDefault();
}

function warn(event) { // a warning lists its pairs and shows the first of them
  const link = event.target.closest("a[data-warning]");
  if (!link) return;
  event.preventDefault();
  const members = new Set();
  for (const [first, count] of data.warnings[Number(link.dataset.warning)]) {
    for (let i = 0; i < count; i += 1) members.add(first + i);
  }
  filter("warning", link.textContent, (pair) => members.has(pair));
  select(Math.min(...members));
}

document.documentElement.classList.add("live");
wireList();
wireViewer();
wireDetails();
wireCharts();
document.addEventListener("keydown", pressed);
document.addEventListener("click", (event) => { // a button pressed by pointer gives the space bar back to flicker
  const button = event.detail > 0 && event.target.closest("button");
  if (button) button.blur();
});
byId("warnings").addEventListener("click", warn);
addEventListener("hashchange", () => {
  const pair = pairCalled(location.hash);
  if (pair !== null && pair !== state.pair) select(pair);
});
filter("start");
const first = pairCalled(location.hash);
state.pair = first === null ? 0 : first;
if (first === null) changed("pair"); // leaves an address that names a section as it is
else select(first);
