// Numbers as people write and read them, in the same form as every other view of a report.

const SUFFIXES = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]];
const POWERS = { k: 1e3, m: 1e6, b: 1e9, g: 1e9, t: 1e12 };
export const MISSING = "–";

/** 7e9 as "7B", at most `digits` significant digits. */
export function count(value, digits = 3) {
  if (!Number.isFinite(value)) return infinite(value);
  const rounded = Number(value.toExponential(digits - 1));
  const size = Math.abs(rounded);
  if (size >= 1e15 || (size < 1e-3 && size > 0)) return exponent(rounded, digits);
  const [scale, suffix] = SUFFIXES.find(([one]) => size >= one) || [1, ""];
  return `${Number((rounded / scale).toPrecision(12))}${suffix}`;
}

/** 3.1e23 as "3.1e23". */
export function flops(value, digits = 3) {
  return Number.isFinite(value) && value !== 0 ? exponent(value, digits) : infinite(value);
}

function exponent(value, digits) {
  const [mantissa, power] = value.toExponential(digits - 1).split("e");
  return `${Number(mantissa)}e${Number(power)}`;
}

function infinite(value) {
  if (value === 0) return "0";
  if (value === Infinity) return "∞";
  return value === -Infinity ? "-∞" : MISSING;
}

/** To `digits` significant digits, exponents without padding. */
export function number(value, digits = 5) {
  if (!Number.isFinite(value)) return infinite(value);
  const size = Math.abs(value);
  if (size !== 0 && (size >= 10 ** Math.max(digits, 6) || size < 1e-4)) return exponent(value, digits);
  return String(Number(value.toPrecision(digits)));
}

export function loss(value) {
  return Number.isFinite(value) ? value.toFixed(4) : infinite(value);
}

export function percent(share, signed = false) {
  if (!Number.isFinite(share)) return infinite(share);
  const size = Math.abs(share);
  const decimals = size < 0.1 ? 2 : size < 1 ? 1 : 0;
  return `${signed && share > 0 ? "+" : ""}${(100 * share).toFixed(decimals)}%`;
}

/** The probability of an interval, to the digits that were asked for. */
export function levelText(level) {
  return `${Number((100 * level).toPrecision(10))}%`;
}

export function factor(value) {
  return `×${count(value)}`;
}

export function duration(days) {
  if (!Number.isFinite(days)) return infinite(days);
  if (days * 1440 < 2) return `${number(days * 86400, 2)} s`;
  if (days * 24 < 2) return `${number(days * 1440, 2)} min`;
  if (days < 2) return `${number(days * 24, 3)} h`;
  return days < 1000 ? `${number(days, 3)} days` : `${number(days / 365.25, 3)} years`;
}

const FORMS = {
  text: (v) => number(v), code: (v) => number(v), integer: (v) => Math.round(v).toLocaleString("en"),
  number: (v) => number(v), exact: (v) => number(v, 9), loss, count, flops, percent,
  "signed-percent": (v) => percent(v, true), factor,
};

/** One cell of a table or one value of a tooltip. */
export function written(value, form = "number") {
  if (value === null || value === undefined) return MISSING;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return value;
  return Number.isFinite(value) ? (FORMS[form] || number)(value) : infinite(value);
}

/** A tick's label, shorter than the same number in a table. */
export function tick(value, form) {
  if (form === "count" || form === "flops") return FORMS[form](value);
  if (form === "percent") return `${number(100 * value, 6)}%`;
  if (form === "signed-percent") return `${value > 0 ? "+" : ""}${number(100 * value, 6)}%`;
  return number(value, 6);
}

/** "7B" as 7e9; NaN for what is no positive number. */
export function parse(text) {
  const found = /^\s*([\d.,_]+(?:e[+-]?\d+)?)\s*([kmbgt]?)\s*$/i.exec(text);
  if (!found) return NaN;
  const value = Number(found[1].replace(/[,_]/g, "")) * (POWERS[found[2].toLowerCase()] || 1);
  return value >= 0 && Number.isFinite(value) ? value : NaN;
}

/** "1 run", "3 runs". */
export function counted(n, noun) {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
}

/** Words in a sentence: "a, b and c". */
export function listed(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}
