// A moment of the timeline shows what is behind it; arrows walk through it.
function show(time, number) {
  const view = time.closest(".c2-view");
  for (const button of time.querySelectorAll("button"))
    button.setAttribute("aria-pressed", button.dataset.n === number);
  for (const moment of view.querySelectorAll(".c2-moment"))
    moment.hidden = moment.dataset.moment !== number;
  view.querySelector(".c2-hint").hidden = true;
}
element.addEventListener("click", (event) => {
  const time = event.target.closest(".c2-time");
  if (!time) return;
  let button = event.target.closest("button");
  if (!button) {
    const box = time.getBoundingClientRect();
    const moment =
      ((event.clientX - box.left) / box.width) * time.dataset.seconds;
    button = [...time.querySelectorAll("button")].find(
      (b) => +b.dataset.start <= moment && moment < +b.dataset.end
    );
  }
  if (button) show(time, button.dataset.n);
});
element.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const time = event.target.closest(".c2-time");
  if (!step || !time) return;
  event.preventDefault();
  const buttons = [...time.querySelectorAll("button")];
  const next = buttons[buttons.indexOf(event.target) + step];
  if (!next) return;
  next.focus();
  show(time, next.dataset.n);
});
