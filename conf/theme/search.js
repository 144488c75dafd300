// The search: Pagefind and its dialog, fetched when the box gets the focus. Where it
// cannot run (a page opened as a file, a site without an index) the form leads to
// Sphinx's own search.
(() => {
  const root = new URL(document.documentElement.dataset.content_root, location.href);
  const at = (path) => new URL(path, root).href;

  function element(name, attributes) {
    const made = Object.assign(document.createElement(name), attributes);
    return new Promise((resolve, reject) => {
      made.onload = () => resolve(made);
      made.onerror = () => reject(new Error(`cannot load ${name}`));
      document.head.append(made);
    });
  }

  let begun;
  function load() {
    begun ??= (async () => {
      if (!location.protocol.startsWith("http")) {
        throw new Error("a page opened as a file cannot fetch");
      }
      await Promise.all([
        element("link", { rel: "stylesheet", href: at("pagefind/pagefind-component-ui.css") }),
        element("script", { src: at("pagefind/pagefind-component-ui.js") }),
      ]);
      const config = document.createElement("pagefind-config");
      config.setAttribute("bundle-path", at("pagefind/pasted/"));
      document.body.append(config);
    })();
    return begun;
  }

  let dialog;
  async function open(words) {
    await load();
    if (!dialog) {
      dialog = document.createElement("pagefind-modal");
      document.body.append(dialog);
      await customElements.whenDefined("pagefind-modal");
    }
    const field = dialog.querySelector("input");
    dialog.open();
    if (words !== undefined && field) {
      field.value = words;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }

  const box = document.querySelector(".sidebar-search");
  box?.addEventListener("focus", () => load().catch(() => {}));
  box?.addEventListener("input", async () => {
    try {
      await load();
    } catch {
      return;
    }
    const words = box.value;
    box.value = "";
    if (words) open(words);
  });
  document.addEventListener("keydown", (event) => {
    const target = event.target instanceof Element ? event.target : document.body;
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.closest("input, textarea, select, [contenteditable]")) return;
    event.preventDefault();
    open().catch(() => box?.focus());
  });

  // The search page itself.
  const results = document.querySelector("#search-results[data-fallback]");
  if (results) {
    const words = new URLSearchParams(location.search).get("q") ?? "";
    const field = document.querySelector(".search-form input");
    field.value = words;
    load().then(
      async () => {
        results.append(
          document.createElement("pagefind-summary"),
          document.createElement("pagefind-results"),
        );
        await customElements.whenDefined("pagefind-results");
        const instance = window.PagefindComponents.getInstanceManager().getInstance("default");
        field.addEventListener("input", () => instance.triggerSearch(field.value));
        if (words) instance.triggerSearch(words);
      },
      async () => {
        for (const path of results.dataset.fallback.split(" ")) {
          await element("script", { src: at(path) });
        }
      },
    );
  }
})();
