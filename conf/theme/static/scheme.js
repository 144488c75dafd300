// Loaded before the page is painted, so that a chosen scheme never flashes.
try {
  document.body.dataset.theme = localStorage.getItem("theme") || "auto";
} catch {
  document.body.dataset.theme = "auto";
}
