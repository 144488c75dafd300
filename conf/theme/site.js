// The copy button of a snippet belongs into its bar, beside the download: under an
// excerpt the program that it copies stands in a closed <details>.
(() => {
  const status = document.createElement("p");
  status.className = "visually-hidden";
  status.setAttribute("role", "status");
  document.body.append(status);

  document.querySelectorAll(".copy-source .copybtn").forEach((button) => {
    const bar = button.closest(".snippet")?.querySelector(".snippet-bar");
    const path = bar?.querySelector(".snippet-path")?.textContent.trim();
    const name = path
      ? `Copy the whole program ${path.split("/").pop()}`
      : "Copy this block";
    button.type = "button";
    button.setAttribute("aria-label", name);
    if (bar && !bar.querySelector(".copybtn")) {
      button.dataset.tooltip = "Copy the whole program";
      bar.append(button);
    }
    new MutationObserver(() => {
      status.textContent = button.classList.contains("success") ? "Copied" : "";
    }).observe(button, { attributeFilter: ["class"] });
  });
})();
