// What is printed has all folds open and dark letters on white; afterwards the page is as it was.
"use strict";
(() => {
  const root = document.documentElement;
  let undo = [];
  addEventListener("beforeprint", () => {
    const { theme } = root.dataset;
    root.dataset.theme = "light";
    undo.push(() => (root.dataset.theme = theme));
    const closed = [...document.querySelectorAll("details:not([open])")];
    const named = [...document.querySelectorAll("details[name]")].map((fold) => [fold, fold.getAttribute("name")]);
    for (const [fold] of named) fold.removeAttribute("name"); // of those with one name only one can be open
    for (const fold of closed) fold.open = true;
    undo.push(() => {
      for (const fold of closed) fold.open = false;
      for (const [fold, name] of named) fold.setAttribute("name", name);
    });
    for (const image of document.images) image.loading = "eager";
  });
  addEventListener("afterprint", () => {
    for (const step of undo.reverse()) step();
    undo = [];
  });
})();
