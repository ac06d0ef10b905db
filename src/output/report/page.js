"use strict";
// The page is complete without this. It adds a filter and an order to the table of grants, and shows whose way a line
// of the drawing is. Rows are made once, by the page; here they are only taken out and put back, a hundred at a time.
(() => {
  const PAGE = 100;
  const byId = (id) => document.getElementById(id);

  function grants() {
    const table = byId("list");
    if (!table) return;
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => ({
      row,
      text: row.textContent.toLowerCase(),
      outcome: row.dataset.outcome,
      never: row.querySelector("strong") !== null,
      owner: row.lastElementChild.textContent,
    }));
    const filter = byId("filter");
    const outcome = byId("outcome");
    const owner = byId("owner");
    const count = byId("count");
    const more = byId("more").parentElement;
    const leftOut = Number(table.dataset.leftOut);
    let order = rows;
    let matches = rows;
    let shown = PAGE;

    const fits = {
      "": () => true,
      effective: (one) => one.outcome !== "dead",
      never: (one) => one.never,
    };

    function show() {
      body.replaceChildren(...matches.slice(0, shown).map((one) => one.row));
      more.hidden = matches.length <= shown;
      const all = rows.length === matches.length ? `${rows.length} grants` : `${matches.length} of ${rows.length} grants`;
      const part = matches.length > shown ? `, the first ${shown} shown` : "";
      count.textContent = all + part + (leftOut > 0 ? `; ${leftOut} more are not listed` : "");
    }

    function select() {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const wanted = fits[outcome.value] ?? ((one) => one.outcome === outcome.value);
      matches = order.filter(
        (one) =>
          wanted(one) &&
          (owner.value === "" || one.owner === owner.value) &&
          words.every((word) => one.text.includes(word)),
      );
      shown = PAGE;
      show();
    }

    function sortBy(head, index) {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const isNumber = "number" in head.dataset;
      const key = ({ row }) =>
        isNumber ? Number(row.cells[index].dataset.value) : row.cells[index].textContent.trim();
      const compare = isNumber ? (a, b) => a - b : new Intl.Collator("en", { numeric: true }).compare;
      const keyed = rows.map((one) => [key(one), one]);
      keyed.sort((a, b) => (descending ? compare(b[0], a[0]) : compare(a[0], b[0])));
      order = keyed.map(([, one]) => one);
      select();
    }

    [...table.tHead.rows[0].cells].forEach((head, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sortBy(head, index));
      head.append(button);
    });
    filter.addEventListener("input", select);
    outcome.addEventListener("change", select);
    owner.addEventListener("change", select);
    filter.form.addEventListener("submit", (event) => event.preventDefault());
    byId("more").addEventListener("click", () => {
      const first = shown;
      shown += PAGE;
      show();
      // The button may be gone; whoever uses the keyboard goes on with the first new row.
      const row = matches[first]?.row;
      if (row) {
        row.tabIndex = -1;
        row.focus({ preventScroll: true });
      }
    });
    const showAll = () => {
      shown = matches.length;
      show();
    };
    byId("all").addEventListener("click", showAll);
    // Paper has no button for more.
    addEventListener("beforeprint", showAll);
    filter.form.hidden = false;
    show();
  }

  function graph() {
    const box = document.querySelector(".graph");
    if (!box) return;
    const edges = [...box.querySelectorAll(".edge")];
    const nodes = new Map([...box.querySelectorAll(".node")].map((node) => [node.dataset.node, node]));
    const follow = (start, from, to) => {
      const seen = new Set([start]);
      for (const id of seen) {
        for (const edge of edges) {
          if (edge.dataset[from] === id) {
            edge.classList.add("on");
            seen.add(edge.dataset[to]);
          }
        }
      }
      for (const id of seen) nodes.get(id)?.classList.add("on");
    };
    const clear = () => {
      box.classList.remove("lit");
      for (const one of box.querySelectorAll(".on")) one.classList.remove("on");
    };
    const light = (event) => {
      const node = event.target.closest(".node") ?? event.target.querySelector?.(":scope > .node");
      clear();
      if (!node) return;
      box.classList.add("lit");
      follow(node.dataset.node, "from", "to");
      follow(node.dataset.node, "to", "from");
    };
    const svg = box.querySelector("svg");
    svg.addEventListener("pointerover", light);
    svg.addEventListener("pointerleave", clear);
    svg.addEventListener("focusin", light);
    svg.addEventListener("focusout", clear);
  }

  grants();
  graph();
})();
