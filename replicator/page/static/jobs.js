// What the service does and did for whoever asked.

import { useState } from "./vendor/hooks.js";
import { html } from "./html.js";
import { useAnswer } from "./api.js";
import { Age, Chip, Empty, Fact, Name, Trouble, When } from "./parts.js";
import { count, duration, printable, seconds, size } from "./words.js";
import { again, cancel, isFinal, problemOf, useJob } from "./work.js";

const KINDS = { done: "good", failed: "bad", interrupted: "warning", cancelled: "warning", running: "accent", queued: "unknown" };
const EVERY_MS = 3_000;
// Where the plans of verbs are made that carry out nothing without one.
const PLANNED = { restore: "#/restore", undelete: "#/restore", promote: "#/promote", failover: "#/promote", repair: "#/upkeep?work=repair", expire: "#/upkeep?work=expire" };

// A verb that gave a result may have found something wrong all the same.
export const State = ({ job }) => job.state === "done" && job.exit_code
  ? html`<${Chip} kind="warning">done, code ${job.exit_code}<//>`
  : html`<${Chip} kind=${KINDS[job.state]}>${job.state}<//>`;

export function Progress({ job }) {
  const at = job.progress;
  if (job.state === "queued") return html`<p class="progress"><progress aria-label="queued"></progress><span>waits for its turn</span></p>`;
  if (!at) return html`<p class="progress"><progress aria-label="running"></progress><span>begins …</span></p>`;
  const shown = at.unit === "bytes" ? size : count;
  return html`<div class="progress">
    <progress max=${at.total ?? undefined} value=${at.total ? at.done : undefined} aria-label=${at.what}></progress>
    <span><strong>${printable(at.what)}</strong> ${shown(at.done)}${at.total ? ` of ${shown(at.total)}` : ""}${at.unit === "bytes" ? "" : ` ${at.unit}`}
      ${at.eta_seconds !== null && html`<span class="quiet"> about ${duration(at.eta_seconds)} left</span>`}</span>
  </div>`;
}

function took(job) {
  return job.started_at && job.ended_at ? duration(seconds(job.ended_at) - seconds(job.started_at)) : "–";
}

function Asked({ request }) {
  const said = Object.entries(request).filter(([name, value]) => name !== "verb" && value !== null && value !== false && !(Array.isArray(value) && !value.length));
  return html`${said.map(([name, value]) => html`<${Fact} key=${name} name=${printable(name.replaceAll("_", " "))}>
    <${Name} of=${typeof value === "object" ? JSON.stringify(value) : value} /><//>`)}`;
}

function Said({ job }) {
  const text = useAnswer(`v1/jobs/${job.id}/text`);
  if (!text.data) return null;
  const lines = printableLines(`${text.data.stdout}${text.data.stderr}`.trim());
  return lines && html`<details open><summary>What it said</summary><pre class="said-text" tabindex="0">${lines}</pre></details>`;
}

export const printableLines = (text) => text.split("\n").map(printable).join("\n");

export function One({ id, may }) {
  const { job, error } = useJob(id);
  const [failure, setFailure] = useState(null);
  const act = (work) => work(id).then((found) => { location.hash = `#/jobs/${found.id}`; setFailure(null); }, setFailure);
  if (error && !job) return html`<${Trouble} error=${error} />`;
  if (!job) return html`<p class="quiet loading">Loading …</p>`;
  return html`<section class="card job">
    <p><a href="#/jobs">‹ all jobs</a></p>
    <div class="head"><h1>${printable(job.verb)} ${job.targets.length > 0 && html`<${Name} of=${job.targets.join(", ")} />`}</h1><${State} job=${job} /></div>
    ${error && html`<${Trouble} error=${error} />`}
    ${!isFinal(job) && html`<${Progress} job=${job} />`}
    ${failure && html`<${Trouble} error=${failure} />`}
    ${isFinal(job) && job.state !== "done" && html`<${Trouble} error=${problemOf(job)} />`}
    <dl class="facts"><${Asked} request=${job.request} />
      <${Fact} name="asked for by"><${Name} of=${job.by} /> <span class="quiet"><${When} at=${job.created_at} /></span><//>
      <${Fact} name="took">${isFinal(job) ? took(job) : html`began <${Age} at=${job.started_at} />`}<//>
      <${Fact} name="id"><code>${job.id}</code><//></dl>
    ${isFinal(job) && html`<${Said} job=${job} />`}
    <p class="actions">${!isFinal(job) && may("operator") && may(job.role) && html`<button type="button" onClick=${() => act(cancel)}>Cancel</button>`}
      ${isFinal(job) && !job.plan && may(job.role) && html`<button type="button" onClick=${() => act(again)}>Run again</button>`}
      ${isFinal(job) && job.state !== "done" && PLANNED[job.verb] && html`<a class="button" href=${PLANNED[job.verb]}>Plan again</a>`}</p>
  </section>`;
}

const RUNS = { good: "good", bad: "bad", running: "accent", skipped: "warning", lost: "bad" };

// What is done by itself: how the last run of each schedule ended, and when the next is due.
function Schedules({ schedules }) {
  if (!schedules.length) return null;
  return html`<section class="card"><h2>Schedules</h2>
    <div class="scroll" role="region" aria-label="Schedules" tabindex="0"><table class="list">
    <thead><tr><th scope="col">Schedule</th><th scope="col">Target</th><th scope="col">Last run</th><th scope="col">Next</th></tr></thead>
    <tbody>${schedules.map((one) => html`<tr key=${`${one.schedule}/${one.target}`}>
      <th scope="row"><${Name} of=${one.schedule} /> <span class="quiet">${one.type}, <code>${one.cron}</code> ${printable(one.time_zone)}</span></th>
      <td><${Name} of=${one.target} /></td>
      <td>${one.unknown ? html`<span class="bad">${printable(one.unknown)}</span>`
        : one.last ? html`<${Chip} kind=${RUNS[one.last.state]}>${one.last.state}<//> <${Age} at=${one.last.ended_at ?? one.last.started_at} />
          <span class="quiet"> ${printable(one.last.message)}</span>${one.last.job && html` <a href=${`#/jobs/${one.last.job}`}>job</a>`}`
        : html`<span class="quiet">none yet</span>`}</td>
      <td class="nowrap"><${When} at=${one.next_due} /></td></tr>`)}</tbody></table></div></section>`;
}

export function Jobs({ at, may, overview }) {
  const found = useAnswer("v1/jobs", { everyMs: EVERY_MS, query: { limit: 100 } });
  if (at.rest[0]) return html`<${One} key=${at.rest[0]} id=${at.rest[0]} may=${may} />`;
  return html`<${Schedules} schedules=${overview.status?.schedules ?? []} />
    <section class="card"><div class="head"><h1>Jobs</h1></div>
    ${found.error && html`<${Trouble} error=${found.error} />`}
    ${found.data && (found.data.jobs.length ? html`<div class="scroll" role="region" aria-label="Jobs" tabindex="0"><table class="list">
      <thead><tr><th scope="col">Job</th><th scope="col">Target</th><th scope="col">State</th><th scope="col">By</th><th scope="col">Asked</th><th scope="col" class="number">Took</th></tr></thead>
      <tbody>${found.data.jobs.map((job) => html`<tr key=${job.id}><th scope="row"><a href=${`#/jobs/${job.id}`}>${printable(job.verb)}</a></th>
        <td><${Name} of=${job.targets.join(", ") || "–"} /></td>
        <td><${State} job=${job} />${job.progress && !isFinal(job) && html`<span class="quiet"> ${job.progress.total ? `${Math.floor((100 * job.progress.done) / job.progress.total)} %` : ""}</span>`}</td>
        <td><${Name} of=${job.by} /></td><td><${Age} at=${job.created_at} /></td><td class="number">${took(job)}</td></tr>`)}</tbody></table></div>`
      : html`<${Empty}>Nobody has asked for anything yet.<//>`)}
  </section>`;
}
