// Numbers, times and names as they are shown. The same words as on the command line.

// What a screen would act upon stands there as a mark, as in `replicator/model/shown.py`.
export function printable(text) {
  return String(text).replace(/[\p{C}\p{Z}]/gu, (one) => {
    const code = one.codePointAt(0);
    if (one === " ") return " ";
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    if (code === 0x7f) return "\u2421";
    return /[\p{Z}\u0085]/u.test(one) ? " " : "\ufffd";
  });
}

const UNITS = ["B", "KiB", "MiB", "GiB"];

export function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  let left = bytes;
  for (const unit of UNITS) {
    if (Math.abs(left) < 1024) return unit === "B" ? `${left.toFixed(0)} B` : `${left.toFixed(1)} ${unit}`;
    left /= 1024;
  }
  return `${left.toFixed(1)} TiB`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (Math.abs(seconds) < 10) return `${seconds.toFixed(1)} s`;
  if (Math.abs(seconds) < 120) return `${seconds.toFixed(0)} s`;
  if (Math.abs(seconds) < 7200) return `${(seconds / 60).toFixed(0)} min`;
  const hours = seconds / 3600;
  return Math.abs(hours) < 48 ? `${hours.toFixed(1)} h` : `${(hours / 24).toFixed(1)} days`;
}

// Whole seconds: what ticks should not flicker.
export function age(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const left = Math.max(0, Math.round(seconds));
  return `${left < 10 ? `${left} s` : duration(left)} ago`;
}

export function count(number) {
  return number === null || number === undefined ? "–" : number.toLocaleString("en-US").replaceAll(",", "\u202f");
}

export function counted(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

const two = (number) => String(number).padStart(2, "0");

// All times are the source's, in UTC: "2026-01-31 12:00:05".
export function time(text, { date = true, millis = false } = {}) {
  if (!text) return "–";
  const at = new Date(text);
  const day = `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`;
  const clock = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;
  const more = millis ? `.${String(at.getUTCMilliseconds()).padStart(3, "0")}` : "";
  return date ? `${day} ${clock}${more}` : `${clock}${more}`;
}

// The day only where it is another than today.
export function near(text, now) {
  if (!text) return "–";
  const same = new Date(text).toISOString().slice(0, 10) === new Date(now).toISOString().slice(0, 10);
  return time(text, { date: !same });
}

// The service's clock, as ages go by it: that of this machine may be wrong.
let skewMs = 0;

export function setServiceTime(text, receivedMs) {
  skewMs = new Date(text).getTime() - receivedMs;
}

// A time of this machine as the service's clock has it.
export const serviceSeconds = (ms) => (ms + skewMs) / 1000;

export const nowMs = () => Date.now() + skewMs;

export const seconds = (text) => new Date(text).getTime() / 1000;

export function listed(names) {
  if (names.length < 2) return names.join("");
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
