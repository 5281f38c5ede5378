/**
 * Builds the web app into `dist/`; the build hook of the Python package copies it to the server.
 *
 * The page is served under a CSP without `unsafe-inline`, `unsafe-eval` and `data:` scripts, so
 * nothing may be inlined and no polyfill may be injected. One style sheet for all pages (10 kB more):
 * when the sheet of a page fails to load, Vite marks it as loaded, and a second try shows the page
 * without it.
 */
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

const server = process.env["PENSTOCK_DEV_SERVER"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    sourcemap: false,
    reportCompressedSize: false,
    manifest: true,
  },
  server: {
    proxy: { "/api": server, "/live": { target: server, ws: true } },
  },
});
