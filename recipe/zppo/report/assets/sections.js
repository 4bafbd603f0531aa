// The sections of a run but the question browser.

function section(id, title, ...children) {
  return el("section", { id }, el("h2", { text: title }), ...children);
}

function headOf(run) {
  const words = { good: "healthy", look: "worth a look" };
  return section(
    "head",
    "Ten numbers",
    run.story.map((line) => el("p", { text: line })),
    run.warnings.map((one) =>
      el("p", { class: "warning" }, el("strong", { text: `${one.name}: ` }), `${one.seen}. ${one.remedy}.`),
    ),
    el(
      "div",
      { class: "head" },
      run.head.map((number) =>
        el(
          "div",
          { class: `number ${number.state}` },
          el("div", { class: "dim", text: number.name }),
          el("div", { class: "value" }, number.value, el("span", { class: "state", text: words[number.state] || "" })),
          el("div", { class: "detail" }, quoted(number.detail)),
          el("div", { class: "healthy", text: `healthy: ${number.healthy}` }),
        ),
      ),
    ),
  );
}

function chartSections(charts) {
  const names = [...new Set(charts.map((spec) => spec.section))];
  return names.map((name) =>
    section(
      name.toLowerCase().replace(/[^a-z]+/g, "-"),
      name,
      el("div", { class: "charts" }, charts.filter((spec) => spec.section === name).map(chart)),
    ),
  );
}

function auditOf(run) {
  if (!run.audit.length) return null;
  const rows = run.audit.map((row) => [row.text.trim(), row.shown, row.paper]);
  const made = table(["", "this run", "the paper"], rows);
  run.audit.forEach((row, i) => made.tBodies[0].rows[i].cells[0].classList.toggle("indent", row.text.startsWith(" ")));
  return section(
    "audit",
    "Candidate-match audit",
    el("p", {
      class: "dim",
      text: "App. F.7. Near 100% right BCQs would mean that the candidates give the answer away.",
    }),
    el("div", { class: "scroll" }, made),
  );
}

function costOf(run) {
  const parts = [];
  if (run.step_time) {
    const step = run.step_time;
    const rows = Object.entries(step.parts_s).map(([name, seconds]) => [
      name,
      shown(seconds, "seconds"),
      percent(seconds / step.mean_s),
    ]);
    rows.push(["a step", shown(step.mean_s, "seconds"), ""]);
    if (step.validation_s !== null)
      rows.push(["a validation, beside the steps", shown(step.validation_s, "seconds"), ""]);
    parts.push(
      el("div", {}, el("h3", { text: "Seconds, mean over steps" }), table(["", "time", "of the step"], rows, [1, 2])),
    );
  }
  if (run.costs.length) {
    const rows = run.costs.map((cost) => [
      cost.name,
      cost.tokens.toLocaleString("en"),
      cost.flops === null ? "size unknown" : compact(cost.flops),
    ]);
    const flops = run.costs.map((cost) => cost.flops);
    rows.push(["all", "", flops.includes(null) ? "–" : compact(flops.reduce((a, b) => a + b, 0))]);
    parts.push(
      el(
        "div",
        {},
        el("h3", { text: "Tokens and FLOPs" }),
        table(["", "tokens", "FLOPs"], rows, [1, 2]),
        el("p", { class: "dim", text: run.cost_rule }),
      ),
    );
  }
  return parts.length ? section("cost", "Cost", el("div", { class: "two" }, parts)) : null;
}

function filtered(head, rows, label) {
  const input = el("input", { type: "search", placeholder: `filter ${label}`, "aria-label": `filter ${label}` });
  const holder = el("div", { class: "scroll", tabIndex: 0 });
  const show = () => {
    const wanted = input.value.toLowerCase();
    const found = rows.filter((row) => row.join(" ").toLowerCase().includes(wanted));
    holder.replaceChildren(
      table(head, found.slice(0, 300)),
      found.length > 300 ? el("p", { class: "dim", text: `${found.length - 300} more: type to narrow` }) : "",
    );
  };
  input.addEventListener("input", show);
  show();
  return el("div", {}, input, holder);
}

function setupOf(run) {
  const keys = Object.entries(run.configuration),
    versions = Object.entries(run.versions);
  keys.sort(([a], [b]) => b.startsWith("zppo.") - a.startsWith("zppo."));
  return section(
    "setup",
    "Setup",
    versions.length
      ? el("div", { class: "scroll" }, table(["", ""], versions))
      : el("p", { class: "dim", text: "Not recorded." }),
    keys.length
      ? folded({}, `${keys.length} keys of the configuration`, () => filtered(["key", "value"], keys, "keys"))
      : null,
  );
}

function comparedOf(compared) {
  if (!compared) return null;
  const head = ["", ...compared.titles];
  const part = (title, rows) => {
    const found = Object.entries(rows).map(([key, values]) => [key, ...values]);
    return [
      el("h3", { text: `${title}: ${found.length || "no"} difference${found.length === 1 ? "" : "s"}` }),
      found.length ? filtered(["", ...compared.titles], found, title.toLowerCase()) : null,
    ];
  };
  return section(
    "compared",
    "Runs side by side",
    el(
      "div",
      { class: "scroll" },
      table(
        head,
        compared.head.map(([name, values]) => [name, ...values]),
      ),
    ),
    el("div", { class: "charts" }, compared.charts.map(chart)),
    part("Configuration", compared.configuration),
    part("Start", compared.versions),
    part("Packages", compared.packages),
  );
}
