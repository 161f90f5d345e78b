// The panels of a page: a text, what was understood of it, and pictures. The engine, some megabytes,
// is loaded when a panel is first touched; for a panel that is the page's subject this script's tag
// names its kind, and nothing waits. Until then, and in a browser that cannot run it, the pictures drawn beforehand stay.
"use strict";
(() => {
  const playground = (globalThis.playground ??= {});
  const base = new URL(".", document.currentScript.src).href;
  const { eager } = document.currentScript.dataset;
  const SCRIPTS = ["../onnxruntime-web/dist/ort.wasm.min.js", "assets/runtime.js", "rules.js", "engine.js"];
  const MOST_ROWS = 6; // garments drawn at once
  const SCENES = 4;

  const loading = new Map(); // path → promise, so that two panels load nothing twice

  function load(path) {
    if (!loading.has(path))
      loading.set(path, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = base + path;
        script.onload = resolve;
        script.onerror = () => reject(Error(`${path} does not load: reload the page`));
        document.head.append(script);
      }));
    return loading.get(path);
  }

  function cannotDraw(root) {
    if (root.dataset.live === "false") return "this copy of the book was built without its engine";
    if (typeof WebAssembly !== "object") return "this browser runs no WebAssembly";
    if (typeof DecompressionStream !== "function") return "this browser is too old to unpack the model";
    return "";
  }

  const models = new Map(); // name → promise of the opened model

  async function open(name) {
    await Promise.all([...SCRIPTS, `assets/${name}.js`].map(load));
    return playground.open(name);
  }

  if (eager && typeof WebAssembly === "object" && typeof DecompressionStream === "function") {
    models.set(eager, open(eager));
    models.get(eager).catch(() => {}); // told by the panel, once there is one
  }

  function element(tag, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function canvas(values, side) {
    const made = element("canvas", { width: side, height: side });
    made.getContext("2d").putImageData(playground.picture(values, side), 0, 0);
    return made;
  }

  // A row of pictures that a screen reader hears as one, with its caption.
  function figure(caption, canvases) {
    const row = element("div", { className: "playground-row" }, ...canvases);
    row.setAttribute("role", "img");
    row.setAttribute("aria-label", caption);
    return element("figure", {}, row, element("figcaption", {}, caption));
  }

  const listed = (words) => [...words].join(", ");
  const counted = (count, name) => `${count} × ${name}`;

  async function drawGarments(model, state) {
    const rules = (playground.garmentsFromText ??= playground.rules(model.rules));
    const all = rules(state.text), garments = all.slice(0, MOST_ROWS);
    const ignored = new Set(garments.flatMap((garment) => garment.ignored));
    const rows = await playground.drawGarments(model, garments, {
      ...state,
      towards: state.towards === "" ? null : Number(state.towards),
      far: Object.fromEntries(model.directions.map((name) => [name, state[name] ?? 0])),
    });
    const names = garments.map(({ label, adjectives }) => [...adjectives, model.classes[label]].join(" "));
    const figures = rows.map((row, i) =>
      figure(counted(row.length, names[i]), row.map((values) => canvas(values, 28))));
    const drawn = listed(rows.map((row, i) => counted(row.length, names[i])));
    let said = `Drawn: ${drawn}.`;
    if (all.length > garments.length) said += ` These are the first ${MOST_ROWS} of ${all.length} garments.`;
    if (ignored.size) said += ` Ignored, since these pictures cannot show it: ${listed(ignored)}.`;
    return { figures, said };
  }

  async function drawScenes(model, state) {
    const { scenes, missing, unread } = await playground.drawScenes(model, state.text, { ...state, count: SCENES });
    let said = scenes.length ? `Drawn: ${scenes.length} pictures of this text.` : "There is no word to draw.";
    if (missing.length) said += ` Left out, as no word of the list: ${listed(missing)}.`;
    if (unread.length) said += ` Not in any caption of the training, so guessed from like words: ${listed(unread)}.`;
    const figures = scenes.map(({ said: words, picture }) => {
      const told = words.map(({ word, place }) => (place ? `${word} [${place}]` : word));
      const caption = told.join(" ").replace(/ ([.,;:!?])/g, "$1");
      return figure(caption, [canvas(picture, model.size)]);
    });
    return { figures, said };
  }

  const DRAW = { garments: drawGarments, scenes: drawScenes };

  class Panel {
    constructor(root) {
      this.root = root;
      this.kind = root.dataset.panel;
      this.form = root.querySelector("form");
      this.said = root.querySelector(".playground-said");
      this.took = root.querySelector(".playground-took");
      this.pictures = root.querySelector(".playground-pictures");
      this.linked = root.dataset.linked === "true";
      this.busy = this.again = this.touched = false;
      this.form.addEventListener("submit", (event) => { event.preventDefault(); this.redraw(); });
      this.form.addEventListener("input", () => this.redraw());
      root.addEventListener("click", (event) => this.click(event.target.closest("button")));
      for (const touch of ["focusin", "pointerdown"])
        this.form.addEventListener(touch, () => this.model().catch((error) => this.say(error.message)), { once: true });
      const asked = this.linked && this.readLink();
      if (asked || root.dataset.eager === "true") this.draw();
    }

    // The model, opened at the first call; an error of that is told once, and drawn on beforehand.
    model() {
      const reason = cannotDraw(this.root);
      if (reason) return Promise.reject(Error(`Drawn beforehand: ${reason}.`));
      if (!models.has(this.kind)) {
        this.root.setAttribute("aria-busy", "true");
        models.set(this.kind, open(this.kind));
      }
      const model = models.get(this.kind);
      model.catch((error) => this.say(error.message));
      return model;
    }

    state() {
      const fields = [...this.form.elements].filter((field) => field.name);
      return Object.fromEntries(fields.map(({ name, type, value }) =>
        [name, type === "range" || type === "number" ? Number(value) : value]));
    }

    // What a reader did: from then on the address tells it.
    redraw() {
      this.touched = true;
      this.draw();
    }

    tellValues() {
      for (const output of this.form.querySelectorAll("output"))
        output.value = document.getElementById(output.htmlFor.value).value;
    }

    // One drawing at a time; what changed meanwhile is drawn after it.
    async draw() {
      this.tellValues();
      if (this.busy) { this.again = true; return; }
      this.busy = true;
      do {
        this.again = false;
        await this.show(this.state()).catch((error) => this.say(error.message));
      } while (this.again);
      this.busy = false;
    }

    async show(state) {
      const model = await this.model();
      if (this.again) return;
      const start = performance.now();
      const { figures, said } = await DRAW[this.kind](model, state);
      if (figures.length) this.pictures.replaceChildren(...figures);
      const count = this.pictures.querySelectorAll("canvas").length;
      this.took.textContent = `${count} pictures in ${Math.round(performance.now() - start)} ms, on this device.`;
      this.say(said);
      this.root.dataset.drawn = Number(this.root.dataset.drawn ?? 0) + 1;
      globalThis.firstDrawn ??= performance.now(); // benchmarks/in_browser.py
      if (this.linked && this.touched) history.replaceState(null, "", this.link());
      const open = this.root.querySelector("a.playground-open");
      if (open) open.hash = this.hash();
    }

    say(text) {
      this.root.removeAttribute("aria-busy");
      if (this.said.textContent !== text) this.said.textContent = text;
    }

    click(button) {
      if (!button) return;
      const { action, text } = button.dataset, fields = this.form.elements;
      if (text !== undefined) { fields.text.value = text; this.redraw(); }
      if (action === "again") { fields.seed.value = (Number(fields.seed.value) + 1) % 10000; this.redraw(); }
      if (action === "reset") { this.form.reset(); this.redraw(); }
      if (action === "link") this.copyLink();
      if (action === "save") this.save();
    }

    // --- The state as a link: what differs from the beginning.

    hash() {
      const values = new URLSearchParams();
      if (this.kind === "scenes") values.set("panel", this.kind);
      for (const field of this.form.elements)
        if (field.name && (["text", "seed"].includes(field.name) || !atRest(field))) values.set(field.name, field.value);
      return `#${values}`;
    }

    link() {
      return location.href.replace(/#.*$/, "") + this.hash();
    }

    // Takes the state of a link to this panel; false for another address.
    readLink() {
      const values = new URLSearchParams(location.hash.slice(1));
      if ((values.get("panel") ?? "garments") !== this.kind || !values.has("text")) return false;
      for (const field of this.form.elements) {
        if (!field.name || !values.has(field.name)) continue;
        const before = field.value;
        field.value = values.get(field.name); // a range or a number takes numbers alone
        if (field.value === "" && field.type !== "text") field.value = before;
      }
      return true;
    }

    async copyLink() {
      try {
        await navigator.clipboard.writeText(this.link());
        this.say("The link to these pictures is copied.");
      } catch {
        this.say("This browser copies nothing for a page: the link stands in its address bar.");
      }
    }

    save() {
      const rows = [...this.pictures.querySelectorAll(".playground-row")].map((row) => [...row.children]);
      const scale = this.kind === "scenes" ? 4 : 6, gap = 4;
      const sideOf = (one) => scale * (one.naturalWidth ?? one.width); // an image's, a canvas's
      const heights = rows.map((row) => sideOf(row[0]) + gap);
      const widths = rows.map((row) => row.length * (sideOf(row[0]) + gap));
      const sheet = element("canvas", { width: Math.max(...widths), height: heights.reduce((a, b) => a + b) });
      const brush = sheet.getContext("2d");
      brush.imageSmoothingEnabled = this.kind === "scenes";
      let y = 0;
      rows.forEach((row, i) => {
        row.forEach((one, k) => {
          const side = heights[i] - gap;
          brush.drawImage(one, k * (side + gap), y, side, side);
        });
        y += heights[i];
      });
      const link = element("a", { href: sheet.toDataURL(), download: "words-to-pictures.png" });
      link.click();
    }
  }

  const atRest = (field) =>
    field.type === "select-one" ? field.selectedIndex === 0 : field.value === field.defaultValue;

  function start() {
    const panels = [...document.querySelectorAll(".playground[data-panel]")].map((root) => new Panel(root));
    addEventListener("hashchange", () => {
      for (const panel of panels) if (panel.linked && panel.readLink()) panel.draw();
    });
  }

  if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
  else start();
})();
