// node shoot.mjs BASE OUT CHROMIUM QUERY PICTURE...: a picture is DASHBOARD, or FILE=DASHBOARD&to=SECONDS.
import { chromium } from "playwright-core";

const [base, out, executablePath, query, ...pictures] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
let failed = 0;
for (const picture of pictures) {
  const [, file, name, more] = picture.match(/^(?:([\w-]+)=)?([\w-]+)(&.*)?$/);
  // high enough for all of it: what is out of sight draws no rows
  const page = await browser.newPage({ viewport: { width: 1440, height: 2600 }, colorScheme: "dark" });
  const said = [];
  page.on("pageerror", (error) => said.push(String(error.stack ?? error)));
  page.on("console", (line) => line.type() === "error" && !/404/.test(line.text()) && said.push(line.text()));
  await page.goto(`${base}/index.html?dashboard=${name}&${query}${more ?? ""}`);
  await page.waitForFunction(() => /^(drawn|failed)/.test(document.title), null, { timeout: 60000 });
  const title = await page.title();
  if (title !== "drawn" || !(await page.locator("#page").count())) {
    failed += 1;
    console.error(`${name}: ${title}\n${said.join("\n")}`);
  } else {
    await page.locator("#page").screenshot({ path: `${out}/${file ?? name}.png` });
    if (said.length) console.error(`${name}: ${said.slice(0, 5).join("\n")}`);
  }
  await page.close();
}
await browser.close();
process.exit(failed ? 1 : 0);
