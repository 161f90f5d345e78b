// Starts the slides that tools/make_slides.py made: arrows turn them, S opens the notes.
"use strict";
Reveal.initialize({
  width: 1280,
  height: 720,
  margin: 0,
  minScale: 0.1,
  maxScale: 4,
  center: false,
  controls: false,
  hash: true,
  slideNumber: "c/t",
  transition: "none",
  backgroundTransition: "none",
  pdfSeparateFragments: false, // on paper a question stands there with its answer
  plugins: [RevealNotes],
});
// A slider that was moved gives the arrow keys back.
addEventListener("pointerup", () => {
  if (document.activeElement?.closest(".frames")) document.activeElement.blur();
});
