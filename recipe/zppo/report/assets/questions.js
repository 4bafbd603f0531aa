// The question browser: search, filters, order, keys, and the life of the one that is chosen.

const SORTS = {
  "most visits": (row) => -row.visits,
  "least accurate at entry": (row) => (row.entry === null ? 2 : row.entry),
  "most accurate at entry": (row) => (row.entry === null ? 2 : -row.entry),
  fate: (row) => ["graduated", "improved", "never improved", "inside", "left out"].indexOf(row.fate),
  "data source": (row) => row.source,
  "first drawn": (row) => (row.draws.length ? row.draws[0][0] : Infinity),
  "last drawn": (row) => (row.draws.length ? -row.draws[row.draws.length - 1][0] : Infinity),
  "gain since entry": (row) =>
    row.draws.length ? (row.entry || 0) - Math.max(...row.draws.map(([, accuracy]) => accuracy)) : 1,
};
const PAGE = 150;

class Browser {
  /**
   * `read(row)` gives a promise of a life, or false; `state` is what a reload of the data keeps; `old` is the browser
   * of the data before, in which a life may be open that is still the same.
   */
  constructor(run, read, state, onChoose, old = null) {
    Object.assign(this, { run, read, state, onChoose, found: [], shownCount: 0, complete: "" });
    this.byId = new Map(run.questions.map((row) => [row.id, row]));
    this.haystack = new Map(
      run.questions.map((row) => [
        row.id,
        `${row.id} ${row.question} ${row.source} ${row.truth} ${row.fate}`.toLowerCase(),
      ]),
    );
    this.element = this.build();
    this.refresh();
    const row = this.byId.get(state.question);
    if (row && old && old.complete === row.id && JSON.stringify(old.byId.get(row.id)) === JSON.stringify(row)) {
      this.complete = row.id;
      this.side.replaceChildren(...old.side.childNodes);
      this.back();
      return;
    }
    if (old) forget(old.side);
    if (row) this.choose(row.id, { scroll: false });
    else this.empty();
  }

  build() {
    const { state, run } = this;
    const choice = (name, label, options) => {
      const made = el(
        "select",
        { "aria-label": label },
        options.map(([value, text]) => el("option", { value, text, selected: state[name] === value })),
      );
      made.addEventListener("change", () => {
        state[name] = made.value;
        this.refresh();
      });
      return made;
    };
    const count = (key) =>
      [...run.questions.reduce((found, row) => found.set(row[key], (found.get(row[key]) || 0) + 1), new Map())].sort(
        (a, b) => (a[0] < b[0] ? -1 : 1),
      );
    const counted = (key) => count(key).map(([value, number]) => [`=${value}`, `${value || "no source"} (${number})`]);
    this.search = el("input", {
      type: "search",
      placeholder: "search id, question, answer, source   ( / )",
      "aria-label": "search questions",
      value: state.search,
    });
    this.search.addEventListener("input", () => {
      state.search = this.search.value;
      this.refresh();
    });
    this.count = el("span", { class: "dim count", role: "status" });
    this.list = el("ul", { class: "list", role: "listbox", tabIndex: 0, "aria-label": "questions" });
    this.list.addEventListener("click", (event) => {
      const item = event.target.closest("li[data-id]");
      if (item) this.choose(item.dataset.id, { read: true });
    });
    this.list.addEventListener("scroll", () => {
      if (this.list.scrollTop + this.list.clientHeight > this.list.scrollHeight - 300) this.more();
    });
    this.side = el("div", { class: "life", tabIndex: -1, "aria-label": "the question's life" });
    this.frame = el(
      "div",
      { class: "browser" },
      el(
        "div",
        { class: "list-side" },
        el(
          "div",
          { class: "filters" },
          this.search,
          choice(
            "sort",
            "order",
            Object.keys(SORTS).map((name) => [name, `by ${name}`]),
          ),
          choice("fate", "fate", [["", "any fate"], ...counted("fate")]),
          choice("source", "data source", [["", "any source"], ...counted("source")]),
          choice("extra", "groups", [
            ["", "any groups"],
            ["bcq", "with a BCQ"],
            ["ncq", "with an NCQ"],
            ["text", "with texts in this page"],
          ]),
          this.count,
        ),
        this.list,
      ),
      this.side,
    );
    this.frame.addEventListener("keydown", (event) => this.key(event));
    return section(
      "questions",
      "Question browser",
      el("p", { class: "dim", text: run.sample }),
      el("p", { class: "dim", text: "Keys: / search, ↑ ↓ next question, Enter read, Esc back to the list." }),
      this.frame,
    );
  }

  refresh() {
    const { state, run } = this,
      words = state.search.toLowerCase().split(/\s+/).filter(Boolean),
      key = SORTS[state.sort];
    const extra = (row) =>
      !state.extra ||
      (state.extra === "text"
        ? run.live || Object.hasOwn(run.texts, row.id)
        : row.draws.some(([, , groups]) => groups.some(([kind]) => kind === state.extra)));
    this.found = run.questions
      .filter(
        (row) =>
          (!state.fate || `=${row.fate}` === state.fate) &&
          (!state.source || `=${row.source}` === state.source) &&
          extra(row) &&
          words.every((word) => this.haystack.get(row.id).includes(word)),
      )
      .map((row) => [key(row), row])
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([, row]) => row);
    const [found, all] = [this.found, run.questions].map((rows) => rows.length.toLocaleString("en"));
    this.count.textContent = `${found} of ${all} questions`;
    this.list.replaceChildren();
    this.shownCount = 0;
    this.more();
    if (!this.found.length)
      this.list.append(
        el("li", {
          class: "empty",
          text: run.questions.length ? "No question is like that." : "No question was hard yet.",
        }),
      );
  }

  more() {
    const next = this.found.slice(this.shownCount, this.shownCount + PAGE);
    this.list.append(...next.map((row, i) => this.item(row, this.shownCount + i)));
    this.shownCount += next.length;
    this.mark();
  }

  item(row, place) {
    const bars = row.draws.slice(-24).map(([step, accuracy]) => {
      const bar = el("i", { class: accuracy >= 0.5 ? "solved" : "", title: `step ${step}: ${percent(accuracy)}` });
      bar.style.height = `${Math.max(6, 100 * accuracy)}%`;
      return bar;
    });
    return el(
      "li",
      { role: "option", id: `item-${place}`, "data-id": row.id },
      el("bdi", { class: "q", dir: "auto", text: row.question || row.id }),
      el(
        "span",
        { class: "m" },
        el("span", { class: `fate ${row.fate.split(" ")[0]}`, text: row.fate }),
        el("span", { text: `${row.visits} visit${row.visits === 1 ? "" : "s"}` }),
        el("span", { text: `entry ${percent(row.entry)}` }),
        el("bdi", { class: "source", dir: "auto", text: row.source }),
        el("span", { class: "spark", "aria-hidden": "true" }, bars),
      ),
    );
  }

  mark() {
    for (const item of this.list.children) {
      const chosen = item.dataset.id === this.state.question;
      item.setAttribute("aria-selected", chosen);
      if (chosen) this.list.setAttribute("aria-activedescendant", item.id);
    }
  }

  empty() {
    this.side.replaceChildren(el("p", { class: "empty", text: "Choose a question to read what happened to it." }));
  }

  async choose(id, { read = false, scroll = true } = {}) {
    const row = this.byId.get(id);
    if (!row) return;
    this.state.question = id;
    this.complete = "";
    const place = this.found.indexOf(row);
    while (place >= this.shownCount && this.shownCount < this.found.length) this.more();
    this.mark();
    if (scroll && place >= 0) this.list.children[place].scrollIntoView({ block: "nearest" });
    if (read) this.read_();
    this.onChoose(id);
    showLife(this.side, row, null);
    this.back();
    const content = await this.read(row);
    if (this.state.question !== id) return;
    showLife(this.side, row, content);
    this.back();
    this.side.scrollTop = 0;
    this.complete = id;
  }

  back() {
    const button = el("button", { type: "button", class: "back", text: "← all questions" });
    button.addEventListener("click", () => this.leave());
    this.side.querySelector(":scope > .back")?.remove();
    this.side.prepend(button);
  }

  read_() {
    this.frame.classList.add("reading");
    this.side.focus({ preventScroll: true });
  }

  leave() {
    this.frame.classList.remove("reading");
    this.list.focus();
  }

  key(event) {
    const listed = event.target === this.list || event.target === this.search;
    if (event.key === "Escape") {
      if (event.target === this.search && this.search.value) {
        this.search.value = this.state.search = "";
        this.refresh();
      } else this.leave();
    } else if (listed && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      const place = this.found.findIndex((row) => row.id === this.state.question);
      const next =
        this.found[event.key === "ArrowDown" ? Math.min(place + 1, this.found.length - 1) : Math.max(place - 1, 0)];
      if (next) this.choose(next.id);
    } else if (listed && event.key === "Enter" && this.found.length) {
      const chosen = this.found.some((row) => row.id === this.state.question) ? this.state.question : this.found[0].id;
      this.choose(chosen, { read: true });
    } else return;
    event.preventDefault();
  }
}
