// Lag and throughput.

import { useMemo } from "./vendor/hooks.js";
import { html } from "./html.js";
import { useAnswer } from "./api.js";
import { Plot, axes, colour } from "./plot.js";
import { Empty } from "./parts.js";
import { duration, printable, seconds, size } from "./words.js";

const LINES = ["accent", "second", "third", "fourth"];
const HEIGHT = 170;
const NAMED_MAX = 8;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const COLUMNS = 96;

// Columns of several targets over all times at which one of them was looked at.
function joined(targets) {
  const times = [...new Set(targets.flatMap((one) => one.points.map((point) => seconds(point.at))))].sort((a, b) => a - b);
  const place = new Map(times.map((at, index) => [at, index]));
  return [times, ...targets.map((one) => {
    const column = times.map(() => undefined);
    for (const point of one.points) column[place.get(seconds(point.at))] = point.lag_s;
    return column;
  })];
}

export function LagChart({ trend, targets }) {
  // Of many targets the lines of those that are the furthest behind.
  const late = new Map(targets.map((one) => [one.target, one.lag_seconds ?? 0]));
  const all = trend?.targets ?? [];
  const shown = all.length > LINES.length ? all.toSorted((a, b) => (late.get(b.target) ?? 0) - (late.get(a.target) ?? 0)).slice(0, LINES.length) : all;
  const data = useMemo(() => joined(shown), [trend]);
  const more = targets.length > NAMED_MAX ? ` and ${targets.length - NAMED_MAX} more` : "";
  const now = targets.toSorted((a, b) => (b.lag_seconds ?? 0) - (a.lag_seconds ?? 0)).slice(0, NAMED_MAX).map((one) => `${printable(one.target)} ${duration(one.lag_seconds)}`).join(", ") + more;
  const options = () => ({
    padding: [8, 16, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: true }, y: { range: (chart, low, high) => [0, Math.max(high ?? 0, 1) * 1.15] } },
    axes: axes(duration),
    series: [{}, ...shown.map((one, index) => ({ stroke: colour(LINES[index]), width: 2, spanGaps: true, points: { show: data[0].length < 3, size: 5 } }))],
  });
  return html`<figure class="card chart">
    <figcaption><h2>Lag</h2><span class="legend">${shown.map((one, index) => html`<span key=${one.target}>
      <i class=${`key ${LINES[index]}`}></i><bdi>${printable(one.target)}</bdi></span>`)}</span></figcaption>
    ${data[0].length ? html`<${Plot} data=${data} options=${options} height=${HEIGHT} label=${`Lag of each target. Now: ${now}`} />`
      : html`<${Empty}>The first look is on its way.<//>`}
    <p class="quiet small">Since this service started, a day at most. Now: ${now || "–"}.</p>
  </figure>`;
}

export function ThroughputChart({ overview }) {
  const end = overview.status.log.last_cut_source_time;
  const span = end ? Math.min(DAY_MS, Math.max(HOUR_MS, new Date(end) - new Date(overview.log.known_from))) : DAY_MS;
  const begins = end ? new Date(new Date(end).getTime() - span).toISOString() : null;
  const minute = end ? end.slice(0, 16) : "";
  const query = useMemo(() => ({ begins, ends: end, columns: COLUMNS }), [minute]);
  const found = useAnswer("v1/page/timeline", { query, when: Boolean(end) });
  const columns = found.data?.columns ?? [];
  const width = span / 1000 / COLUMNS;
  const words = duration(span / 1000);
  const data = useMemo(() => {
    if (!found.data) return [[], []];
    const from = seconds(found.data.begins);
    const values = new Map(columns.map((one) => [Math.floor((seconds(one.begins) - from) / width + 0.01), one.new_bytes]));
    const places = Array.from({ length: COLUMNS }, (_, index) => index);
    return [places.map((one) => from + (one + 0.5) * width), places.map((one) => values.get(one) ?? 0)];
  }, [found.data]);
  const total = columns.reduce((sum, one) => sum + one.new_bytes, 0);
  const measured = overview.status.targets.filter((one) => one.bytes_per_second !== null);
  const rates = measured.slice(0, NAMED_MAX).map((one) => `${printable(one.target)} ${size(one.bytes_per_second)}/s`).join(", ") + (measured.length > NAMED_MAX ? ` and ${measured.length - NAMED_MAX} more` : "");
  const options = () => ({
    padding: [8, 16, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: true }, y: { range: (chart, low, high) => [0, Math.max(high ?? 0, 1024) * 1.15] } },
    axes: axes(size, 72),
    series: [{}, { fill: colour("accent"), stroke: colour("accent"), width: 0, paths: self.uPlot.paths.bars({ size: [0.8, 24] }), points: { show: false } }],
  });
  return html`<figure class="card chart">
    <figcaption><h2>New data</h2><span class="legend">${size(total)} in ${words}</span></figcaption>
    ${found.data ? html`<${Plot} data=${data} options=${options} height=${HEIGHT}
      label=${`New segments of the source: ${size(total)} in ${words}`} />` : html`<${Empty}>No cut yet.<//>`}
    <p class="quiet small">Unpacked size of the source's new segments, by ${duration(width)}.
      ${rates && ` Copied at ${rates} when last measured.`}</p>
  </figure>`;
}
