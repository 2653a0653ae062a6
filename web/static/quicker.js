// Makes the pages quicker; every one of them works without this file.
"use strict";

const all = (what, act) => document.querySelectorAll(what).forEach(act);

// A file dropped on the frame is as good as one chosen.
function takeDrops(frame) {
  const input = frame.querySelector("input[type=file]");
  if (matchMedia("(pointer: fine)").matches) { frame.querySelector("[data-droppable]").hidden = false; }
  const mark = (over) => (event) => { event.preventDefault(); frame.classList.toggle("over", over); };
  frame.addEventListener("dragenter", mark(true));
  frame.addEventListener("dragover", mark(true));
  frame.addEventListener("dragleave", mark(false));
  frame.addEventListener("drop", (event) => {
    mark(false)(event);
    if (event.dataTransfer.files.length) { input.files = event.dataTransfer.files; }
  });
}

// Uploads say how far they are. The answer is a page: where it was sent elsewhere we go there, else it is shown.
function tellProgress(form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const shown = form.querySelector("[data-progress]");
    const bar = shown.querySelector("progress");
    const button = form.querySelector("button");
    const sending = new XMLHttpRequest();
    const busy = (yes) => { shown.hidden = !yes; button.disabled = yes; };
    const tooLarge = form.querySelector("[data-too-large]");
    const size = form.querySelector("input[type=file]").files[0]?.size ?? 0;
    form.querySelector("[data-lost]").hidden = true;
    tooLarge.hidden = size <= Number(tooLarge.dataset.tooLarge);
    if (!tooLarge.hidden) { return; }
    sending.upload.addEventListener("progress", (at) => {
      if (at.lengthComputable && at.loaded < at.total) { bar.value = (100 * at.loaded) / at.total; } else { bar.removeAttribute("value"); }
    });
    sending.addEventListener("error", () => { busy(false); form.querySelector("[data-lost]").hidden = false; });
    sending.addEventListener("load", () => {
      if (sending.status < 400) { location.assign(sending.responseURL); return; }
      const answer = new DOMParser().parseFromString(sending.responseText, "text/html");
      document.title = answer.title;
      document.querySelector("main").replaceWith(document.adoptNode(answer.querySelector("main")));
      start();
    });
    sending.open("POST", form.action);
    sending.setRequestHeader("Accept", "text/html");
    sending.send(new FormData(form));
    busy(true);
  });
}

// A browser that reads QR codes by itself need not send the photo; what it cannot read is sent.
function readPhotos(form) {
  if (!("BarcodeDetector" in window)) { return; }
  form.elements.photo.addEventListener("change", async () => {
    try {
      const picture = await createImageBitmap(form.elements.photo.files[0]);
      const found = await new BarcodeDetector({ formats: ["qr_code"] }).detect(picture);
      const ours = found.map((one) => one.rawValue).find((said) => said.startsWith(`${location.origin}/v/`));
      if (ours) { location.assign(ours); }
    } catch { /* the server reads it */ }
  });
}

// One press signs once; the server would give the same answer to a second.
function sendOnce(form) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) { event.preventDefault(); }
    form.dataset.sent = "yes";
  });
}

// Without a mark on the page there is no corner to choose.
function hideCorner(corner) {
  const form = corner.closest("form");
  const look = () => { corner.hidden = form.elements.page.value === "none"; };
  form.addEventListener("change", look);
  look();
}

// A page that waits looks by itself, and is read anew only when there is something new to read.
// Who has just pressed a button on it gets the answer to that: a page read anew meanwhile would take its place.
function lookAgain(waiting) {
  let pressed = false;
  document.addEventListener("submit", () => { pressed = true; });
  const look = async () => {
    if (pressed) { return; }
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (page.querySelector("[data-waiting]")?.dataset.waiting !== waiting.dataset.waiting && !pressed) { location.reload(); return; }
    } catch { /* the network is away for a moment */ }
    setTimeout(look, 3000);
  };
  setTimeout(look, 1500);
}

function start() {
  all("[data-drop]", takeDrops);
  all("form[data-upload]", tellProgress);
  all("form[data-once]", sendOnce);
  all("form[data-photo]", readPhotos);
  all("[data-corner]", hideCorner);
  all("[data-waiting]", lookAgain);
  all("#errors", (errors) => errors.focus()); // what is wrong is read first
}

start();
addEventListener("pageshow", () => all("form[data-once]", (form) => delete form.dataset.sent));
