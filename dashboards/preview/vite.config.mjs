import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  define: { "process.env.NODE_ENV": '"production"', global: "globalThis" },
  build: { outDir: "dist", chunkSizeWarningLimit: 20000, reportCompressedSize: false },
  logLevel: "error",
});
