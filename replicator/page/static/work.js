// Plans, their runs and other jobs of the service.

import { useEffect, useState } from "./vendor/hooks.js";
import { Silent, ask } from "./api.js";

const WAIT_S = 2;
const AGAIN_MS = 2_000;
const LONG_MS = 600_000;
const FINAL = new Set(["done", "failed", "cancelled", "interrupted"]);

export const isFinal = (job) => FINAL.has(job.state);

// One key for each thing that somebody asks for: a repeated request is the same job.
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (one) => one.toString(16).padStart(2, "0")).join("");

async function send(path, body, key) {
  return ask(path, { method: "POST", body, headers: { "Idempotency-Key": key } });
}

// Waits for the end of a job, also of a service that is restarted meanwhile: `told(job, silence)`.
async function finished(begun, signal, told = () => {}) {
  let job = begun;
  let silentMs = 0;
  while (!isFinal(job)) {
    told(job, null);
    try {
      job = await ask(`v1/jobs/${job.id}`, { query: { wait: WAIT_S }, signal });
      silentMs = 0;
    } catch (error) {
      if (!(error instanceof Silent) || (silentMs += AGAIN_MS) > LONG_MS) throw error;
      told(job, error);
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
  return job;
}

// Ends with the plan, or throws what the verb said.
export async function makePlan(asked, signal, told) {
  const begun = await send("v1/plans", asked, newKey());
  if (begun.state === undefined) return begun;
  const job = await finished(begun, signal, told);
  if (job.plan && job.state === "done") return ask(`v1/plans/${job.plan}`, { signal });
  throw problemOf(job);
}

export const runPlan = (digest, key) => send("v1/runs", { digest }, key);
export const submit = (asked) => send("v1/jobs", asked, newKey());
// Leaves a target at its cut: what is planned for one that follows is out of date before it is read.
export const pause = async (target, signal) => ended(await submit({ verb: "pause", target }), signal);

// Ends with an ended job that gave a result, or throws what its verb said.
export async function ended(begun, signal) {
  let job = await finished(begun, signal);
  if (job.state !== "done") throw problemOf(job);
  if (job.document === undefined || job.document === null) job = await ask(`v1/jobs/${job.id}`, { signal });
  return job;
}

export const resume = (target) => submit({ verb: "resume", target });
export const cancel = (id) => ask(`v1/jobs/${id}/cancel`, { method: "POST" });
export const again = (id) => ask(`v1/jobs/${id}/again`, { method: "POST", headers: { "Idempotency-Key": newKey() } });

const ENDED = "Whatever was confirmed by then is safe. Ask for it again: it goes on from there.";

export function problemOf(job) {
  const said = job.document?.error;
  const found = new Error(said?.message || job.why || `the job is ${job.state}`);
  found.hint = said?.hint || (job.state === "interrupted" ? ENDED : "");
  return found;
}

// A job as it goes on, until its end.
export function useJob(id) {
  const [state, setState] = useState({ job: null, error: null });
  useEffect(() => {
    if (!id) return undefined;
    const given_up = new AbortController();
    setState({ job: null, error: null });
    (async () => {
      let wait = 0;
      while (!given_up.signal.aborted) {
        try {
          const job = await ask(`v1/jobs/${id}`, { query: { wait }, signal: given_up.signal });
          setState({ job, error: null });
          if (isFinal(job)) return;
          wait = 1;
        } catch (error) {
          if (given_up.signal.aborted) return;
          setState((known) => ({ ...known, error }));
          if (error.status === 401 || error.status === 403 || error.status === 404) return;
          await new Promise((resolve) => setTimeout(resolve, 2000));
        }
      }
    })();
    return () => given_up.abort();
  }, [id]);
  return state;
}
