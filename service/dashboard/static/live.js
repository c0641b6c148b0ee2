// Keeps a page current: asks for its live part every two seconds while somebody looks, and changes what differs.
// The server answers 304 while nothing has changed. Without this script the page reloads itself now and then.

import { morph } from "./morph.js";

const EVERY_MS = 2000;
const AT_MOST_MS = 30000;

const live = document.querySelector("[data-live]");
const pulse = document.getElementById("pulse");
let version = live.dataset.version;
let failures = 0;
let timer = 0;
let asking = false;

async function refresh() {
  if (asking || document.hidden) return;
  asking = true;
  try {
    const answer = await fetch(location.href, {
      headers: { "Lethe-Fragment": "1", "If-None-Match": `"${version}"` },
      cache: "no-store",
    });
    if (answer.status === 401 || answer.status === 403) return location.reload();
    if (answer.status !== 304 && !answer.ok) throw new Error(String(answer.status));
    if (answer.status !== 304) show(await answer.text());
    version = (answer.headers.get("ETag") ?? "").replaceAll('"', "").replace(/^W\//, "");
    tell(0);
  } catch {
    tell(failures + 1);
  } finally {
    asking = false;
    schedule();
  }
}

function show(html) {
  const wanted = live.cloneNode(false);
  wanted.innerHTML = html;
  morph(live, wanted);
}

/** Say in the footer when the answers stop, and when they come back. */
function tell(count) {
  if (count > 1 && failures <= 1) {
    const time = new Date().toISOString().slice(11, 19);
    pulse.textContent = pulse.dataset.lost.replace("{time}", time);
    pulse.classList.add("lost");
  } else if (count === 0 && failures > 1) {
    pulse.textContent = pulse.dataset.fresh;
    pulse.classList.remove("lost");
  }
  failures = count;
}

function schedule() {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(refresh, Math.min(EVERY_MS * 2 ** failures, AT_MOST_MS));
}

document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
schedule();
