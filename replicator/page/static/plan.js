// A plan, its confirmation and its run: what a restore, an undelete and a promotion have in common.

import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { html } from "./html.js";
import { Fact, Name, Trouble, When } from "./parts.js";
import { Progress, State } from "./jobs.js";
import { count, counted, duration, printable, size } from "./words.js";
import { cancel, isFinal, makePlan, newKey, pause, problemOf, resume, runPlan, useJob } from "./work.js";

const SHOWN = 10;
export const [CHOOSE, READ, CONFIRM] = [0, 1, 2];

// The three steps; `go(job)` says where its run is shown.
export function useFlow(go) {
  const [step, setStep] = useState(CHOOSE);
  const [plan, setPlan] = useState(null);
  const [work, setWork] = useState({ busy: "", error: null, job: null, silence: null });
  const key = useRef(newKey());
  const title = useRef(null);
  useEffect(() => {
    if (step !== CONFIRM) title.current?.focus(); // the last step has a field for it
  }, [step]);
  const tried = async (done) => {
    try {
      await done();
      setWork({ busy: "", error: null, job: null, silence: null });
    } catch (error) {
      setWork({ busy: "", error, job: null, silence: null });
    }
  };
  const to = (wanted) => {
    setWork({ busy: "", error: null });
    setStep(wanted);
  };
  return {
    step, plan, title, to, ...work,
    back: () => to(step - 1),
    // `stops` is a target that would move on while its plan is read.
    make: (asked, stops) => tried(async () => {
      if (stops) {
        setWork({ busy: "Pausing …", error: null });
        await pause(stops);
      }
      setWork({ busy: "Planning …", error: null });
      setPlan(await makePlan(asked, undefined, (job, silence) => setWork({ busy: "Planning …", error: null, job, silence })));
      key.current = newKey();
      setStep(READ);
    }),
    run: () => tried(async () => {
      setWork({ busy: "Asking …", error: null });
      go(await runPlan(plan.digest, key.current));
    }),
  };
}

// A plan that takes a while: how far it is, and a way to end it.
export function Planning({ flow }) {
  const { job, silence } = flow;
  if (!job) return null;
  return html`${silence && html`<${Trouble} error=${silence} />`}<${Progress} job=${job} />
    <p class="actions"><button type="button" onClick=${() => cancel(job.id).catch(() => {})}>Cancel the plan</button></p>`;
}

export function Steps({ names, step, go }) {
  return html`<ol class="stepper" aria-label="Steps">${names.map((name, index) => html`<li key=${name}
    aria-current=${step === index ? "step" : null} class=${index < step ? "done" : ""}>
    ${index < step ? html`<button type="button" class="plain" onClick=${() => go(index)}>${name}</button>` : html`<span>${name}</span>`}</li>`)}</ol>`;
}

export function Choice({ name, value, options, set, none }) {
  return html`<label>${name} <select value=${value} onChange=${(event) => set(event.target.value)}>
    ${none && html`<option value="" selected=${value === ""}>${none}</option>`}
    ${options.map((one) => html`<option key=${one} value=${one} selected=${one === value}>${printable(one)}</option>`)}</select></label>`;
}

// What a plan of a restore says, and one of an undelete, which nobody looked at the storages for.
export function shownOf(plan) {
  const { document } = plan;
  if (!document.plan) return document.shown ?? document;
  const found = document.plan;
  return { ...found, cut: { cut: found.cut, offset: found.offset, source_time: found.source_time },
    missing: [], missing_count: 0, bytes_to_copy: found.bytes_at_most, objects_to_copy: found.objects, looked: false, price: undefined, requests: null };
}

function ByDatasource({ plan }) {
  const rows = Object.entries(plan.by_datasource);
  if (!rows.length) return null;
  const told = rows.map(([name, one]) => [name, typeof one === "object" ? one : { segments: one }]);
  return html`<details><summary>${counted(rows.length, "datasource")}</summary>
    <table class="list"><thead><tr><th scope="col">Datasource</th>${Object.keys(told[0][1]).map((name) => html`<th key=${name} scope="col" class="number">${name.replaceAll("_", " ")}</th>`)}</tr></thead>
      <tbody>${told.map(([name, one]) => html`<tr key=${name}><th scope="row"><${Name} of=${name} /></th>
        ${Object.entries(one).map(([key, value]) => html`<td key=${key} class="number">${key.includes("bytes") ? size(value) : count(value)}</td>`)}</tr>`)}</tbody></table></details>`;
}

function Missing({ plan }) {
  const rows = [...plan.missing, ...plan.known_missing];
  if (!rows.length && !plan.missing_count) return null;
  return html`<div class="banner warning"><strong>${counted(Math.max(plan.missing_count + plan.known_missing.length, rows.length), "row")} cannot come back:</strong>
    <ul>${rows.slice(0, SHOWN).map((one) => html`<li key=${one.row}><${Name} of=${one.row} /> <span class="quiet">${printable(one.detail)}</span></li>`)}</ul>
    ${rows.length > SHOWN && html`<p>and ${rows.length - SHOWN} more</p>`}</div>`;
}

// What the witness of a store says of its newest cuts; nothing for a target without one.
export function Witness({ said }) {
  if (!said) return null;
  if (said.verdict === "newest") return html`<p class="quiet">${printable(said.detail)}.</p>`;
  return html`<p class="banner warning"><strong>Not proved:</strong> ${printable(said.detail)}.</p>`;
}

function Price({ plan }) {
  if (plan.price === undefined) return null;
  return html`<${Fact} name="Price">${plan.price === null ? html`–<span class="quiet"> no prices are configured</span>`
    : html`${plan.price.once} ${printable(plan.price.currency)} <span class="quiet">once, ${plan.price.monthly} a month</span>`}<//>`;
}

function PlanFacts({ plan }) {
  return html`<dl class="facts big">
    <${Fact} name="Back to"><${When} at=${plan.cut.source_time} millis zone /> <span class="quiet">cut ${count(plan.cut.cut)}, offset ${plan.cut.offset}</span><//>
    <${Fact} name="To copy">${size(plan.bytes_to_copy)} <span class="quiet">in ${counted(plan.objects_to_copy, "location")}${
      plan.looked ? `; ${count(plan.objects_there)} are there already` : " at most: nobody looked"}</span><//>
    <${Fact} name="Time">${plan.eta_seconds === null ? "not known yet" : `about ${duration(plan.eta_seconds)}`}
      <span class="quiet">${plan.eta_seconds === null ? "nothing was measured here" : plan.probed ? "by a probe" : ""}</span><//>
    <${Price} plan=${plan} />
    <${Fact} name="Rows">${counted(plan.segments, "segment")} <span class="quiet">to write, ${count(plan.other_rows)} other rows, ${count(plan.rows_removed)} to remove</span><//>
    ${plan.requests && html`<${Fact} name="Requests">${count(plan.requests.get)} <span class="quiet">that read, ${count(plan.requests.put)} that write</span><//>`}
  </dl>`;
}

export function Next({ flow, disabled = false, children = "Continue" }) {
  return html`<div class="next"><button type="button" onClick=${flow.back}>Back</button>
    <button class="primary" type="button" disabled=${disabled} onClick=${() => flow.to(CONFIRM)}>${children}</button></div>`;
}

export function ReadPlan({ flow }) {
  const shown = shownOf(flow.plan);
  return html`${shown.changes_nothing
      ? html`<p class="banner good">There is nothing to do: its rows are those of this cut already.</p>`
      : html`<${Witness} said=${shown.witness} /><${PlanFacts} plan=${shown} /><${Missing} plan=${shown} /><${ByDatasource} plan=${shown} />`}
    <${Next} flow=${flow} disabled=${shown.changes_nothing} />`;
}

// Whoever confirms types a name: `typed`.
export function Confirm({ typed, action, run, back, busy, error, children }) {
  const [text, setText] = useState("");
  const field = useRef(null);
  useEffect(() => field.current?.focus(), []);
  const submitted = (event) => {
    event.preventDefault();
    if (text === typed && !busy) run();
  };
  return html`<form class="confirm" onSubmit=${submitted}>
    <p>${children}</p>
    <label for="confirm">Type <strong class="typed"><${Name} of=${typed} /></strong> to confirm</label>
    <input id="confirm" ref=${field} autocomplete="off" autocapitalize="off" spellcheck=${false} value=${text} onInput=${(event) => setText(event.target.value)} />
    ${error && html`<${Trouble} error=${error} />`}
    <div class="next"><button type="button" onClick=${back}>Back</button>
      <button class="primary danger" type="submit" disabled=${text !== typed || Boolean(busy)}>${action}</button></div>
  </form>`;
}

// What came back, whether or not its bytes had to be copied.
function written(result) {
  const { segments, rows_removed: removed } = result.plan ?? result;
  return segments === undefined ? "" : `${counted(segments, "segment")} written, ${counted(removed, "row")} removed, `;
}

function Restored({ job, into, may, failed }) {
  const result = job.document.result;
  const missing = result.missing ?? [];
  const goOn = () => resume(into).then((found) => { location.hash = `#/jobs/${found.id}`; }, failed);
  return html`<p class=${`banner ${missing.length ? "warning" : "good"}`} role="status"><strong><${Name} of=${into} /> is at cut ${count(result.cut ?? result.plan?.cut)}.</strong>
      ${" "}${result.already ? "It was there already." : `${written(result)}${size(result.bytes_copied)} copied.`}</p>
    ${missing.map((one) => html`<p key=${one.row} class="said bad">without <${Name} of=${one.row} />: ${printable(one.detail)}</p>`)}
    <p>It is paused there. <code>replicator apply ${printable(into)} --resume --once</code> has it follow the source again.</p>
    <div class="next"><a class="button" href="#/overview">Overview</a>${may("operator") && html`<button type="button" onClick=${goOn}>Resume</button>`}</div>`;
}

// A run as it goes on; `Ended` shows its result.
export function Run({ id, title, into, may, look, again, Ended = Restored }) {
  const { job, error } = useJob(id);
  const [failure, setFailure] = useState(null);
  useEffect(() => {
    if (job && isFinal(job)) look();
  }, [job?.state]);
  const has = job && isFinal(job) && job.document?.result;
  return html`<section class="card"><div class="head"><h1>${title} <${Name} of=${into} /></h1>${job && html`<${State} job=${job} />`}</div>
    ${error && html`<${Trouble} error=${error} />`}${failure && html`<${Trouble} error=${failure} />`}
    ${job && !isFinal(job) && html`<${Progress} job=${job} />
      <div class="next">${may("operator") && may(job.role) && html`<button type="button" onClick=${() => cancel(id).catch(setFailure)}>Cancel</button>`}</div>`}
    ${has && html`<${Ended} job=${job} into=${into} may=${may} failed=${setFailure} />`}
    ${job && isFinal(job) && !has && html`<${Trouble} error=${problemOf(job)} /><div class="next"><a class="button primary" href=${again}>Plan again</a></div>`}
  </section>`;
}
