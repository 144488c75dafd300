// Step through a timeline: its row, the line of the program and what the kernel
// holds by then, together. All of it stands on the page already, in the picture and
// in "The same in words"; without this script both are as they are.
(() => {
  const KERNEL = " The kernel then has: ";

  function make(tag, className, text) {
    const node = document.createElement(tag);
    node.className = className;
    node.textContent = text || "";
    return node;
  }

  // What the kernel has after each step: of each socket the newest thing said.
  function kernelByStep(sentences) {
    const sockets = new Map();
    return sentences.map((sentence) => {
      const news = sentence.split(KERNEL)[1];
      for (const told of news ? news.replace(/\.$/, "").split("; ") : []) {
        const [, socket, state] = told.match(/^(.*?) ((?:[A-Z][A-Z0-9-]+|gone)\b.*)$/);
        if (state === "gone") sockets.delete(socket);
        else sockets.set(socket, state);
      }
      return [...sockets];
    });
  }

  document.querySelectorAll("figure.timeline").forEach((figure) => {
    const frame = figure.querySelector(".timeline-frame");
    const rows = [...figure.querySelectorAll(".tl-event")];
    const items = [...figure.querySelectorAll(".timeline-text li")];
    const sentences = items.map((item) =>
      item.textContent.replace(/^Line \d+: /, ""),
    );
    const lines = items.map((item) =>
      document.getElementById(item.querySelector("a")?.hash.slice(1)),
    );
    const kernel = kernelByStep(sentences);
    let now = -1;

    const panel = make("div", "timeline-steps");
    panel.setAttribute("role", "group");
    panel.setAttribute("aria-label", "Step through the run");
    const bar = make("div", "timeline-bar");
    const previous = make("button", "", "← Previous");
    const next = make("button", "", "Next →");
    const count = make("span", "timeline-count");
    previous.type = next.type = "button";
    bar.append(previous, count, next);
    const told = make("div", "timeline-told");
    told.setAttribute("aria-live", "polite");
    const code = make("pre", "timeline-code");
    const said = make("p", "timeline-said");
    const label = make("p", "timeline-kernel-label", "The kernel now has");
    const counts = make("ul", "timeline-kernel");
    panel.append(bar, told);

    function show(step) {
      now = Math.max(-1, Math.min(step, rows.length - 1));
      figure.classList.toggle("stepping", now >= 0);
      rows.forEach((row, index) => {
        row.classList.toggle("tl-now", index === now);
        row.classList.toggle("tl-later", now >= 0 && index > now);
      });
      document
        .querySelectorAll(".line-now")
        .forEach((line) => line.classList.remove("line-now"));
      previous.setAttribute("aria-disabled", now < 0);
      next.setAttribute("aria-disabled", now === rows.length - 1);
      told.replaceChildren();
      if (now < 0) {
        count.textContent = `${rows.length} steps`;
        return;
      }
      count.textContent = `Step ${now + 1} of ${rows.length}`;
      const line = lines[now];
      line?.classList.add("line-now");
      // What the event loop does for nobody has no line.
      const number = items[now].querySelector("a")?.textContent || "";
      code.textContent = line ? `${number}: ${line.textContent.trim()}` : number;
      code.hidden = !number;
      said.textContent = sentences[now].split(KERNEL)[0];
      counts.replaceChildren(
        ...kernel[now].map(([socket, state]) => make("li", "", `${socket}: ${state}`)),
      );
      told.append(code, said);
      if (kernel[now].length) told.append(label, counts);
      reveal(rows[now]);
    }

    // Between the page's head and the panel, which may stand over the picture.
    function reveal(row) {
      const box = row.getBoundingClientRect();
      const below = box.bottom + 8 - panel.getBoundingClientRect().top;
      const above = box.top - 64;
      const top = above < 0 ? above : Math.min(Math.max(below, 0), above);
      window.scrollBy({ top, behavior: "instant" });
      const edge = frame.getBoundingClientRect();
      if (box.right > edge.right) frame.scrollLeft += box.right - edge.right;
      if (box.left < edge.left) frame.scrollLeft += box.left - edge.left;
    }

    previous.addEventListener("click", () => show(now - 1));
    next.addEventListener("click", () => show(now + 1));
    figure.addEventListener("keydown", (event) => {
      const scrolls = frame.scrollWidth > frame.clientWidth;
      if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
      if (event.target === frame && scrolls) return;
      const step = {
        ArrowLeft: now - 1,
        ArrowRight: now + 1,
        Home: 0,
        End: rows.length - 1,
        Escape: -1,
      }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      show(step);
    });
    frame.after(panel);
    show(-1);
  });
})();
