// Where values go on an axis, and where its ticks stand.

/** A map from values to pixels with ticks; `axis` has scale ("linear" or "log") and format. */
export function scale(axis, values, start, end, most) {
  const isLog = axis.scale === "log";
  let [low, high] = axis.domain || extent(values, isLog);
  if (!(high > low)) [low, high] = isLog ? [low / 2, low * 2] : [low - 0.5, low + 0.5];
  const to = isLog ? Math.log : (v) => v;
  const pad = axis.domain ? 0 : 0.03 * (to(high) - to(low));
  const from = to(low) - pad, until = to(high) + pad;
  const back = isLog ? Math.exp : (v) => v;
  const at = (value) => start + ((to(value) - from) / (until - from)) * (end - start);
  const limits = [back(from), back(until)];
  return { at, limits, ticks: isLog ? logTicks(...limits, most) : evenTicks(...limits, most) };
}

function extent(values, isLog) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value === null || !Number.isFinite(value) || (isLog && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [1, 10];
}

/** Whole decades over a wide range, else the fullest set of round numbers that fits. */
export function logTicks(low, high, most) {
  const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
  const inside = (v) => v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9);
  const powers = Array.from({ length: last - first + 1 }, (_, k) => first + k);
  const decades = powers.map((k) => Number(`1e${k}`)).filter(inside);
  if (decades.length > Math.max(most, 3)) {
    const step = Math.ceil(decades.length / most);
    return decades.filter((v) => Math.round(Math.log10(v)) % step === 0);
  }
  let best = decades;
  for (const steps of [[1, 3], [1, 2, 5], [1, 1.5, 2, 3, 5, 7]]) {
    const found = powers.flatMap((k) => steps.map((m) => Number(`${m}e${k}`))).filter(inside);
    if (found.length > best.length && found.length <= most) best = found;
  }
  return high / low > 10 || best.length >= 3 ? best : evenTicks(low, high, most);
}

export function evenTicks(low, high, most) {
  const width = high - low;
  if (!(width > 0)) return [low];
  const unit = 10 ** Math.floor(Math.log10(width / most));
  const step = [1, 2, 2.5, 5, 10, 20].map((m) => m * unit).find((s) => width / s <= most);
  const out = [];
  for (let k = Math.ceil(low / step - 1e-9); k <= high / step + 1e-9; k++) out.push(Number((k * step).toPrecision(12)));
  return out;
}

/** Positions nearest to `wanted` at least `gap` apart within limits; they share what is short. */
export function spread(wanted, gap, low, high) {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a] - wanted[b]);
  const room = Math.min(gap, (high - low) / Math.max(wanted.length - 1, 1));
  const placed = [];
  for (const i of order) {
    const least = placed.length ? placed.at(-1)[1] + room : low;
    placed.push([i, Math.max(Math.min(wanted[i], high), least)]);
  }
  for (let k = placed.length - 1, top = high; k >= 0; k--) {
    placed[k][1] = Math.min(placed[k][1], top);
    top = placed[k][1] - room;
  }
  const out = [];
  for (const [i, at] of placed) out[i] = at;
  return out;
}
