// Keeps an open page fresh: fetches it again and changes what is different. Without this script it reloads itself.
(() => {
  "use strict";
  const EVERY_MS = 10_000;
  const PATIENCE_MS = 30_000;
  let underway = false;

  // What stays the same is not touched: a selection, the focus, and the elements that are read aloud when they change.
  const renew = (shown, fresh) => {
    if (shown.isEqualNode(fresh)) return;
    const children = [...fresh.childNodes];
    if (!shown.cloneNode().isEqualNode(fresh.cloneNode())) shown.replaceWith(fresh);
    else if (shown.childNodes.length !== children.length) shown.replaceChildren(...children);
    else [...shown.childNodes].forEach((child, place) => renew(child, children[place]));
  };

  const swap = (fresh) => {
    if (releaseOf(fresh) !== releaseOf(document)) return location.reload();
    const opened = new Set([...document.querySelectorAll("details[open]")].map(placeOf));
    for (const details of fresh.querySelectorAll("details")) details.open = opened.has(placeOf(details));
    for (const part of ["main", "footer"]) renew(document.querySelector(part), fresh.querySelector(part));
    document.title = fresh.title;
  };
  const releaseOf = (page) => [...page.querySelectorAll("[rel=stylesheet], script")].map((each) => each.outerHTML).join();
  const placeOf = (details) => details.closest("section").getAttribute("aria-labelledby");

  const refresh = async () => {
    if (document.hidden || underway) return;
    underway = true;
    try {
      const answer = await fetch(location.href, { cache: "no-cache", signal: AbortSignal.timeout(PATIENCE_MS) });
      if (!answer.ok) throw new Error(answer.status);
      swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      const notice = document.querySelector(".stale"), asOf = document.querySelector("footer time").textContent;
      const told = `This page cannot be refreshed. It says what was known on ${asOf}.`;
      if (notice.textContent !== told) notice.textContent = told;
    } finally {
      underway = false;
    }
  };

  setInterval(refresh, EVERY_MS);
  document.addEventListener("visibilitychange", refresh);
})();
