// What each datasource has in the last cut, and how soon the source could take what is not copied.

import { useMemo, useState } from "./vendor/hooks.js";
import { html } from "./html.js";
import { Empty, Name } from "./parts.js";
import { count, counted, duration, printable, size } from "./words.js";

const COLUMNS = [
  ["datasource", "Datasource", (one) => one.datasource],
  ["segments", "Segments", (one) => one.segments],
  ["bytes", "Bytes", (one) => one.bytes],
  ["unused_segments", "Unused", (one) => one.unused_segments],
  ["margin", "Kill margin", (one) => ascending(one)[0]?.[1] ?? Infinity],
];

// The margin for each target that still has to copy something of it, the least first.
const ascending = (one) => Object.entries(one.kill_margins).sort((a, b) => a[1] - b[1]);

function Margin({ one }) {
  const found = ascending(one);
  if (!found.length) return html`<span class="quiet">nothing waits</span>`;
  return html`<ul class="plain-list">${found.map(([target, left]) => html`<li key=${target}>
    <span class=${left < 3600 ? "bad" : ""}>${left <= 0 ? "any moment" : duration(left)}</span> <span class="quiet"><${Name} of=${target} /></span></li>`)}</ul>`;
}

export function Datasources({ overview }) {
  const [wanted, setWanted] = useState("");
  const [order, setOrder] = useState({ by: "bytes", down: true });
  const found = useMemo(() => {
    const value = COLUMNS.find(([name]) => name === order.by)[2];
    const sign = order.down ? -1 : 1;
    return overview.datasources
      .filter((one) => one.datasource.toLowerCase().includes(wanted.toLowerCase()))
      .sort((a, b) => {
        const [left, right] = [value(a), value(b)];
        return sign * (left < right ? -1 : left > right ? 1 : 0) || (a.datasource < b.datasource ? -1 : 1);
      });
  }, [overview.datasources, wanted, order]);
  const total = (name) => found.reduce((sum, one) => sum + one[name], 0);
  const sort = (by) => setOrder((known) => ({ by, down: known.by === by ? !known.down : by !== "datasource" }));
  const hidden = overview.datasource_count - overview.datasources.length;
  return html`<section class="card">
    <div class="head"><h1>Datasources</h1>
      <label class="search"><span class="sr">Find a datasource</span>
        <input type="search" placeholder="Find …" value=${wanted} onInput=${(event) => setWanted(event.target.value)} /></label></div>
    <p class="quiet" aria-live="polite">${counted(found.length, "datasource")}, ${counted(total("segments"), "used segment")}, ${size(total("bytes"))} unpacked
      ${hidden > 0 ? `; ${count(hidden)} more with fewer bytes are not listed` : ""}</p>
    ${!overview.log.is_read && html`<p class="banner warning">The log is still being read; these numbers are not complete yet.</p>`}
    ${found.length ? html`<div class="scroll" role="region" aria-label="Datasources" tabindex="0"><table class="list">
      <thead><tr>${COLUMNS.map(([name, title]) => html`<th key=${name} scope="col" class=${name === "datasource" ? "" : "number"}
        aria-sort=${order.by === name ? (order.down ? "descending" : "ascending") : null}>
        <button class="plain" type="button" onClick=${() => sort(name)}>${title}${order.by === name ? (order.down ? " ↓" : " ↑") : ""}</button></th>`)}</tr></thead>
      <tbody>${found.map((one) => html`<tr key=${one.datasource}>
        <th scope="row"><a href=${`#/log?datasource=${encodeURIComponent(one.datasource)}`}><${Name} of=${one.datasource} /></a></th>
        <td class="number">${count(one.segments)}</td><td class="number">${size(one.bytes)}</td>
        <td class="number">${one.unused_segments ? html`${count(one.unused_segments)} <span class="quiet">${size(one.unused_bytes)}</span>` : html`<span class="quiet">–</span>`}</td>
        <td class="number"><${Margin} one=${one} /></td></tr>`)}</tbody></table></div>`
      : html`<${Empty}>${wanted ? `No datasource has “${printable(wanted)}” in its name.` : "The log has no segment yet."}<//>`}
  </section>`;
}
