// Draws one dashboard: ?dashboard=NAME&prometheus=URL&from=SECONDS&to=SECONDS&step=SECONDS&rate=INTERVAL
import { createElement as h } from "react";
import { createRoot } from "react-dom/client";
import { createTheme, ThemeContext } from "@grafana/data";
import { GlobalStyles, PanelChrome } from "@grafana/ui";

import { prepare } from "./grafana.js";
import { framesOf } from "./prometheus.js";
import { draw } from "./panels.js";

const CELL = 30;
const GAP = 8;
const WIDTH = 1440;

const asked = Object.fromEntries(new URLSearchParams(location.search));
const theme = createTheme({ colors: { mode: "dark" } });

function place({ x, y, w, h: height }) {
  const column = (WIDTH - 2 * GAP) / 24;
  return {
    left: GAP + x * column,
    top: 44 + GAP + y * (CELL + GAP),
    width: w * column - GAP,
    height: height * (CELL + GAP) - GAP,
  };
}

function Row({ panel }) {
  const { left, top, width, height } = place(panel.gridPos);
  const style = { position: "absolute", left, top, width, height, display: "flex", alignItems: "center", gap: 8 };
  const title = h("span", { style: { fontSize: 16, fontWeight: 500 } }, panel.title);
  const hidden = panel.collapsed ? h("span", { style: { opacity: 0.6 } }, `(${panel.panels.length} panels)`) : null;
  return h("div", { style }, panel.collapsed ? "▸" : "▾", title, hidden);
}

function Panel({ panel, frames }) {
  const { left, top, width, height } = place(panel.gridPos);
  const inside = (w, hh) => draw({ panel, frames, width: w, height: hh, theme, asked });
  const chrome = h(PanelChrome, { title: panel.title, description: panel.description, width, height, children: inside });
  return h("div", { style: { position: "absolute", left, top, width, height } }, chrome);
}

async function show() {
  const dashboard = await (await fetch(`./grafana/${asked.dashboard}.json`)).json();
  const panels = dashboard.panels;
  const { multi } = dashboard.templating.list.find(({ name }) => name === "cache");
  if (multi) delete asked.cache; // all of them
  const loaded = await Promise.all(panels.map((panel) => (panel.type === "row" ? null : framesOf(panel, asked, theme))));
  const bottom = Math.max(...panels.map(({ gridPos }) => place(gridPos).top + place(gridPos).height)) + GAP;
  const head = { position: "absolute", left: GAP, top: GAP, fontSize: 18, fontWeight: 500 };
  const drawn = panels.map((panel, index) =>
    panel.type === "row" ? h(Row, { key: panel.id, panel }) : h(Panel, { key: panel.id, panel, frames: loaded[index] }),
  );
  const page = h(
    "div",
    { id: "page", style: { position: "relative", width: WIDTH, height: bottom, background: theme.colors.background.canvas } },
    h(GlobalStyles),
    h("div", { style: head }, dashboard.title),
    drawn,
  );
  createRoot(document.getElementById("root")).render(h(ThemeContext.Provider, { value: theme }, page));
  setTimeout(() => (document.title = "drawn"), 1500);
}

prepare();
show().catch((error) => {
  document.title = `failed: ${error.stack}`;
});
