// The shell: who is signed in, which view is shown, and what all views share.

import { h, render } from "./vendor/preact.js";
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { html } from "./html.js";
import { ask, onSignedOut, signIn, signOut, token, useAnswer } from "./api.js";
import { Age, Words, useNow } from "./parts.js";
import { printable, serviceSeconds, setServiceTime } from "./words.js";
import { Overview } from "./overview.js";
import { Datasources } from "./datasources.js";
import { Events } from "./events.js";
import { PointsView } from "./points.js";
import { Promote } from "./promote.js";
import { Restore } from "./restore.js";
import { Drills } from "./drills.js";
import { Upkeep } from "./upkeep.js";
import { Jobs } from "./jobs.js";

const LOOK_MS = 5_000;
const LATE_S = 8;
const VIEWS = [
  ["overview", "Overview", Overview],
  ["datasources", "Datasources", Datasources],
  ["log", "Log", Events],
  ["points", "Points", PointsView],
  ["restore", "Restore", Restore],
  ["drills", "Drills", Drills],
  ["upkeep", "Upkeep", Upkeep],
  ["jobs", "Jobs", Jobs],
];
// Views that another one leads to.
const FURTHER = [["promote", "Promote", Promote, "overview"]];
const viewOf = (name) => [...VIEWS, ...FURTHER].find(([one]) => one === name);
const ROLES = ["viewer", "operator", "admin"];

function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, ...rest] = path.split("/");
  return { view: view || "overview", rest, query: new URLSearchParams(query) };
}

function useRoute() {
  const [at, setAt] = useState(route);
  useEffect(() => {
    const moved = () => setAt(route());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return at;
}

function SignIn({ done, said }) {
  const [text, setText] = useState("");
  const submit = (event) => {
    event.preventDefault();
    signIn(text.trim());
    done();
  };
  return html`<main class="sign-in">
    <form class="card" onSubmit=${submit}>
      <h1>druid-replicator</h1>
      <label for="token">Token</label>
      <input id="token" type="password" autocomplete="current-password" required spellcheck=${false}
        value=${text} onInput=${(event) => setText(event.target.value)} />
      ${said && html`<p class="said bad" role="alert">${printable(said)}</p>`}
      <button class="primary" type="submit">Sign in</button>
      <p class="quiet">The token stays in this tab and is gone when you close it.
        An administrator makes one with <code>replicator token create NAME --role operator</code>.</p>
    </form>
  </main>`;
}

function Header({ at, me, overview }) {
  const source = me?.source;
  return html`<header class="top">
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>Skip to content</a>
    <div class="brand">
      <img src="icon.svg" alt="" width="24" height="24" />
      <span class="name">druid-replicator</span>
      ${source && html`<bdi class="source">${printable(source)}</bdi>`}
    </div>
    <nav aria-label="Views">
      ${VIEWS.map(([name, title]) => html`<a key=${name} href=${`#/${name}`}
        aria-current=${(viewOf(at.view)?.[3] ?? at.view) === name ? "page" : null}>${title}${name === "overview" && overview?.outlook.level !== "good"
          && overview ? html`<span class=${`dot ${overview.outlook.level}`} title="something is wrong"></span>` : null}</a>`)}
    </nav>
    ${me && html`<div class="who"><span><bdi>${printable(me.name)}</bdi> · ${me.role}</span>
      <button class="plain" type="button" onClick=${() => signOut()}>Sign out</button></div>`}
  </header>`;
}

// Whether the service answers, and how old what is shown is.
function Silence({ of }) {
  const now = useNow();
  const old = of.data && html` What you see is from <${Age} at=${of.data.now} />.`;
  if (of.error) return html`<div class="banner bad" role="alert"><strong><${Words} of=${of.error.message} />.</strong>${old}
    ${of.error.hint && html`<br /><span><${Words} of=${of.error.hint} /></span>`}</div>`;
  const late = of.waits ? now - serviceSeconds(of.waits) : 0;
  if (late < LATE_S) return null;
  return html`<div class="banner warning" aria-live="polite"><strong>The service is slow: its answer is awaited for ${Math.round(late)} s.</strong>${old}
    <br /><span>It may be reading a large log or be short of processor. Jobs that were begun go on meanwhile.</span></div>`;
}

function App() {
  const at = useRoute();
  // Over TLS a certificate may open the page without a token.
  const [signed, setSigned] = useState(Boolean(token()));
  useEffect(() => {
    if (!token() && location.protocol === "https:") ask("v1/page/me").then(() => setSigned(true), () => {});
  }, []);
  const [said, setSaid] = useState("");
  const main = useRef(null);
  const me = useAnswer("v1/page/me", { when: signed });
  const overview = useAnswer("v1/page/overview", { everyMs: LOOK_MS, when: signed });
  if (overview.data) setServiceTime(overview.data.now, overview.at);
  useEffect(() => onSignedOut((why) => {
    setSaid(why);
    setSigned(false);
  }), []);
  useEffect(() => {
    const found = viewOf(at.view);
    document.title = `${found ? found[1] : "Not found"} · druid-replicator`;
  }, [at.view]);
  if (!signed) return html`<${SignIn} said=${said} done=${() => setSigned(true)} />`;
  const [, , View] = viewOf(at.view) ?? VIEWS[0];
  const may = (role) => ROLES.indexOf(me.data?.role) >= ROLES.indexOf(role);
  return html`<${Header} at=${at} me=${me.data} overview=${overview.data} />
    <main id="main" tabindex="-1" ref=${main}>
      <${Silence} of=${overview} />
      ${overview.data
        ? html`<${View} at=${at} overview=${overview.data} look=${overview.look} may=${may} me=${me.data} />`
        : !overview.error && html`<p class="quiet loading">Loading …</p>`}
    </main>
    <footer class="quiet">All times are the source's own, in UTC.</footer>`;
}

const place = document.getElementById("app");
place.replaceChildren();
render(h(App), place);
