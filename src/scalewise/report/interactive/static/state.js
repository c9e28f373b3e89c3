// What is asked, kept in the address so that a link says it all: #what-if?flops=1e24&gpu=h100

/** The state of a page, with defaults that are left out of the link; `levels` are what may be shown. */
export function stateOf(defaults, levels) {
  const listeners = [];
  let screen = "", values = { ...defaults };

  function read(hash) {
    const [name, query = ""] = hash.replace(/^#/, "").split("?");
    const given = new URLSearchParams(query), next = { ...defaults };
    for (const [key, value] of Object.entries(defaults)) {
      if (!given.has(key)) continue;
      const text = given.get(key);
      if (typeof value !== "number") next[key] = text;
      else if (Number.isFinite(Number(text)) && Number(text) >= 0) next[key] = Number(text);
    }
    if (!levels.includes(next.level)) next.level = defaults.level;
    return [name, next];
  }

  function link() {
    const query = new URLSearchParams();
    for (const [key, value] of Object.entries(values)) if (value !== defaults[key]) query.set(key, String(value));
    const text = query.toString();
    return `#${screen}${text ? `?${text}` : ""}`;
  }

  function write() {
    try { history.replaceState(null, "", link()); } catch { /* a frame without an address of its own */ }
  }

  return {
    get values() { return values; },
    get screen() { return screen; },
    get link() { return link(); },
    open(hash) { [screen, values] = read(hash); listeners.forEach((listen) => listen(values)); },
    go(name) { screen = name; write(); },
    set(patch) { values = { ...values, ...patch }; write(); listeners.forEach((listen) => listen(values)); },
    listen(listener) { listeners.push(listener); },
  };
}
