// What is wrong with the slide that is up: an array of words, empty if nothing is. test_slides.py runs it.
"use strict";
window.slideFaults = () => {
  const slide = Reveal.getCurrentSlide().querySelector(".slide");
  const faults = [];
  const name = (element) => `${element.tagName.toLowerCase()}.${element.className} ${element.textContent.trim().slice(0, 30)}`;
  const seen = (element) => !element.closest("mjx-assistive-mml, .words, script, option");
  const footer = slide.querySelector("footer");
  const floor = footer ? footer.getBoundingClientRect().top : 720;

  /** Where a text is on the slide; MathJax's letters are no text. */
  const texts = document.createTreeWalker(slide, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const parent = text.parentElement;
    if (!text.data.trim() || !seen(parent)) continue;
    const small = parent.closest("figcaption, .caption, pre, code, footer") ? 16 : 20;
    const size = parseFloat(getComputedStyle(parent).fontSize);
    if (size < small - 0.01 && !parent.closest("mjx-container")) faults.push(`${size} px: ${name(parent)}`);
    const range = document.createRange();
    range.selectNodeContents(text);
    for (const { left, right, top, bottom } of range.getClientRects())
      if (left < 40 || right > 1240 || top < 20 || (bottom > floor + 0.5 && !footer?.contains(parent) && !parent.closest(".keys")))
        faults.push(`out of the slide: ${name(parent)}`);
  }

  /** What may not lie over each other, or leave the slide. */
  const pieces = [...slide.querySelectorAll("h1, h2, p, li, table, pre, img, mjx-container, .eqno, .caption, footer, .controls")].filter(
    (element) => seen(element) && element.getBoundingClientRect().width > 0,
  );
  const boxes = pieces.map((element) => {
    const inner = element.matches("mjx-container") ? element.querySelector("mjx-math") : element;
    return inner.getBoundingClientRect();
  });
  pieces.forEach((piece, i) => {
    const a = boxes[i];
    if (a.left < 40 || a.right > 1240 || a.top < 0 || a.bottom > 720.5) faults.push(`out of the slide: ${name(piece)}`);
    if (piece.matches("pre, table, ul, ol") && piece.scrollWidth > piece.clientWidth + 1) faults.push(`cut off: ${name(piece)}`);
    pieces.slice(i + 1).forEach((other, j) => {
      const b = boxes[i + 1 + j];
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 1 && high > 1 && !piece.contains(other) && !(piece.matches("mjx-container") && other.matches("mjx-container")))
        faults.push(`${name(piece)} lies over ${name(other)}`);
    });
  });
  for (const image of slide.querySelectorAll("img")) if (!image.naturalWidth) faults.push(`no picture: ${image.alt}`);
  return faults;
};
