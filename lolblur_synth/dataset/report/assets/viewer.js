// The picture in the middle: two images on each other, split, flicker, zoom, gain and difference, and the film strip.
const stage = byId("stage");
const sides = ["left", "right"];
const ZOOMS = { fit: 0, "1:1": 1, "2:1": 2, "4:1": 4 };
const GAINS = { "\u00d71": 1, "\u00d74": 4, "\u00d78": 8 };

function drawPair() {
  byId("title").textContent = nameOf(state.pair);
  byId("broken").hidden = true;
  drawView();
  drawStrip();
  for (const near of [state.pair + 1, state.pair - 1]) {
    if (near >= 0 && near < total) sides.forEach((side) => { new Image().src = urlOf(near, state[side]); });
  }
}

function drawView() {
  for (const side of sides) {
    const image = byId(`image-${side}`);
    const url = urlOf(state.pair, state[side]);
    if (image.getAttribute("src") !== url) image.setAttribute("src", url);
    image.alt = `${state[side]} of pair ${nameOf(state.pair)}`;
    image.style.filter = !state.difference && isDark(state[side]) ? gainFilter() : "";
    byId(`label-${side}`).textContent = state[side];
    byId(side).value = state[side];
  }
  const pane = byId("pane-left");
  pane.classList.toggle("subtract", state.difference);
  pane.classList.toggle("whole", state.shown === "left");
  pane.classList.toggle("gone", state.shown === "right" && !state.difference);
  byId("panes").style.filter = state.difference ? gainFilter() : "";
  const split = state.shown === "both" && !state.difference;
  byId("handle").hidden = !split;
  byId("label-left").hidden = state.shown === "right" && !state.difference;
  byId("label-right").hidden = state.shown === "left" && !state.difference;
  stage.style.setProperty("--split", `${state.split}%`);
  byId("slider").value = state.split;
  byId("flicker").setAttribute("aria-pressed", state.shown !== "both");
  byId("difference").setAttribute("aria-pressed", state.difference);
  press("zoom", state.zoom);
  press("gain", state.gain);
  place();
}

const gainFilter = () => (state.gain > 1 ? `url(#gain${state.gain})` : "");

function press(group, value) {
  byId(group).querySelectorAll("button").forEach((button) =>
    button.setAttribute("aria-pressed", Number(button.dataset.value) === value));
}

function place() { // both images at the same size and place, so that they stay synchronised
  const image = byId("image-left");
  const [width, height] = image.naturalWidth ? [image.naturalWidth, image.naturalHeight] : data.size;
  stage.style.aspectRatio = `${width} / ${height}`;
  const box = stage.getBoundingClientRect();
  const scale = state.zoom ? state.zoom / window.devicePixelRatio : Math.min(box.width / width, box.height / height);
  stage.classList.toggle("zoomed", state.zoom > 0);
  stage.classList.toggle("pixels", state.zoom > 1);
  const room = [box.width - width * scale, box.height - height * scale];
  const pan = state.pan.map((value, axis) =>
    (room[axis] >= -0.5 ? room[axis] / 2 : Math.max(room[axis], Math.min(0, value))));
  state.pan = pan;
  for (const side of sides) {
    const style = byId(`image-${side}`).style;
    style.width = `${width * scale}px`;
    style.height = `${height * scale}px`;
    style.transform = `translate(${Math.round(pan[0])}px, ${Math.round(pan[1])}px)`;
  }
}

function setZoom(zoom, at) { // keeps the point `at` of the stage, its middle by default, where it is
  const image = byId("image-left");
  const middle = at || [stage.clientWidth / 2, stage.clientHeight / 2];
  const before = image.getBoundingClientRect().width || stage.clientWidth;
  const after = (zoom / window.devicePixelRatio) * (image.naturalWidth || data.size[0]);
  state.pan = state.pan.map((value, axis) => middle[axis] - ((middle[axis] - value) * after) / before);
  state.zoom = zoom;
  changed("view");
}

function set(values) {
  Object.assign(state, values);
  changed("view");
}

const flick = () => set({ shown: state.shown === "left" ? "right" : "left", difference: false });
const cycle = (choices, value) => choices[(choices.indexOf(value) + 1) % choices.length];

function drawStrip() {
  const [, , , , first, count] = clipOf(state.pair);
  const strip = byId("strip");
  if (strip.dataset.first !== String(first)) {
    strip.dataset.first = first;
    const image = (pair) => {
      const element = make("img", { src: thumbnailOf(pair), alt: "", loading: "lazy", width: 150 });
      element.style.aspectRatio = `${2 * data.size[0]} / ${data.size[1]}`; // its room before it is loaded
      const whole = () => element.setAttribute("src", urlOf(pair, data.folders[3][0])); // where there is no thumbnail
      element.addEventListener("error", whole, { once: true });
      return element;
    };
    strip.replaceChildren(...Array.from({ length: count }, (_, i) => first + i).map((pair) =>
      make("button", { "data-pair": pair, "aria-label": `pair ${nameOf(pair)}`, click: () => select(pair) },
        image(pair))));
  }
  strip.querySelectorAll("button").forEach((button) =>
    button.setAttribute("aria-current", Number(button.dataset.pair) === state.pair));
  const current = strip.querySelector("[aria-current=true]");
  const middle = (element) => element.offsetLeft + element.clientWidth / 2;
  if (current) strip.scrollLeft = middle(current) - middle(strip);
}

function drag(start) {
  const splits = !state.zoom || start.target === byId("handle");
  const from = [start.clientX - state.pan[0], start.clientY - state.pan[1]];
  const move = (event) => {
    if (splits) {
      const box = stage.getBoundingClientRect();
      const split = Math.max(0, Math.min(100, (100 * (event.clientX - box.left)) / box.width));
      set({ split, shown: "both", difference: false });
    } else set({ pan: [event.clientX - from[0], event.clientY - from[1]] });
  };
  const end = () => {
    stage.removeEventListener("pointermove", move);
    stage.removeEventListener("pointerup", end);
    stage.removeEventListener("pointercancel", end);
  };
  stage.setPointerCapture(start.pointerId);
  stage.addEventListener("pointermove", move);
  stage.addEventListener("pointerup", end);
  stage.addEventListener("pointercancel", end);
  if (splits) move(start);
}

function wireViewer() {
  for (const side of sides) {
    byId(side).append(...data.folders.map(([folder, caption], i) =>
      make("option", { value: folder, title: caption }, `${i + 1} ${folder}`)));
    byId(side).addEventListener("change", (event) => set({ [side]: event.target.value }));
    byId(`image-${side}`).addEventListener("load", place);
    byId(`image-${side}`).addEventListener("error", () => {
      byId("broken").textContent = `not found beside this page: ${pathOf(state.pair, state[side])}`;
      byId("broken").hidden = false;
    });
  }
  const buttons = (group, choices, act) => byId(group).append(...Object.entries(choices).map(([text, value]) =>
    make("button", { "data-value": value, click: () => act(value) }, text)));
  buttons("zoom", ZOOMS, (zoom) => setZoom(zoom));
  buttons("gain", GAINS, (gain) => set({ gain }));
  byId("slider").addEventListener("input", (event) =>
    set({ split: Number(event.target.value), shown: "both", difference: false }));
  byId("flicker").addEventListener("click", flick);
  byId("difference").addEventListener("click", () => set({ difference: !state.difference, shown: "both" }));
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  stage.addEventListener("pointerdown", drag);
  stage.addEventListener("wheel", (event) => {
    if (!state.zoom && !event.ctrlKey) return; // the page scrolls until one zooms
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    const steps = Object.values(ZOOMS);
    const next = steps[Math.max(0, Math.min(steps.length - 1, steps.indexOf(state.zoom) - Math.sign(event.deltaY)))];
    if (next !== state.zoom) setZoom(next, [event.clientX - box.left, event.clientY - box.top]);
  }, { passive: false });
  new ResizeObserver(place).observe(stage);
  on("pair", drawPair);
  on("view", drawView);
}
