// Each type of panel by the component that Grafana itself draws it with; the others as a box with their name.
import { createElement as h } from "react";
import { dateTime, getFieldDisplayValues } from "@grafana/data";
import { BigValue, TimeSeries } from "@grafana/ui";
import { TableNG } from "@grafana/ui/unstable";

import { fieldConfig, plain } from "./prometheus.js";

function Box({ width, height, text, faint }) {
  const style = {
    width, height, display: "flex", alignItems: "center", justifyContent: "center", textAlign: "center",
    opacity: faint ? 0.6 : 0.9, border: faint ? "1px dashed #666" : "none", fontSize: faint ? 13 : 16,
  };
  return h("div", { style }, text);
}

function Stat({ panel, frames, width, height, theme }) {
  const { options } = panel;
  const shown = getFieldDisplayValues({
    data: frames, fieldConfig: fieldConfig(panel), reduceOptions: options.reduceOptions, replaceVariables: plain,
    theme, sparkline: options.graphMode !== "none", timeZone: "utc",
  });
  const each = { width: width, height: height / shown.length };
  return h("div", { style: { width, height } }, shown.map(({ display, sparkline }, index) =>
    h(BigValue, {
      key: index, ...each, value: display, sparkline, theme, count: shown.length, colorMode: options.colorMode,
      graphMode: options.graphMode, textMode: options.textMode, justifyMode: "auto",
    }),
  ));
}

function Lines({ panel, frames, width, height, asked }) {
  const from = dateTime(asked.from * 1000);
  const to = dateTime(asked.to * 1000);
  const timeRange = { from, to, raw: { from, to } };
  const children = () => null;
  const { legend } = panel.options;
  return h(TimeSeries, { frames, timeRange, timeZone: "utc", width, height, legend, options: panel.options, children });
}

function Table({ panel, frames, width, height }) {
  const sortBy = panel.options.sortBy;
  return h(TableNG, { data: frames[0], width, height, sortBy, structureRev: 1, enableVirtualization: false });
}

const DRAWN = { stat: Stat, timeseries: Lines, table: Table };

export function draw(given) {
  const { panel, frames, width, height } = given;
  const known = DRAWN[panel.type];
  if (!known || panel.datasource.type !== "prometheus") {
    return h(Box, { width, height, faint: true, text: `${panel.type}: drawn by Grafana only` });
  }
  const empty = !frames.length || frames.every((frame) => frame.length === 0);
  if (empty) return h(Box, { width, height, text: panel.fieldConfig.defaults.noValue });
  return h(known, given);
}
