// The log, the newest events first, with filters.

import { useCallback, useEffect, useState } from "./vendor/hooks.js";
import { html } from "./html.js";
import { ask } from "./api.js";
import { Empty, Name, Trouble, When } from "./parts.js";
import { count, counted, printable } from "./words.js";

const LIMIT = 100;

function useEvents(query) {
  const [state, setState] = useState({ events: [], earlier: null, error: null, busy: true });
  const key = JSON.stringify(query);
  const read = useCallback(async (before, known) => {
    setState((now) => ({ ...now, busy: true }));
    try {
      const found = await ask("v1/page/log", { query: { ...query, before, limit: LIMIT } });
      setState({ events: [...known, ...found.events], earlier: found.earlier, error: null, busy: false });
    } catch (error) {
      setState((now) => ({ ...now, error, busy: false }));
    }
  }, [key]);
  useEffect(() => void read(undefined, []), [read]);
  return { ...state, more: () => read(state.earlier, state.events), again: () => read(undefined, []) };
}

function Filters({ query, types }) {
  const submit = (event) => {
    event.preventDefault();
    const found = new URLSearchParams();
    for (const [name, value] of new FormData(event.target)) if (value) found.set(name, value);
    location.hash = `#/log?${found}`;
  };
  return html`<form class="filters" onSubmit=${submit}>
    <label>Datasource <input name="datasource" value=${query.datasource ?? ""} spellcheck=${false} /></label>
    <label>Type <select name="type" value=${query.type ?? ""}><option value="">all</option>
      ${types.map((one) => html`<option key=${one} value=${one} selected=${one === query.type}>${one}</option>`)}</select></label>
    <label>Up to offset <input name="up_to" inputmode="numeric" pattern="[0-9]*" value=${query.up_to ?? ""} /></label>
    <button type="submit">Filter</button>
  </form>`;
}

export function Events({ at, me }) {
  const query = Object.fromEntries(["datasource", "type", "up_to"].map((name) => [name, at.query.get(name) ?? undefined]));
  const found = useEvents(query);
  return html`<section class="card">
    <div class="head"><h1>Log</h1><button type="button" onClick=${found.again}>Newest</button></div>
    <${Filters} key=${at.query.toString()} query=${query} types=${me?.event_types ?? []} />
    ${found.error && html`<${Trouble} error=${found.error} />`}
    ${found.events.length ? html`<div class="scroll" role="region" aria-label="Events" tabindex="0"><table class="list events">
      <thead><tr><th scope="col" class="number">Offset</th><th scope="col">Time</th><th scope="col">Event</th><th scope="col">Detail</th><th scope="col">Subject</th></tr></thead>
      <tbody>${found.events.map((one) => html`<tr key=${one.offset} class=${one.type === "cut.closed" ? "cut" : ""}>
        <td class="number">${one.offset}</td><td class="nowrap"><${When} at=${one.time} millis /></td>
        <td class="nowrap">${one.type}</td><td class="nowrap quiet">${one.detail}</td>
        <td class="subject"><${Name} of=${one.type === "cut.closed" ? `cut ${one.subject}` : one.subject} /></td></tr>`)}</tbody></table></div>`
      : !found.busy && !found.error && html`<${Empty}>${found.earlier === null ? "No event fits." : "None of the newest events fits."}<//>`}
    <p aria-live="polite" class="more">${found.busy ? html`<span class="quiet">Reading …</span>`
      : found.earlier === null ? html`<span class="quiet">${counted(found.events.length, "event")}: that is all the log has of it.</span>`
      : html`<button type="button" onClick=${found.more}>Earlier</button>
        <span class="quiet"> read back to offset ${count(found.earlier)}</span>`}</p>
  </section>`;
}
