// Elements and numbers. Text only ever goes in as text: nothing here reads markup.

/** An element; `set` are its properties, `class` and `data-*`/`aria-*`/`role` among them; what is null is left out. */
function el(tag, set = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(set)) {
    if (value === null || value === undefined) continue;
    if (name === "class") made.className = value;
    else if (name === "text") made.textContent = value;
    else if (/^(data-|aria-|role$|dir$|for$)/.test(name)) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Text that somebody else wrote, in a direction of its own. */
function quoted(text) {
  return el("bdi", { dir: "auto", text: String(text) });
}

function percent(share, digits = 0) {
  return share === null || share === undefined ? "–" : `${(100 * share).toFixed(digits)}%`;
}

function compact(number) {
  const size = Math.abs(number);
  for (const [unit, name] of [
    [1e18, "E"],
    [1e15, "P"],
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e4, "k"],
  ]) {
    if (size >= unit) return `${Number((number / (name === "k" ? 1e3 : unit)).toPrecision(3))}${name}`;
  }
  return String(Number(number.toPrecision(4)));
}

/** A chart's value with its unit. */
function shown(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "share") return percent(value, 1);
  if (unit === "seconds") return `${compact(value)} s`;
  if (unit === "nats") return `${compact(value)} nats`;
  return compact(value);
}

function table(head, rows, numeric = []) {
  const cell = (tag, value, place) => {
    const made = el(tag, { class: numeric.includes(place) ? "n" : null });
    made.append(value instanceof Node ? value : String(value));
    return made;
  };
  return el(
    "table",
    {},
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        head.map((value, place) => cell("th", value, place)),
      ),
    ),
    el(
      "tbody",
      {},
      rows.map((row) =>
        el(
          "tr",
          {},
          row.map((value, place) => cell("td", value, place)),
        ),
      ),
    ),
  );
}

/** A long text: its first `limit` characters, and a button for all of it. */
function long(text, limit = 1200) {
  const body = el("pre", { dir: "auto" });
  if (text.length <= limit) {
    body.textContent = text;
    return body;
  }
  body.textContent = `${text.slice(0, limit)} …`;
  const button = el("button", {
    type: "button",
    class: "more",
    text: `show all ${text.length.toLocaleString("en")} characters`,
  });
  button.addEventListener("click", () => {
    body.textContent = text;
    button.remove();
  });
  return el("div", {}, body, button);
}

/** A `details` whose content is made when it is first opened. */
function folded(set, summary, make, open = false) {
  const made = el("details", set, el("summary", {}, summary));
  const fill = () => {
    if (made.open && made.childElementCount === 1) made.append(...[make()].flat());
  };
  made.addEventListener("toggle", fill);
  if (open) {
    made.open = true;
    fill();
  }
  return made;
}
