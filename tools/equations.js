// node equations.js FOLDER FONTS: reads a JSON list of [TeX, on a line of its own], draws each with the MathJax in
// FOLDER, and writes a JSON object: their HTML, and the style that it needs, whose fonts lie at FONTS.
"use strict";
const { readFileSync, writeFileSync } = require("fs");

const [folder, fonts] = process.argv.slice(2);
const EM = 16; // px; the book's style scales equations to the letters around them

async function draw() {
  const MathJax = await require(`${folder}/node-main.js`).init({
    loader: { load: ["input/tex", "output/chtml", "a11y/assistive-mml"], paths: { mathjax: folder } },
    chtml: { fontURL: fonts },
  });
  const { adaptor } = MathJax.startup;
  const html = [];
  for (const [tex, display] of JSON.parse(readFileSync(0, "utf8"))) {
    const metrics = { display, em: EM, ex: EM / 2, containerWidth: 80 * EM };
    html.push(adaptor.outerHTML(await MathJax.tex2chtmlPromise(tex, metrics)));
  }
  writeFileSync(1, JSON.stringify({ html, style: adaptor.textContent(MathJax.chtmlStylesheet()) }));
}

draw().catch((error) => {
  console.error(String(error));
  process.exit(1);
});
