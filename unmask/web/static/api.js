// What the page asks of the server it came from; nothing else is ever fetched.

const POLL = 300; // milliseconds between two looks at a job
const BUSY = 2000; // milliseconds until the page asks again where the server's line is full

/** Refused by the server, or not reached: the message is one line for people. */
export class Refused extends Error {
  constructor(words, status = 0) {
    super(words);
    this.status = status;
  }
}

const pause = (milliseconds) => new Promise((go) => setTimeout(go, milliseconds));

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refused("The server does not answer. Is 'unmask serve' still running?");
  }
  if (answer.ok) return answer;
  let detail = `The server answered ${answer.status}.`;
  try {
    detail = (await answer.json()).detail || detail;
  } catch { /* no JSON: the number has to do */ }
  throw new Refused(detail, answer.status);
}

const json = async (path, options) => (await ask(path, options)).json();

/** The file at a path of a job. */
export const fetched = async (path) => (await ask(path)).blob();

/** What the server is and accepts. */
export const health = () => json("api/health");

/** The bundled photo. */
export const sample = async () => new File([await fetched("sample")], "sample.png", { type: "image/png" });

/**
 * Have a photo worked on ("faces" or "restore"; the fields are those of POST /api/jobs) and wait for it.
 * `told` hears of every state on the way, a full line included. Throws Refused where the job failed.
 */
export function done(file, task, fields, told) {
  const form = new FormData();
  form.append("image", file, file.name || "pasted");
  form.append("task", task);
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Blob) form.append(name, value, `${name}.png`);
    else form.append(name, String(value));
  }
  return through("api/jobs", form, told);
}

/** The same for a clip. */
export function doneClip(file, told) {
  const form = new FormData();
  form.append("clip", file, file.name);
  return through("api/clips", form, told);
}

async function through(path, form, told) {
  let job = null;
  while (!job) {
    try {
      job = await json(path, { method: "POST", body: form });
    } catch (error) {
      if (error.status !== 503) throw error;
      told({ state: "busy" });
      await pause(BUSY);
    }
  }
  for (;;) {
    told(job);
    if (job.state === "done") return job;
    if (job.state === "failed") throw new Refused(job.error);
    await pause(POLL);
    job = await json(`api/jobs/${job.id}`);
  }
}

/** Let the server drop a job and its pictures; it may have done so already. */
export const forget = (id) => fetch(`api/jobs/${id}`, { method: "DELETE", keepalive: true }).catch(() => {});

export const clip = (id) => `api/jobs/${id}/clip`;
export const before = (id) => `api/jobs/${id}/before`;
export const spread = (id) => `api/jobs/${id}/spread`;
export const guess = (id, number) => `api/jobs/${id}/samples/${number}`;
export const view = (id, number) => `api/jobs/${id}/samples/${number}/view`;
