// A click on a figure, or Enter while it has the focus, shows it as wide as the screen; another click, or Escape, closes it.
document.addEventListener("DOMContentLoaded", () => {
  const dialog = document.createElement("dialog");
  dialog.className = "enlarged";
  dialog.addEventListener("click", () => dialog.close());
  document.body.append(dialog);
  for (const image of document.querySelectorAll(".bd-article :is(.cell_output, figure) img")) {
    if (image.closest("a, .playground")) continue;
    image.classList.add("enlarges");
    image.tabIndex = 0;
    image.setAttribute("role", "button");
    const enlarge = () => {
      dialog.replaceChildren(Object.assign(new Image(), { src: image.src, alt: image.alt }));
      dialog.showModal();
    };
    image.addEventListener("click", enlarge);
    image.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      enlarge();
    });
  }
});
