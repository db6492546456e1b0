// Keeps the list of devices up to date while the page is open, and warns before the session ends. Without this script, the
// page shows the list as it was when it was loaded.
"use strict";

const every = 3000;

// Replaces only parts that have changed: so nothing is announced twice, and no button loses the focus without need.
function update(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const part of fresh.querySelectorAll("body > [id]")) {
    const shown = document.getElementById(part.id);
    if (!shown || shown.innerHTML === part.innerHTML) continue;
    const focused = shown.contains(document.activeElement) ? document.activeElement.id : "";
    shown.replaceChildren(...part.childNodes);
    if (focused) document.getElementById(focused)?.focus();
  }
}

async function ask() {
  if (document.hidden) return;
  const response = await fetch("/devices", { redirect: "error" }).catch(() => null);
  if (response?.status === 401) location.assign("/"); // signed out elsewhere
  else if (response?.ok) update(await response.text());
}

async function watch() {
  await ask();
  setTimeout(watch, every);
}

document.addEventListener("visibilitychange", ask);
setTimeout(watch, every);
