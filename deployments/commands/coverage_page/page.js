"use strict";
const NARROW = matchMedia("(max-width: 700px)");
const DARK = matchMedia("(prefers-color-scheme: dark)");
// No mode bar: it is not reachable by keyboard, and one of its buttons uploads the chart to plotly.
const OPTIONS = {responsive: true, displayModeBar: false, showSendToCloud: false, plotlyServerURL: ""};
const FIGURES = JSON.parse(document.getElementById("figures").textContent);

// A colour is the name of a CSS variable, because its value depends on the theme.
function coloured(value, style) {
  if (typeof value === "string") {
    return value.startsWith("--") ? style.getPropertyValue(value).trim() || value : value;
  }
  if (Array.isArray(value)) {
    return value.map((one) => coloured(one, style));
  }
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, coloured(one, style)]));
  }
  return value;
}

function laidOut(layout) {
  const axes = Object.keys(layout).filter((name) => /^[xy]axis/.test(name));
  for (const name of axes) {
    Object.assign(layout[name], {
      gridcolor: "--grid", linecolor: "--grid", zerolinecolor: "--grid", tickcolor: "--grid", fixedrange: true,
    });
  }
  if (NARROW.matches) {
    layout.margin.r = 12;
    layout.font.size = 11;
    layout.xaxis.nticks = 4;
  }
  return layout;
}

function draw() {
  const style = getComputedStyle(document.documentElement);
  for (const [name, figure] of Object.entries(FIGURES)) {
    const {data, layout} = structuredClone(figure);
    Plotly.react(name, coloured(data, style), coloured(laidOut(layout), style), OPTIONS);
  }
}

draw();
for (const query of [NARROW, DARK]) {
  query.addEventListener("change", draw);
}
