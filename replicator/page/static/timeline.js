// The restorable window: changes as bars, each target's windows, gaps and marks below them, and a
// slider over both to choose a moment.

import { useEffect, useMemo, useRef, useState } from "./vendor/hooks.js";
import { html } from "./html.js";
import { ask, useAnswer } from "./api.js";
import { Plot, axes, colour } from "./plot.js";
import { Chip, Empty, Name, Trouble, When } from "./parts.js";
import { count, counted, duration, printable, seconds, size, time } from "./words.js";

const SPANS = [["1 h", 3600], ["6 h", 21_600], ["24 h", 86_400], ["7 d", 604_800], ["30 d", 2_592_000], ["All", 0]];
const COLUMNS = innerWidth < 720 ? 100 : 300;
const GUTTER = 56;
const LANES_MAX = 12;
const iso = (at) => new Date(at * 1000).toISOString();

function useRange(known) {
  const [range, setRange] = useState(null);
  const all = known ? [seconds(known.known_from ?? known.now), seconds(known.now)] : null;
  return { range: range ?? all, chosen: range, setRange, all };
}

function Bars({ found, range, onZoom }) {
  const [from, to] = range;
  const data = useMemo(() => {
    const columns = found.columns.filter((one) => one.events);
    const half = (to - from) / COLUMNS / 2;
    return [
      columns.map((one) => seconds(one.begins) + half),
      columns.map((one) => one.events),
      columns.map((one) => one.lost || null),
    ];
  }, [found]);
  const options = () => {
    const bars = self.uPlot.paths.bars({ size: [0.9, 10, 2] });
    return {
      padding: [10, 0, 0, 0],
      legend: { show: false },
      cursor: { y: false, x: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
      scales: { x: { time: true, range: [from, to] }, y: { distr: 3, log: 10, clamp: 1, range: (chart, low, high) => [0.7, Math.max(high ?? 0, 10) * 1.3] } },
      axes: axes((one) => (one === null ? "" : count(one)), GUTTER, (chart, splits) => splits.map((one) => (Math.log10(one) % 1 ? null : one))),
      series: [{}, { fill: colour("accent"), stroke: colour("accent"), width: 0, paths: bars, points: { show: false } },
        { fill: colour("bad"), stroke: colour("bad"), width: 0, paths: bars, points: { show: false } }],
      hooks: { setSelect: [(chart) => {
        const { left, width } = chart.select;
        if (width > 8) onZoom([chart.posToVal(left, "x"), chart.posToVal(left + width, "x")]);
      }] },
    };
  };
  return html`<${Plot} data=${data} options=${options} height=${150}
    label=${`Changes at the source: ${counted(found.cuts_between, "cut")} from ${time(found.begins)} to ${time(found.ends)}`} />`;
}

function Lane({ lane, range, chosen }) {
  const [from, to] = range;
  const place = (at) => Math.min(100, Math.max(0, ((seconds(at) - from) / (to - from)) * 100));
  const inside = (at) => seconds(at) >= from && seconds(at) <= to;
  const stretch = (one) => {
    const left = place(one.begins);
    return { left: `min(${left}%, 100% - 3px)`, width: `max(3px, ${place(one.ends) - left}%)` };
  };
  const promised = lane.promised && { begins: lane.promised.begins ?? iso(from), ends: lane.promised.ends };
  const within = (one) => seconds(one.ends) >= from && seconds(one.begins) <= to;
  return html`<div class="lane">
    <div class="lane-name"><${Name} of=${lane.target} />${lane.held_back > 0 && html`<span class="quiet"> ${lane.held_back} more not shown</span>`}</div>
    <div class="track">
      ${(lane.windows ?? []).filter(within).map((one, index) => html`<span key=${`w${index}`} class="window" style=${stretch(one)}
        title=${`restorable from ${time(one.begins)} to ${time(one.ends)}`}></span>`)}
      ${promised && within(promised) && html`<span class="promised" style=${stretch(promised)}
        title=${`promised ${lane.promised.begins ? `from ${time(promised.begins)} ` : ""}to ${time(promised.ends)}`}></span>`}
      ${(lane.missed ?? []).filter(within).map((one, index) => html`<span key=${`p${index}`} class="promised missed" style=${stretch(one)}
        title=${`promised, and not restorable, from ${time(one.begins)} to ${time(one.ends)}`}></span>`)}
      ${(lane.gaps ?? []).filter(within).map((one, index) => html`<span key=${`g${index}`} class="gap" style=${stretch(one)}
        title=${`${counted(one.rows, "row")} missing from ${time(one.begins)} to ${time(one.ends)}`}></span>`)}
      ${(lane.marks ?? []).filter((one) => inside(one.source_time)).map((one) => html`<button type="button" key=${`${one.kind}${one.name}`}
        class=${`mark ${one.kind} ${one.expired ? "expired" : ""}`} style=${{ left: `${place(one.source_time)}%` }}
        title=${`${one.kind} ${printable(one.name)}${one.reason ? `: ${printable(one.reason)}` : ""}${one.expired ? ", expired" : ""}`}
        aria-label=${`${one.kind} ${printable(one.name)} at ${time(one.source_time)}`}
        onClick=${() => chosen({ offset: one.offset })}></button>`)}
      ${(lane.drills ?? []).filter((one) => one.source_time && inside(one.source_time)).map((one, index) => html`<span key=${`d${index}`}
        class=${`drill ${one.good ? "good" : "bad"}`} style=${{ left: `${place(one.source_time)}%` }} role="img"
        title=${`drilled ${time(one.at)}: ${one.good ? "good" : "went wrong"}`} aria-label=${`a ${one.good ? "good" : "bad"} drill of ${time(one.source_time)}`}></span>`)}
    </div>
  </div>`;
}

const Legend = ({ lanes }) => {
  const has = (test) => lanes.some(test);
  return html`<p class="legend keys">
    <span><i class="key accent"></i>changes</span><span><i class="key bad"></i>segments lost</span>
    <span><i class="key window"></i>restorable</span>
    ${has((one) => one.promised) && html`<span><i class="key promised"></i>promised</span>`}
    ${has((one) => one.missed?.length) && html`<span><i class="key promised missed"></i>promised, not restorable</span>`}
    ${has((one) => one.gaps?.length) && html`<span><i class="key gap"></i>gap</span>`}
    ${has((one) => one.marks?.some((mark) => mark.kind === "point")) && html`<span><i class="key point"></i>named point</span>`}
    ${has((one) => one.marks?.some((mark) => mark.kind === "hold")) && html`<span><i class="key hold"></i>hold</span>`}
    ${has((one) => one.drills?.length) && html`<span><i class="key drill"></i>drilled</span>`}
  </p>`;
};

// The cut that a moment means, in words, with steps to those beside it.
export function Chosen({ moment, go }) {
  const { at } = moment;
  const step = (to, words, text) => html`<button type="button" disabled=${!to} aria-label=${words}
    onClick=${() => go({ offset: to.offset })}>${text}</button>`;
  const able = moment.targets.filter((one) => one.restorable);
  return html`<div class="chosen">
    <div class="steps" role="group" aria-label="Go to another cut">
      ${step(moment.changed_before, "previous change", "‹ change")}
      ${step(moment.before, "previous cut", "‹ cut")}
      ${step(moment.after, "next cut", "cut ›")}
      ${step(moment.changed_after, "next change", "change ›")}
    </div>
    <p class="cut" aria-live="polite"><strong><${When} at=${at.source_time} millis zone /></strong>
      <span class="quiet">cut ${count(at.cut)}, offset ${at.offset}</span></p>
    <p class="what">${moment.what ? printable(moment.what) : at.events ? counted(at.events, "event") : "no change"}${
      at.new_bytes ? `, ${size(at.new_bytes)} new` : ""}</p>
    <p>${able.length
      ? able.map((one) => html`<${Chip} key=${one.target} kind=${one.gaps ? "warning" : "good"}>${printable(one.target)}: ${one.gaps ? counted(one.gaps, "gap") : "restorable"}<//> `)
      : html`<${Chip} kind="bad">no target's store restores it<//>`}</p>
  </div>`;
}

// The cut that was asked for, by offset or time; null: none was.
export function useMoment(asked, told) {
  const [state, setState] = useState({ moment: null, error: null });
  const key = JSON.stringify(asked);
  useEffect(() => {
    if (!asked) return undefined;
    const given_up = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const moment = await ask("v1/page/moment", { query: asked, signal: given_up.signal });
        setState({ moment, error: null });
        told?.(moment);
      } catch (error) {
        if (!given_up.signal.aborted) setState((known) => ({ ...known, error }));
      }
    }, 80);
    return () => {
      clearTimeout(timer);
      given_up.abort();
    };
  }, [key]);
  return state;
}

// Of many targets those that lack something first.
function foremost(lanes) {
  if (lanes.length <= LANES_MAX) return lanes;
  const lack = (one) => (one.missed?.length ? 2 : 0) + (one.gaps?.length ? 1 : 0);
  return lanes.toSorted((a, b) => lack(b) - lack(a)).slice(0, LANES_MAX);
}

export function Timeline({ overview, asked: given, onChoose, title, action }) {
  const [own, setOwn] = useState(null);
  const [every, setEvery] = useState(false);
  const asked = given === undefined ? own : given;
  const go = onChoose ?? setOwn;
  const cut = overview.status?.log.last_cut_offset ?? 0;
  const whole = useAnswer("v1/page/timeline", { query: { columns: COLUMNS, seen: cut } });
  const { range, chosen: zoomed, setRange, all } = useRange(whole.data);
  const query = zoomed ? { begins: iso(zoomed[0]), ends: iso(zoomed[1]), columns: COLUMNS, seen: cut } : {};
  const part = useAnswer("v1/page/timeline", { query, when: Boolean(zoomed) });
  const { moment, error } = useMoment(asked);
  if (whole.error && !whole.data) return html`<${Trouble} error=${whole.error} />`;
  if (!whole.data) return html`<p class="quiet">Loading …</p>`;
  if (!whole.data.cuts) return html`<${Empty}>The log has no cut yet: <code>replicator run</code> watches the source.<//>`;
  const lanes = every ? whole.data.lanes : foremost(whole.data.lanes);
  const found = zoomed && part.data ? part.data : whole.data;
  const [from, to] = range;
  const at = moment ? seconds(moment.at.source_time) : null;
  const spans = SPANS.filter(([, length]) => !length || length < all[1] - all[0]);
  const zoom = (length) => {
    if (!length) return setRange(null);
    const middle = at !== null && at < all[1] - length ? at : all[1] - length / 2;
    return setRange([Math.max(all[0], middle - length / 2), Math.min(all[1], middle + length / 2)]);
  };
  return html`<div class="timeline">
    <div class="head">${title}<div class="spans" role="group" aria-label="How much of it is shown">
      ${spans.length > 1 && spans.map(([name, length]) => html`<button type="button" key=${name}
        aria-pressed=${String(length ? zoomed !== null && Math.round(zoomed[1] - zoomed[0]) === length : zoomed === null)}
        onClick=${() => zoom(length)}>${name}</button>`)}${action}
    </div></div>
    <${Bars} found=${found} range=${range} onZoom=${setRange} />
    <div class="lanes">
      ${lanes.map((lane) => html`<${Lane} key=${lane.target} lane=${lane} range=${range} chosen=${go} />`)}
      ${at !== null && at >= from && at <= to && html`<div class="cursor-track"><span class="cursor"
        style=${{ left: `${((at - from) / (to - from)) * 100}%` }}></span></div>`}
    </div>
    <div class="slider"><input type="range" min=${Math.floor(from * 1000)} max=${Math.ceil(to * 1000)} step=${Math.max(1, Math.round((to - from) * 1000 / 500))}
      value=${Math.round((at ?? to) * 1000)} aria-label="Moment"
      aria-valuetext=${at === null ? "none chosen" : `${time(moment.at.source_time)} UTC`}
      onInput=${(event) => go({ time: new Date(Number(event.target.value)).toISOString() })} /></div>
    <${Legend} lanes=${whole.data.lanes} />
    ${lanes.length < whole.data.lanes.length && html`<p class="quiet small">${lanes.length} of ${whole.data.lanes.length} targets. <button type="button" onClick=${() => setEvery(true)}>Show all</button></p>`}
    ${error && html`<p class="said bad" role="alert">${printable(error.message)}</p>`}
    ${moment ? html`<${Chosen} moment=${moment} go=${go} />`
      : html`<p class="quiet small">Move the slider to a moment, or drag over the bars to look closer.</p>`}
  </div>`;
}
