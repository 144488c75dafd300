// In place of sphinx-copybutton's own two functions, which look for prompts and
// drop the last newline: what is copied is the program, to the byte.
function filterText(target, exclude) {
  const clone = target.cloneNode(true);
  if (exclude) clone.querySelectorAll(exclude).forEach((node) => node.remove());
  return clone.textContent;
}
function formatCopyText(text) {
  return text;
}
