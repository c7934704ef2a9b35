// Named points and holds: which cuts have a name, and which of them do not expire.

import { useState } from "./vendor/hooks.js";
import { html } from "./html.js";
import { useAnswer } from "./api.js";
import { Chip, Empty, Fact, Name, Trouble, When } from "./parts.js";
import { Choice, Confirm } from "./plan.js";
import { Timeline, useMoment } from "./timeline.js";
import { count, printable } from "./words.js";
import { ended, submit } from "./work.js";

const NAME = "[A-Za-z0-9][A-Za-z0-9._\\-]{0,99}";

// One thing that is asked for, and what came of it.
function useAsking(done) {
  const [state, setState] = useState({ busy: false, error: null });
  const ask = async (asked) => {
    setState({ busy: true, error: null });
    try {
      await ended(await submit(asked));
      setState({ busy: false, error: null });
      done();
    } catch (error) {
      setState({ busy: false, error });
    }
  };
  return { ...state, ask };
}

const Row = ({ one, children, action }) => html`<tr><th scope="row"><${Name} of=${one.name} /></th><td><${Name} of=${one.target} /></td>
  <td class="nowrap"><${When} at=${one.source_time} millis /></td><td class="number">${count(one.cut)}</td><td class="number">${one.offset}</td>
  ${children}<td class="number">${action}</td></tr>`;

const EVERY_MS = 15_000;
const HEAD = ["Name", "Target", "Moment"];

function Table({ label, more, rows, empty }) {
  if (!rows.length) return html`<${Empty}>${empty}<//>`;
  return html`<div class="scroll" role="region" aria-label=${label} tabindex="0"><table class="list named"><thead><tr>
    ${HEAD.map((name) => html`<th key=${name} scope="col">${name}</th>`)}<th scope="col" class="number">Cut</th><th scope="col" class="number">Offset</th>
    ${more.map((name) => html`<th key=${name} scope="col">${name}</th>`)}<th scope="col"><span class="sr">What can be done</span></th></tr></thead>
    <tbody>${rows}</tbody></table></div>`;
}

function Points({ points, set, may }) {
  return html`<section class="card"><div class="head"><h2>Named points</h2>
      ${may("operator") && html`<button type="button" onClick=${() => set({ way: "name" })}>Name a point …</button>`}</div>
    <p class="quiet lead">A name is easier to find than a time. It keeps nothing from expiring.</p>
    <${Table} label="Named points" more=${["State"]} empty="No cut has a name yet." rows=${points.map((one) => html`<${Row} key=${`${one.target}/${one.name}`} one=${one}
      action=${may("operator") && html`<span class="row-actions">${!one.expired && html`<button type="button" aria-label=${`Hold ${printable(one.name)} on ${printable(one.target)}`} onClick=${() => set({ way: "hold", of: one })}>Hold …</button>`}
        <button type="button" aria-label=${`Forget ${printable(one.name)} on ${printable(one.target)}`} onClick=${() => set({ way: "forget", of: one })}>Forget …</button></span>`}>
      <td>${one.expired ? html`<${Chip} kind="warning">expired<//>` : html`<${Chip} kind="good">restorable<//>`}</td><//>`)} /></section>`;
}

function Holds({ holds, set, may }) {
  return html`<section class="card"><div class="head"><h2>Holds</h2>
      ${may("operator") && html`<button type="button" onClick=${() => set({ way: "hold", of: null })}>Hold a cut …</button>`}</div>
    <p class="quiet lead">A held cut does not expire, whatever expires around it.</p>
    <${Table} label="Holds" more=${["Until", "Reason"]} empty="Nothing is held." rows=${holds.map((one) => html`<${Row} key=${`${one.target}/${one.name}`} one=${one}
      action=${may("admin") && html`<button type="button" aria-label=${`Remove the hold ${printable(one.name)} on ${printable(one.target)}`} onClick=${() => set({ way: "release", of: one })}>Remove …</button>`}>
      <td class="nowrap">${one.until === null ? "no end" : html`<${When} at=${one.until} />`}${!one.in_force && html` <${Chip} kind="warning">ended<//>`}</td>
      <td class="wide"><${Name} of=${one.reason} /></td><//>`)} />
    ${!may("admin") && holds.length > 0 && html`<p class="quiet small">Only an administrator may remove a hold.</p>`}</section>`;
}

// What a name or a hold is made of, then what it will do, then its confirmation.
function Make({ overview, wish, targets, done, cancel }) {
  const holds = wish.way === "hold";
  const [given, setGiven] = useState({ name: wish.of?.name ?? "", target: wish.of?.target ?? (holds ? targets[0] : ""), reason: "", until: "", asked: wish.of ? { offset: wish.of.offset } : null });
  const [isRead, setRead] = useState(false);
  const { moment, error } = useMoment(given.asked ?? (overview.status?.log.last_cut_offset ? { offset: overview.status.log.last_cut_offset } : null));
  const asking = useAsking(done);
  const set = (some) => setGiven({ ...given, ...some });
  const request = () => holds
    ? { verb: "hold create", name: given.name, on: given.target, reason: given.reason, to_offset: moment.at.offset, until: given.until ? `${given.until}:00Z` : null }
    : { verb: "points create", name: given.name, to_offset: moment.at.offset, targets: given.target ? [given.target] : [] };
  const field = (name) => (event) => set({ [name]: event.target.value });
  const read = (event) => {
    event.preventDefault();
    if (moment) setRead(true);
  };
  const title = holds ? "Hold a cut" : "Name a point";
  if (isRead) {
    return html`<section class="card restore"><div class="head"><h1>${title}</h1></div>
      <dl class="facts wide"><${Fact} name=${holds ? "Hold" : "Name"}><strong><${Name} of=${given.name} /></strong><//>
        <${Fact} name="On">${given.target ? html`<${Name} of=${given.target} />` : "every target"}<//>
        <${Fact} name="Cut"><${When} at=${moment.at.source_time} millis zone /> <span class="quiet">cut ${count(moment.at.cut)}, offset ${moment.at.offset}</span><//>
        ${holds && html`<${Fact} name="Reason"><${Name} of=${given.reason} /><//><${Fact} name="Until">${given.until ? html`<${When} at=${`${given.until}:00Z`} />` : "no end"}<//>`}</dl>
      <p>${holds ? "Its inventory is written once more, and its bytes are kept until the hold ends or is removed." : "Nothing is copied, and nothing is kept from expiring."}</p>
      ${asking.error && html`<${Trouble} error=${asking.error} />`}
      <div class="next"><button type="button" onClick=${() => setRead(false)}>Back</button>
        <button class="primary" type="button" disabled=${asking.busy} onClick=${() => asking.ask(request())}>${asking.busy ? "Asking …" : holds ? "Hold it" : "Name it"}</button></div></section>`;
  }
  return html`<section class="card restore"><div class="head"><h1>${title}</h1></div><form onSubmit=${read}>
    <${Timeline} overview=${overview} asked=${given.asked} onChoose=${(asked) => set({ asked })} />
    <div class="wish below">
      <label>Name <input required pattern=${NAME} autocomplete="off" spellcheck=${false} title="letters, digits, dots, dashes and underscores" value=${given.name} onInput=${field("name")} /></label>
      <${Choice} name="On" value=${given.target} options=${targets} none=${holds ? undefined : "every target"} set=${(target) => set({ target })} />
      ${holds && html`<label>Reason <input required maxlength="500" value=${given.reason} onInput=${field("reason")} /></label>
        <label>Until (UTC) <input type="datetime-local" value=${given.until} onInput=${field("until")} /></label>`}</div>
    ${error && html`<${Trouble} error=${error} />`}
    <div class="next"><p aria-live="polite">${moment ? html`<strong><${When} at=${moment.at.source_time} millis zone /></strong> <span class="quiet">cut ${count(moment.at.cut)}, offset ${moment.at.offset}${given.asked ? "" : ": the newest"}</span>`
      : html`<span class="quiet">Choose a moment.</span>`}</p>
      <button type="button" onClick=${cancel}>Cancel</button><button class="primary" type="submit" disabled=${!moment}>Continue</button></div></form></section>`;
}

function Unmake({ wish, done, cancel }) {
  const { of } = wish;
  const asking = useAsking(done);
  const released = wish.way === "release";
  const asked = released ? { verb: "hold remove", name: of.name, on: of.target } : { verb: "points remove", name: of.name, targets: [of.target] };
  return html`<section class="card restore"><div class="head"><h1>${released ? "Remove a hold" : "Forget a name"}</h1></div>
    <${Confirm} typed=${of.name} action=${released ? "Remove the hold" : "Forget the name"} run=${() => asking.ask(asked)} back=${cancel} busy=${asking.busy ? "Asking …" : ""} error=${asking.error}>
      <strong><${Name} of=${of.name} /></strong> on <strong><${Name} of=${of.target} /></strong>, the cut of <${When} at=${of.source_time} millis />${released
        ? ": from the next expiry on it may be deleted like any other cut." : ": the cut stays as it is, and can be found by its time only."}<//></section>`;
}

const named = (points) => points.targets.flatMap((kept) => kept.named.map((one) => ({ ...one, target: kept.target })));

export function PointsView({ overview, may }) {
  const [wish, setWish] = useState(null);
  const known = useAnswer("v1/points", { query: { limit: 1 }, everyMs: EVERY_MS });
  const held = useAnswer("v1/holds", { everyMs: EVERY_MS });
  const error = known.error ?? held.error;
  const targets = overview.stores.map((one) => one.target);
  const done = () => {
    setWish(null);
    known.look();
    held.look();
  };
  if (wish) {
    const View = wish.way === "hold" || wish.way === "name" ? Make : Unmake;
    return html`<${View} key=${`${wish.way}${wish.of?.target}${wish.of?.name}`} overview=${overview} wish=${wish} targets=${targets} done=${done} cancel=${() => setWish(null)} />`;
  }
  return html`<div class="head"><h1>Points and holds</h1></div>
    ${error && html`<${Trouble} error=${error} />`}
    ${known.data && html`<${Points} points=${named(known.data.result)} set=${setWish} may=${may} />`}
    ${held.data && html`<${Holds} holds=${held.data.result.holds} set=${setWish} may=${may} />`}
    ${held.data?.result.faults.map((fault) => html`<p key=${fault} class="said bad">damaged: ${printable(fault)}</p>`)}`;
}
