// The page: photos in a list, each with its faces and its guesses; one is open at a time.

import * as api from "./api.js";
import { comparable } from "./compare.js";
import { Editor } from "./editor.js";

const $ = (id) => document.getElementById(id);
const photos = [];
const editor = new Editor($("canvas"));
let open = null;
let limits = null;
let sent = Promise.resolve(); // uploads go one after another, so that the line has the order of the list

const say = (words) => { $("status").textContent = words; };

function complain(words) {
  $("error").textContent = words;
  $("error").hidden = !words;
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** "2 photos are before this one" and the like. */
function standing(job, doing) {
  if (job.state === "working" || job.ahead === 0) return doing;
  return job.ahead === 1 ? "waiting: 1 photo is before this one" : `waiting: ${job.ahead} photos are before this one`;
}

// --- the list of photos ---

function add(files) {
  complain("");
  const pictures = [...files];
  if (!pictures.length) return complain("That was no picture file. Links are not followed: save the picture first, then drop the file.");
  for (const file of pictures) {
    const photo = { file, name: file.name || "pasted picture", jobs: [] };
    list(photo);
    photos.push(photo);
    if (limits && file.size > limits.max_bytes) {
      fail(photo, `larger than ${megabytes(limits.max_bytes)} MB; make it smaller first`);
    } else {
      look(photo);
    }
  }
}

const megabytes = (bytes) => +(bytes / 1024 ** 2).toFixed(1);

function list(photo) {
  photo.thumb = make("span", { className: "blank" });
  photo.words = make("span", { className: "quiet", textContent: "sending" });
  const words = make("span", { className: "words" }, make("span", { className: "name", textContent: photo.name }), photo.words);
  photo.pick = make("button", { type: "button", className: "pick" }, photo.thumb, words);
  photo.pick.addEventListener("click", () => { if (photo.faces) show(photo); });
  const drop = make("button", { type: "button", textContent: "\u00d7", title: "Remove" });
  drop.setAttribute("aria-label", `Remove ${photo.name}`);
  drop.addEventListener("click", () => remove(photo));
  photo.item = make("li", {}, photo.pick, drop);
  $("photos").append(photo.item);
}

function mark(photo, words, bad = false) {
  photo.words.textContent = words;
  photo.words.className = bad ? "bad" : "quiet";
  if (photo === open || !open) say(`${photo.name}: ${words}`);
  if (photo === open) progress();
}

function fail(photo, words) {
  mark(photo, words, true);
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
    const other = photos.find((one) => one.faces);
    if (other) show(other);
    else $("edit").hidden = $("result").hidden = true;
  }
  (photos[Math.min(at, photos.length - 1)]?.pick || $("file")).focus();
  say(`${photo.name} removed`);
}

async function run(photo, task, fields, doing) {
  const sending = sent.then(() => api.submit(photo.file, task, fields));
  sent = sending.catch(() => {});
  const job = await sending;
  photo.jobs.push(job.id);
  return api.finished(job, (state) => { if (!photo.removed && state.state !== "done") mark(photo, standing(state, doing)); });
}

/** Ask where the faces of a photo are, and open it if nothing else is open. */
async function look(photo) {
  try {
    const job = await run(photo, "faces", {}, "looking for faces");
    photo.picture = new Image();
    photo.picture.src = api.before(job.id);
    await photo.picture.decode();
    if (photo.removed) return;
    photo.thumb.replaceWith(make("img", { src: photo.picture.src, alt: "" }));
    Object.assign(photo, { size: job.found.size, view: job.found.view, faces: job.found.faces });
    const worn = photo.faces.filter((face) => face.status === "masked").length;
    mark(photo, !photo.faces.length ? "no face found" : `${photo.faces.length} face${photo.faces.length > 1 ? "s" : ""}, ${worn} with a face mask`);
    if (!open) await show(photo);
  } catch (error) {
    if (!photo.removed) fail(photo, error.message);
  }
}

// --- the open photo ---

async function show(photo) {
  open = photo;
  complain("");
  for (const one of photos) one.pick.setAttribute("aria-current", String(one === photo));
  $("edit").hidden = false;
  fit($("canvas"), photo);
  await editor.open(photo);
  if (open !== photo) return;
  describeFaces();
  present(photo);
  say(`${photo.name} is open: ${photo.words.textContent}`);
}

/** Let a picture of the open photo fill its stage, whatever its size. */
const fit = (element, photo) => element.style.setProperty("--ratio", photo.view[0] / photo.view[1]);

const WORDS = { masked: "face mask found", "no mask": "no face mask found", "too small": "too small to restore" };

function describeFaces() {
  const labels = open.faces.map((face, i) => {
    const box = make("input", { type: "checkbox", checked: open.chosen[i], disabled: !open.found[i] });
    box.addEventListener("change", () => editor.choose(i, box.checked));
    const sure = face.status === "masked" ? ` (${Math.round(face.garment_score * 100)} % sure)` : "";
    return make("label", {}, box, `${i + 1}: ${WORDS[face.status]}${sure}`);
  });
  const none = make("p", { className: "quiet", textContent: "No face was found. Give a photo in which the eyes can be seen." });
  $("faces").replaceChildren($("faces").firstElementChild, ...(labels.length ? labels : [none]));
}

/** Keep the tools in step with the region, without moving the focus. */
editor.addEventListener("change", () => {
  $("faces").querySelectorAll("input").forEach((box, i) => { box.checked = Boolean(open.chosen[i]); });
  $("undo").disabled = !editor.canUndo;
  progress();
});

/** The button says what becomes of the open photo. */
function progress() {
  $("restore").disabled = !open.faces.length || Boolean(open.busy);
  $("restore").textContent = open.busy ? "Restoring\u2026" : "Restore";
  $("progress").textContent = open.busy ? open.words.textContent : "";
}

async function restore() {
  const photo = open;
  if (editor.isEmpty) return complain("Nothing is marked. Paint over the face mask with the brush, then restore.");
  if (!$("seed").checkValidity()) { $("seed").focus(); return complain("The seed is a whole number from 0."); }
  complain("");
  const fields = { samples: $("samples").value, seed: $("seed").value };
  photo.busy = true;
  progress();
  try {
    if (photo.edited) fields.region = await editor.picture();
    const job = await run(photo, "restore", fields, "restoring");
    if (photo.removed) return;
    photo.result = { id: job.id, ...job.restored, chosen: 0 };
    mark(photo, job.restored.summary);
    if (open === photo) {
      await present(photo);
      $("result-title").focus();
      $("result").scrollIntoView({ block: "start" });
    }
  } catch (error) {
    if (!photo.removed) fail(photo, error.message);
  } finally {
    photo.busy = false;
    if (open) progress();
  }
}

// --- its guesses ---

async function present(photo) {
  const { result } = photo;
  $("result").hidden = !result;
  if (!result) return;
  const labels = result.samples.map((sample, i) => {
    const radio = make("input", { type: "radio", name: "sample", value: i, checked: i === result.chosen });
    radio.addEventListener("change", () => { result.chosen = i; pick(photo); });
    const picture = make("img", { src: api.view(result.id, i), alt: "" });
    picture.style.objectViewBox = closeUp(photo); // the whole photo where a browser does not know it
    return make("label", {}, picture, make("span", { className: "row" }, radio, `guess ${i + 1}`));
  });
  $("choices").replaceChildren($("choices").firstElementChild, ...labels);
  $("doubt").hidden = !result.spread;
  if (result.spread) $("spread").src = api.spread(result.id);
  else $("spread").removeAttribute("src");
  $("note").textContent = JSON.stringify(result.note, null, 1);
  $("before").src = photo.picture.src;
  fit($("compare"), photo);
  await pick(photo);
}

/** The part of the photo around its largest restored face, as CSS takes it. */
function closeUp(photo) {
  const [left, top, right, bottom] = photo.result.faces.find((face) => face.status === "restored").bbox;
  const [width, height] = photo.size, side = Math.max(right - left, bottom - top) * 0.65;
  const x = (left + right) / 2, y = (top + bottom) / 2;
  const edges = [(y - side) / height, 1 - (x + side) / width, 1 - (y + side) / height, (x - side) / width];
  return `inset(${edges.map((edge) => `${100 * Math.max(0, edge)}%`).join(" ")})`;
}

async function pick(photo) {
  const { result } = photo, sample = result.samples[result.chosen];
  $("after").src = api.view(result.id, sample.number);
  $("after").alt = `The photo after, guess ${sample.number + 1}`;
  $("download").href = api.sample(result.id, sample.number);
  $("download").download = sample.filename;
  $("download").textContent = `Download ${sample.filename}`;
  say(`${photo.name}: guess ${sample.number + 1} is shown`);
  await Promise.allSettled([$("before").decode(), $("after").decode()]);
}

// --- what people do ---

$("file").addEventListener("change", () => { add($("file").files); $("file").value = ""; });
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) add(event.clipboardData.files);
  else if (!event.target.closest("input")) add([]);
});
document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dragging"); });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dragging"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  add(event.dataTransfer.files);
});
for (const radio of document.querySelectorAll("[name=brush]")) {
  radio.addEventListener("change", () => { editor.erasing = radio.value === "erase"; editor.draw(); });
}
const sized = () => { editor.size = Number($("size").value); $("size-now").textContent = `${editor.size} px`; editor.draw(); };
$("size").addEventListener("input", sized);
$("undo").addEventListener("click", () => editor.undo());
$("reset").addEventListener("click", () => editor.reset());
$("clear").addEventListener("click", () => editor.clear());
$("restore").addEventListener("click", restore);
window.addEventListener("resize", () => editor.draw());
window.addEventListener("pagehide", () => photos.forEach((photo) => photo.jobs.forEach(
  (id) => fetch(`api/jobs/${id}`, { method: "DELETE", keepalive: true }).catch(() => {}))));
comparable($("compare"), $("slide"));
sized();
api.health().then((found) => {
  limits = found.limits;
  $("limits").textContent = `Up to ${megabytes(limits.max_bytes)} MB and ${limits.max_pixels / 1e6} megapixels each.`;
  $("version").textContent = `unmask ${found.version}.`;
}).catch((error) => complain(error.message));
