// What is wrong with an open page: functions that check_page.py calls in the browser; each returns a line for a fault.
"use strict";
(() => {
  const FOCUSABLE = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]";

  /** An element in words: its tag, its name if it has one, and how its text begins. */
  function named(element) {
    const name = element.id ? `#${element.id}` : [...element.classList].map((name) => `.${name}`).join("");
    const text = (element.getAttribute("aria-label") ?? element.textContent).trim().replace(/\s+/g, " ");
    return `<${element.localName}${name}> ${text.slice(0, 60)}`;
  }

  /** Equations, raw TeX, pictures, icons. */
  async function look() {
    const faults = [];
    for (const math of document.querySelectorAll(".math"))
      if (!math.querySelector("mjx-container")) faults.push(`equation not drawn: ${math.textContent}`);
    for (const bad of document.querySelectorAll("mjx-merror, [data-mjx-error]"))
      faults.push(`equation with an error: ${bad.dataset.mjxError ?? bad.textContent}`);
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const set = "code, pre, script, style, textarea, mjx-container, .math";
    while (texts.nextNode()) {
      const node = texts.currentNode;
      if (/\\[a-zA-Z([]/.test(node.data) && !node.parentElement.closest(set))
        faults.push(`raw TeX: ${node.data.trim()}`);
    }
    for (const image of document.images) {
      image.loading = "eager";
      await image.decode().catch(() => {});
      if (!image.naturalWidth) faults.push(`picture does not load: ${image.getAttribute("src")}`);
      if (!image.alt.trim()) faults.push(`picture without alt text: ${image.getAttribute("src")}`);
    }
    for (const icon of document.querySelectorAll(":is(i, span)[class*='fa-']")) {
      const { content, fontFamily } = getComputedStyle(icon, "::before");
      if (content === "none" || !/Font Awesome/.test(fontFamily)) faults.push(`icon not drawn: ${icon.className}`);
    }
    return faults;
  }

  /** Bytes that the page loads besides pictures, fonts in styles included; over http alone. */
  function weight() {
    const entries = ["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type));
    const text = entries.filter((entry) => !/\.(png|jpe?g|svg|gif|webp)([?#]|$)/.test(entry.name));
    const drawn = [...document.querySelectorAll(".frames script, img[src^='data:']")];
    const pictures = drawn.reduce((sum, part) => sum + (part.src || part.textContent).length, 0);
    return text.reduce((sum, entry) => sum + entry.decodedBodySize, -pictures);
  }

  /** Open all that is folded, and let nothing move slowly. */
  function unfold() {
    const style = document.createElement("style");
    style.textContent = "*, ::before, ::after { animation: none !important; transition: none !important; }";
    document.head.append(style);
    for (const fold of document.querySelectorAll("details")) {
      fold.removeAttribute("name"); // of those with one name only one can be open
      fold.open = true;
    }
    for (const button of document.querySelectorAll(".toggle-hidden .toggle-button")) button.click();
  }

  /** What makes a page scroll sideways, and tables whose first column leaves the view when they scroll. */
  function narrow() {
    const faults = [];
    const root = document.scrollingElement;
    if (root.scrollWidth > innerWidth) {
      const wide = [...document.querySelectorAll("body *")].filter(
        (element) => element.getBoundingClientRect().right > innerWidth + 1 && !scroller(element),
      );
      const widest = wide.filter((element) => !wide.includes(element.parentElement)).map(named);
      faults.push(`scrolls sideways, ${root.scrollWidth} in ${innerWidth} px: ${widest.join("; ")}`);
    }
    for (const table of document.querySelectorAll(".bd-article table")) {
      const box = scroller(table);
      if (!box) continue;
      box.scrollLeft = box.scrollWidth;
      const left = box.getBoundingClientRect().left;
      const cells = [...table.rows].map((row) => row.cells[0]).filter(Boolean);
      if (cells.some((cell) => cell.getBoundingClientRect().left < left - 1))
        faults.push(`first column out of view: ${named(table)}`);
      box.scrollLeft = 0;
    }
    return faults;
  }

  /** What paper cuts off: it neither scrolls nor grows. */
  function paper() {
    const cut = [...document.querySelectorAll(".bd-article *")].filter((box) => {
      if (!box.checkVisibility() || box.closest("mjx-assistive-mml, mjx-math > *")) return false;
      const wide = box.scrollWidth > box.clientWidth + 1;
      const clips = wide && (box.matches("pre, table") || getComputedStyle(box).overflowX !== "visible");
      return clips || box.getBoundingClientRect().right > innerWidth + 1;
    });
    return cut.filter((box) => !cut.includes(box.parentElement)).map((box) => `cut off: ${named(box)}`);
  }

  /** The nearest box around an element that scrolls sideways, if one does. */
  function scroller(element) {
    for (let box = element.parentElement; box; box = box.parentElement)
      if (box.scrollWidth > box.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(box).overflowX)) return box;
    return null;
  }

  /** What one sees of an element, and of the box around it, for a comparison. */
  function appearance(element) {
    return [element, element.parentElement]
      .flatMap((box) => [getComputedStyle(box), getComputedStyle(box, "::before")])
      .map((style) => [
        style.outlineStyle === "none" ? "" : style.outline,
        style.boxShadow,
        style.borderColor,
        style.borderWidth,
        style.backgroundColor,
        style.textDecoration,
      ])
      .join();
  }

  /** Elements that look the same with the keyboard's focus as without. */
  function focus() {
    document.activeElement?.blur();
    const stops = [...document.querySelectorAll(FOCUSABLE)].filter(
      (stop) => stop.tabIndex >= 0 && !stop.disabled && stop.checkVisibility({ visibilityProperty: true }),
    );
    const before = stops.map(appearance);
    const unseen = stops.filter((stop, i) => {
      stop.focus({ preventScroll: true });
      return document.activeElement === stop && appearance(stop) === before[i];
    });
    document.activeElement?.blur();
    return unseen.map((stop) => `focus not visible: ${named(stop)}`);
  }

  /** Put text in place of equations, and of words of code but one of each kind: axe takes half a minute over them. */
  function slim() {
    const tokens = [...document.querySelectorAll(".highlight pre span[class]")];
    const kinds = tokens.map((token) => token.className + getComputedStyle(token.closest("pre")).backgroundColor);
    const repeated = tokens.filter((token, i) => kinds.indexOf(kinds[i]) < i);
    for (const piece of [...repeated, ...document.querySelectorAll("mjx-container")]) piece.replaceWith(piece.textContent);
    document.body.normalize();
  }

  /** What axe finds serious or critical, a line for each of its rules; only its rules on colours if so asked. */
  async function accessible(colours) {
    const only = colours ? { runOnly: ["color-contrast", "link-in-text-block"] } : {};
    const found = await axe.run(document, { resultTypes: ["violations"], ...only });
    return found.violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => {
        const [{ html, any, all, none }] = nodes;
        const why = [...any, ...all, ...none].map(({ message }) => message).join(" ");
        return `${id}, ${nodes.length} times, first ${html.slice(0, 200)}: ${why}`;
      });
  }

  /** A picture's pixels. */
  async function pixels(image) {
    await image.decode().catch(() => {}); // it was replaced meanwhile
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    canvas.getContext("2d").drawImage(image, 0, 0);
    return canvas.toDataURL();
  }

  window.checks = { pixels, look, weight, unfold, narrow, paper, focus, slim, accessible };
})();
