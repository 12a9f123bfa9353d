// What the server made for a photo, brought into this page before the server is told to forget it.

import * as api from "./api.js";
import { Sharp } from "./compare.js";
import { Region } from "./region.js";

async function image(path) {
  const picture = new Image(), url = URL.createObjectURL(await api.fetched(path));
  picture.src = url;
  await picture.decode();
  URL.revokeObjectURL(url);
  return picture;
}

/** What a job of the task "faces" found in a file: its faces, a picture of it, and its region. */
export async function faces({ id, found }, file) {
  const before = new Sharp(await image(api.before(id)), file);
  return { size: found.size, view: found.view, faces: found.faces, before, region: await Region.of(found) };
}

/** What a job of the task "restore" made: guesses with their files, and a picture of where they differ, or null. */
export async function guesses({ id, restored }) {
  const made = [];
  for (const { number, filename } of restored.samples) {
    const blob = await api.fetched(api.guess(id, number));
    made.push({ filename, blob, sharp: new Sharp(await image(api.view(id, number)), blob) });
  }
  const spread = restored.spread ? await image(api.spread(id)) : null;
  return { ...restored, guesses: made, spread, chosen: 0 };
}
