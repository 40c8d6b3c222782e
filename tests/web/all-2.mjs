// The other half: see all-1.mjs.

import './consistency.test.mjs';
import './axe.test.mjs';
