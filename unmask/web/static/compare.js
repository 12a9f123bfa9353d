// The slider between before and after: by the range below the picture, or by dragging on the picture.

/** Make the picture `box` follow the range `slide`. */
export function comparable(box, slide) {
  const show = () => {
    box.style.setProperty("--at", `${slide.value}%`);
    slide.setAttribute("aria-valuetext", `${slide.value} % before, ${100 - slide.value} % after`);
  };
  const follow = (event) => {
    const place = box.getBoundingClientRect();
    slide.value = Math.round(100 * (event.clientX - place.left) / place.width);
    show();
  };
  slide.addEventListener("input", show);
  box.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    box.setPointerCapture(event.pointerId);
    follow(event);
  });
  box.addEventListener("pointermove", (event) => { if (box.hasPointerCapture(event.pointerId)) follow(event); });
  show();
}
