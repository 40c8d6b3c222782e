/* The signal that kills a coverage build of the server. No test sends it for another purpose. */
#ifndef TESTS_DUMP_H
#define TESTS_DUMP_H

#include <signal.h>

#define DUMP_SIGNAL SIGRTMAX

#endif
