// Charts, drawn by Chart.js from the payload's plain numbers.

const COLOURS = {
  easy: "green",
  "hard, plain": "grey",
  BCQ: "blue",
  NCQ: "red",
  graduated: "green",
  evicted: "pink",
  improved: "orange",
  "never improved": "pink",
  new: "blue",
  replayed: "red",
  "all plain": "grey",
  hint: "orange",
  prefix: "sky",
  student: "blue",
  teacher: "orange",
  judge: "pink",
  generation: "blue",
  update: "red",
  "log-probs": "sky",
  checkpoint: "pink",
  other: "grey",
  "hidden behind other work": "grey",
  "waited for": "red",
  plain: "grey",
};
const ORDER = ["blue", "red", "green", "pink", "orange", "sky", "violet", "teal", "olive", "grey"];
const VIRIDIS = ["#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725"];
const drawn = new Map(); // canvas to {chart, spec, instance}

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function faint(colour, share) {
  return `${colour}${Math.round(255 * share)
    .toString(16)
    .padStart(2, "0")}`;
}

function colourOf(spec, series, place) {
  if (spec.levels) {
    const dark = document.documentElement.dataset.theme === "dark";
    const share = place / Math.max(1, spec.series.length - 1);
    return VIRIDIS[Math.round(dark ? 2 + 5 * share : 6 * share)];
  }
  return css((Object.hasOwn(COLOURS, series.name) && COLOURS[series.name]) || ORDER[place % ORDER.length]);
}

/** So many lines that bands would hide them. */
function many(spec) {
  return spec.series.length > 8;
}

function datasets(spec, kind) {
  const stacked = kind !== "lines",
    few = spec.x.length <= 12;
  return spec.series.flatMap((series, place) => {
    const colour = colourOf(spec, series, place);
    const radius = 3 + 1.6 * Math.min(place, 3); // of equal values, the one beneath is seen
    const points = (values) =>
      kind === "bars" ? values : values.map((y, i) => ({ x: spec.x[i], y })).filter((point) => point.y !== null);
    const main = {
      label: series.name,
      data: points(series.values),
      counts: series.counts,
      borderColor: colour,
      borderWidth: stacked ? 1 : 2,
      backgroundColor: kind === "areas" ? faint(colour, 0.75) : colour,
      fill: kind === "areas" ? (place ? "-1" : "origin") : false,
      pointRadius: !stacked && (few || series.values.filter((y) => y !== null).length < 8) ? radius : 0,
      pointHitRadius: 6,
      clip: stacked ? 0 : 8,
      stack: stacked ? "all" : undefined,
      maxBarThickness: 70,
      tension: 0,
      borderDash: [[], [7, 3], [2, 3], [9, 3, 2, 3]][Math.floor(place / ORDER.length) % 4],
    };
    const behind = [];
    if (series.faint) {
      behind.push({
        data: points(series.faint),
        borderColor: faint(colour, 0.3),
        borderWidth: 1,
        pointRadius: 0,
        quiet: true,
      });
    }
    if (series.low && !many(spec)) {
      const edge = { borderWidth: 0, pointRadius: 0, quiet: true, backgroundColor: faint(colour, 0.18) };
      behind.push(
        { ...edge, data: points(series.low), fill: false },
        { ...edge, data: points(series.high), fill: "-1" },
      );
    }
    return [...behind, main];
  });
}

function options(spec, kind) {
  const text = css("text"),
    dim = css("dim"),
    line = css("line"),
    share = spec.unit === "share";
  const loud = (item, data) => !data.datasets[item.datasetIndex].quiet;
  return {
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    normalized: true,
    interaction: { mode: kind === "bars" ? "index" : "nearest", axis: "x", intersect: false },
    scales: {
      x: {
        type: kind === "bars" ? "category" : "linear",
        stacked: kind === "bars",
        title: { display: true, text: spec.xlabel, color: dim },
        ticks: { color: dim, precision: 0, maxRotation: 40 },
        grid: { display: false },
        border: { color: line },
        ...(kind === "bars" || spec.x.length < 2 ? {} : { min: spec.x[0], max: spec.x[spec.x.length - 1] }),
      },
      y: {
        stacked: kind !== "lines",
        beginAtZero: spec.unit !== "number",
        suggestedMax: spec.unit === "count" ? 1 : undefined,
        ...(share && (kind !== "lines" || spec.whole) ? { max: 1 } : {}),
        ticks: {
          color: dim,
          maxTicksLimit: 7,
          stepSize: spec.whole ? 0.5 : undefined,
          precision: spec.unit === "count" ? 0 : undefined,
          callback: (value) => (share ? percent(value, Math.abs(value) < 0.02 && value ? 1 : 0) : compact(value)),
        },
        title: { display: ["seconds", "nats", "tokens"].includes(spec.unit), text: spec.unit, color: dim },
        grid: { color: line },
        border: { display: false },
      },
    },
    plugins: {
      legend: {
        display: true,
        position: "bottom",
        labels: { color: text, boxWidth: 12, boxHeight: 12, filter: (item, data) => loud(item, data) },
      },
      tooltip: {
        filter: (item) => !item.dataset.quiet,
        itemSort: (a, b) => (kind === "lines" ? 0 : b.datasetIndex - a.datasetIndex),
        callbacks: {
          title: (items) =>
            items.length ? (kind === "bars" ? items[0].label : `${spec.xlabel} ${items[0].parsed.x}`) : "",
          label: (item) => {
            const counts = item.dataset.counts;
            const count = counts ? ` (${counts[item.dataIndex]})` : "";
            return ` ${item.dataset.label}: ${shown(item.parsed.y, spec.unit)}${count}`;
          },
        },
      },
    },
  };
}

function draw(canvas) {
  const held = drawn.get(canvas),
    spec = held.spec;
  const kind = spec.kind === "areas" && spec.x.length === 1 ? "bars" : spec.kind;
  if (held.instance) held.instance.destroy();
  held.instance = new Chart(canvas, {
    type: kind === "bars" ? "bar" : "line",
    options: options(spec, kind),
    data: { labels: kind === "bars" ? spec.x.map(String) : undefined, datasets: datasets(spec, kind) },
  });
}

const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && drawn.has(target)) {
        watcher.unobserve(target);
        if (!drawn.get(target).instance) draw(target);
      }
    }
  },
  { rootMargin: "700px" },
);

function canvasOf(spec) {
  const canvas = el("canvas", {
    role: "img",
    "aria-label": `${spec.title}: ${spec.series.map((series) => series.name).join(", ")}`,
  });
  drawn.set(canvas, { spec, instance: null });
  watcher.observe(canvas);
  const holder = el("div", { class: "canvas" }, canvas);
  const line = innerWidth < 720 ? 12 : 5; // of the legend
  if (many(spec)) holder.style.height = `${260 + line * spec.series.length}px`;
  return holder;
}

function chart(spec) {
  const numbers = folded({ class: "numbers" }, "numbers", () =>
    el(
      "div",
      { tabIndex: 0 },
      table(
        [spec.xlabel, ...spec.series.map((series) => series.name)],
        spec.x.map((x, i) => [
          x,
          ...spec.series.map((series) =>
            series.counts
              ? `${shown(series.values[i], spec.unit)} (${series.counts[i]})`
              : shown(series.values[i], spec.unit),
          ),
        ]),
        spec.series.map((_, place) => place + 1),
      ),
    ),
  );
  return el(
    "figure",
    { class: many(spec) ? "wide" : "" },
    el(
      "div",
      { class: "chart-title" },
      el("h3", { text: spec.title }),
      el("span", { class: "paper", text: spec.figure }),
    ),
    canvasOf(spec),
    spec.note ? el("figcaption", { text: spec.note }) : null,
    numbers,
  );
}

/** Charts below `element` are of no use any more. */
function forget(element) {
  for (const canvas of element.querySelectorAll("canvas")) {
    const held = drawn.get(canvas);
    if (held && held.instance) held.instance.destroy();
    watcher.unobserve(canvas);
    drawn.delete(canvas);
  }
}

/** Draw anew, in the colours of the theme; with `all`, those as well that nobody has scrolled to. */
function redraw(all = false) {
  for (const [canvas, held] of drawn) if (all || held.instance) draw(canvas);
}
