/* A full pipe that a server writes to and that is not read. */
#ifndef TESTS_FULL_PIPE_H
#define TESTS_FULL_PIPE_H

/* The ends for reading and writing; -1 if closed. */
extern int full_pipe[2];

/* Makes the pipe and fills it. */
void full_pipe_make(void);
void full_pipe_close(void);

/* For server_process_start_with: make the pipe the stderr or stdout of the server. */
void full_pipe_as_stderr(void);
void full_pipe_as_stdout(void);

#endif
