/** Mounts the app. Everything but the shell is loaded by the page that needs it. */
import { mount } from "svelte";
import "./tokens.css";
import "./shell.css";
import App from "./App.svelte";

const target = document.getElementById("app");
if (target === null) throw new Error("index.html has no element #app");

export default mount(App, { target });
