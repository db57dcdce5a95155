"use strict";
// Model text reaches the page only through textContent: no code here builds HTML from strings.
(() => {
  const PAGE = 20;
  const byId = (id) => document.getElementById(id);
  const json = (id) => JSON.parse(byId(id).textContent);
  const make = (tag, className, text) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  };

  for (const group of document.querySelectorAll("[data-axis-group]")) {
    const show = (axis) => {
      for (const view of group.querySelectorAll("[data-axis]")) view.hidden = view.dataset.axis !== axis;
    };
    for (const input of document.querySelectorAll(`input[name="${group.dataset.axisGroup}"]`)) {
      input.addEventListener("change", () => show(input.value));
      if (input.checked) show(input.value);
    }
  }

  let browser = null;
  if (byId("samples")) unpack("sample-data").then((data) => { browser = startBrowser(data); }, () => {
    byId("found").textContent = "This browser cannot unpack the samples. Use a newer one.";
  });
  const strips = json("strip-data");
  for (const figure of document.querySelectorAll("[data-strip]")) startStrip(figure, strips[figure.dataset.strip]);

  async function unpack(id) {
    const bytes = Uint8Array.from(atob(byId(id).textContent), (char) => char.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  }

  // A slider over the problems: arrow keys do the same as a pointer.
  function startStrip(figure, strip) {
    const output = figure.querySelector("output"), body = figure.querySelector(".heat-strip"), mark = figure.querySelector(".mark");
    const last = strip.problems.length - 1;
    let place = 0;

    function counts() {
      const said = strip.models.map((model, row) => {
        const found = strip.counts[row][place];
        return found ? `${model} ${found[0].toLocaleString("en")} of ${found[1].toLocaleString("en")}` : `${model} –`;
      });
      return `${strip.problems[place]}: ${said.join("; ")} passed`;
    }

    function show(next) {
      place = Math.max(0, Math.min(last, next));
      output.textContent = counts();
      body.setAttribute("aria-valuenow", place + 1);
      body.setAttribute("aria-valuetext", output.textContent);
      mark.hidden = false;
      mark.style.left = `${((place + 0.5) / (last + 1)) * 100}%`;
    }

    body.setAttribute("role", "slider");
    body.setAttribute("aria-valuemin", 1);
    body.setAttribute("aria-valuemax", last + 1);
    body.setAttribute("aria-valuenow", 1);
    body.setAttribute("aria-valuetext", counts());
    body.tabIndex = 0;
    body.addEventListener("focus", () => { if (mark.hidden) show(place); });
    body.addEventListener("pointermove", (event) => {
      const box = body.getBoundingClientRect();
      show(Math.floor(((event.clientX - box.left) / box.width) * (last + 1)));
    });
    const open = () => { if (browser) browser.open(strip.problems[place], strip.task); };
    body.addEventListener("click", open);
    body.addEventListener("keydown", (event) => {
      const step = Math.max(1, Math.round(last / 10));
      const moves = { ArrowLeft: place - 1, ArrowDown: place - 1, ArrowRight: place + 1, ArrowUp: place + 1,
        PageDown: place - step, PageUp: place + step, Home: 0, End: last };
      if (event.key in moves) show(moves[event.key]);
      else if (event.key === "Enter") open();
      else return;
      event.preventDefault();
    });
  }

  function startBrowser(data) {
    const rows = data.samples.map(([model, problem, sample, status, text, reason, answer, tokens, finish]) =>
      ({ model, problem, sample, status, text, reason, answer, tokens, finish, words: null }));
    const [problem, model, status, query, list] = ["problem", "model", "status", "query", "list"].map(byId);
    let first = 0, found = [], waiting = 0;

    const several = data.tasks.length > 1;
    problem.append(new Option("all", ""));
    data.problems.forEach((each, i) => problem.append(new Option(several ? `${data.tasks[each.task]}: ${each.id}` : each.id, i)));
    data.models.forEach((name, i) => model.append(new Option(name, i)));
    for (const name of [...new Set(rows.map((row) => row.status))].sort()) status.append(new Option(name, name));

    const wordsOf = (row) => (row.words ??= `${row.text}\n${row.reason}\n${row.answer ?? ""}`.toLowerCase());

    function filter() {
      const words = query.value.trim().toLowerCase(), exact = /^#\d+$/.test(words) ? Number(words.slice(1)) : null;
      const of = (control) => (control.value === "" ? null : control.value);
      const [p, m, s] = [of(problem), of(model), of(status)];
      return (row) =>
        (p === null || row.problem === Number(p)) && (m === null || row.model === Number(m)) && (s === null || row.status === s) &&
        (words === "" || (exact === null ? wordsOf(row).includes(words) : row.sample === exact));
    }

    function entry(row, place) {
      const item = make("li"), details = make("details"), summary = make("summary");
      const where = problem.value === "" ? `${data.problems[row.problem].id} #${row.sample}` : `#${row.sample}`;
      summary.tabIndex = place ? -1 : 0;
      summary.append(make("span", `verdict ${/^[a-z]+$/.test(row.status) ? row.status : ""}`, row.status), make("span", "", where));
      if (data.models.length > 1) summary.append(make("span", "soft", data.models[row.model].replace(/^[^@]*\//, "")));
      summary.append(make("span", "peek", row.text.slice(0, 160).replace(/\s+/g, " ")));
      details.append(summary);
      details.addEventListener("toggle", () => {
        if (details.childElementCount === 1) details.append(...body(row));
      });
      item.append(details);
      return item;
    }

    function body(row) {
      const facts = [];
      if (row.reason) facts.push(row.reason);
      if (row.answer !== null) facts.push(`answer: ${row.answer}`);
      if (row.tokens !== null) facts.push(`${row.tokens} tokens`);
      if (row.finish) facts.push(`ended by ${row.finish}`);
      const text = make("pre", "", row.text || "(empty)");
      text.tabIndex = 0;
      return [make("p", "why", facts.join(" · ")), text];
    }

    function showPrompt() {
      const prompt = problem.value === "" ? "" : data.problems[problem.value].prompt;
      byId("prompt").hidden = !prompt;
      byId("prompt").querySelector("pre").textContent = prompt;
    }

    function draw() {
      const shown = found.slice(first, first + PAGE);
      list.replaceChildren(...shown.map(entry));
      byId("found").textContent = found.length
        ? `${found.length.toLocaleString("en")} samples, ${(first + 1).toLocaleString("en")} to ${(first + shown.length).toLocaleString("en")} shown`
        : "No sample matches.";
      byId("back").disabled = first === 0;
      byId("next").disabled = first + PAGE >= found.length;
    }

    function search() {
      found = rows.filter(filter());
      first = 0;
      showPrompt();
      draw();
    }

    function turn(by) {
      if (first + by < 0 || first + by >= found.length) return false;
      first += by;
      draw();
      byId("found").scrollIntoView({ block: "nearest" });
      return true;
    }

    // The Tab key stops once for the whole list; arrow keys move inside it, and from page to page.
    function focus(place) {
      const entries = [...list.querySelectorAll("summary")];
      const at = Math.max(0, Math.min(entries.length - 1, place));
      entries.forEach((each, i) => { each.tabIndex = i === at ? 0 : -1; });
      entries[at].focus();
    }

    function move(place) {
      if (place < 0 && turn(-PAGE)) focus(PAGE - 1);
      else if (place >= list.childElementCount && turn(PAGE)) focus(0);
      else focus(place);
    }

    list.addEventListener("keydown", (event) => {
      const summary = event.target.closest("summary");
      if (!summary) return;
      const place = [...list.children].indexOf(summary.closest("li"));
      const actions = {
        ArrowDown: () => move(place + 1), ArrowUp: () => move(place - 1), Home: () => focus(0), End: () => focus(PAGE),
        PageDown: () => turn(PAGE) && focus(0), PageUp: () => turn(-PAGE) && focus(0),
        ArrowRight: () => { summary.parentElement.open = true; }, ArrowLeft: () => { summary.parentElement.open = false; },
      };
      if (!(event.key in actions)) return;
      event.preventDefault();
      actions[event.key]();
    });
    byId("find").addEventListener("submit", (event) => event.preventDefault());
    for (const control of [problem, model, status]) control.addEventListener("change", search);
    query.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(search, 100); // one search after fast typing, not one per letter
    });
    byId("back").addEventListener("click", () => turn(-PAGE));
    byId("next").addEventListener("click", () => turn(PAGE));
    if (data.problems.length > 1 && rows.length > PAGE) problem.value = "0";
    search();

    return {
      open(id, task) {
        const place = data.problems.findIndex((each) => each.id === id && data.tasks[each.task] === task);
        if (place < 0) return;
        problem.value = String(place);
        for (const control of [model, status, query]) control.value = "";
        search();
        byId("samples").scrollIntoView();
        problem.focus({ preventScroll: true });
      },
    };
  }
})();
