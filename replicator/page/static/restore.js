// A restore in three steps: the moment, the plan, the name. Then its progress.

import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { html } from "./html.js";
import { useAnswer } from "./api.js";
import { Chip, Empty, Fact, Name, Trouble, When } from "./parts.js";
import { Progress, State } from "./jobs.js";
import { Timeline, useMoment } from "./timeline.js";
import { count, counted, duration, printable, size } from "./words.js";
import { cancel, isFinal, makePlan, newKey, pause, problemOf, resume, runPlan, useJob } from "./work.js";

const STEPS = ["Moment", "Plan", "Confirm"];
const SHOWN = 10;

function Steps({ step, go }) {
  return html`<ol class="stepper" aria-label="Steps">${STEPS.map((name, index) => html`<li key=${name}
    aria-current=${step === index ? "step" : null} class=${index < step ? "done" : ""}>
    ${index < step ? html`<button type="button" class="plain" onClick=${() => go(index)}>${name}</button>` : html`<span>${name}</span>`}</li>`)}</ol>`;
}

function Accidents({ chosen, choose, datasource }) {
  const found = useAnswer("v1/page/accidents", { query: { datasource }, everyMs: 15_000 });
  if (found.error) return html`<${Trouble} error=${found.error} />`;
  if (!found.data) return html`<p class="quiet">Loading …</p>`;
  const list = found.data.happenings.filter((one) => one.before_offset !== null);
  if (!list.length) return html`<${Empty}>No cut has marked segments unused or removed them.<//>`;
  return html`<ul class="accidents">${list.map((one) => html`<li key=${one.offset}>
    <button type="button" aria-pressed=${String(chosen?.offset === one.before_offset)} onClick=${() => choose({ offset: one.before_offset })}>
      <span class="when"><${When} at=${one.source_time} /></span>
      <span class="what">${printable(one.what)}</span>
      <span class="go">go back to just before, <${When} at=${one.before_time} /></span></button></li>`)}</ul>`;
}

function Choice({ name, value, options, set, none }) {
  return html`<label>${name} <select value=${value} onChange=${(event) => set(event.target.value)}>
    ${none && html`<option value="" selected=${value === ""}>${none}</option>`}
    ${options.map((one) => html`<option key=${one} value=${one} selected=${one === value}>${printable(one)}</option>`)}</select></label>`;
}

// Whether a target moves on while its plan is read: then it has to be paused first.
const follows = (target) => Boolean(target) && target.cut !== null && !target.paused && !target.promoted;

function MomentStep({ overview, wish, set, plan, busy, error, may }) {
  const { moment } = useMoment(wish.asked);
  const [by, setBy] = useState("accident");
  const targets = overview.status.targets.map((one) => one.target);
  const moves = follows(overview.status.targets.find((one) => one.target === wish.into));
  const able = moment?.targets.find((one) => one.target === wish.target);
  return html`
    <fieldset class="wish"><legend class="sr">What is restored</legend>
      <${Choice} name="From the store of" value=${wish.target} options=${targets} set=${(target) => set({ target, into: target })} />
      <${Choice} name="Into" value=${wish.into} options=${targets} set=${(into) => set({ into })} />
      <label>Datasource <input list="datasources" placeholder="all of them" spellcheck=${false} value=${wish.datasource}
        onInput=${(event) => set({ datasource: event.target.value })} />
        <datalist id="datasources">${overview.datasources.map((one) => html`<option key=${one.datasource} value=${one.datasource} />`)}</datalist></label>
    </fieldset>
    <div class="tabs" role="group" aria-label="How the moment is chosen">
      <button type="button" aria-pressed=${String(by === "accident")} onClick=${() => setBy("accident")}>After an accident</button>
      <button type="button" aria-pressed=${String(by === "timeline")} onClick=${() => setBy("timeline")}>On the timeline</button>
    </div>
    ${by === "accident"
      ? html`<${Accidents} chosen=${wish.asked} choose=${(asked) => set({ asked })} datasource=${wish.datasource || undefined} />`
      : html`<${Timeline} overview=${overview} asked=${wish.asked} onChoose=${(asked) => set({ asked })} />`}
    ${error && html`<${Trouble} error=${error} />`}
    <div class="next"><p aria-live="polite">${moment
      ? html`<strong><${Name} of=${wish.into} /></strong> as it was at <strong><${When} at=${moment.at.source_time} millis /></strong>
        <span class="quiet"> cut ${count(moment.at.cut)}, offset ${moment.at.offset}</span>
        ${able && !able.restorable && html` <${Chip} kind="warning">not in its store<//>`}`
      : html`<span class="quiet">Choose a moment.</span>`}</p>
      <button class="primary" type="button" disabled=${!moment || Boolean(busy) || !may("operator")} onClick=${() => plan(moment, moves)}>${busy || (moves ? "Pause and plan" : "Make the plan")}</button></div>
    ${moves && html`<p class="quiet small after">${html`<${Name} of=${wish.into} />`} follows the source. It is paused first, so that the plan stays true; you can resume it at any time.</p>`}
    ${!may("operator") && html`<p class="quiet">A restore needs the role operator.</p>`}`;
}

function ByDatasource({ plan }) {
  const rows = Object.entries(plan.by_datasource);
  if (!rows.length) return null;
  return html`<details><summary>${counted(rows.length, "datasource")}</summary>
    <table class="list"><thead><tr><th scope="col">Datasource</th>${Object.keys(rows[0][1]).map((name) => html`<th key=${name} scope="col" class="number">${name.replaceAll("_", " ")}</th>`)}</tr></thead>
      <tbody>${rows.map(([name, one]) => html`<tr key=${name}><th scope="row"><${Name} of=${name} /></th>
        ${Object.entries(one).map(([key, value]) => html`<td key=${key} class="number">${key.includes("bytes") ? size(value) : count(value)}</td>`)}</tr>`)}</tbody></table></details>`;
}

function Missing({ plan }) {
  const rows = [...plan.missing, ...plan.known_missing];
  if (!rows.length && !plan.missing_count) return null;
  return html`<div class="banner warning"><strong>${counted(Math.max(plan.missing_count + plan.known_missing.length, rows.length), "row")} cannot come back:</strong>
    <ul>${rows.slice(0, SHOWN).map((one) => html`<li key=${one.row}><${Name} of=${one.row} /> <span class="quiet">${printable(one.detail)}</span></li>`)}</ul>
    ${rows.length > SHOWN && html`<p>and ${rows.length - SHOWN} more</p>`}</div>`;
}

export function PlanFacts({ plan }) {
  return html`<dl class="facts big">
    <${Fact} name="Back to"><${When} at=${plan.cut.source_time} millis /> <span class="quiet">cut ${count(plan.cut.cut)}, offset ${plan.cut.offset}</span><//>
    <${Fact} name="To copy">${size(plan.bytes_to_copy)} <span class="quiet">in ${counted(plan.objects_to_copy, "place")}${
      plan.looked ? `; ${count(plan.objects_there)} are there already` : " at most: nobody looked"}</span><//>
    <${Fact} name="Time">${plan.eta_seconds === null ? "not known yet" : `about ${duration(plan.eta_seconds)}`}
      <span class="quiet">${plan.eta_seconds === null ? "nothing was measured here" : plan.probed ? "by a probe" : ""}</span><//>
    <${Fact} name="Price">${plan.price === null ? html`–<span class="quiet"> no prices are configured</span>`
      : html`${plan.price.once} ${printable(plan.price.currency)} <span class="quiet">once, ${plan.price.monthly} a month</span>`}<//>
    <${Fact} name="Rows">${counted(plan.segments, "segment")} <span class="quiet">to write, ${count(plan.other_rows)} other rows, ${count(plan.rows_removed)} to remove</span><//>
    <${Fact} name="Requests">${count(plan.requests.get)} <span class="quiet">that read, ${count(plan.requests.put)} that write</span><//>
  </dl>`;
}

function PlanStep({ plan, next, back }) {
  const shown = plan.document.shown ?? plan.document;
  return html`${shown.changes_nothing
      ? html`<p class="banner good">There is nothing to do: its rows are those of this cut already.</p>`
      : html`<${PlanFacts} plan=${shown} /><${Missing} plan=${shown} /><${ByDatasource} plan=${shown} />`}
    <div class="next"><button type="button" onClick=${back}>Back</button>
      <button class="primary" type="button" disabled=${shown.changes_nothing} onClick=${next}>Continue</button></div>`;
}

function ConfirmStep({ plan, into, datasource, run, error, busy, back }) {
  const [text, setText] = useState("");
  const field = useRef(null);
  useEffect(() => field.current?.focus(), []);
  const shown = plan.document.shown ?? plan.document;
  const submitted = (event) => {
    event.preventDefault();
    if (text === into) run();
  };
  return html`<form onSubmit=${submitted}>
    <p>${datasource ? html`The rows of <strong><${Name} of=${datasource} /></strong> on <strong><${Name} of=${into} /></strong> become` : html`All rows of <strong><${Name} of=${into} /></strong> become`}
      ${" "}those of <strong><${When} at=${shown.cut.source_time} millis /></strong>: ${counted(shown.segments, "segment")} written, ${counted(shown.rows_removed, "row")} removed.
      It is paused there until it is resumed. No bytes are deleted, and the source is not touched.</p>
    <label for="confirm">Type <strong class="typed"><${Name} of=${into} /></strong> to confirm</label>
    <input id="confirm" ref=${field} autocomplete="off" spellcheck=${false} value=${text} onInput=${(event) => setText(event.target.value)} />
    ${error && html`<${Trouble} error=${error} />`}
    <div class="next"><button type="button" onClick=${back}>Back</button>
      <button class="primary danger" type="submit" disabled=${text !== into || Boolean(busy)}>Restore ${printable(into)}</button></div>
  </form>`;
}

function Done({ job, into, resumable, resume }) {
  const result = job.document?.result;
  if (!result) return html`<${Trouble} error=${problemOf(job)} /><div class="next"><a class="button primary" href="#/restore">Plan again</a></div>`;
  const missing = result.missing ?? [];
  return html`<p class=${`banner ${missing.length ? "warning" : "good"}`} role="status"><strong><${Name} of=${into} /> is at cut ${count(result.cut)}.</strong>
      ${" "}${result.already ? "It was there already." : `${counted(result.objects_copied, "segment")} copied, ${size(result.bytes_copied)}.`}</p>
    ${missing.map((one) => html`<p key=${one.row} class="said bad">without <${Name} of=${one.row} />: ${printable(one.detail)}</p>`)}
    <p>It is paused there. <code>replicator apply ${printable(into)} --resume</code> has it follow the source again.</p>
    <div class="next"><a class="button" href="#/overview">Overview</a>${resumable && html`<button type="button" onClick=${resume}>Resume</button>`}</div>`;
}

function Running({ id, into, may, look }) {
  const { job, error } = useJob(id);
  const [failure, setFailure] = useState(null);
  useEffect(() => {
    if (job && isFinal(job)) look();
  }, [job?.state]);
  const goOn = () => resume(into).then((found) => { location.hash = `#/jobs/${found.id}`; }, setFailure);
  return html`<section class="card"><div class="head"><h1>Restore of <${Name} of=${into} /></h1>${job && html`<${State} job=${job} />`}</div>
    ${error && html`<${Trouble} error=${error} />`}${failure && html`<${Trouble} error=${failure} />`}
    ${job && !isFinal(job) && html`<${Progress} job=${job} />
      <div class="next">${may("operator") && html`<button type="button" onClick=${() => cancel(id).catch(setFailure)}>Cancel</button>`}</div>`}
    ${job && isFinal(job) && html`<${Done} job=${job} into=${into} resumable=${may("operator")} resume=${goOn} />`}
  </section>`;
}

export function Restore({ overview, at, may, look }) {
  const targets = overview.status?.targets ?? [];
  const first = overview.outlook.best?.target ?? targets[0]?.target ?? "";
  const [wish, setWish] = useState({ target: first, into: first, datasource: at.query.get("datasource") ?? "", asked: null });
  const [step, setStep] = useState(0);
  const [plan, setPlan] = useState(null);
  const [work, setWork] = useState({ busy: "", error: null });
  const key = useRef(newKey());
  const title = useRef(null);
  useEffect(() => {
    if (step !== 2) title.current?.focus(); // the last step has a field for it
  }, [step]);
  if (at.rest[0]) return html`<${Running} id=${at.rest[0]} into=${at.query.get("into") ?? ""} may=${may} look=${look} />`;
  if (!targets.length) return html`<section class="card"><${Empty}>There is no target that could be restored.<//></section>`;
  const make = async (moment, moves) => {
    try {
      if (moves) {
        setWork({ busy: "Pausing …", error: null });
        await pause(wish.into);
        look();
      }
      setWork({ busy: "Planning …", error: null });
      const into = wish.into === wish.target ? null : wish.into;
      setPlan(await makePlan({ verb: "restore", target: wish.target, into, datasource: wish.datasource || null, to_offset: moment.at.offset }, undefined, () => {}));
      key.current = newKey();
      setWork({ busy: "", error: null });
      setStep(1);
    } catch (error) {
      setWork({ busy: "", error });
    }
  };
  const run = async () => {
    setWork({ busy: "Asking …", error: null });
    try {
      const job = await runPlan(plan.digest, key.current);
      location.hash = `#/restore/${job.id}?into=${encodeURIComponent(wish.into)}`;
    } catch (error) {
      setWork({ busy: "", error });
    }
  };
  const back = () => { setWork({ busy: "", error: null }); setStep(step - 1); };
  return html`<section class="card restore"><div class="head"><h1 tabindex="-1" ref=${title}>Restore</h1><${Steps} step=${step} go=${setStep} /></div>
    ${step === 0 && html`<${MomentStep} overview=${overview} wish=${wish} set=${(some) => setWish({ ...wish, ...some })} plan=${make} busy=${work.busy} error=${work.error} may=${may} />`}
    ${step === 1 && html`<${PlanStep} plan=${plan} next=${() => setStep(2)} back=${back} />`}
    ${step === 2 && html`<${ConfirmStep} plan=${plan} into=${wish.into} datasource=${wish.datasource} run=${run} error=${work.error} busy=${work.busy} back=${back} />`}
  </section>`;
}
