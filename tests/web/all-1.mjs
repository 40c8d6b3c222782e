// Half of the tests of a server that is open to all, in one process, which starts Chromium once.
// The halves take about as long and run at once: each process is a browser of its own.

import './losses.test.mjs';
import './page.test.mjs';
import './docs.test.mjs';
