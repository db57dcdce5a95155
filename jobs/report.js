"use strict";
// Model text reaches the page only through textContent: nothing here builds HTML from strings.
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

  const browser = byId("samples") ? startBrowser(json("sample-data")) : null;
  const strips = json("strip-data");
  for (const figure of document.querySelectorAll("[data-strip]")) startStrip(figure, strips[figure.dataset.strip]);

  function startStrip(figure, strip) {
    const output = figure.querySelector("output");
    const problemAt = (event, svg) => {
      const box = svg.getBoundingClientRect();
      const place = Math.floor(((event.clientX - box.left) / box.width) * strip.problems.length);
      return Math.max(0, Math.min(strip.problems.length - 1, place));
    };
    for (const svg of figure.querySelectorAll("svg")) {
      svg.addEventListener("pointermove", (event) => {
        const place = problemAt(event, svg);
        const counts = strip.models.map((model, row) => {
          const found = strip.counts[row][place];
          return found ? `${model} ${found[0].toLocaleString("en")} of ${found[1].toLocaleString("en")}` : `${model} –`;
        });
        output.textContent = `${strip.problems[place]}: ${counts.join("; ")} passed`;
      });
      svg.addEventListener("click", (event) => {
        if (browser) browser.open(strip.problems[problemAt(event, svg)]);
      });
    }
  }

  function startBrowser(data) {
    const rows = data.samples.map(([model, problem, sample, status, text, reason, answer, tokens, finish]) =>
      ({ model, problem, sample, status, text, reason, answer, tokens, finish }));
    const [problem, model, status, query] = ["problem", "model", "status", "query"].map(byId);
    let first = 0, found = [];

    const several = data.tasks.length > 1;
    problem.append(new Option("all", ""));
    data.problems.forEach((each, i) => problem.append(new Option(several ? `${data.tasks[each.task]}: ${each.id}` : each.id, i)));
    data.models.forEach((name, i) => model.append(new Option(name, i)));
    for (const name of [...new Set(rows.map((row) => row.status))].sort()) status.append(new Option(name, name));

    const matches = (row, words) =>
      (problem.value === "" || row.problem === Number(problem.value)) &&
      (model.value === "" || row.model === Number(model.value)) &&
      (status.value === "" || row.status === status.value) &&
      (words === "" || row.text.toLowerCase().includes(words) || row.reason.toLowerCase().includes(words));

    function entry(row) {
      const item = make("li"), details = make("details"), summary = make("summary");
      const where = problem.value === "" ? `${data.problems[row.problem].id} #${row.sample}` : `#${row.sample}`;
      summary.append(make("span", `verdict ${/^[a-z]+$/.test(row.status) ? row.status : ""}`, row.status), make("span", "", where));
      if (data.models.length > 1) summary.append(make("span", "soft", data.models[row.model].split("/").pop()));
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
      byId("list").replaceChildren(...shown.map(entry));
      byId("found").textContent = found.length
        ? `${found.length.toLocaleString("en")} samples, ${first + 1} to ${first + shown.length} shown`
        : "No sample matches.";
      byId("back").disabled = first === 0;
      byId("next").disabled = first + PAGE >= found.length;
    }

    function search() {
      const words = query.value.trim().toLowerCase();
      found = rows.filter((row) => matches(row, words));
      first = 0;
      showPrompt();
      draw();
    }

    const turn = (by) => () => {
      first += by;
      draw();
      byId("found").scrollIntoView({ block: "nearest" });
    };
    byId("find").addEventListener("submit", (event) => event.preventDefault());
    for (const control of [problem, model, status]) control.addEventListener("change", search);
    query.addEventListener("input", search);
    byId("back").addEventListener("click", turn(-PAGE));
    byId("next").addEventListener("click", turn(PAGE));
    if (data.problems.length > 1 && rows.length > PAGE) problem.value = "0";
    search();

    return {
      open(id) {
        const place = data.problems.findIndex((each) => each.id === id);
        if (place < 0) return;
        problem.value = String(place);
        search();
        byId("samples").scrollIntoView();
        problem.focus({ preventScroll: true });
      },
    };
  }
})();
