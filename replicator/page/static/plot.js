// uPlot in a component: drawn again when its data, its width or the colours change.

import { useEffect, useRef } from "./vendor/hooks.js";
import { html } from "./html.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

// A colour of page.css, for a canvas.
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// `options()` is called for each drawing, so that it takes the colours of the moment.
export function Plot({ data, options, height, label }) {
  const place = useRef(null);
  const plot = useRef(null);
  const key = JSON.stringify([height]);
  useEffect(() => {
    const draw = () => {
      plot.current?.destroy();
      plot.current = new self.uPlot({ width: place.current.clientWidth, height, ...options() }, data, place.current);
    };
    draw();
    const watch = new ResizeObserver(() => place.current && plot.current?.setSize({ width: place.current.clientWidth, height }));
    watch.observe(place.current);
    dark.addEventListener("change", draw);
    return () => {
      watch.disconnect();
      dark.removeEventListener("change", draw);
      plot.current?.destroy();
      plot.current = null;
    };
  }, [data, key]);
  return html`<div class="plot" role="img" aria-label=${label} ref=${place}></div>`;
}

const LABEL_PX = 18;

export const utcTicks = (chart, splits, axis, space, step) => splits.map((at) => {
  if (chart.valToPos(at, "x") > chart.over.clientWidth - LABEL_PX) return ""; // it would be cut off
  const text = new Date(at * 1000).toISOString();
  if (step >= 86_400) return text.slice(5, 10);
  return step >= 60 ? `${text.slice(11, 16)}` : text.slice(11, 19);
});

export function axes(values, width = 56, filter = undefined) {
  const line = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  return [
    { ...line, grid: { show: false }, values: utcTicks, size: 28, space: 70 },
    { ...line, size: width, ...(filter && { filter, grid: { ...line.grid, filter } }), values: (chart, splits) => splits.map(values), space: 28 },
  ];
}
