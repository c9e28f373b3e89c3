// What a script adds to pages that work without one: progress as it happens, and dropped files.

const root = document.documentElement.dataset.root;

function follow(section) {
  const key = section.dataset.job;
  const source = new EventSource(`${root}/api/jobs/${key}/events`);
  const state = document.getElementById("state"), bar = section.querySelector("progress");
  source.onmessage = (event) => {
    const job = JSON.parse(event.data), progress = job.progress;
    state.textContent = progress.doing ? `${job.state}: ${progress.doing}` : job.state;
    if (bar && progress.of) { bar.max = progress.of; bar.value = progress.done; }
    if (job.state === "waiting" || job.state === "running") return;
    source.close();
    if (job.fit) location.replace(`${root}/fits/${job.fit}`);
    else if (job.runs) location.replace(`${root}/runs/${job.runs}`);
    else location.reload();
  };
}

function acceptDrops(form) {
  const input = form.querySelector("input[name=files]");
  form.addEventListener("dragover", (event) => { event.preventDefault(); form.classList.add("over"); });
  form.addEventListener("dragleave", () => form.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    if (!event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    form.requestSubmit();
  });
}

async function lookAgain(section) {
  const answer = await fetch(`${root}/api/watch`);
  const watch = answer.ok ? (await answer.json()).data : null;
  if (watch && watch.job !== section.dataset.watched) location.reload();
}

const job = document.querySelector("[data-job]");
if (job && ["waiting", "running"].includes(job.dataset.state)) follow(job);
for (const form of document.querySelectorAll("form.drop")) acceptDrops(form);
const watched = document.querySelector("[data-watched]");
if (watched) setInterval(() => lookAgain(watched), 3000);
document.documentElement.dataset.ready = "yes";
