// What Grafana's own start does for its packages: registries of field options and of transformations.
import {
  FieldConfigOptionsRegistry,
  standardFieldConfigEditorRegistry,
  standardTransformers,
  standardTransformersRegistry,
} from "@grafana/data";

const STANDARD = ["unit", "decimals", "min", "max", "displayName", "color", "thresholds", "mappings", "noValue", "links"];
const CUSTOM = [
  "drawStyle", "lineInterpolation", "lineWidth", "lineStyle", "fillOpacity", "showPoints", "pointSize", "spanNulls",
  "stacking", "scaleDistribution", "thresholdsStyle", "axisPlacement", "hideFrom", "cellOptions", "width",
];

function item(id, isCustom) {
  return {
    id: isCustom ? `custom.${id}` : id,
    path: id,
    name: id,
    isCustom,
    process: (value) => value,
    shouldApply: () => true,
  };
}

export const registry = new FieldConfigOptionsRegistry();

export function prepare() {
  const items = [...STANDARD.map((id) => item(id, false)), ...CUSTOM.map((id) => item(id, true))];
  items.forEach((each) => registry.register(each));
  standardFieldConfigEditorRegistry.setInit(() => STANDARD.map((id) => item(id, false)));
  const needed = ["joinByField", "filterFieldsByName", "organize"];
  const all = Object.values(standardTransformers);
  const found = needed.map((id) => all.find((one) => one.id === id)); // one id has two names
  standardTransformersRegistry.setInit(() =>
    found.map((one) => ({ id: one.id, name: one.name, transformation: async () => one })),
  );
}
