// Stands between Pagefind and its dialog. Pagefind finds the pages that have every
// word; people paste a traceback or a line of a log, and no page has all of that. Then
// the page is looked for that has the most and the rarest of the words, and Pagefind is
// asked for those.
import * as pagefind from "../pagefind.js";

const MOST = 40; // words of a paste that are looked up
const FEW = 7; // so many are typed, not pasted
const ADDRESS = /\b(?:https?|wss?|file):\/\/[^\s'"]*/g;
const OBJECT = /<[^<>]*>/g; // <HTTPConnection object at 0x7f12>
const MODULE = /\b(?:\w+\.)+(?=[A-Z]\w*|(?:gai|h)?error\b|timeout\b)/g; // of an exception
const ABOVE = /^.*(?=\[(?:Errno|WinError) -?\d+\])/s; // what wraps an error of a system

const words = (text) => (text.match(/[\p{L}\p{N}_-]+/gu) ?? []).slice(0, MOST);

// Leave out what names things of the writer's own, and libraries around an error.
function plain(given) {
  const text = given.replace(ADDRESS, " ").replace(OBJECT, " ").replace(MODULE, "").trim();
  return (words(text).length > FEW ? text.replace(ABOVE, "") : text) || given;
}

async function nearest(inner, text, options) {
  const all = (await inner.search(null, options)).results.length;
  const having = new Map(); // by words, the pages that have it
  const sums = new Map(); // by pages
  for (const word of new Set(words(text))) {
    // Without the quotes a word that no page has stands for one that begins like it;
    // with them nothing says which page it matters to most.
    if (!(await inner.search(`"${word}"`, options)).results.length) continue;
    const { results } = await inner.search(word, options);
    const rare = Math.log(1 + all / results.length);
    having.set(word, new Set(results.map(({ id }) => id)));
    for (const { id, score } of results) {
      sums.set(id, (sums.get(id) ?? 0) + rare * (1 + score / results[0].score));
    }
  }
  const [best] = [...sums].sort(([, one], [, other]) => other - one)[0] ?? [];
  const shared = [...having].filter(([, pages]) => pages.has(best)).map(([word]) => word);
  return inner.search(shared.join(" "), options);
}

export function createInstance(settings) {
  const inner = pagefind.createInstance(settings);
  async function search(given, options) {
    if (typeof given !== "string") return inner.search(given, options);
    const text = plain(given);
    const pasted = words(text).length > FEW && /[:=[({'"]/.test(text);
    const found = pasted ? null : await inner.search(text, options);
    const enough = found?.results.length || words(text).length < 2;
    return enough ? found : nearest(inner, text, options);
  }
  return { ...inner, search };
}
