// The words of a text to garments, their counts and adjectives, as cvae_lib/text.py and grammar.py
// do it: functions and their order are those of the two, words and patterns come from there
// (tools/rules_tables.py), and tests/test_rules_js.py holds answers and errors to be Python's.
// They differ for characters that only one of the two knows: the browser's Unicode may be newer or
// older than that of the Python that made the tables.
"use strict";
globalThis.playground ??= {};

(() => {
  const unique = (items) => [...new Set(items)];
  const ESCAPES = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

  // A text in quotes, as Python shows it.
  function repr(text) {
    const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
    const escaped = (char) => {
      if (char === " ") return char;
      if (char === "'") return quote === "'" ? "\\'" : char;
      if (char in ESCAPES) return ESCAPES[char];
      const code = char.codePointAt(0);
      const [letter, width] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
      return `\\${letter}${code.toString(16).padStart(width, "0")}`;
    };
    return quote + text.replace(/[\\'\p{C}\p{Z}]/gu, escaped) + quote;
  }

  // The function garmentsFromText of the tables of tools/rules_tables.py.
  playground.rules = (tables) => {
    const pattern = (name, flags = "u") => new RegExp(tables.patterns[name], flags);
    const start = (name, end = "") => new RegExp(`^(?:${tables.patterns[name]})${end}`, "u");
    const map = (name) => new Map(Object.entries(tables[name]));
    const [JOINT, NOUN, TOKEN] = ["joint", "noun", "token"].map((name) => pattern(name, "gu"));
    const LETTER = start("letter"), PREDICATE = start("predicate"), LOOSE = pattern("loose");
    const COUNT_BEHIND = start("count_behind"), DIGITS = start("digits", "$");
    const [FOLDED, CHARACTERS] = [map("folded"), map("characters")];
    const [LABELS, NUMBERS, KINDS, NAMES] = ["labels", "numbers", "kinds", "names"].map(map);
    const NO_COUNTS = new Set([...tables.no_counts, "dozen"]);
    const CATEGORIES = Object.entries(tables.categories).map(([name, char]) =>
      [new RegExp(`(?![-—])\\p{${name}}`, "gu"), char]);

    function plain(text) {
      const lower = text.normalize("NFKC").toLowerCase();
      let changed = Array.from(lower, (char) => FOLDED.get(char) ?? char).join("");
      changed = Array.from(changed, (char) => CHARACTERS.get(char) ?? char).join("");
      for (const [category, char] of CATEGORIES) changed = changed.replace(category, char);
      return changed.split(/[\s\x1c-\x1f\x85]+/).filter(Boolean).join(" ");
    }

    function token(found, first) {
      const { groups } = found;
      let word = groups.number ?? groups.adjective ?? found[0];
      let kind = [..."SXNQA"].find((name) => groups[name] !== undefined);
      if (kind === undefined) {
        const other = word.endsWith("ly") ? "R" : word.endsWith("'s") ? "D" : "X";
        kind = KINDS.get(word) ?? (LETTER.test(word) ? other : ",");
      } else if (kind === "S") {
        word = word.replace(/^[x×*:() ]+|[x×*:() ]+$/g, "");
        kind = first ? "N" : "S";
      }
      return [["a", "an"].includes(word) ? "T" : kind, word];
    }

    function split(gap, first, last) {
      const tokens = [];
      for (const found of gap.matchAll(TOKEN)) tokens.push(token(found, first || tokens.length));
      const kinds = tokens.map(([kind]) => kind).join("");
      const lastOf = (some, from = 0) => {
        const at = Math.max(...[...some].map((kind) => kinds.lastIndexOf(kind)));
        return at < from ? -1 : at;
      };
      let at = last ? kinds.length : lastOf(".PSV") + 1;
      if (kinds.startsWith("(")) {
        at = Math.max(at, kinds.indexOf(")") + 1, kinds.indexOf("(", 1) + 1);
      }
      const article = lastOf("DNT", at);
      if (article >= 0) {
        at = article;
        while ("DNT".includes(kinds[at - 1])) at -= 1;
      } else if (kinds[at - 1] === "V") {
        at = Math.max(at, lastOf("C,", at) + 1);
      }
      if (LOOSE.test(kinds)) at = kinds.length;
      return [tokens.slice(0, at), tokens.slice(at)];
    }

    function number(words) {
      let spoken = words.replaceAll("-", " ");
      if (!spoken.split(" ").some((word) => NO_COUNTS.has(word))) {
        spoken = spoken.slice(spoken.lastIndexOf(" ") + 1);
      }
      const digit = (char) => {
        const code = char.codePointAt(0);
        return code - tables.zeros.find((zero) => zero <= code && code < zero + 10);
      };
      const digits = DIGITS.exec(words)?.[1];
      const value = digits === undefined
        ? NUMBERS.get(spoken)
        : Array.from(digits, digit).reduce((sum, each) => 10 * sum + each, 0);
      if (value >= 1 && value <= tables.max_count) return value;
      const shown = repr([...words].slice(0, 40).join(""));
      const wanted = `a whole number from 1 to ${tables.max_count}, or none`;
      throw new Error(`cannot draw ${shown} of a garment: want ${wanted}`);
    }

    function sortedOut(label, written) {
      const words = unique(written.map((word) => word.replace(JOINT, " ")));
      const about = (word) => tables.adjectives[NAMES.get(word)];
      const able = words.filter((word) => typeof about(word)?.shares[label] === "number");
      const has = (attribute, side) =>
        able.some((word) => about(word).attribute === attribute && about(word).side === side);
      const isShade = (word) => about(word)?.side === "middle"
        && (has(about(word).attribute, "low") || has(about(word).attribute, "high"));
      const isLost = (word) => !able.includes(word)
        || (has(about(word).attribute, "low") && has(about(word).attribute, "high"));
      const ignored = words.filter((word) => isLost(word) && !isShade(word));
      const kept = words.filter((word) => !isLost(word) && !isShade(word));
      const adjectives = unique(kept.map((word) => NAMES.get(word)));
      const shares = adjectives.map((name) => {
        const { attribute, shares } = tables.adjectives[name];
        return [attribute, shares[label]];
      });
      return { adjectives, ignored, shares: Object.fromEntries(shares) };
    }

    function read(label, noun, before, behind) {
      const kinds = behind.map(([kind]) => kind).join("");
      const of = (tokens, some) =>
        tokens.filter(([kind]) => some.includes(kind)).map(([, word]) => word);
      const numbers = of(before, "NT"), pairs = of(before, "Q"), words = of(before, "A");
      if (COUNT_BEHIND.test(kinds)) numbers.push(behind[0][1]);
      let many = noun.endsWith("s") && !noun.endsWith("ss");
      if (pairs.length && !numbers.length) many = pairs.at(-1).startsWith("pairs");
      let count = numbers.length ? number(numbers.at(-1)) : many ? null : 1;
      if (pairs.length && count && !tables.pairs.includes(label)) count = number(String(2 * count));
      const predicate = PREDICATE.exec(kinds);
      if (predicate) {
        const end = predicate[0].length, said = predicate[1] ?? predicate[2]; // both end it
        words.push(...of(behind.slice(end - said.length, end), "A"));
      }
      return { label, count, ...sortedOut(label, words) };
    }

    return function garmentsFromText(text) {
      const characters = [...text], { length } = characters, most = tables.max_text;
      if (length > most) throw new Error(`text has ${length} characters; want at most ${most}`);
      const whole = plain(text);
      const labelOf = (found) => LABELS.get(found[0].replace(JOINT, ""));
      const found = [...whole.matchAll(NOUN)].filter((noun) => labelOf(noun) !== null);
      if (!found.length) {
        const quoted = length <= 50 ? text : `${characters.slice(0, 50).join("")}...`;
        const known = tables.known.join(", ");
        throw new Error(`no garment word in ${repr(quoted)}; known words include: ${known}`);
      }
      const ends = [0, ...found.map((noun) => noun.index + noun[0].length)];
      const starts = [...found.map((noun) => noun.index), whole.length];
      const gaps = ends.map((end, i) =>
        split(whole.slice(end, starts[i]), end === 0, starts[i] === whole.length));
      return found.map((noun, i) => read(labelOf(noun), noun[0], gaps[i][1], gaps[i + 1][0]));
    };
  };
})();
