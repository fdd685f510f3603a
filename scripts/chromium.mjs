// Finds a Chromium for the tests that need a browser, or ends with how to get one.
import { execFileSync } from 'node:child_process';

export function findChromium() {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    try {
      return execFileSync('which', [name], { encoding: 'utf8' }).trim();
    } catch {
      // The next one, then.
    }
  }
  console.error('no Chromium: apt-get install -y chromium, or set CHROMIUM=/path/to/it');
  process.exit(1);
}
