// Drills with their evidence.

import { html } from "./html.js";
import { useAnswer } from "./api.js";
import { Age, Chip, Empty, Fact, Name, Trouble, When } from "./parts.js";
import { count, duration, printable, seconds, size } from "./words.js";

function Evidence({ one }) {
  const { restored, druid } = one;
  return html`<details class="card evidence"><summary>
      <${Chip} kind=${one.good ? "good" : "bad"}>${one.good ? "good" : "went wrong"}<//>
      <strong><${Name} of=${one.target} /></strong>
      <span>${restored ? html`cut ${count(restored.cut)} of <${When} at=${restored.source_time} />` : printable(one.point)}
        <span class="quiet"> · <${Age} at=${one.ended_at} /></span></span>
      <span class="recovery">recovered in ${duration(one.recovery_seconds)}</span>
    </summary>
    ${one.failure && html`<p class="said bad">${printable(one.failure)}</p>`}
    ${one.findings.map((finding, index) => html`<p key=${index} class="said bad">${printable(finding)}</p>`)}
    ${one.findings_count > one.findings.length && html`<p class="quiet">and ${one.findings_count - one.findings.length} more</p>`}
    <dl class="facts">
      <${Fact} name="Began"><${When} at=${one.started_at} /><//>
      <${Fact} name="Took">${duration(seconds(one.ended_at) - seconds(one.started_at))}<//>
      ${restored && html`<${Fact} name="Rows">${count(restored.rows)} <span class="quiet">${count(restored.segments)} segments</span><//>
        <${Fact} name="Bytes checked">${count(restored.objects)} locations<//>
        <${Fact} name="Digest"><code class="digest">${restored.digest}</code><//>`}
      <${Fact} name="Druid">${druid ? `${printable(druid.release)} served ${count(druid.segments)} segments, ${count(druid.rows)} rows` : "none tried"}<//>
      <${Fact} name="Program">${printable(one.program)}<//>
    </dl>
    <table class="list steps"><thead><tr><th scope="col">Step</th><th scope="col" class="number">Time</th><th scope="col" class="number">Bytes</th></tr></thead>
      <tbody>${one.steps.map((step) => html`<tr key=${step.step}><th scope="row">${step.step}</th>
        <td class="number">${duration(step.seconds)}</td><td class="number">${step.bytes === null ? "–" : size(step.bytes)}</td></tr>`)}</tbody></table>
  </details>`;
}

export function Drills({ overview }) {
  const found = useAnswer("v1/page/drills", { everyMs: 30_000 });
  const targets = overview.status?.targets ?? [];
  return html`<section><div class="head"><h1>Drills</h1></div>
    <p class="quiet lead">A drill restores a cut from a target's store alone into a scratch place, and verifies and times it.</p>
    ${found.error && html`<${Trouble} error=${found.error} />`}
    <div class="promise-lines">${targets.filter((one) => one.drill_promise_seconds !== null).map((one) => html`<p key=${one.target}>
      <${Chip} kind=${one.broken_promises.includes("drill.promise") ? "bad" : "good"}>${one.broken_promises.includes("drill.promise") ? "broken" : "kept"}<//>
      ${" "}<${Name} of=${one.target} />: a good drill each ${duration(one.drill_promise_seconds)} is promised.</p>`)}</div>
    ${found.data && (found.data.drills.length
      ? found.data.drills.map((one) => html`<${Evidence} key=${`${one.target}${one.started_at}`} one=${one} />`)
      : html`<div class="card"><${Empty}>No drill yet. <code>replicator drill ${targets[0] ? printable(targets[0].target) : "TARGET"}</code> does one.<//></div>`)}
  </section>`;
}
