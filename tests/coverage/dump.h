/* What a server that is built for coverage is killed with. No test sends it for another purpose. */
#ifndef TESTS_DUMP_H
#define TESTS_DUMP_H

#include <signal.h>

#define DUMP_SIGNAL SIGRTMAX

#endif
