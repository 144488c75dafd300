// The filter of the catalogue: words, and what a program may need.
(() => {
  const form = document.querySelector(".catalogue-filter");
  if (!form) return;
  const rows = [...document.querySelectorAll(".catalogue-group li")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const output = form.querySelector("output");

  function filter() {
    const words = form.querySelector("[type=search]").value.toLowerCase().split(/\s+/);
    const kinds = [...form.querySelectorAll(":checked")].map((box) => box.value);
    let left = 0;
    rows.forEach((row, at) => {
      const fits =
        words.every((word) => texts[at].includes(word)) &&
        kinds.every((kind) => row.classList.contains(kind));
      row.hidden = !fits;
      left += fits;
    });
    document.querySelectorAll(".catalogue-group").forEach((group) => {
      group.hidden = !group.querySelector("li:not([hidden])");
    });
    output.textContent = `${left} of ${rows.length}`;
  }

  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
})();
