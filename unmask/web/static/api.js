// What the page asks of the server it came from; nothing else is ever fetched.

const POLL = 400; // milliseconds between two looks at a job

/** Refused by the server, or not reached: the message is one line for people. */
export class Refused extends Error {}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refused("The server does not answer. Is 'unmask serve' still running?");
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  let detail = `The server answered ${answer.status}.`;
  try {
    detail = (await answer.json()).detail || detail;
  } catch { /* no JSON: the number has to do */ }
  throw new Refused(detail);
}

/** What the server is and accepts. */
export const health = () => ask("api/health");

/** Put a photo in line for a task ("faces" or "restore"); the fields are those of POST /api/jobs. */
export function submit(file, task, fields = {}) {
  const form = new FormData();
  form.append("image", file, file.name || "pasted");
  form.append("task", task);
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Blob) form.append(name, value, `${name}.png`);
    else form.append(name, String(value));
  }
  return ask("api/jobs", { method: "POST", body: form });
}

/** Wait for a job; `told` hears of every state on the way. Throws Refused where the job failed. */
export async function finished(job, told = () => {}) {
  let state = job;
  for (;;) {
    told(state);
    if (state.state === "done") return state;
    if (state.state === "failed") throw new Refused(state.error);
    await new Promise((go) => setTimeout(go, POLL));
    state = await ask(`api/jobs/${job.id}`);
  }
}

/** Let the server drop a job and its pictures; it may have done so already. */
export const forget = (id) => ask(`api/jobs/${id}`, { method: "DELETE" }).catch(() => {});

export const before = (id) => `api/jobs/${id}/before`;
export const spread = (id) => `api/jobs/${id}/spread`;
export const sample = (id, number) => `api/jobs/${id}/samples/${number}`;
export const view = (id, number) => `api/jobs/${id}/samples/${number}/view`;
