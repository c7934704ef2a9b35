// Small parts that several views use.

import { useEffect, useState } from "./vendor/hooks.js";
import { html } from "./html.js";
import { age, nowMs, printable, seconds, time } from "./words.js";

// A name of Druid's or of an operator: text in its own direction, with marks for what is not printable.
export const Name = ({ of, class: kind = "" }) => html`<bdi class=${kind}>${printable(of)}</bdi>`;

export function useNow(everyMs = 1000) {
  const [now, setNow] = useState(nowMs);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || setNow(nowMs()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now / 1000;
}

// How long ago something was, as it grows.
export function Age({ at }) {
  const now = useNow();
  return at ? html`<time datetime=${at} title=${`${time(at, { millis: true })} UTC`}>${age(now - seconds(at))}</time>` : "–";
}

// Where somebody decides by it, a time says its zone: the clock on the wall has another.
export const When = ({ at, millis = false, date = true, zone = false }) =>
  at ? html`<time datetime=${at}>${time(at, { millis, date })}${zone && " UTC"}</time>` : html`<span>–</span>`;

// A message of the program: what stands in backquotes is typed.
export const Words = ({ of }) => printable(of).split("`").map((one, index) => index % 2 ? html`<code key=${index}>${one}</code>` : one);

// What went wrong, what to do, and the job that stands in the way, if one does.
export function Trouble({ error }) {
  const other = error.problem?.job_id;
  return html`<div class="banner bad" role="alert"><strong><${Words} of=${error.message} /></strong>
    ${error.hint && html`<br /><span><${Words} of=${error.hint} /></span>`}
    ${other && html`<br /><a href=${`#/jobs/${other}`}>Look at that job</a>`}</div>`;
}

export const Empty = ({ children }) => html`<p class="empty quiet">${children}</p>`;

export function Chip({ kind = "", children }) {
  return html`<span class=${`chip ${kind}`}>${children}</span>`;
}

// A term and its value.
export const Fact = ({ name, children, class: kind = "" }) =>
  html`<div class=${`fact ${kind}`}><dt>${name}</dt><dd>${children}</dd></div>`;
