// Keeps an open page fresh: fetches it again and swaps what changed. Without this script the page reloads itself.
(() => {
  "use strict";
  const EVERY_MS = 10_000;

  const swap = (fresh) => {
    const opened = new Set([...document.querySelectorAll("details[open]")].map(placeOf));
    for (const part of ["main", "footer"]) document.querySelector(part).replaceWith(fresh.querySelector(part));
    for (const details of document.querySelectorAll("details")) details.open = opened.has(placeOf(details));
    document.title = fresh.title;
  };
  const placeOf = (details) => details.closest("section").getAttribute("aria-labelledby");

  const refresh = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.href, { cache: "no-cache" });
      if (answer.ok) swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // The service or the network is away: what is shown carries its own time.
    }
  };

  setInterval(refresh, EVERY_MS);
  document.addEventListener("visibilitychange", refresh);
})();
