// The queries of a panel as data frames, in the shapes of Grafana's Prometheus data source.
import { applyFieldOverrides, cacheFieldDisplayNames, FieldType, toDataFrame, transformDataFrame } from "@grafana/data";
import { lastValueFrom } from "rxjs";

import { registry } from "./grafana.js";

export const plain = (text) => text;

function filled(expr, { rate, from, to, cache }) {
  return expr
    .replaceAll("$__rate_interval", rate)
    .replaceAll("$__range", `${Math.round(to - from)}s`)
    .replaceAll("$cache", cache || ".*")
    .replaceAll(/\$(job|instance|service|benchmark)/g, ".*");
}

async function ask(asked, path, parameters) {
  const url = new URL(`/api/v1/${path}`, asked.prometheus);
  Object.entries(parameters).forEach(([name, value]) => url.searchParams.set(name, value));
  const answer = await (await fetch(url)).json();
  if (answer.status !== "success") throw new Error(`${parameters.query}: ${answer.error}`);
  return answer.data.result;
}

function legend(format, labels) {
  return format.replaceAll(/{{\s*(\w+)\s*}}/g, (_, name) => labels[name] ?? "");
}

const number = (text) => (text === null ? null : text === "NaN" ? NaN : Number(text));

function seriesFrame(target, { metric, values }) {
  const { __name__, ...labels } = metric;
  const name = legend(target.legendFormat, metric) || __name__;
  const time = { name: "Time", type: FieldType.time, config: {}, values: values.map(([at]) => at * 1000) };
  const config = { displayNameFromDS: name };
  const value = { name: "Value", type: FieldType.number, labels, config, values: values.map(([, v]) => number(v)) };
  return toDataFrame({ refId: target.refId, name, fields: [time, value] });
}

// Steps without a sample are gaps, as Grafana shows them.
function withGaps({ metric, values }, { from, to, step }) {
  const known = new Map(values.map(([at, value]) => [Math.round(at * 1000), value]));
  const found = [];
  for (let at = Number(from); at <= Number(to); at += Number(step)) {
    const value = known.get(Math.round(at * 1000));
    found.push([at, value ?? null]);
  }
  return { metric, values: found.map(([at, value]) => [at, value]) };
}

function tableFrame(target, rows, several) {
  const names = [...new Set(rows.flatMap(({ metric }) => Object.keys(metric)))];
  const fields = names.map((name) => ({
    name,
    type: FieldType.string,
    config: {},
    values: rows.map(({ metric }) => metric[name] ?? ""),
  }));
  const time = { name: "Time", type: FieldType.time, config: {}, values: rows.map(({ value }) => value[0] * 1000) };
  const label = several ? `Value #${target.refId}` : "Value";
  const value = { name: label, type: FieldType.number, config: {}, values: rows.map(({ value: [, v] }) => number(v)) };
  return toDataFrame({ refId: target.refId, fields: [time, ...fields, value] });
}

async function targetFrames(target, asked, several) {
  const query = filled(target.expr, asked);
  if (target.instant) {
    const rows = await ask(asked, "query", { query, time: asked.to });
    if (target.format === "table") return rows.length ? [tableFrame(target, rows, several)] : [];
    return rows.map((row) => seriesFrame(target, { metric: row.metric, values: [row.value] }));
  }
  const { from, to, step } = asked;
  const rows = await ask(asked, "query_range", { query, start: from, end: to, step });
  return rows.map((row) => seriesFrame(target, withGaps(row, asked)));
}

export async function framesOf(panel, asked, theme) {
  if (panel.datasource.type !== "prometheus" || panel.type === "heatmap") return [];
  const several = panel.targets.length > 1;
  const found = (await Promise.all(panel.targets.map((target) => targetFrames(target, asked, several)))).flat();
  const changed = panel.transformations?.length && found.length
    ? await lastValueFrom(transformDataFrame(panel.transformations, found, { interpolate: plain }))
    : found;
  const shown = applyFieldOverrides({
    data: changed,
    fieldConfig: fieldConfig(panel),
    fieldConfigRegistry: registry,
    replaceVariables: plain,
    theme,
    timeZone: "utc",
  });
  cacheFieldDisplayNames(shown);
  return shown;
}

// Defaults that the plugins would add.
const DEFAULTS = {
  drawStyle: "line",
  lineInterpolation: "linear",
  lineWidth: 1,
  fillOpacity: 0,
  showPoints: "auto",
  pointSize: 5,
  axisPlacement: "auto",
  spanNulls: false,
  stacking: { mode: "none", group: "A" },
  scaleDistribution: { type: "linear" },
  thresholdsStyle: { mode: "off" },
  hideFrom: { legend: false, tooltip: false, viz: false },
};

export function fieldConfig(panel) {
  const config = structuredClone(panel.fieldConfig);
  const lines = panel.type === "timeseries";
  config.overrides ??= [];
  config.defaults.color ??= { mode: lines ? "palette-classic" : "thresholds" };
  if (lines) config.defaults.custom = { ...DEFAULTS, ...config.defaults.custom };
  delete config.defaults.links; // nobody clicks on a picture
  for (const steps of [config.defaults.thresholds, ...config.overrides.flatMap(thresholdsOf)]) {
    if (steps) steps.steps[0].value = -Infinity;
  }
  return config;
}

function thresholdsOf(rule) {
  rule.properties = rule.properties.filter(({ id }) => id !== "links");
  return rule.properties.filter(({ id }) => id === "thresholds").map(({ value }) => value);
}
