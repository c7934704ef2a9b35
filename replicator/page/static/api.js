// Asks the service. The token is kept for as long as the tab is open, and sent in a header: no
// other site can make this browser ask for anything.

import { useCallback, useEffect, useRef, useState } from "./vendor/hooks.js";

const ROOT = new URL("../", document.baseURI);
const TOKEN = "replicator.token";
const ANSWER_MS_MAX = 30_000;
const GOES_ON = "A job that was begun goes on: sign in again, and this view shows it.";
const signedOut = new Set();

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `the service answered ${status}`);
    this.status = status;
    this.hint = problem.hint || "";
    this.problem = problem;
  }
}

// No answer came at all: the service is away, is restarted or is too slow.
export class Silent extends Error {
  constructor(cause) {
    super(cause.name === "TimeoutError" ? `the service did not answer within ${ANSWER_MS_MAX / 1000} s` : "the service cannot be reached");
    this.hint = "This page asks again by itself. If it stays so, see whether `replicator run` or `serve` is running, and what its log says.";
  }
}

export const token = () => sessionStorage.getItem(TOKEN);

export function signIn(text) {
  sessionStorage.setItem(TOKEN, text);
}

export function signOut(why = "") {
  sessionStorage.removeItem(TOKEN);
  for (const told of signedOut) told(why);
}

export function onSignedOut(told) {
  signedOut.add(told);
  return () => signedOut.delete(told);
}

export async function ask(path, { method = "GET", body, query = {}, headers = {}, signal } = {}) {
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  const given = { Accept: "application/json", ...headers };
  if (token()) given.Authorization = `Bearer ${token()}`;
  if (body !== undefined) given["Content-Type"] = "application/json";
  const limit = AbortSignal.timeout(ANSWER_MS_MAX);
  const response = await fetch(url, {
    method,
    headers: given,
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: "no-store",
    credentials: "omit",
    referrerPolicy: "no-referrer",
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
  }).catch((error) => {
    throw signal?.aborted ? error : new Silent(error);
  });
  const found = await response.json().catch(() => ({}));
  if (response.status === 401) signOut(`${found.detail || "this token opens nothing"}. ${GOES_ON}`);
  if (!response.ok) throw new Refused(response.status, found);
  return found;
}

// Asks again and again while the page is looked at; what was known stays while an answer is missing.
// `waits` says since when an answer is awaited, by this machine's clock; 0: none is.
export function useAnswer(path, { query = {}, everyMs = 0, when = true } = {}) {
  const [state, setState] = useState({ data: null, error: null, at: 0, waits: 0 });
  const key = JSON.stringify([path, query]);
  const alive = useRef(0);
  const busy = useRef(0);
  const look = useCallback(async () => {
    const turn = ++alive.current;
    busy.current = turn;
    setState((known) => ({ ...known, waits: Date.now() }));
    try {
      const data = await ask(path, { query });
      if (turn === alive.current) setState({ data, error: null, at: Date.now(), waits: 0 });
    } catch (error) {
      if (turn === alive.current) setState((known) => ({ ...known, error, waits: 0 }));
    }
    if (busy.current === turn) busy.current = 0;
  }, [key]);
  useEffect(() => {
    if (!when) return undefined;
    look();
    // A slow answer is waited for: another question would only make it later.
    const again = () => document.hidden || busy.current || look();
    const timer = everyMs ? setInterval(again, everyMs) : 0;
    if (everyMs) document.addEventListener("visibilitychange", again);
    return () => {
      alive.current++;
      busy.current = 0;
      clearInterval(timer);
      document.removeEventListener("visibilitychange", again);
    };
  }, [key, when, everyMs]);
  return { ...state, look };
}
