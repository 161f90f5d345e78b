// What scrolls sideways inside its own box is a stop of the keyboard, whose arrows then move it.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  const boxes = ".pst-scrollable-table-container, .cell_output, mjx-container[display], div.math, pre";
  for (const box of document.querySelectorAll(`.bd-article :is(${boxes})`)) watch.observe(box);
});
