// Asks the service. The token is kept for as long as the tab is open, and sent in a header: no
// other site can make this browser ask for anything.

import { useCallback, useEffect, useRef, useState } from "./vendor/hooks.js";

const ROOT = new URL("../", document.baseURI);
const TOKEN = "replicator.token";
const ANSWER_MS_MAX = 30_000;
const signedOut = new Set();

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `the service answered ${status}`);
    this.status = status;
    this.hint = problem.hint || "";
    this.problem = problem;
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
  });
  const found = await response.json().catch(() => ({}));
  if (response.status === 401) signOut(found.detail || "this token opens nothing");
  if (!response.ok) throw new Refused(response.status, found);
  return found;
}

// Asks again and again while the page is looked at; what was known stays while an answer is missing.
export function useAnswer(path, { query = {}, everyMs = 0, when = true } = {}) {
  const [state, setState] = useState({ data: null, error: null, at: 0 });
  const key = JSON.stringify([path, query]);
  const alive = useRef(0);
  const look = useCallback(async () => {
    const turn = ++alive.current;
    try {
      const data = await ask(path, { query });
      if (turn === alive.current) setState({ data, error: null, at: Date.now() });
    } catch (error) {
      if (turn === alive.current) setState((known) => ({ ...known, error }));
    }
  }, [key]);
  useEffect(() => {
    if (!when) return undefined;
    look();
    const timer = everyMs ? setInterval(() => document.hidden || look(), everyMs) : 0;
    return () => {
      alive.current++;
      clearInterval(timer);
    };
  }, [key, when, everyMs]);
  return { ...state, look };
}
