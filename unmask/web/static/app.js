// The page: photos in a strip, one of them open, first with its region, then with its guesses.

import * as api from "./api.js";
import { Brush } from "./brush.js";
import { faceBoxes, guessRadios } from "./choices.js";
import { Clips, isClip } from "./clips.js";
import { Compare } from "./compare.js";
import { keys, whileHeld } from "./keys.js";
import { Line } from "./line.js";
import { Photo, closeUp, incoming, make } from "./photos.js";
import * as results from "./results.js";
import { Stage } from "./stage.js";
import { save, zipped } from "./zip.js";

const $ = (id) => document.getElementById(id);
const photos = [];
const line = new Line();
const clips = new Clips(line, { say, complain, changed: arrange, fault: tooLarge });
let open = null; // the photo on the stage
let showing = "region"; // or "result"
let limits = null;

const tool = () => document.querySelector("[name=tool]:checked").value;
const stage = new Stage($("canvas"), {
  draw(to) {
    if (showing === "region") brush.draw(to, open);
    else compare.draw(to, stage, open.before, chosen().sharp, $("differ").checked ? open.result.spread : null);
    $("scale").textContent = `${Math.round(100 * stage.zoom)} %`;
  },
  begin: (at, on) => (showing === "region" ? brush.begin(open.region, at) : compare.begin(stage, on[0])),
  hover(at) { brush.at = showing === "region" ? at : null; },
});
const brush = new Brush(stage, () => Number($("size").value), tool);
const compare = new Compare($("slide"), () => stage.draw());
const chosen = () => open.result.guesses[open.result.chosen];

/** What goes on, for eyes and screen readers; it fades from the photo unless it lasts. */
function say(words, lasting = false) {
  $("status").textContent = words;
  $("status").getAnimations().forEach((one) => one.cancel());
  if (!lasting) $("status").animate([{ opacity: 1 }, { opacity: 1, offset: 0.9 }, { opacity: 0 }], { duration: 5000, fill: "forwards" });
}

const megabytes = (bytes) => +(bytes / 1024 ** 2).toFixed(1);
const several = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

function tooLarge(file) {
  return limits && file.size > limits.max_bytes ? `larger than ${megabytes(limits.max_bytes)} MB; make it smaller first` : "";
}

function complain(words) {
  $("error").hidden = !words;
  $("error").firstElementChild.textContent = words;
}

// --- photos come and go ---

function add(files, restoreAtOnce = false) {
  complain("");
  const pictures = [...files];
  if (!pictures.length) return complain("That was no picture file. Links are not followed: save the picture first, then drop the file.");
  for (const file of pictures) {
    if (isClip(file)) {
      $("photos").append(clips.add(file));
      continue;
    }
    const photo = new Photo(file, { onOpen: show, onRemove: remove });
    $("photos").append(photo.item);
    photos.push(photo);
    if (tooLarge(file)) fail(photo, tooLarge(file));
    else look(photo).then(() => { if (restoreAtOnce && photo.ready) restore(photo); });
  }
  arrange();
}

/** What is in sight, by what there is. */
function arrange() {
  const any = photos.length + clips.count > 0;
  document.body.classList.toggle("welcome", !any);
  document.body.classList.toggle("clips-only", any && !photos.length);
  $("welcome").hidden = any;
  $("work").hidden = !any;
  $("panel").inert = !open;
  $("all").hidden = photos.length < 2;
  $("restore-all").disabled = !photos.some((photo) => photo.wanting);
  $("download-all").disabled = !photos.some((photo) => photo.result);
  $("bar").hidden = !photos.some((photo) => photo.busy);
  if (!open) return;
  $("restore").disabled = open.busy || !open.faces.length;
  $("restore").textContent = open.busy ? "Restoring\u2026" : "Restore";
  $("to-result").disabled = !open.result;
  $("undo").disabled = !open.region.canUndo;
  $("redo").disabled = !open.region.canRedo;
}

function mark(photo, words, mood) {
  photo.mark(words, mood);
  if (photo === open || !open) say(photos.length > 1 ? `${photo.name}: ${words}` : words, mood === "busy");
}

function fail(photo, words) {
  mark(photo, words, "bad");
  complain(`${photo.name}: ${words}`);
}

function remove(photo) {
  const at = photos.indexOf(photo);
  photo.removed = true;
  photos.splice(at, 1);
  photo.item.remove();
  photo.jobs.forEach(api.forget);
  if (photo === open) {
    open = null;
    stage.close();
    const other = photos.find((one) => one.ready);
    if (other) show(other);
  }
  arrange();
  (photos[Math.min(at, photos.length - 1)]?.pick || $("file")).focus();
  say(`${photo.name} removed`);
}

/** Have the server do something for a photo, and take all that comes of it with `keep`; it keeps nothing then. */
async function run(photo, task, fields, doing, keep, first) {
  photo.busy = true;
  mark(photo, "waiting", "busy");
  arrange();
  let id = null;
  const told = (state) => {
    id = state.id || id;
    if (id) photo.jobs.add(id);
    if (photo.removed) throw new api.Refused("removed");
    const waits = state.state === "waiting" && state.ahead;
    mark(photo, state.state === "busy" ? "waiting: the server is busy"
      : waits ? `waiting: ${several(state.ahead, "photo")} ${waits === 1 ? "is" : "are"} before this one` : doing, "busy");
  };
  try {
    await line.add(async () => { if (!photo.removed) await keep(await api.done(photo.file, task, fields, told)); }, first);
  } catch (error) {
    if (!photo.removed) fail(photo, error.message);
  } finally {
    if (id) api.forget(id);
    photo.jobs.delete(id);
    photo.busy = false;
    arrange();
  }
}

/** Ask where the faces of a photo are, and open it if nothing else is open. */
const look = (photo) => run(photo, "faces", {}, "looking for faces", async (job) => {
  Object.assign(photo, await results.faces(job, photo.file));
  photo.region.addEventListener("change", () => {
    photo.stale = true;
    if (photo === open) changed();
  });
  photo.picture(closeUp(photo.before.small, photo.view, photo.region.boxes[0]));
  const worn = photo.faces.filter((face) => face.status === "masked").length;
  mark(photo, !photo.faces.length ? "no face found" : `${several(photo.faces.length, "face")}, ${worn} with a face mask`, worn ? "" : "bad");
  if (!open && !photo.removed) show(photo);
});

// --- the open photo ---

function show(photo) {
  if (!photo.ready || photo.removed) return;
  open = photo;
  complain("");
  for (const one of photos) one.pick.setAttribute("aria-current", String(one === photo));
  stage.open(photo.view);
  $("faces").lastElementChild.replaceChildren(...faceBoxes(open));
  present();
  turn(photo.result ? "result" : "region");
  say(`${photos.length > 1 ? `${photo.name}: ` : ""}${photo.words.textContent}`);
}

/** Show the region or the result of the open photo. */
function turn(what) {
  showing = what;
  $("edit").hidden = what !== "region";
  $("result").hidden = $("slide").hidden = what !== "result";
  $("to-region").setAttribute("aria-pressed", String(what === "region"));
  $("to-result").setAttribute("aria-pressed", String(what === "result"));
  $("panel").scrollTop = 0;
  aim();
  arrange();
}

/** Keep the tools in step with the region, without moving the focus. */
function changed() {
  $("faces").querySelectorAll("input").forEach((box, i) => { box.checked = Boolean(open.region.chosen[i]); });
  stage.draw();
  arrange();
}

async function restore(photo) {
  if (photo.busy) return;
  if (photo.region.isEmpty) return complain("Nothing is marked. Paint over the face mask with the brush, then restore.");
  if (!$("seed").checkValidity()) {
    $("seed").closest("details").open = true;
    $("seed").focus();
    return complain("The seed is a whole number from 0.");
  }
  complain("");
  photo.busy = true;
  const fields = { samples: document.querySelector("[name=samples]:checked").value, seed: $("seed").value };
  const region = await photo.region.picture();
  if (region) fields.region = region;
  photo.stale = false;
  await run(photo, "restore", fields, "restoring", async (job) => {
    photo.result = await results.guesses(job);
    photo.picture(closeUp(photo.result.guesses[0].sharp.small, photo.view, photo.region.boxes[0]));
    mark(photo, photo.result.summary, "done");
    if (photo !== open) return;
    present();
    turn("result");
    $("result-title").focus({ preventScroll: true });
  }, photo === open);
}

// --- its guesses ---

function present() {
  const { result } = open;
  if (!result) return;
  const labels = guessRadios(open, pick);
  $("choices").lastElementChild.replaceChildren(...labels);
  $("choices").hidden = labels.length < 2;
  $("result-title").textContent = labels.length < 2 ? "A guess" : `${labels.length} guesses`;
  $("summary").textContent = `${result.summary}. ${labels.length < 2 ? "It is no" : "None of them is"} evidence of who this is.`;
  $("doubt").hidden = !result.spread;
  $("note").textContent = JSON.stringify(result.note, null, 1);
  pick();
}

function pick() {
  const { filename, blob, sharp } = chosen();
  URL.revokeObjectURL($("download").href);
  $("download").href = URL.createObjectURL(blob);
  $("download").download = $("download").title = filename;
  open.picture(closeUp(sharp.small, open.view, open.region.boxes[0])); // in the strip
  say(`guess ${open.result.chosen + 1} is shown`);
  stage.draw();
}

const downloadAll = async () => save(await zipped(photos.filter((photo) => photo.result).map(({ result }) => {
  const { filename, blob } = result.guesses[result.chosen];
  return { name: filename, blob };
})), "unmasked.zip");

// --- what people do ---

$("file").addEventListener("change", () => { add($("file").files); $("file").value = ""; });
$("sample").addEventListener("click", async () => {
  try { add([await api.sample()], true); } catch (error) { complain(error.message); }
});
incoming(add);

/** The pointer says what it would do. */
function aim() {
  const panning = stage.panning || (showing === "region" && tool() === "move");
  stage.canvas.className = panning ? "pan" : showing;
  stage.draw();
}

function sized(by = 0) {
  $("size").value = Number($("size").value) + by;
  $("size-now").textContent = `${$("size").value} px`;
  stage.draw();
}

function choose(which) {
  document.querySelector(`[name=tool][value=${which}]`).checked = true;
  aim();
}

const original = (on) => { if (open?.result && showing === "result") compare.hold(on); };
const edits = (how) => () => { if (open && showing === "region") how(open.region); };
const on = (id, does, event = "click") => $(id).addEventListener(event, does);
on("size", () => sized(), "input");
document.querySelectorAll("[name=tool]").forEach((radio) => radio.addEventListener("change", aim));
on("undo", edits((region) => region.undo()));
on("redo", edits((region) => region.redo()));
on("grow", edits((region) => region.grow(1)));
on("shrink", edits((region) => region.grow(-1)));
on("reset", edits((region) => region.reset()));
on("clear", edits((region) => region.clear()));
on("restore", () => restore(open));
on("restore-all", () => photos.filter((photo) => photo.wanting).forEach(restore));
on("download-all", downloadAll);
on("to-region", () => turn("region"));
on("to-result", () => turn("result"));
on("adjust", () => turn("region"));
on("differ", () => stage.draw(), "change");
on("in", () => stage.zoomBy(1.5));
on("out", () => stage.zoomBy(1 / 1.5));
on("fit", () => stage.fit());
on("help-open", () => $("help").showModal());
$("error").lastElementChild.addEventListener("click", () => complain(""));
whileHeld($("hold"), original);
keys({
  "ctrl+z": edits((region) => region.undo()),
  "ctrl+shift+z": edits((region) => region.redo()),
  "ctrl+y": edits((region) => region.redo()),
  "[": () => sized(-4), "]": () => sized(4),
  b: () => choose("add"), e: () => choose("erase"), h: () => choose("move"),
  "+": () => open && stage.zoomBy(1.5), "=": () => open && stage.zoomBy(1.5),
  "-": () => open && stage.zoomBy(1 / 1.5), 0: () => open && stage.fit(),
}, { o: original, " ": (down, event) => {
  if (event && event.target !== stage.canvas && event.target !== document.body) return; // buttons want it
  if (down) event.preventDefault();
  stage.panning = down;
  aim();
} });
window.addEventListener("pagehide", () => {
  photos.forEach((photo) => photo.jobs.forEach(api.forget));
  clips.forget();
});
sized();
api.health().then((found) => {
  limits = found.limits;
  $("limits").textContent = `Up to ${megabytes(limits.max_bytes)} MB and ${limits.max_pixels / 1e6} megapixels each.`;
  $("version").textContent = `unmask ${found.version}.`;
}).catch((error) => complain(error.message));
