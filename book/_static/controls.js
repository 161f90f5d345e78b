// Controls over pictures drawn beforehand (cvae_lib/frames.py): each choice shows its picture.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const picture = (src) => Object.assign(new Image(), { src });
  for (const box of document.querySelectorAll(".frames")) {
    const { names, frames } = JSON.parse(box.querySelector("script").textContent);
    const controls = [...box.querySelectorAll("input, select")];
    const image = box.querySelector("img");
    const first = picture(image.src);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.getAttribute("width"), image.getAttribute("height")];
    let wanted; // among the frames: the last control's choice changes fastest

    const choose = () => {
      let place = 0;
      controls.forEach((control, k) => {
        const chosen = control.selectedIndex ?? Number(control.value);
        place = place * names[k].length + chosen;
        if (control.type !== "range") return;
        control.setAttribute("aria-valuetext", names[k][chosen]);
        control.labels[0].querySelector("output").value = names[k][chosen];
      });
      return place;
    };

    // What changed is laid over the first picture; the rest of a frame is transparent.
    const show = async () => {
      const place = (wanted = choose());
      const [source, words] = frames[place];
      const layer = picture(source);
      await Promise.all([first.decode(), layer.decode()]);
      if (place !== wanted) return;
      for (const part of [first, layer]) canvas.getContext("2d").drawImage(part, 0, 0);
      image.src = canvas.toDataURL();
      box.querySelector(".words").textContent = words;
    };

    box.addEventListener("input", show);
    box.querySelector(".controls").hidden = false; // without this script they would do nothing
    if (choose() !== Number(box.dataset.first)) show(); // kept by the browser from an earlier visit
  }
});
