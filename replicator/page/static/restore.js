// A restore in three steps: the moment, the plan, the name. Then its progress.

import { useState } from "./vendor/hooks.js";
import { html } from "./html.js";
import { useAnswer } from "./api.js";
import { Chip, Empty, Name, Trouble, When } from "./parts.js";
import { Archived } from "./archived.js";
import { CHOOSE, CONFIRM, Choice, Confirm, Planning, READ, ReadPlan, Run, Steps, shownOf, useFlow } from "./plan.js";
import { Timeline, useMoment } from "./timeline.js";
import { count, counted, printable } from "./words.js";

const STEPS = ["Moment", "Plan", "Confirm"];
const NAMED_MAX = 3;
const WAYS = [["accident", "After an accident"], ["timeline", "On the timeline"], ["store", "From a store alone"]];

// One accident: the whole moment before it, or one of the datasources that it took.
function Accident({ one, wish, set }) {
  const before = { offset: one.before_offset };
  const isChosen = wish.asked?.offset === one.before_offset;
  const more = one.datasources.length - NAMED_MAX;
  return html`<li>
    <button type="button" class="moment" aria-pressed=${String(isChosen && !wish.undelete)} onClick=${() => set({ asked: before, undelete: "" })}>
      <span class="when"><${When} at=${one.source_time} zone /></span>
      <span class="what">${printable(one.what)}</span>
      <span class="go">go back to just before, <${When} at=${one.before_time} /></span></button>
    <span class="undelete">${one.datasources.slice(0, NAMED_MAX).map((name) => html`<button type="button" key=${name}
      aria-pressed=${String(isChosen && wish.undelete === name)} onClick=${() => set({ asked: before, undelete: name })}><span>Undelete <${Name} of=${name} /></span></button>`)}
      ${more > 0 && html`<span class="quiet">and ${counted(more, "more datasource")}</span>`}</span></li>`;
}

function Accidents({ wish, set }) {
  const found = useAnswer("v1/page/accidents", { query: { datasource: wish.datasource || undefined }, everyMs: 15_000 });
  if (found.error) return html`<${Trouble} error=${found.error} />`;
  if (!found.data) return html`<p class="quiet">Loading …</p>`;
  const list = found.data.happenings.filter((one) => one.before_offset !== null);
  if (!list.length) return html`<${Empty}>No cut has marked segments unused or removed them.<//>`;
  return html`<ul class="accidents">${list.map((one) => html`<${Accident} key=${one.offset} one=${one} wish=${wish} set=${set} />`)}</ul>`;
}

// Whether a target moves on while its plan is read: then it has to be paused first.
const follows = (target) => Boolean(target) && target.cut !== null && !target.paused && !target.promoted;

function What({ overview, wish, set, stores, standbys }) {
  const names = html`<datalist id="datasources">${overview.datasources.map((one) => html`<option key=${one.datasource} value=${one.datasource} />`)}</datalist>`;
  return html`<fieldset class="wish"><legend class="sr">What is restored</legend>
    <${Choice} name=${wish.way === "store" ? "History and bytes of" : "From the store of"} value=${wish.target} options=${stores}
      set=${(target) => set({ target, into: standbys.includes(target) ? target : wish.into, archived: null, without: false })} />
    <${Choice} name="Into" value=${wish.into} options=${standbys} set=${(into) => set({ into })} />
    <label>Datasource <input list="datasources" placeholder="all of them" spellcheck=${false} value=${wish.undelete || wish.datasource} disabled=${Boolean(wish.undelete)}
      onInput=${(event) => set({ datasource: event.target.value })} />${names}</label>
  </fieldset>`;
}

// The cut that was chosen, whoever tells of it: `{cut, offset, source_time, warning}`.
function useChosen(wish) {
  const { moment, error } = useMoment(wish.way === "store" ? null : wish.asked);
  if (wish.way === "store") return { chosen: wish.archived, error: null };
  if (!moment || !wish.asked) return { chosen: null, error };
  const able = moment.targets.find((one) => one.target === wish.target);
  const warning = able && !able.restorable ? "not in its store" : able?.gaps ? counted(able.gaps, "gap") : "";
  return { chosen: { ...moment.at, warning }, error };
}

function MomentStep({ overview, wish, set, flow, may, stores, standbys }) {
  const { chosen, error } = useChosen(wish);
  // Without its log a target goes nowhere, and could not be paused either.
  const moves = !overview.log.failure && follows(overview.status?.targets.find((one) => one.target === wish.into));
  const make = () => flow.make(requestOf(wish, chosen), moves ? wish.into : null);
  return html`
    <div class="tabs" role="group" aria-label="How the moment is chosen">${WAYS.map(([way, title]) => html`<button type="button" key=${way}
      aria-pressed=${String(wish.way === way)} onClick=${() => set({ way, undelete: "" })}>${title}</button>`)}</div>
    <${What} overview=${overview} wish=${wish} set=${set} stores=${stores} standbys=${standbys} />
    ${wish.way === "accident" && html`<${Accidents} wish=${wish} set=${set} />`}
    ${wish.way === "timeline" && html`<${Timeline} overview=${overview} asked=${wish.asked} onChoose=${(asked) => set({ asked })} />`}
    ${wish.way === "store" && html`<${Archived} key=${wish.target} store=${wish.target} chosen=${wish.archived} choose=${(archived) => set({ archived })} without=${wish.without} leaveOut=${(without) => set({ without })} />`}
    ${(error ?? flow.error) && html`<${Trouble} error=${error ?? flow.error} />`}<${Planning} flow=${flow} />
    <div class="next"><p aria-live="polite">${chosen
      ? html`${wish.undelete && html`<strong><${Name} of=${wish.undelete} /></strong> on `}<strong><${Name} of=${wish.into} /></strong> as it was at <strong><${When} at=${chosen.source_time} millis zone /></strong>
        <span class="quiet"> cut ${count(chosen.cut)}, offset ${chosen.offset}</span>
        ${chosen.warning && html` <${Chip} kind="warning">${chosen.warning}<//>`}`
      : html`<span class="quiet">Choose a moment.</span>`}</p>
      <button class="primary" type="button" disabled=${!chosen || Boolean(flow.busy) || !may("operator")} onClick=${make}>${flow.busy || (moves ? "Pause and plan" : "Make the plan")}</button></div>
    ${!may("operator") && html`<p class="quiet after">Only an operator may plan a restore.</p>`}
    ${moves && html`<p class="quiet after">A plan is out of date as soon as its target moves on, so <${Name} of=${wish.into} /> is paused first. It stays paused until it is resumed.</p>`}`;
}

function requestOf(wish, chosen) {
  const datasource = wish.datasource || null;
  if (wish.undelete) return { verb: "undelete", datasource: wish.undelete, on: wish.into, to_offset: chosen.offset };
  if (wish.way === "store") return { verb: "restore", from_store: wish.target, into: wish.into, datasource, to_offset: chosen.offset, log_id: chosen.log_id, without_witness: wish.without };
  return { verb: "restore", target: wish.target, into: wish.into === wish.target ? null : wish.into, datasource, to_offset: chosen.offset };
}

function ConfirmStep({ flow, wish }) {
  const shown = shownOf(flow.plan);
  const only = wish.undelete || wish.datasource;
  return html`<${Confirm} typed=${wish.into} action=${`${wish.undelete ? "Undelete on" : "Restore"} ${printable(wish.into)}`} run=${flow.run} back=${flow.back} busy=${flow.busy} error=${flow.error}>
    ${only ? html`The rows of <strong><${Name} of=${only} /></strong> on <strong><${Name} of=${wish.into} /></strong> become` : html`All rows of <strong><${Name} of=${wish.into} /></strong> become`}
    ${" "}those of <strong><${When} at=${shown.cut.source_time} millis zone /></strong>: ${counted(shown.segments, "segment")} written, ${counted(shown.rows_removed, "row")} removed.
    It is paused there until it is resumed. No bytes are deleted, and the source is not touched.<//>`;
}

// The target that reaches furthest, if it can be restored into; else one that already has something.
function firstOf(overview, standbys) {
  const held = overview.status?.targets.filter((one) => one.cut !== null).map((one) => one.target) ?? [];
  return [overview.outlook.best?.target, ...held].find((one) => standbys.includes(one)) ?? standbys[0] ?? "";
}

// What was planned is forgotten with the view: the next restore begins at its first step.
function Wizard({ overview, at, may, look }) {
  const stores = overview.stores.map((one) => one.target);
  const standbys = overview.stores.filter((one) => !one.archive).map((one) => one.target);
  const first = firstOf(overview, standbys);
  const way = overview.log.failure ? "store" : "accident"; // without a log nobody knows of accidents
  const [wish, setWish] = useState({ way, target: first, into: first, datasource: at.query.get("datasource") ?? "", asked: null, undelete: "", archived: null, without: false });
  const flow = useFlow((job) => {
    look();
    location.hash = `#/restore/${job.id}?into=${encodeURIComponent(wish.into)}`;
  });
  if (!standbys.length) return html`<section class="card"><${Empty}>There is nothing to restore into: no target has a metadata store.
    Configure one with <code>metadata</code> and start the service again; a store then restores into it. <a href="#/upkeep">A drill</a> proves an archive until then.<//></section>`;
  return html`<section class="card restore"><div class="head"><h1 tabindex="-1" ref=${flow.title}>Restore</h1><${Steps} names=${STEPS} step=${flow.step} go=${flow.to} /></div>
    ${flow.step === CHOOSE && html`<${MomentStep} overview=${overview} wish=${wish} set=${(some) => setWish({ ...wish, ...some })} flow=${flow} may=${may} stores=${stores} standbys=${standbys} />`}
    ${flow.step === READ && html`<${ReadPlan} flow=${flow} />`}
    ${flow.step === CONFIRM && html`<${ConfirmStep} flow=${flow} wish=${wish} />`}
  </section>`;
}

export function Restore(shown) {
  const { at, may, look } = shown;
  if (!at.rest[0]) return html`<${Wizard} ...${shown} />`;
  return html`<${Run} id=${at.rest[0]} title="Restore of" into=${at.query.get("into") ?? ""} may=${may} look=${look} again="#/restore" />`;
}
