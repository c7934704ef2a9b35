// One look: could I restore now, to when, and is anything wrong?

import { useState } from "./vendor/hooks.js";
import { html } from "./html.js";
import { useAnswer } from "./api.js";
import { Age, Chip, Empty, Fact, Name, Trouble, When, Words } from "./parts.js";
import { LagChart, ThroughputChart } from "./charts.js";
import { Timeline } from "./timeline.js";
import { resume } from "./work.js";
import { count, counted, duration, printable, size, time } from "./words.js";

const WRONG_MAX = 20;
const CARDS_MAX = 24;
const MARKS = { good: "✓", warning: "!", bad: "✕", unknown: "?" };

function Headline({ outlook }) {
  const best = outlook.best;
  if (outlook.level === "unknown") return "Not known yet: log and targets are being read";
  if (!best) return "No: nothing can be restored yet";
  return html`Yes, you can restore to <${When} at=${best.last} zone /> <span class="soft">· <${Age} at=${best.last} /></span>`;
}

function Answer({ outlook, status }) {
  const { best } = outlook;
  const wrong = status?.wrong ?? [];
  const [all, setAll] = useState(false);
  return html`<section class=${`answer card ${outlook.level}`} aria-labelledby="answer">
    <span class="mark" aria-hidden="true">${MARKS[outlook.level]}</span>
    <div>
      <p class="question">Could I restore now, and to when?</p>
      <h1 id="answer"><${Headline} outlook=${outlook} /></h1>
      ${best && html`<p class="more">From <${Name} of=${best.target} />: any moment since <${When} at=${best.first} zone />${
        best.holes > 0 && `, with ${counted(best.holes, "hole")}`}.
        ${outlook.keeps_promises && !wrong.length ? " Every promise is kept." : ""}</p>`}
      ${wrong.length > 0 && html`<ul class="wrong" aria-label="What is wrong">
        ${wrong.slice(0, all ? wrong.length : WRONG_MAX).map((one, place) => html`<li key=${place}><span>${printable(one.what)}</span>
          ${one.type && html`<code>${printable(one.type)}</code>`}</li>`)}
      </ul>`}
      ${wrong.length > WRONG_MAX && !all && html`<button type="button" onClick=${() => setAll(true)}>Show all ${count(wrong.length)}</button>`}
    </div>
  </section>`;
}

const PROMISES = {
  rpo: "lag",
  kill_margin_min: "kill margin",
  log_margin_min: "log margin",
  "drill.promise": "drill",
};

function Promises({ target }) {
  const promised = [
    ["rpo", duration(target.lag_seconds), `≤ ${duration(target.rpo_seconds)}`, true],
    ["kill_margin_min", target.kill_margin_seconds === null ? "nothing waits" : duration(target.kill_margin_seconds),
      `≥ ${duration(target.kill_margin_min_seconds)}`, target.kill_margin_min_seconds > 0],
    ["log_margin_min", target.log_retention_margin_seconds === null ? "keeps all" : duration(target.log_retention_margin_seconds),
      `≥ ${duration(target.log_margin_min_seconds)}`, target.log_margin_min_seconds > 0],
    ["drill.promise", target.last_good_drill_at ? html`<${Age} at=${target.last_good_drill_at} />` : "none yet",
      `each ${duration(target.drill_promise_seconds)}`, target.drill_promise_seconds !== null],
  ];
  return html`<table class="promises"><caption class="sr">Promises of ${printable(target.target)}</caption>
    <thead class="sr"><tr><th>promise</th><th>now</th><th>promised</th><th>kept</th></tr></thead>
    <tbody>${promised.filter((one) => one[3]).map(([name, now, limit]) => {
      const broken = target.broken_promises.includes(name);
      return html`<tr key=${name} class=${broken ? "broken" : ""}>
        <th scope="row">${PROMISES[name]}</th><td>${now}</td><td class="quiet">${limit}</td>
        <td><${Chip} kind=${broken ? "bad" : "good"}>${broken ? "broken" : "kept"}<//></td></tr>`;
    })}</tbody></table>`;
}

function state(target) {
  if (target.cut === null) return ["nothing applied yet", "unknown"];
  if (target.promoted) return ["promoted", "accent"];
  if (target.log_gone) return ["its log is gone", "bad"];
  if (target.follows_other_log) return ["of another log", "bad"];
  if (target.paused) return [target.datasource ? `paused with ${printable(target.datasource)}` : "paused", "warning"];
  return ["follows", "good"];
}

function Resume({ target }) {
  const [error, setError] = useState(null);
  const go = () => resume(target.target).then((job) => { location.hash = `#/jobs/${job.id}`; }, setError);
  return html`<p class="resume"><span class="quiet">It stays at this cut until it is resumed.</span> <button type="button" onClick=${go}>Resume</button></p>
    ${error && html`<${Trouble} error=${error} />`}`;
}

// Since when a target is not reached, and why: the rest of its card is what was seen before.
const Away = ({ failure, seen }) => html`<p class="said bad">not reached${failure.since && html` since <${When} at=${failure.since} />`}: <${Words} of=${failure.message} /></p>
  ${failure.hint && html`<p class="quiet"><${Words} of=${failure.hint} /></p>`}
  ${seen && html`<p class="quiet small">What stands below was seen <${Age} at=${seen} />.</p>`}`;

function Target({ target, failure, restorable, store, life, may }) {
  const [words, kind] = state(target);
  const applier = life.appliers.find((one) => one.target === target.target);
  const proofs = Object.entries(target.last_verified_at);
  return html`<article class="card target">
    <h3><${Name} of=${target.target} />${failure ? html`<${Chip} kind="bad">away<//>` : html`<${Chip} kind=${kind}>${words}<//>`}</h3>
    ${failure && html`<${Away} failure=${failure} seen=${target.looked_at} />`}
    <dl class="facts">
      <${Fact} name="Restorable">${restorable
        ? html`<${When} at=${restorable.first} /> to <${When} at=${restorable.last} />${restorable.windows > 1 && html` <span class="quiet">with ${counted(restorable.windows - 1, "hole")}</span>`}`
        : "nothing yet"}<//>
      <${Fact} name="At cut">${target.cut === null ? "–" : html`${count(target.cut)} <span class="quiet">offset ${target.offset}</span>`}<//>
      <${Fact} name="Waiting">${target.pending_objects
        ? html`${counted(target.pending_objects, "segment")}, ${size(target.pending_bytes)} <span class="quiet">${
          target.catch_up_seconds === null ? "" : `about ${duration(target.catch_up_seconds)}`}</span>`
        : "nothing"}<//>
      <${Fact} name="Gaps" class=${target.gap_count ? "bad" : ""}>${target.gap_count ? counted(target.gap_count, "row") : "none"}<//>
      <${Fact} name="Verified">${proofs.length ? proofs.map(([level, at], place) => html`<span key=${level}>${place > 0 && ", "}${level} <span class="quiet"><${Age} at=${at} /></span></span>`) : "never"}<//>
      <${Fact} name="Applier" class=${applier && applier.state !== "running" ? "bad" : ""}>${applier ? applier.state : "–"}<//>
    </dl>
    ${target.paused && !target.promoted && may("operator") && html`<${Resume} target=${target} />`}
    <${Promises} target=${target} />
    ${may("admin") && target.cut !== null && !target.promoted && !store?.archive && html`<p class="after"><a href=${`#/promote?target=${encodeURIComponent(target.target)}`}>Promote …</a></p>`}
    ${store?.failure && html`<p class="said bad">its store cannot be read: ${printable(store.failure.message)}</p>`}
    ${store?.faults.map((fault) => html`<p class="said bad">damaged: ${printable(fault)}</p>`)}
  </article>`;
}

// How long rows take from their answer at the source to their answer at a standby.
function Canaries({ canaries }) {
  const [all, setAll] = useState(false);
  const many = canaries.length > CARDS_MAX && !all;
  const trouble = (one) => (one.lost ? 1e9 : 0) + (one.waiting_s || 0) + (one.p99_s ?? 0);
  const shown = many ? canaries.toSorted((a, b) => trouble(b) - trouble(a)).slice(0, CARDS_MAX) : canaries;
  return html`<section class="card"><div class="head"><h2>Canary</h2><span class="quiet">from a row's answer at the source to its answer at the standby</span></div>
    <div class="scroll" role="region" aria-label="Canary" tabindex="0"><table class="list named canary">
    <thead><tr><th scope="col">Target</th><th scope="col">Datasource</th>${["Median", "95 of 100", "99 of 100", "Rows", "Lost", "Awaited for", "Last arrival"].map((name) => html`<th key=${name} scope="col" class="number">${name}</th>`)}</tr></thead>
    <tbody>${shown.map((one) => html`<tr key=${one.target}><th scope="row"><${Name} of=${one.target} /></th><td><${Name} of=${one.datasource} /></td>
      <td class="number">${duration(one.p50_s)}</td><td class="number">${duration(one.p95_s)}</td><td class="number">${duration(one.p99_s)}</td>
      <td class="number">${count(one.arrived)}</td><td class=${`number ${one.lost ? "bad" : ""}`}>${count(one.lost)}</td>
      <td class="number">${one.waiting_s ? duration(one.waiting_s) : "–"}</td><td class="number">${one.last_arrival_at ? html`<${Age} at=${one.last_arrival_at} />` : "none yet"}</td></tr>`)}</tbody></table></div>
    ${many && html`<p class="actions"><button type="button" onClick=${() => setAll(true)}>Show all ${count(canaries.length)}</button></p>`}</section>`;
}

export function Overview({ overview, may }) {
  const { status, outlook } = overview;
  const trend = useAnswer("v1/page/trend", { everyMs: 15_000 });
  const [all, setAll] = useState(false);
  const named = (list, name) => list.find((one) => one.target === name);
  const away = new Map((status?.failures ?? []).map((one) => [one.what.replace(/^target /, ""), one]));
  const known = new Set((status?.targets ?? []).map((one) => one.target));
  const unseen = [...away].filter(([name]) => !known.has(name));
  const isWell = (one) => !away.has(one.target) && !one.broken_promises.length && !one.gap_count;
  const many = (status?.targets.length ?? 0) > CARDS_MAX && !all;
  const ordered = status ? (many ? status.targets.toSorted((a, b) => isWell(a) - isWell(b)) : status.targets) : [];
  const shown = many ? ordered.slice(0, CARDS_MAX) : ordered;
  return html`<${Answer} outlook=${outlook} status=${status} />
    <section class="card" aria-label="What can be restored">
      <${Timeline} overview=${overview} title=${html`<h2 id="timeline-title">What can be restored</h2>`}
        action=${html`<a class="button primary" href="#/restore">Restore …</a>`} />
    </section>
    ${status && html`<section class="targets" aria-label="Targets">
      ${shown.map((one) => html`<${Target} key=${one.target} target=${one} life=${status.running} may=${may} failure=${away.get(one.target)}
        restorable=${named(status.restorable, one.target)} store=${named(overview.stores, one.target)} />`)}
      ${unseen.map(([name, one]) => html`<article class="card target" key=${name}><h3><${Name} of=${name} /><${Chip} kind="bad">away<//></h3>
        <${Away} failure=${one} /></article>`)}
      ${shown.length < ordered.length && html`<article class="card target"><p>${count(ordered.length - shown.length)} more targets, of which nothing is wrong with ${count(ordered.slice(shown.length).filter(isWell).length)}.</p>
        <p class="actions"><button type="button" onClick=${() => setAll(true)}>Show all ${count(ordered.length)}</button></p></article>`}
    </section>
    ${!overview.stores.length && html`<section class="card"><${Empty}>No target is configured: nothing is copied yet, and nothing could be restored.
      Add one below <code>targets</code>, type <code>replicator target create NAME</code>, and start the service again.<//></section>`}
    ${status.canaries.length > 0 && html`<${Canaries} canaries=${status.canaries} />`}
    <section class="charts" aria-label="Charts">
      <${LagChart} trend=${trend.data} targets=${status.targets} />
      <${ThroughputChart} overview=${overview} />
    </section>
    <p class="quiet small">The log has ${counted(overview.log.cuts, "cut")}, the last one taken <${Age} at=${status.log.last_cut_source_time} />${overview.log.is_read ? "" : "; it is still being read"}.
      ${overview.log.is_whole ? "" : " Its start was trimmed, so totals may be too small."} Watcher: ${status.running.watcher.state}.</p>`}`;
}
