/**
 * Builds the web app into `dist/`; the build hook of the Python package copies it to the server.
 *
 * The page is served under a CSP without `unsafe-inline`, `unsafe-eval` and `data:` scripts, so
 * nothing may be inlined and no polyfill may be injected.
 */
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

const server = process.env["PENSTOCK_DEV_SERVER"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    reportCompressedSize: false,
    manifest: true,
  },
  server: {
    proxy: { "/api": server, "/live": { target: server, ws: true } },
  },
});
