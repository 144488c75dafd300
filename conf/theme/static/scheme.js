// Loaded before the page is painted, so that a chosen scheme never flashes.
try {
  document.body.dataset.theme = localStorage.getItem("theme") || "auto";
} catch {
  document.body.dataset.theme = "auto";
}
// And the room for what scripts add is there from the start: nothing shifts.
document.documentElement.classList.remove("no-js");
