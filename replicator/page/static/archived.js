// The moments that a store restores by itself: for when the log is lost, or the machine that had it.

import { useEffect, useState } from "./vendor/hooks.js";
import { html } from "./html.js";
import { Empty, Name, Trouble, When } from "./parts.js";
import { count, counted, printable } from "./words.js";
import { Witness } from "./plan.js";
import { ended, submit } from "./work.js";

const LIMIT = 200;

// What `points --from` says, as a job of the service: it alone reads what a store holds.
function useArchived(store, logId) {
  const [state, setState] = useState({ found: null, error: null });
  useEffect(() => {
    const given_up = new AbortController();
    setState({ found: null, error: null });
    submit({ verb: "points", from_store: store, log_id: logId || null, limit: LIMIT })
      .then((job) => ended(job, given_up.signal))
      .then((job) => setState({ found: job.document.result, error: null }))
      .catch((error) => given_up.signal.aborted || setState({ found: null, error }));
    return () => given_up.abort();
  }, [store, logId]);
  return state;
}

function Cut({ one, name = "", chosen, choose, logId }) {
  return html`<li><button type="button" class="moment" aria-pressed=${String(chosen?.offset === one.offset)}
    onClick=${() => choose({ cut: one.cut, offset: one.offset, source_time: one.source_time, log_id: logId || null, warning: "" })}>
    <span class="when"><${When} at=${one.source_time} zone /></span>
    <span class="what">${name ? html`<strong><${Name} of=${name} /></strong>` : printable(one.what || "a change")}</span>
    <span class="go">cut ${count(one.cut)}, offset ${one.offset}</span></button></li>`;
}

// Without its witness a store is restored only by somebody who says so.
function LeftOut({ said, without, leaveOut }) {
  if (!said) return null;
  return html`<${Witness} said=${said} />
    ${said.verdict !== "newest" && html`<label class="check"><input type="checkbox" checked=${without} onChange=${(event) => leaveOut(event.target.checked)} />
      Restore without the witness: nothing proves that these are its newest moments</label>`}`;
}

export function Archived({ store, chosen, choose, without, leaveOut }) {
  const [logId, setLogId] = useState("");
  const { found, error } = useArchived(store, logId);
  if (error) return html`<${Trouble} error=${error} />`;
  if (!found) return html`<p class="quiet" role="status">Reading the store of <${Name} of=${store} /> …</p>`;
  const kept = found.targets[0];
  const others = logId ? [] : kept.other_logs;
  const named = kept.named.filter((one) => !one.expired);
  return html`
    ${kept.windows.map((one) => html`<p key=${one.first.offset} class="quiet"><${Name} of=${store} /> alone restores any moment from <${When} at=${one.first.source_time} /> to <${When} at=${one.last.source_time} />.</p>`)}
    ${kept.faults.map((fault) => html`<p key=${fault} class="said bad">damaged: ${printable(fault)}</p>`)}
    <${LeftOut} said=${kept.witness} without=${without} leaveOut=${leaveOut} />
    ${others.map((one) => html`<p key=${one} class="said">It keeps another log, too. <button type="button" onClick=${() => { choose(null); setLogId(one); }}>Show <code>${printable(one)}</code></button></p>`)}
    ${found.last ? html`<ul class="accidents below" aria-label="Moments">
      <${Cut} one=${found.last} name="the newest cut" chosen=${chosen} choose=${choose} logId=${logId} />
      ${named.map((one) => html`<${Cut} key=${one.name} one=${one} name=${one.name} chosen=${chosen} choose=${choose} logId=${logId} />`)}
      ${found.points.toReversed().map((one) => html`<${Cut} key=${one.offset} one=${one} chosen=${chosen} choose=${choose} logId=${logId} />`)}</ul>
      <p class="quiet small after-list">${counted(found.points.length, "cut")} with a change, of ${count(found.cuts)}.</p>`
      : html`<${Empty}>Its store has no cut of this log.<//>`}`;
}
