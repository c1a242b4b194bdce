// Before the first paint: the theme that this browser chose, if it chose one.
const chosen = localStorage.getItem("theme");
if (chosen) document.documentElement.dataset.theme = chosen;
document.documentElement.classList.add("scripts");
