// What is known of the pair, on the right.
const FACTS = [ // title, text of a pair; empty texts are left out
  ["clip", (p) => `${clipOf(p)[0]} (${clipOf(p)[1]})`],
  ["source", (p) => clipOf(p)[2]],
  ["capture rate", (p) => unit(clipOf(p)[3], "frames/s")],
  ["source frames", (p) => (column("first")[p] == null ? "" : `${column("first")[p]} to ${column("last")[p]}`)],
  ["ground truth", (p) => (column("mid")[p] == null ? "" : `frame ${column("mid")[p]}`)],
  ["exposure", (p) => join(unit(column("window")[p], "frames"), unit(column("ms")[p], "ms"))],
  ["samples", (p) => short(column("samples")[p])],
  ["blur length", (p) => unit(column("blur")[p], "px")],
  ["blur length, fastest tenth", (p) => unit(column("fastest")[p], "px")],
  ["motion (blur / window)", (p) => unit(column("motion")[p], "px a frame")],
  ["least confidence", (p) => short(column("trust")[p])],
  ["darkness asked, got", (p) => join(short(column("asked")[p]), short(column("got")[p]))],
  ["input, mean code value", (p) => short(column("level")[p])],
  ["ground truth, mean L*", (p) => short(column("truth")[p])],
  ["noise, sigma of green", (p) => unit(column("sigma")[p], "code values")],
  ["PSNR of the input", (p) => unit(column("psnr")[p], "dB")],
  ["SSIM of the input", (p) => short(column("ssim")[p])],
];
const unit = (value, name) => (value === null || value === undefined ? "" : `${short(value)} ${name}`);
const join = (...texts) => texts.filter(Boolean).join(", ");
const commandOf = (pair) => data.command.replace("{source}", () => data.names[pairs.clip[pair]]);

function drawDetails() {
  const facts = FACTS.map(([title, text]) => [title, text(state.pair)]).filter(([, text]) => text);
  byId("facts").replaceChildren(...facts.map(([title, text]) =>
    make("div", null, make("dt", null, title), make("dd", null, text))));
  byId("words").replaceChildren(...data.words[pairs.words[state.pair]].map((phrase) => make("li", null, phrase)));
  byId("command").textContent = commandOf(state.pair);
  byId("copy").textContent = "copy the command";
}

async function copyCommand() {
  let done = false;
  try {
    await navigator.clipboard.writeText(commandOf(state.pair));
    done = true;
  } catch (error) { // a page from a file may not use the clipboard: select the text, so that one key copies it
    const range = document.createRange();
    range.selectNodeContents(byId("command"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    done = document.execCommand("copy");
  }
  byId("copy").textContent = done ? "copied" : "selected: press Ctrl+C";
}

function wireDetails() {
  byId("copy").addEventListener("click", copyCommand);
  on("pair", drawDetails);
}
