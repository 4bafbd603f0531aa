// Puts the page together, keeps theme and address, and asks a server for news where there is one.

let content = JSON.parse(document.getElementById("payload").textContent);
const main = document.getElementById("main"),
  runs = document.getElementById("run");
const state = { run: 0, question: "", search: "", sort: "most visits", fate: "", source: "", extra: "" };
let browser = null;

function fromAddress() {
  const found = Object.fromEntries(
    location.hash
      .slice(1)
      .split("&")
      .map((part) =>
        part.split("=").map((text) => {
          try {
            return decodeURIComponent(text);
          } catch {
            return text;
          }
        }),
      ),
  );
  if (content.runs[found.run]) state.run = Number(found.run);
  if (found.question) state.question = found.question;
  return Boolean(found.question);
}

function toAddress(id) {
  const run = content.runs.length > 1 ? `run=${state.run}&` : "";
  history.replaceState(null, "", `#${run}question=${encodeURIComponent(id)}`);
}

async function lifeOf(row) {
  const run = content.runs[state.run];
  try {
    if (Object.hasOwn(run.texts, row.id)) return await unpacked(run.texts[row.id]);
    if (!content.live) return false;
    const answer = await fetch(`question.json?run=${state.run}&id=${encodeURIComponent(row.id)}`);
    return answer.ok ? await answer.json() : false;
  } catch {
    return false;
  }
}

/** `old` is the browser of the same run before: what is read there goes on to be read. */
function build(old = null) {
  const run = content.runs[state.run];
  run.live = content.live;
  if (old) old.side.remove();
  forget(main);
  document.title = `${run.title} · report`;
  document.getElementById("title").textContent = run.title;
  document.getElementById("path").textContent = run.path;
  document.getElementById("choose-run").hidden = content.runs.length < 2;
  document.getElementById("live").hidden = !content.live;
  runs.replaceChildren(
    ...content.runs.map((each, i) => el("option", { value: i, text: each.title, selected: i === state.run })),
  );
  browser = new Browser(run, lifeOf, state, toAddress, old);
  const sections = [
    comparedOf(content.compared),
    headOf(run),
    ...chartSections(run.charts),
    browser.element,
    auditOf(run),
    costOf(run),
    setupOf(run),
  ];
  main.replaceChildren(...sections.filter(Boolean));
  document.getElementById("nav").replaceChildren(
    ...sections.filter(Boolean).map((each) => {
      const link = el("a", { href: `#${each.id}`, text: each.querySelector("h2").textContent });
      link.addEventListener("click", (event) => {
        // the address stays that of the question
        event.preventDefault();
        each.tabIndex = -1;
        each.focus({ preventScroll: true });
        each.scrollIntoView();
      });
      return link;
    }),
  );
  const made = new Date(1000 * content.made).toLocaleString();
  document.getElementById("footer").textContent =
    `Made ${made} by open-zppo. Charts by Chart.js ${Chart.version} (MIT licence).`;
}

function setTheme(choice) {
  const dark = choice === "dark" || (choice === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  document.getElementById("theme").textContent = `theme: ${choice}`;
}

let theme = "auto";
try {
  theme = localStorage.getItem("zppo-theme") || "auto";
} catch {
  /* a file's page may keep nothing */
}
setTheme(theme);
document.getElementById("theme").addEventListener("click", () => {
  theme = { auto: "dark", dark: "light", light: "auto" }[theme] || "auto";
  try {
    localStorage.setItem("zppo-theme", theme);
  } catch {
    /* see above */
  }
  setTheme(theme);
  redraw();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  setTheme(theme);
  redraw();
});
addEventListener("beforeprint", () => {
  setTheme("light");
  redraw(true);
});
addEventListener("afterprint", () => {
  setTheme(theme);
  redraw();
});

runs.addEventListener("change", () => {
  Object.assign(state, { run: Number(runs.value), question: "", fate: "", source: "" });
  build();
});
addEventListener("hashchange", () => {
  const before = state.run;
  if (!fromAddress()) return;
  if (state.run !== before) build();
  else browser.choose(state.question, { read: true });
});
addEventListener("keydown", (event) => {
  if (
    event.key === "/" &&
    !/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) &&
    !event.ctrlKey &&
    !event.metaKey
  ) {
    event.preventDefault();
    browser.search.focus();
  }
});

const linked = fromAddress();
build();
if (linked) {
  browser.frame.classList.add("reading");
  browser.element.scrollIntoView();
}

async function news() {
  try {
    const answer = await fetch("report.json", { headers: { "If-None-Match": content.version } });
    if (answer.status === 200) {
      content = await answer.json();
      const old = browser,
        active = document.activeElement,
        focused = ["search", "list", "side"].find((name) => old[name].contains(active)),
        places = [scrollY, old.list.scrollTop, old.side.scrollTop];
      build(old);
      browser.frame.classList.toggle("reading", old.frame.classList.contains("reading"));
      [browser.list.scrollTop, browser.side.scrollTop] = places.slice(1);
      if (focused) (active.isConnected ? active : browser[focused]).focus({ preventScroll: true });
      scrollTo(0, places[0]);
    }
    document.getElementById("live").textContent = "kept current";
  } catch {
    document.getElementById("live").textContent = "the server has stopped";
  }
  setTimeout(news, 1000 * content.live);
}
if (content.live) setTimeout(news, 1000 * content.live);
