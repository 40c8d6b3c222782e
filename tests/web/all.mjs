// Every test of a server that is open to all, in one process, which starts Chromium once.

import './losses.test.mjs';
import './page.test.mjs';
import './consistency.test.mjs';
import './axe.test.mjs';
import './docs.test.mjs';
