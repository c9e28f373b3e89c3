// Mounts the interactive component on a fit's page; its data lie beside the page.

import { mount } from "./app.js";

const answer = await fetch(new URL("../payload.json", import.meta.url));
const details = document.getElementById("details");
mount(document.body, await answer.json(), details.childElementCount ? details : null);
document.documentElement.dataset.ready = "yes";
