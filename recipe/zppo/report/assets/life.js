// One question's life: every time that it was drawn, with prompts and responses in full.

const NAMES = {
  plain: "plain",
  bcq: "BCQ",
  ncq: "NCQ",
  hint: "hint",
  prefix: "prefix",
  worked: "worked solution",
  teacher: "teacher's sequences",
};
const COMPRESSION = { teacher: "the teacher's summary", none: "in its own words", truncate: "its end" };

function rightOf(responses) {
  return `${responses.filter((response) => response.reward > 0).length} of ${responses.length} right`;
}

function candidateWords(candidate, number) {
  const form = COMPRESSION[candidate.compression] || `its end (${candidate.compression})`;
  const words = [
    `candidate ${number + 1}: ${candidate.correct ? "right ✓" : "wrong ✗"}`,
    `of the ${candidate.source}`,
    form,
  ];
  return el(
    "span",
    { class: "tag" },
    `${words.join(" · ")} · answer `,
    quoted(candidate.shown_answer || candidate.answer || "none"),
  );
}

function promptOf(group) {
  if (!group.prompt) return el("p", { class: "dim", text: "The prompt is not in the log." });
  return el(
    "div",
    {},
    group.prompt.map((message) =>
      el(
        "div",
        { class: "prompt" },
        el("div", { class: "role", text: message.role }),
        message.parts.map(([text, number], place) => {
          // A candidate is a block, which ends its line: the line break behind it would show as an empty line.
          if (number < 0) return long(place ? text.replace(/^\n/, "") : text, 4000);
          const candidate = group.candidates[number];
          return el(
            "div",
            { class: `candidate ${candidate.correct ? "right" : "wrong"}` },
            candidateWords(candidate, number),
            long(text, 2500),
          );
        }),
      ),
    ),
  );
}

function responseOf(response, candidates) {
  const given = response.num_given ? `, ${response.num_given} given` : "";
  const tokens = `${response.num_tokens.toLocaleString("en")} tokens${given}`;
  const right = response.reward > 0,
    follows = response.follows || [];
  const followed = follows.map(
    (number) => `candidate ${number + 1} (${candidates[number].correct ? "right" : "wrong"})`,
  );
  return el(
    "div",
    { class: `response ${right ? "right" : "wrong"}` },
    el(
      "div",
      { class: "top" },
      el("span", {
        class: `verdict ${right ? "right" : "wrong"}`,
        text: `${right ? "✓ right" : "✗ wrong"}, reward ${response.reward}`,
      }),
      el("span", {}, "answer ", quoted(response.answer || "none")),
      el("span", {
        class: "dim",
        text: tokens,
      }),
      response.verdict ? el("span", { class: "dim", text: `judge: ${response.verdict}` }) : null,
      response.doubtful ? el("span", { class: "dim", text: "doubtful" }) : null,
      candidates.length
        ? el("span", { text: followed.length ? `gives the answer of ${followed.join(", ")}` : "an answer of its own" })
        : null,
    ),
    response.text === null ? el("p", { class: "dim", text: "The text is not in the log." }) : long(response.text),
  );
}

function groupOf(group, open) {
  const place = `rollouts/step_${String(group.step).padStart(6, "0")}.jsonl, line ${group.line + 1}`;
  const title = `${NAMES[group.kind] || group.kind}: ${rightOf(group.responses)}`;
  const later = group.trained ? "" : ", left out of the update";
  return folded(
    { class: "group" },
    title + later,
    () =>
      [
        el("p", {
          class: "dim",
          text: `The prompt as the student saw it, in step ${group.step} (${place})`,
        }),
        promptOf(group),
        group.hint
          ? el("div", { class: "prompt" }, el("div", { class: "role", text: "the teacher's hint" }), long(group.hint))
          : null,
        el(
          "div",
          { class: "responses" },
          group.responses.map((response) => responseOf(response, group.candidates)),
        ),
        group.failures.map((failure) => el("p", { class: "skipped" }, "lost: ", quoted(failure))),
      ]
        .flat()
        .filter(Boolean),
    open,
  );
}

function teacherOf(teacher) {
  const failed = teacher.failed ? `, ${teacher.failed} failed` : "";
  return folded({ class: "group" }, `teacher: ${rightOf(teacher.responses)}${failed}`, () =>
    [
      teacher.error ? el("p", { class: "skipped" }, "cause: ", quoted(teacher.error)) : null,
      el(
        "div",
        { class: "responses" },
        teacher.responses.map((response) => responseOf(response, [])),
      ),
    ].filter(Boolean),
  );
}

function drawOf(draw, open) {
  const extra = draw.groups.slice(1).map((group) => `${NAMES[group.kind] || group.kind} ${percent(group.accuracy)}`);
  const teacher = draw.teacher ? [`teacher ${rightOf(draw.teacher.responses)}`] : [];
  const title = [
    `Step ${draw.step}`,
    draw.replayed ? "from the buffer" : "new",
    `plain ${percent(draw.accuracy)}`,
    ...teacher,
    ...extra,
  ].join(" · ");
  return folded(
    { class: "draw" },
    title,
    () =>
      [
        ...draw.groups.map((group) => groupOf(group, open && (group.kind !== "plain" || draw.groups.length === 1))),
        draw.teacher ? teacherOf(draw.teacher) : null,
        ...Object.entries(draw.skipped).map(([kind, reason]) =>
          el("p", { class: "skipped", text: `no ${NAMES[kind] || kind}: ${reason}` }),
        ),
      ].filter(Boolean),
    open,
  );
}

function accuracies(row) {
  const kinds = [...new Set(row.draws.flatMap(([, , extra]) => extra.map(([kind]) => kind)))];
  const line = (kind) => row.draws.map(([, , extra]) => (extra.find(([name]) => name === kind) || [null, null])[1]);
  return {
    title: "Accuracy each time it was drawn",
    figure: "",
    section: "",
    kind: "lines",
    unit: "share",
    xlabel: "step",
    levels: false,
    note: "",
    whole: true,
    x: row.draws.map(([step]) => step),
    series: [
      { name: "plain", values: row.draws.map(([, accuracy]) => accuracy) },
      ...kinds.map((kind) => ({ name: NAMES[kind] || kind, values: line(kind) })),
    ],
  };
}

function factsOf(row) {
  const facts = [
    ["source", row.source || "–"],
    ["gold answer", row.truth],
    ["fate", row.fate],
    ["visits", row.visits],
  ];
  if (row.entered !== null) facts.push(["entered", `step ${row.entered} at ${percent(row.entry, 1)}`]);
  if (row.left !== null) facts.push(["left", `step ${row.left}`]);
  return el(
    "div",
    { class: "facts" },
    facts.map(([name, value]) => el("span", {}, el("span", { class: "dim", text: `${name} ` }), quoted(value))),
  );
}

/** Into `side`; `content` is null while it is being fetched, false where the page has it not. */
function showLife(side, row, content) {
  forget(side);
  const top = [el("h3", {}, quoted(row.id)), factsOf(row)];
  const spec = accuracies(row);
  if (!content) {
    const text =
      content === null
        ? "…"
        : "The texts of this question are in the folder's rollouts/, but not in this page. With --serve all are shown.";
    side.replaceChildren(
      ...top,
      el("pre", { class: "question", dir: "auto", text: row.question }),
      canvasOf(spec),
      el("p", { class: "dim", text }),
    );
    return;
  }
  const last = content.draws.reduce((found, draw, i) => (draw.groups.length > 1 ? i : found), 0);
  side.replaceChildren(
    ...top,
    el("div", { class: "question" }, long(content.question, 3000)),
    el(
      "div",
      { class: "pictures" },
      content.pictures.map((src) => el("img", { src, alt: "image of the question" })),
    ),
    canvasOf(spec),
    ...content.draws.map((draw, i) => drawOf(draw, i === last)),
  );
}

async function unpacked(packed) {
  const bytes = Uint8Array.from(atob(packed), (sign) => sign.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
}
