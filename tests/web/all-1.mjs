// Half of the tests with a server that needs no token. A process starts Chromium once for its
// tests. The two halves take about the same time and run concurrently, in separate browsers.

import './losses.test.mjs';
import './page.test.mjs';
import './docs.test.mjs';
