// The page is complete without this script. It adds filters, and shows the cases of a cell in a dialog.
"use strict";

const rows = [...document.querySelectorAll(".matrix tbody tr")];
const search = document.querySelector("#search");
const differing = document.querySelector("#differing");
const shown = document.querySelector("#shown");

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const row of rows) {
    const text = row.dataset.words;
    row.hidden = (differing.checked && !("differs" in row.dataset)) || !words.every((word) => text.includes(word));
    count += !row.hidden;
  }
  shown.textContent = `${count} of ${rows.length} rules`;
}

search.addEventListener("input", filter);
differing.addEventListener("change", filter);
document.querySelector(".controls").hidden = false;
filter();

const dialog = document.querySelector("dialog");

document.querySelector(".matrix").addEventListener("click", (event) => {
  const link = event.target.closest("a[data-cases]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  dialog.querySelector("h2").textContent = link.dataset.title;
  dialog.querySelector(".of").textContent = link.closest("tr").querySelector(".rule").textContent;
  const cases = link.dataset.cases.split(" ").map((id) => document.getElementById(id).cloneNode(true));
  for (const one of cases) {
    one.removeAttribute("id");
    one.open = cases.length === 1 || "bad" in one.dataset;
  }
  dialog.querySelector(".cases").replaceChildren(...cases);
  dialog.showModal();
  dialog.scrollTop = 0;
});

dialog.querySelector(".close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
