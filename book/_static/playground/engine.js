// What the playground draws with: the book's trained models in onnxruntime-web, on one wasm thread.
// Every number is the reader's own: text, seed and sliders go in, pictures come out, nothing leaves.
"use strict";
(() => {
  const playground = (globalThis.playground ??= {});
  const STEPS = 256; // of a grey

  // --- Loading: each part of an asset is gzip in base64, because a page from the disk may load
  // scripts and nothing else.

  async function unpack(text) {
    const packed = await fetch(`data:application/octet-stream;base64,${text}`);
    const stream = packed.body.pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  let runtime; // unpacked once a page

  async function startRuntime() {
    const { wasm, glue } = playground.assets.runtime;
    const [binary, script] = await Promise.all([unpack(wasm), unpack(glue)]);
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = binary.buffer;
    ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([script], { type: "text/javascript" })) };
  }

  async function open(name) {
    runtime ??= startRuntime();
    const parts = Object.entries(playground.assets[name]);
    const unpacked = await Promise.all(parts.map(([, text]) => unpack(text)));
    const { about, ...graphs } = Object.fromEntries(parts.map(([part], i) => [part, unpacked[i]]));
    const model = JSON.parse(new TextDecoder().decode(about));
    await runtime;
    for (const [part, graph] of Object.entries(graphs))
      model[part] = await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] });
    return model;
  }

  const floats = (values, ...shape) => new ort.Tensor("float32", Float32Array.from(values), shape);
  const integers = (values, ...shape) =>
    new ort.Tensor("int64", BigInt64Array.from(values, BigInt), shape);

  // --- Chance: the same seed gives the same pictures, on every machine.

  function random(seed) {
    let state = seed >>> 0;
    const uniform = () => { // mulberry32, in (0, 1)
      state = (state + 0x6d2b79f5) >>> 0;
      let x = Math.imul(state ^ (state >>> 15), state | 1);
      x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
      return (((x ^ (x >>> 14)) >>> 0) + 0.5) / 4294967296;
    };
    const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    return {
      normals: (count) => Array.from({ length: count }, normal),
      choose(weights) {
        let left = uniform() * weights.reduce((sum, weight) => sum + weight, 0);
        const found = weights.findIndex((weight) => (left -= weight) < 0);
        return found < 0 ? weights.length - 1 : found;
      },
    };
  }
  const seedOf = (seed, row) => Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(row + 1, 0x85ebca6b);

  // --- A little linear algebra: matrices are lists of rows.

  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const pick = (values, places) => places.map((place) => values[place]);
  const square = (matrix, places) => places.map((row) => pick(matrix[row], places));

  function cholesky(matrix) {
    const L = matrix.map((row) => row.map(() => 0));
    for (let i = 0; i < L.length; i++)
      for (let j = 0; j <= i; j++) {
        const rest = matrix[i][j] - dot(L[i].slice(0, j), L[j].slice(0, j));
        L[i][j] = i === j ? Math.sqrt(rest) : rest / L[j][j];
      }
    return L;
  }

  function solve(L, value) { // (L · Lᵀ)⁻¹ · value
    const x = [...value];
    for (let i = 0; i < x.length; i++) x[i] = (x[i] - dot(L[i].slice(0, i), x)) / L[i][i];
    const half = [...x];
    for (let i = x.length - 1; i >= 0; i--) {
      for (let j = i + 1; j < x.length; j++) x[i] -= L[j][i] * x[j];
      x[i] /= L[i][i];
    }
    return [x, half];
  }

  // --- Garments

  // The prior of a class where some attributes have given values: which component, and how far z
  // must go for the gap between the values and what z alone would show (Prior.given in Python).
  function given(prior, model, shares) {
    const places = Object.keys(shares).map((name) => model.attributes.indexOf(name));
    if (!places.length) return { weights: prior.components, towards: (z) => z };
    const goal = places.map((place) => {
      const name = model.attributes[place];
      return quantile(prior.quantiles[name], model.levels, shares[name]) - prior.offset[place];
    });
    const noise = square(prior.noise, places);
    const noiseRoot = cholesky(noise);
    const weight = pick(prior.weight, places);
    const roots = prior.own.map((own) =>
      cholesky(square(own, places).map((row, i) => row.map((value, j) => value + noise[i][j]))));
    const logs = roots.map((root, k) => {
      const gap = goal.map((value, i) => value - prior.expected[k][places[i]]);
      const [, half] = solve(root, gap);
      const logRoot = root.reduce((sum, row, i) => sum + Math.log(row[i]), 0);
      return Math.log(prior.components[k]) - dot(half, half) / 2 - logRoot;
    });
    const top = Math.max(...logs);
    return {
      weights: logs.map((value) => Math.exp(value - top)),
      towards(z, k, normals) {
        const slack = noiseRoot.map((row) => dot(row, normals));
        const gap = goal.map((value, i) => value - dot(weight[i], z) - slack[i]);
        const [gain] = solve(roots[k], gap);
        const cross = pick(prior.cross[k], places);
        return z.map((value, d) => value + gain.reduce((sum, g, i) => sum + g * cross[i][d], 0));
      },
    };
  }

  function quantile(values, levels, share) {
    const at = Math.min(Math.max((share - levels[0]) / (levels[1] - levels[0]), 0), levels.length - 1);
    const low = Math.min(Math.floor(at), levels.length - 2);
    return values[low] + (at - low) * (values[low + 1] - values[low]);
  }

  // Codes for `count` pictures of a class; `far` moves them along directions, in their spreads.
  async function codes(model, label, shares, count, { seed, temperature, far }) {
    const prior = model.priors[label];
    const { weights, towards } = given(prior, model, shares);
    const chance = random(seed);
    const components = [], noise = [], slack = [];
    for (let i = 0; i < count; i++) {
      components.push(chance.choose(weights));
      noise.push(...chance.normals(model.latent).map((value) => temperature * value));
      slack.push(chance.normals(model.attributes.length).map((value) => temperature * value));
    }
    const size = prior.components.length;
    const { z } = await model.prior.run({
      noise: floats(noise, count, model.latent),
      component: integers(components.map((k) => label * size + k), count),
    });
    return components.map((k, i) => {
      const one = towards(Array.from(z.data.slice(i * model.latent, (i + 1) * model.latent)), k, slack[i]);
      for (const [name, way] of Object.entries(prior.directions))
        if (far[name]) way.forEach((value, d) => (one[d] += far[name] * value));
      return one;
    });
  }

  async function decode(model, z, shares) {
    const { images } = await model.decode.run({
      z: floats(z.flat(), z.length, model.latent),
      shares: floats(shares.flat(), z.length, model.classes.length),
    });
    return images.data;
  }

  const oneHot = (label, length) => Array.from({ length }, (_, i) => +(i === label));
  const mixed = (a, b, share) => a.map((value, i) => (1 - share) * value + share * b[i]);

  // Pictures of garments as `playground.rules` reads them: a Float32Array of 28 · 28 greys for each.
  async function drawGarments(model, garments, options = {}) {
    const { seed = 0, temperature = 1, many = 6, far = {}, towards = null, share = 0 } = options;
    const z = [], labels = [], counts = [];
    for (const [row, { label, count, shares }] of garments.entries()) {
      const how = { seed: seedOf(seed, row), temperature, far };
      let own = await codes(model, label, shares, count ?? many, how);
      let hot = oneHot(label, model.classes.length);
      if (towards !== null && share > 0) {
        const other = await codes(model, towards, {}, own.length, how);
        own = own.map((code, i) => mixed(code, other[i], share));
        hot = mixed(hot, oneHot(towards, model.classes.length), share);
      }
      z.push(...own);
      labels.push(...own.map(() => hot));
      counts.push(own.length);
    }
    const greys = await decode(model, z, labels);
    const area = greys.length / z.length;
    let at = 0;
    return counts.map((count) =>
      Array.from({ length: count }, () => greys.slice(at, (at += area))));
  }

  // --- Scenes

  // A text's words as rows of the table, and which of them have no row, or no caption held.
  function readScene(model, text) {
    const spoken = text.toLowerCase().match(/[\p{L}\p{N}_]+(?:-[\p{L}\p{N}_]+)*|[.,;:!?]/gu) ?? [];
    const words = [], missing = new Set(), unread = new Set();
    for (const word of spoken) {
      const parts = Object.hasOwn(model.words, word) ? [word] : word.split("-");
      for (const part of parts) {
        const rows = Object.hasOwn(model.words, part) ? model.words[part] : [];
        if (rows.length) words.push({ word: part, rows });
        else missing.add(part);
        if (/\p{L}|\p{N}/u.test(part) && rows.length)
          for (const one of part.split("-")) if (!model.trained.includes(one)) unread.add(one);
      }
    }
    return { words, missing: [...missing], unread: [...unread] };
  }

  // Behind which words a place is put that the text leaves open, drawn word by word.
  async function choosePlaces(model, rows, count, chance, temperature) {
    const { words } = await model.embed.run({ rows: integers(rows, 1, rows.length) });
    const { read, start } = await model.read.run({ words });
    const width = read.dims[2], kinds = model.phrases.length;
    let state = floats(Array.from({ length: count }, () => [...start.data]).flat(), count, width);
    const taken = Array.from({ length: count }, () => Array(kinds).fill(0));
    const choices = taken.map(() => []);
    for (let at = 0; at < rows.length; at++) {
      const word = read.data.slice(at * width, (at + 1) * width);
      const step = await model.step.run({
        word: floats(Array.from({ length: count }, () => [...word]).flat(), count, width),
        taken: floats(taken.flat(), count, kinds),
        state,
      });
      state = step.next;
      for (let i = 0; i < count; i++) {
        const logits = [...step.logits.data.slice(i * (kinds + 1), (i + 1) * (kinds + 1))];
        taken[i].forEach((chosen, kind) => { if (chosen) logits[kind + 1] = -Infinity; });
        const top = Math.max(...logits);
        const choice = temperature > 0
          ? chance.choose(logits.map((value) => Math.exp((value - top) / temperature)))
          : logits.indexOf(top);
        choices[i].push(choice);
        if (choice) taken[i][choice - 1] = 1;
      }
    }
    return choices;
  }

  // `count` scenes of a text: what was read with its places, and 3 · size · size values in [0, 1].
  async function drawScenes(model, text, { seed = 0, temperature = 1, count = 4 } = {}) {
    const { words, missing, unread } = readScene(model, text);
    if (!words.length) return { scenes: [], missing, unread };
    const rows = words.flatMap((word) => word.rows);
    const chance = random(seedOf(seed, 0));
    const choices = await choosePlaces(model, rows, count, chance, temperature);
    const told = choices.map((chosen) => rows.flatMap((row, i) =>
      chosen[i] ? [row, ...model.phraseRows[chosen[i] - 1]] : [row]));
    const noise = chance.normals(count * model.latent).map((value) => temperature * value);
    const pictures = await drawTold(model, told, noise);
    const scenes = pictures.map((picture, i) => {
      let at = 0;
      const said = words.map(({ word, rows: own }) => {
        const place = choices[i].slice(at, (at += own.length)).find(Boolean);
        return { word, place: place ? model.phrases[place - 1] : null };
      });
      return { said, picture };
    });
    return { scenes, missing, unread };
  }

  async function drawTold(model, told, noise) {
    const longest = Math.max(...told.map((rows) => rows.length));
    const padded = told.flatMap((rows) => [...rows, ...Array(longest - rows.length).fill(0)]);
    const { words } = await model.embed.run({ rows: integers(padded, told.length, longest) });
    const { images } = await model.draw.run({ words, noise: floats(noise, told.length, model.latent) });
    const size = images.data.length / told.length;
    return told.map((_, i) => images.data.slice(i * size, (i + 1) * size));
  }

  // --- Pictures

  // Greys, or red, green and blue one behind the other, as an ImageData of the given side.
  function picture(values, side) {
    const area = side * side, data = new ImageData(side, side);
    for (let i = 0; i < area; i++) {
      for (let c = 0; c < 3; c++)
        data.data[4 * i + c] = Math.min(STEPS * values[values.length > area ? c * area + i : i], STEPS - 1);
      data.data[4 * i + 3] = STEPS - 1;
    }
    return data;
  }

  Object.assign(playground, {
    open, codes, decode, drawGarments, readScene, choosePlaces, drawScenes, drawTold, picture,
  });
})();
