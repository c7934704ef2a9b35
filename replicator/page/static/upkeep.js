// What proves a target, mends it and clears it up, asked for here; and what webhooks were not told.

import { useState } from "./vendor/hooks.js";
import { html } from "./html.js";
import { useAnswer } from "./api.js";
import { Age, Empty, Fact, Name, Trouble, When, Words } from "./parts.js";
import { CHOOSE, CONFIRM, Choice, Confirm, Next, Planning, READ, Steps, useFlow } from "./plan.js";
import { count, counted, printable, size } from "./words.js";
import { submit } from "./work.js";

const STEPS = ["Work", "Plan", "Confirm"];
const SHOWN = 10;
const EVERY_MS = 15_000;
const LEVELS = ["rows", "exists", "checksum", "query"];
const DAMAGE = ["exists", "checksum"];
// name: title, what it does, whether it is planned first, who may.
const WORK = {
  verify: ["Verify", "Compares a target with the log. It changes nothing.", false, "operator"],
  repair: ["Repair", "Finds damaged bytes and wrong rows, and copies them again. The plan comes first.", true, "operator"],
  drill: ["Drill", "Restores a cut from the store alone into a scratch place, verifies and times it.", false, "operator"],
  lock: ["Lock", "Locks all that the store must keep, for its retention from now.", false, "operator"],
  "points rotate": ["Rotate points", "Names the newest cut, and keeps older names grandfather-father-son.", false, "operator"],
  expire: ["Expire", "Deletes bytes and history that nothing retained needs. The plan comes first.", true, "admin"],
};

const listed = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);

function requestOf(wish) {
  const { way, target } = wish;
  if (way === "verify") return { verb: way, target, level: wish.level, subset: wish.subset || "100%" };
  if (way === "repair") return { verb: way, target, level: wish.damage, from_target: wish.origin || null };
  if (way === "expire") return { verb: way, target, retention: wish.retention || null, orphans: wish.orphans };
  if (way === "points rotate") return { verb: way, target, tiers: listed(wish.tiers) };
  return { verb: way, target };
}

function Options({ wish, set, targets }) {
  const field = (name) => (event) => set({ [name]: event.target.value });
  const others = targets.filter((one) => one !== wish.target);
  return html`<div class="wish"><${Choice} name="Target" value=${wish.target} options=${targets} set=${(target) => set({ target, origin: "" })} />
    ${wish.way === "verify" && html`<${Choice} name="How deep" value=${wish.level} options=${LEVELS} set=${(level) => set({ level })} />
      <label>Share of the objects <input value=${wish.subset} pattern="[0-9.]+%" spellcheck=${false} onInput=${field("subset")} /></label>`}
    ${wish.way === "repair" && html`<${Choice} name="How deep" value=${wish.damage} options=${DAMAGE} set=${(damage) => set({ damage })} />
      <${Choice} name="Copied from" value=${wish.origin} options=${others} none="the source" set=${(origin) => set({ origin })} />`}
    ${wish.way === "expire" && html`<label>Retention <input placeholder="as configured" spellcheck=${false} value=${wish.retention} onInput=${field("retention")} /></label>
      <label class="check"><input type="checkbox" checked=${wish.orphans} onChange=${(event) => set({ orphans: event.target.checked })} /> Also orphans</label>`}
    ${wish.way === "points rotate" && html`<label>Tiers <input required placeholder="all=7d, day=90d" spellcheck=${false} value=${wish.tiers} onInput=${field("tiers")} /></label>`}</div>`;
}

function Work({ wish, set, targets, flow, may, begin, begun }) {
  const [, , planned, role] = WORK[wish.way];
  const submitted = (event) => {
    event.preventDefault();
    if (planned) flow.make(requestOf(wish));
    else begin(requestOf(wish));
  };
  const words = planned ? "Make the plan" : WORK[wish.way][0];
  const error = flow.error ?? begun.error;
  return html`<form onSubmit=${submitted}>
    <fieldset class="ways two"><legend class="sr">What is done</legend>${Object.entries(WORK).map(([way, [title, said]]) => html`<label key=${way} class="way">
      <input type="radio" name="way" value=${way} checked=${wish.way === way} onChange=${() => set({ way })} />
      <span><strong>${title}</strong><span class="quiet">${said}</span></span></label>`)}</fieldset>
    <${Options} wish=${wish} set=${set} targets=${targets} />
    ${error && html`<${Trouble} error=${error} />`}<${Planning} flow=${flow} />
    <div class="next"><p>${!may(role) && html`<span class="quiet">Only ${role === "admin" ? "an administrator" : "an operator"} may ask for it.</span>`}</p>
      <button class="primary" type="submit" disabled=${!wish.target || Boolean(flow.busy) || begun.busy || !may(role)}>${flow.busy || (begun.busy ? "Asking …" : words)}</button></div></form>`;
}

const Lines = ({ lines, total }) => html`<ul class="findings">${lines.slice(0, SHOWN).map((one, index) => html`<li key=${index}>${one}</li>`)}</ul>
  ${total > Math.min(SHOWN, lines.length) && html`<p class="quiet">and ${count(total - Math.min(SHOWN, lines.length))} more</p>`}`;

const changesNothing = {
  repair: ({ plan }) => !plan.damaged_count && !plan.rows_differ && !plan.rows_to_remove.length && !plan.gaps.length,
  expire: ({ plan }, wish) => !plan.locations && !plan.history_files && !plan.bases && !(wish.orphans && plan.storage?.orphans.length),
};

function RepairPlan({ plan }) {
  return html`<dl class="facts big">
    <${Fact} name="Looked at">${counted(plan.objects, "object")} <span class="quiet">${size(plan.bytes_read)} read, cut ${count(plan.cut)}</span><//>
    <${Fact} name="Damaged" class=${plan.damaged_count ? "bad" : ""}>${plan.damaged_count ? counted(plan.damaged_count, "location") : "none"} <span class="quiet">are copied again</span><//>
    <${Fact} name="Rows" class=${plan.rows_differ ? "bad" : ""}>${plan.rows_differ ? "differ" : "as in the log"} <span class="quiet">${counted(plan.rows_to_remove.length, "row")} to remove</span><//>
    ${plan.gaps.length > 0 && html`<${Fact} name="Gaps" class="bad">${counted(plan.gaps.length, "row")} <span class="quiet">are tried again</span><//>`}</dl>
    ${plan.objects_left > 0 && html`<p class="banner warning">${counted(plan.objects_left, "object")} were not read.</p>`}
    ${plan.findings_count > 0 && html`<${Lines} lines=${plan.findings.map(printable)} total=${plan.findings_count} />`}
    ${plan.damaged.length > 0 && html`<${Lines} lines=${plan.damaged.map((one) => html`<${Name} of=${one.location} /> <span class="quiet">${printable(one.reason)}</span>`)} total=${plan.damaged_count} />`}`;
}

const Oldest = ({ of }) => of ? html`<${When} at=${of.source_time} zone /> <span class="quiet">cut ${count(of.cut)}, offset ${of.offset}</span>` : "–";

function ExpirePlan({ plan, wish }) {
  const { storage } = plan;
  return html`<dl class="facts big">
    <${Fact} name="Restorable since, now"><${Oldest} of=${plan.oldest_before} /><//>
    <${Fact} name="and then"><${Oldest} of=${plan.oldest_after} /><//>
    <${Fact} name="Segments">${count(plan.locations)} to delete${storage && `, ${size(storage.bytes)}`} <span class="quiet">${count(plan.kept_locations)} stay</span><//>
    <${Fact} name="History">${counted(plan.history_files, "file")} to delete <span class="quiet">${counted(plan.bases, "base")}</span><//>
    <${Fact} name="Held">${plan.holds.length ? plan.holds.map(printable).join(", ") : "nothing"}<//>
    ${storage?.orphans.length > 0 && html`<${Fact} name="Orphans">${count(storage.orphans.length)}, ${size(storage.orphan_bytes)} <span class="quiet">${wish.orphans ? "to delete" : "stay"}</span><//>`}</dl>`;
}

const PLANS = { repair: RepairPlan, expire: ExpirePlan };
const NOTHING = { repair: "There is nothing to repair.", expire: "There is nothing to delete: all of it is needed." };

function Plan({ flow, wish }) {
  const { document } = flow.plan;
  const View = PLANS[wish.way];
  const idle = changesNothing[wish.way](document, wish);
  return html`${idle && html`<p class="banner good">${NOTHING[wish.way]}</p>`}<${View} plan=${document.plan} wish=${wish} /><${Next} flow=${flow} disabled=${idle} />`;
}

function Sure({ flow, wish }) {
  const { plan } = flow.plan.document;
  const name = html`<strong><${Name} of=${wish.target} /></strong>`;
  return html`<${Confirm} typed=${wish.target} action=${`${WORK[wish.way][0]} ${printable(wish.target)}`} run=${flow.run} back=${flow.back} busy=${flow.busy} error=${flow.error}>
    ${wish.way === "repair" ? html`${counted(plan.damaged_count, "location")} of ${name} are copied again, and its rows are made those of the log. An applier that runs pauses meanwhile.`
      : html`${counted(plan.locations, "segment")} and ${counted(plan.history_files, "file")} of history of ${name} are deleted. No moment before <${When} at=${plan.oldest_after?.source_time} zone /> can be restored any more. This cannot be taken back.`}<//>`;
}

function Wizard({ overview, at, may }) {
  const targets = overview.stores.map((one) => one.target);
  const [wish, setWish] = useState({ way: WORK[at.query.get("work")] ? at.query.get("work") : "verify", target: at.query.get("target") ?? targets[0] ?? "",
    level: "rows", damage: "checksum", subset: "100%", origin: "", retention: "", orphans: false, tiers: "all=7d, day=90d, month=730d" });
  const [begun, setBegun] = useState({ busy: false, error: null });
  const shown = (job) => { location.hash = `#/jobs/${job.id}`; };
  const flow = useFlow(shown);
  const begin = (asked) => {
    setBegun({ busy: true, error: null });
    submit(asked).then(shown, (error) => setBegun({ busy: false, error }));
  };
  const set = (some) => {
    setWish({ ...wish, ...some });
    setBegun({ busy: false, error: null });
  };
  if (!targets.length) return html`<section class="card"><${Empty}>No target is configured.<//></section>`;
  return html`<section class="card restore"><div class="head"><h1 tabindex="-1" ref=${flow.title}>${flow.step === CHOOSE ? "Upkeep" : WORK[wish.way][0]}</h1>
      ${WORK[wish.way][2] && html`<${Steps} names=${STEPS} step=${flow.step} go=${flow.to} />`}</div>
    ${flow.step === CHOOSE && html`<${Work} wish=${wish} set=${set} targets=${targets} flow=${flow} may=${may} begin=${begin} begun=${begun} />`}
    ${flow.step === READ && html`<${Plan} flow=${flow} wish=${wish} />`}
    ${flow.step === CONFIRM && html`<${Sure} flow=${flow} wish=${wish} />`}
  </section>`;
}

// What was given up: the receiver has to be mended, then it is sent again.
function Dead({ may }) {
  const found = useAnswer("v1/notifications", { query: { state: "dead", limit: 100 }, everyMs: EVERY_MS });
  const [error, setError] = useState(null);
  const resend = (ids) => submit({ verb: "notifications resend", ids }).then((job) => { location.hash = `#/jobs/${job.id}`; }, setError);
  const dead = found.data?.notifications ?? [];
  return html`<section class="card"><div class="head"><h2>Not delivered</h2>
      ${dead.length > 0 && may("operator") && html`<button type="button" onClick=${() => resend([])}>Send all again</button>`}</div>
    <p class="quiet lead">Notifications that a webhook did not take, however often they were sent. Mend the receiver, then send them again.</p>
    ${(error ?? found.error) && html`<${Trouble} error=${error ?? found.error} />`}
    ${found.data && (dead.length ? html`<div class="scroll" role="region" aria-label="Not delivered" tabindex="0"><table class="list named">
      <thead><tr><th scope="col">Webhook</th><th scope="col">What</th><th scope="col">Made</th><th scope="col" class="number">Attempts</th><th scope="col">Why not</th><th scope="col"><span class="sr">What can be done</span></th></tr></thead>
      <tbody>${dead.map((one) => html`<tr key=${`${one.webhook}${one.id}`}><th scope="row"><${Name} of=${one.webhook} /></th>
        <td class="wide">${printable(one.type)} <span class="quiet"><${Name} of=${one.summary} /></span></td><td class="nowrap"><${Age} at=${one.made_at} /></td>
        <td class="number">${count(one.attempts)}</td><td class="wide"><${Words} of=${one.error} /></td>
        <td class="number">${may("operator") && html`<button type="button" aria-label=${`Send ${printable(one.type)} to ${printable(one.webhook)} again`} onClick=${() => resend([one.id])}>Send again</button>`}</td></tr>`)}</tbody></table></div>
      ${found.data.total > dead.length && html`<p class="quiet small">and ${count(found.data.total - dead.length)} older ones</p>`}`
      : html`<${Empty}>${found.data.webhooks.length ? `Nothing: ${found.data.webhooks.map(printable).join(", ")} took all that was told.` : "No webhook is configured."}<//>`)}
  </section>`;
}

export function Upkeep(shown) {
  return html`<${Wizard} ...${shown} /><${Dead} may=${shown.may} />`;
}
