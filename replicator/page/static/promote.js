// A standby becomes a primary, in three steps: which way, the plan, the name.

import { useState } from "./vendor/hooks.js";
import { html } from "./html.js";
import { Chip, Empty, Fact, Name, Trouble, When } from "./parts.js";
import { CHOOSE, CONFIRM, Choice, Confirm, Next, Planning, READ, Run, Steps, useFlow } from "./plan.js";
import { count, counted, printable } from "./words.js";

const STEPS = ["Way", "Plan", "Confirm"];
const WAYS = {
  promote: ["Promotion, as planned", "The source was brought to rest; what is left of the log is applied first, so nothing is lost."],
  failover: ["Failover", "The source is gone: the target becomes the primary as it is. The source must not come back by itself."],
};

const place = (offsets) => Object.entries(offsets).map(([name, at]) => `${printable(name)}: ${at}`).join(", ") || "its beginning";

function Names({ title, names }) {
  if (!names.length) return null;
  return html`<${Fact} name=${title}><ul class="plain-list">${names.map((one, index) => html`<li key=${index}>${one}</li>`)}</ul><//>`;
}

function Facts({ result }) {
  const lost = result.lost_events, unknown = !result.log_was_read || result.log_cut_short;
  return html`<dl class="facts wide">
    <${Fact} name="At"><strong><${When} at=${result.source_time} millis zone /></strong> <span class="quiet">cut ${count(result.cut)}, offset ${result.offset}</span><//>
    <${Fact} name="Lost" class=${lost || unknown ? "bad" : ""}>${!result.log_was_read
      ? "not counted: the log is away; load rules that drop, compaction and users have to be set by hand"
      : result.log_cut_short ? "not known: the log was cut short before that cut; put its newest copy back first"
      : lost ? `${counted(lost, "change")} in ${counted(result.lost_cuts, "cut")} that the log holds after it` : "nothing that the log holds after it"}<//>
    ${result.gaps > 0 && html`<${Fact} name="Lacks" class="bad">${counted(result.gaps, "row")} of that cut, which are known gaps<//>`}
    <${Fact} name="Proved" class=${result.differences || !result.proved_at ? "bad" : ""}>${result.differences
      ? `the last verification found ${counted(result.differences, "difference")}`
      : result.proved_at ? html`<${When} at=${result.proved_at} zone />` : "never compared with the log"}<//>
    <${Names} title="Resumed" names=${result.supervisors.map((one) => html`<${Name} of=${one.id} /> <span class="quiet">at ${place(one.offsets)}</span>`)} />
    <${Names} title="Left suspended" names=${result.left_suspended.map((one) => html`<${Name} of=${one} />`)} />
    <${Names} title="Configured" names=${result.configured.map((one) => html`<${Name} of=${one} />`)} />
    <${Names} title="Not taken over" names=${result.not_configured.map((one) => html`<${Name} of=${one.name} /> <span class="quiet">${printable(one.why)}</span>`)} />
    ${result.drop_rules_restored && html`<${Fact} name="Load rules">those that drop are put back<//>`}
  </dl>`;
}

function Primary({ job, into }) {
  const { result } = job.document;
  return html`<p class="banner good" role="status"><strong><${Name} of=${into} /> is a primary at cut ${count(result.cut)}.</strong></p>
    <${Facts} result=${result} />
    <div class="next"><a class="button" href="#/overview">Overview</a></div>`;
}

function WayStep({ wish, set, targets, flow, may }) {
  const supervisors = wish.supervisors.split(",").map((one) => one.trim()).filter(Boolean);
  const make = () => flow.make({ verb: wish.way, target: wish.target, supervisors });
  return html`
    <fieldset class="ways"><legend class="sr">Which way</legend>${Object.entries(WAYS).map(([way, [title, words]]) => html`<label key=${way} class="way">
      <input type="radio" name="way" value=${way} checked=${wish.way === way} onChange=${() => set({ way })} />
      <span><strong>${title}</strong><span class="quiet">${words}</span></span></label>`)}</fieldset>
    <div class="wish">
      <${Choice} name="Target" value=${wish.target} options=${targets} set=${(target) => set({ target })} />
      <label>Only these supervisors <input placeholder=${wish.way === "promote" ? "all of them" : "those that ran"} spellcheck=${false} value=${wish.supervisors}
        onInput=${(event) => set({ supervisors: event.target.value })} /></label></div>
    ${flow.error && html`<${Trouble} error=${flow.error} />`}<${Planning} flow=${flow} />
    <div class="next"><p>${!may("admin") && html`<span class="quiet">Only an administrator may plan a promotion.</span>`}</p>
      <button class="primary" type="button" disabled=${!wish.target || Boolean(flow.busy) || !may("admin")} onClick=${make}>${flow.busy || "Make the plan"}</button></div>`;
}

function PlanStep({ flow, wish }) {
  return html`<p><${Chip} kind="accent">${WAYS[wish.way][0]}<//> <strong><${Name} of=${wish.target} /></strong> would become a primary.</p>
    <${Facts} result=${flow.plan.document} />
    <${Next} flow=${flow} />`;
}

function Wizard({ overview, at, may, look }) {
  const targets = overview.stores.filter((one) => !one.archive).map((one) => one.target);
  const [wish, setWish] = useState({ way: "promote", target: at.query.get("target") ?? targets[0] ?? "", supervisors: "" });
  const flow = useFlow((job) => {
    look();
    location.hash = `#/promote/${job.id}?target=${encodeURIComponent(wish.target)}`;
  });
  if (!targets.length) return html`<section class="card"><${Empty}>There is no target that could be promoted.<//></section>`;
  return html`<section class="card restore"><div class="head"><h1 tabindex="-1" ref=${flow.title}>Promote a standby</h1><${Steps} names=${STEPS} step=${flow.step} go=${flow.to} /></div>
    ${flow.step === CHOOSE && html`<${WayStep} wish=${wish} set=${(some) => setWish({ ...wish, ...some })} targets=${targets} flow=${flow} may=${may} />`}
    ${flow.step === READ && html`<${PlanStep} flow=${flow} wish=${wish} />`}
    ${flow.step === CONFIRM && html`<${Confirm} typed=${wish.target} action=${`Make ${printable(wish.target)} the primary`} run=${flow.run} back=${flow.back} busy=${flow.busy} error=${flow.error}>
      <strong><${Name} of=${wish.target} /></strong> becomes a primary: it follows its source no more, and ${counted(flow.plan.document.supervisors.length, "supervisor")} of its Druid ${
        flow.plan.document.supervisors.length === 1 ? "begins" : "begin"} to read. ${wish.way === "failover" ? "Make sure that the source cannot come back." : "The source stays at rest."} This cannot be taken back here.<//>`}
  </section>`;
}

export function Promote(shown) {
  const { at, may, look } = shown;
  if (!at.rest[0]) return html`<${Wizard} ...${shown} />`;
  return html`<${Run} id=${at.rest[0]} title="Promotion of" into=${at.query.get("target") ?? ""} may=${may} look=${look} again="#/promote" Ended=${Primary} />`;
}
